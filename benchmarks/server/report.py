"""From rounds to the report: ``server.json``, ``server.md`` and ``server.svg``."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.prose import wrap
from benchmarks.spread import median, median_interval

from .cases import CASES, REFERENCES
from .frameworks_report import frameworks_page, judge_frameworks
from .load import CONNECTIONS
from .plot import bars

REPORT = Path(__file__).resolve().parent.parent / "report"
PACKAGES = (
    *("tokenwheel", "uvicorn", "uvloop", "httptools", "gunicorn", "fastapi", "starlette", "flask"),
    *("quart", "django", "djangorestframework", "PyJWT", "ryjwt", "authx", "fastapi-users"),
    *("Flask-JWT-Extended", "djangorestframework-simplejwt", "supertokens-python"),
)


class Round(NamedTuple):
    """What one case did in one round."""

    requests_per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float | None


class Line(NamedTuple):
    """What one case did in all rounds.

    All are medians. The share is that of the reference's requests per second, with a 95% interval.
    """

    case: str
    family: str
    title: str
    tokens: int
    requests_per_second: float
    share: float
    share_low: float
    share_high: float
    p50_us: float
    p99_us: float
    cpu_us: float | None
    core_share: float | None
    """The reference's core time a request, as a share of this one's; with its interval."""
    core_share_low: float | None
    core_share_high: float | None
    in_process_us: float | None = None
    """A request without a server, where that was measured."""
    added_us: float | None = None
    """How much longer it takes than the reference's."""


class Goal(NamedTuple):
    """The least share of its reference's requests per second that a case is to reach."""

    what: str
    case: str
    share: float


# No slower, in the second, means within what rounds of a few seconds can tell apart.
GOALS = [
    Goal(
        "bare ASGI with tokenwheel, against the application that verifies nothing",
        "bare-tokenwheel",
        0.97,
    ),
    Goal(
        "bare ASGI with tokenwheel's gate, against the application that verifies nothing",
        "bare-gate",
        0.97,
    ),
    Goal(
        "FastAPI with tokenwheel in a dependency, against a dependency that does nothing",
        "fastapi-tokenwheel",
        0.99,
    ),
]

PAGE = """### Seen from outside: what verification costs a server

An API server answers nothing before it has verified the token, so every request pays for that. Each
application is served by one uvicorn worker (uvloop, httptools, no access log) under load that never
pauses: {connections} kept-alive connections, each with one request on its way. The load comes from
{load}; {cores}. Cases take turns, every other round in reverse: {starts} starts of the servers, and
after each start a second of warm-up and {rounds} rounds of {seconds} s for each case. A share is
taken within a round; shown are medians, with a 95% interval by the bootstrap.

All verify the same HS256 tokens of {token_length} characters, for signature, `exp`, `iss` and
`aud`; tokenwheel also for `typ`, `nbf`, `iat`, its own claims and revocation. As the load never
pauses, p50 and p99 are mostly waiting in the queue, and follow from the requests per second. Core
time is the server's alone, by the kernel's account.

{date}, {cpu}, {system}, CPython {python}; {versions}.
Again: `make bench-server`. One line of it: `make bench-server CASES=bare-tokenwheel`.
{left_out}
| goal: share of the reference's requests per second | at least | reached | |
| --- | ---: | ---: | --- |
{goals}

![Requests per second of each application](server.svg)

{tables}"""

Rounds = Mapping[tuple[str, int], Sequence[Round]]
Times = Mapping[str, Sequence[float]]
"""Microseconds a request without a server, round by round, of each case of a family."""


def in_process_figures(name: str, reference: str, times: Times) -> dict[str, float]:
    """Return the medians of what was measured without a server, if it was."""
    if name not in times:
        return {}
    added = [mine - theirs for mine, theirs in zip(times[name], times[reference], strict=True)]
    return {"in_process_us": median(times[name]), "added_us": median(added)}


def summarise(rounds: Rounds, times: Mapping[str, Times]) -> list[Line]:
    """Return medians over all rounds.

    Shares are taken round by round, so that what slowed a whole round slows both sides of them.
    """
    lines = []
    for (name, tokens), own in rounds.items():
        family, title = CASES[name].family, CASES[name].title
        reference = rounds[REFERENCES[family], tokens]
        shares = [
            mine.requests_per_second / theirs.requests_per_second
            for mine, theirs in zip(own, reference, strict=True)
        ]
        low, high = median_interval(shares)
        cpu = [measured.cpu_us for measured in own if measured.cpu_us is not None]
        core_shares = [
            theirs.cpu_us / mine.cpu_us
            for mine, theirs in zip(own, reference, strict=True)
            if mine.cpu_us and theirs.cpu_us
        ]
        core_low, core_high = median_interval(core_shares) if core_shares else (None, None)
        lines.append(
            Line(
                *(
                    name,
                    family,
                    title,
                    tokens,
                    median(measured.requests_per_second for measured in own),
                ),
                *(
                    median(shares),
                    low,
                    high,
                    median(measured.p50_us for measured in own),
                    median(measured.p99_us for measured in own),
                ),
                cpu_us=median(cpu) if cpu else None,
                core_share=median(core_shares) if core_shares else None,
                core_share_low=core_low,
                core_share_high=core_high,
                **in_process_figures(name, REFERENCES[family], times.get(family, {})),
            )
        )
    return lines


def judge(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return what was to be reached with ``read`` called by hand, and what was."""
    return [
        {
            "what": f"{goal.what}, {tokens_in_words(line.tokens)}",
            "goal": goal.share,
            "reached": line.share,
            "met": line.share >= goal.share,
        }
        for goal in GOALS
        for line in lines
        if line.case == goal.case
    ]


def tokens_in_words(tokens: int) -> str:
    return "one token" if tokens == 1 else f"{tokens:,} tokens in turn"


def environment() -> dict[str, Any]:
    cpu = next(
        (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name")),
        platform.machine(),
    )
    packages = {name: number for name in PACKAGES if (number := version_of(name))}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": packages,
    }


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


def table(lines: Sequence[Line], family: str, tokens: int) -> list[str]:
    rows = [
        f"#### {family}, {tokens_in_words(tokens)}",
        "",
        (
            f"| verification | requests/s | of “{CASES[REFERENCES[family]].title}” "
            "| 95% interval | p50 | p99 | core time a request |"
        ),
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        if (line.family, line.tokens) == (family, tokens):
            cpu = "not known" if line.cpu_us is None else f"{line.cpu_us:.2f} µs"
            rows.append(
                f"| {line.title} | {line.requests_per_second:,.0f} | {line.share:.1%} "
                f"| {line.share_low:.1%} to {line.share_high:.1%} "
                f"| {line.p50_us / 1000:.2f} ms | {line.p99_us / 1000:.2f} ms | {cpu} |"
            )
    return [*rows, ""]


def markdown(lines: Sequence[Line], where: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    goals = [
        f"| {goal['what']} | {goal['goal']:.0%} | {goal['reached']:.1%} "
        f"| {'met' if goal['met'] else '**not met**'} |"
        for goal in judge(lines)
    ]
    by_hand = [line for line in lines if CASES[line.case].framework is None]
    tables = [
        row
        for family, tokens in dict.fromkeys((line.family, line.tokens) for line in by_hand)
        for row in table(lines, family, tokens)
    ]
    page = PAGE.format(
        **{**where, **setting},
        connections=CONNECTIONS,
        versions=", ".join(f"{name} {number}" for name, number in where["packages"].items()),
        cores="the server on one core and the load on another"
        if setting["pinned"]
        else "neither side pinned to a core",
        left_out="".join(
            f"Left out, as it could not be installed: {name}.\n" for name in setting["missing"]
        ),
        goals="\n".join(goals),
        tables="\n".join(tables),
    )
    return wrap(page + frameworks_page(lines))


def write_report(
    rounds: Rounds, times: Mapping[str, Times], setting: Mapping[str, Any], *, save: bool
) -> None:
    lines, where = summarise(rounds, times), environment()
    page = markdown(lines, where, setting)
    print(page)
    if save:
        REPORT.mkdir(exist_ok=True)
        data = {
            "environment": where,
            "setting": setting,
            "goals": [*judge(lines), *judge_frameworks(lines)],
            "lines": [line._asdict() for line in lines],
        }
        (REPORT / "server.json").write_text(json.dumps(data, indent=1) + "\n")
        (REPORT / "server.md").write_text(page)
        most = max(line.tokens for line in lines)
        for file, of_framework in (("server.svg", False), ("frameworks.svg", True)):
            shown = [
                (line.family, line.title, line.requests_per_second)
                for line in lines
                if line.tokens == most and (CASES[line.case].framework is not None) is of_framework
            ]
            (REPORT / file).write_text(bars(shown))

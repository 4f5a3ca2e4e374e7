"""The second half of the report: what an adapter costs its framework, beside the peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .cases import CASES, REFERENCES

if TYPE_CHECKING:
    from .report import Line

LEAST_SHARES = {
    "A bare ASGI application": 0.97,
    "Starlette": 0.98,
    "FastAPI": 0.98,
    "Flask": 0.98,
    "Django": 0.97,
    "Django REST framework": 0.97,
}
"""The least share of what the same application reaches that verifies nothing."""
LEAST_TIMES_PEERS = 1.5

PAGE = """
### Behind a web framework

The same route, guarded as each library says it is to be: a dependency, a decorator, a middleware or
an authentication class. It is compared with the same application with one that does nothing. By
header, a service sends a GET with the few headers of its HTTP client; by cookie, a browser posts
with all of its headers and cookies, and the server checks that a page of its own has made it do so:
tokenwheel by `Sec-Fetch-Site` and `Origin`, Flask-JWT-Extended and AuthX by a token that stands in
the cookie's JWT and in a header of the script's, SuperTokens by a header that no form can send.
fastapi-users has no such check, and simplejwt no cookies.

All get 1,000 tokens in turn. The peers verify with PyJWT, HS256, for `iss` and `aud` where they
can; SuperTokens' SDK for RS256, as its core signs, and that core is played by a server which has
its keys. Users are loaded by none: fastapi-users is given one at no cost, and simplejwt is used
without. ASGI is served by uvicorn as above; WSGI by gunicorn, one worker of one thread that keeps
connections alive. Only tokenwheel looks at every request whether the session was revoked.

A server that is never idle answers as many requests as its core has time for. So a share of the
requests per second is a share of core time, and the goals are judged by that one: it strays less,
since what the machine does for others meanwhile is not in it. The last two columns are without any
server: the application is called in a loop, with requests made beforehand of new objects, all cases
of a family by turns in one process.

| goal | at least | reached | |
| --- | ---: | ---: | --- |
{goals}

![Requests per second behind each framework](frameworks.svg)

{tables}"""


def judge_frameworks(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return what was to be reached behind each framework, and what was."""
    return [*_judge_shares(lines), *_judge_peers(lines)]


def _judge_shares(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        framework = CASES[line.case].framework
        if line.title != "tokenwheel" or framework not in LEAST_SHARES:
            continue
        reached = line.share if line.core_share is None else line.core_share
        least = LEAST_SHARES[framework]
        reference = CASES[REFERENCES[line.family]].title
        yield {
            "what": f"{line.family}: share of what “{reference}” reaches",
            "goal": least,
            "reached": reached,
            "met": reached >= least,
        }


def _judge_peers(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        case = CASES[line.case]
        if case.framework is None or not case.verifies or line.title == "tokenwheel":
            continue
        ours = next(
            other for other in lines if other.family == line.family and other.title == "tokenwheel"
        )
        reached = (
            ours.requests_per_second / line.requests_per_second
            if ours.cpu_us is None or line.cpu_us is None
            else line.cpu_us / ours.cpu_us
        )
        yield {
            "what": f"{line.family}: times what {line.title} reaches",
            "goal": LEAST_TIMES_PEERS,
            "reached": reached,
            "met": reached >= LEAST_TIMES_PEERS,
        }


def frameworks_page(lines: Sequence[Line]) -> str:
    """Return the page, or nothing where no framework was measured."""
    shown = [line for line in lines if CASES[line.case].framework is not None]
    if not shown:
        return ""
    goals = [
        f"| {goal['what']} | {_figure(goal['goal'])} | {_figure(goal['reached'])} "
        f"| {'met' if goal['met'] else '**not met**'} |"
        for goal in judge_frameworks(lines)
    ]
    families = dict.fromkeys(line.family for line in shown)
    tables = [row for family in families for row in _table(shown, family)]
    return PAGE.format(goals="\n".join(goals), tables="\n".join(tables))


def _figure(value: float) -> str:
    return f"{value:.1%}" if value <= 1.2 else f"{value:.1f}"


def _table(lines: Sequence[Line], family: str) -> Iterator[str]:
    yield f"#### {family}"
    yield ""
    yield (
        "| verification | requests/s | core time a request | of the first | 95% interval "
        "| without a server | more than the first |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for line in lines:
        if line.family == family:
            yield (
                f"| {line.title} | {line.requests_per_second:,.0f} | {_microseconds(line.cpu_us)} "
                f"| {_share(line)} | {_interval(line)} | {_microseconds(line.in_process_us)} "
                f"| {_microseconds(line.added_us)} |"
            )
    yield ""


def _share(line: Line) -> str:
    return f"{line.share if line.core_share is None else line.core_share:.1%}"


def _interval(line: Line) -> str:
    low, high = line.core_share_low, line.core_share_high
    if low is None or high is None:
        low, high = line.share_low, line.share_high
    return f"{low:.1%} to {high:.1%}"


def _microseconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f} µs"

"""Writes the report: ``python -m benchmarks.report RESULTS.json FOLDER``.

Everything in it comes from the one run in that file. The file is pytest-benchmark's, or the
report's own ``results.json``, from which the page can be made anew after a change of its wording.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from .contenders import CONTENDERS
from .goals import GOALS, Check
from .held_back import HELD_BACK
from .plots import Bar, Line, draw_bars, draw_lines, duration
from .prose import wrap
from .results import Results, Row, read_results

TITLES = {
    "test_read_seen": "Reading a token seen before",
    "test_read_seen_each": "Reading a token seen before, by algorithm",
    "test_read_seen_thousand": "Reading a thousand tokens seen before, in turn",
    "test_read_unseen": "Reading a token never seen",
    "test_read_zipf": "Reading 100,000 tokens in Zipf order",
    "test_issue": "Opening and refreshing a session, beside signing a token",
    "test_new_token": "Random tokens",
    "test_cache": "ExpiringCache",
    "test_revocations": "RevocationList",
    "test_scale": "Time as entries grow",
    "test_falling_due": "A million entries due in the same second",
    "test_last": "Sessions that outlive the process",
    "test_read_fed": "Reading beside a feed",
    "test_replay": "Taking in what was revoked before",
    "test_remote_calls": "Each call with sessions on a server",
    "test_remote_rate": "Calls a second with sessions on a server",
    "test_logout": "A logout on one of eight nodes",
    "test_read_blocklist": "Reading beside a blocklist on a server",
}
FACTS = {
    "bytes_per_session": "bytes a session",
    "bytes_per_refreshed": "bytes a session, refreshed",
    "bytes_per_revocation": "bytes a revocation",
    "bytes_per_entry": "bytes an entry",
    "gc_collect": "`gc.collect()`",
    "late": "served late",
    "given_back": "memory given back",
    "logouts": "logouts",
    "at_once": "refused by all before",
    "busy": "processors busy",
}
SHARES = ("given_back", "at_once", "busy")
RATES = ("test_remote_rate",)
"""Cases that also show how many calls a second that makes."""
SEVERAL = {
    "test_read_seen_each",
    "test_cache",
    "test_revocations",
    "test_scale",
    "test_falling_due",
    "test_last",
    "test_remote_calls",
}
SEVERAL |= {"test_remote_rate", "test_logout", "test_read_blocklist"}
"""Cases with several operations, each a test of its own."""
TIMES = "\u00d7"
NOT_MET = "**not met**"
MOST_SHOWN = 6
"""Comparisons a goal, the worst first: those not met, or all where all are."""
BASELINES = ("tokenwheel", "create")
HOW = """\
Every contender runs in a process of its own, so that its memory, its garbage collector and its
caches are its own, and all of them on the same core (Node may use every core: V8 compiles in other
threads; a server has the other cores, and is reached over loopback). They are built and warmed up
first; then each times one round in turn, in an order drawn anew for each turn, so that whatever
befalls the machine befalls all. A round takes the median over slices of at most 50 µs or 100 calls,
about 20 ms of them; the figure here is the median of the rounds, ± half their interquartile range.
The loop around the calls is part of the time, for everyone. Inputs are made outside of the time, as
fresh objects, as a server receives them. The garbage collector is off during a round; what it costs
is a figure of its own. Before anything is timed, each library's answer is compared with the right
one, and a token with a false signature, an `exp` in the past, a wrong `iss` and a wrong `aud` is
shown to it: what it does not refuse, its line names.

All read the very same tokens, which this library issued: 329 characters with HS256, with `sub`,
`anc`, `role`, `name`, `iss`, `aud`, `sid`, `iat` and `exp`, and the type in the header. `read` also
checks the type and the session's id, refuses a name that stands twice, and asks whether the session
was revoked, which the others leave out. RSA keys have 2048 bits.
"""


def write_report(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plots = dict(make_plots(results))
    for name, plot in plots.items():
        (folder / name).write_text(plot)
    (folder / "results.json").write_text(results.to_json())
    (folder / "README.md").write_text(wrap("\n".join(make_page(results, plots))))


def make_page(results: Results, plots: dict[str, str]) -> Iterator[str]:
    yield "# Benchmarks\n"
    yield f"{environment(results)} Written by `make bench`; every figure is from that one run.\n"
    yield "## Goals\n"
    yield f"A figure with {TIMES} is this library's time, or size, as a multiple of the other's.\n"
    yield from goals_table(results)
    yield from held_back(results)
    for name in plots:
        yield f"\n![{name.removesuffix('.svg').replace('-', ' ')}]({name})"
    yield f"\n## How it was measured\n\n{HOW}"
    if results.missing:
        left_out = "; ".join(
            f"{plain(name)} ({why})" for name, why in sorted(results.missing.items())
        )
        yield f"**Left out, since they could not be installed:** {left_out}.\n"
    for case, rows in groupby(results.rows, key=lambda row: row.case):
        yield from case_section(results, case, list(rows))
    table = list(readme_table(results))
    if table:
        yield "\n## For the README\n\n| | tokenwheel | instead | |\n| --- | ---: | ---: | ---: |"
        yield from table
        yield f"\n{environment(results)}\n"


def environment(results: Results) -> str:
    machine = results.environment
    return (
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"CPython {machine['python']}."
    )


def goals_table(results: Results) -> Iterator[str]:
    yield "| what | goal | reached | |\n| --- | --- | --- | --- |"
    for goal in GOALS:
        checks = list(goal.checks(results))
        measured = sorted(
            (check for check in checks if check.met is not None), key=lambda check: -check.share
        )
        failed = [check for check in measured if not check.met]
        shown = failed or measured
        more = f"; and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
        reached = "; ".join(map(describe, shown[:MOST_SHOWN])) + more or goal.unmeasured
        yield f"| {goal.title} | {goal.goal} | {reached} | {judge(checks)} |"


def held_back(results: Results) -> Iterator[str]:
    missed = [goal for goal in GOALS if judge(list(goal.checks(results))) == NOT_MET]
    if missed:
        yield "\nWhat holds back those that are not met:\n"
    for goal in missed:
        yield f"- **{goal.title}.** {' '.join(HELD_BACK.get(goal.checks.__name__, '').split())}"


def judge(checks: list[Check]) -> str:
    verdicts = {check.met for check in checks}
    if False in verdicts:
        return NOT_MET
    if None not in verdicts:
        return "met"
    return "met as far as it was measured" if True in verdicts else "not measured"


def describe(check: Check) -> str:
    assert check.reached is not None
    if check.unit != "times":
        return f"{check.what}: {check.reached:.3g} {check.unit}"
    share = f"1/{1 / check.reached:.0f}" if check.reached < 0.3 else f"{check.reached:.2f} {TIMES}"
    return f"{share} {check.what}"


def case_section(results: Results, case: str, rows: list[Row]) -> Iterator[str]:
    yield f"\n## {TITLES[case]}\n\n{results.about[case]}\n"
    for race, group in groupby(rows, key=lambda row: row.race):
        alike = list(group)
        words = [f"{race[name]:,} entries" if name == "size" else str(race[name]) for name in race]
        lengths = sorted(
            {row.facts["characters"] for row in alike if "characters" in row.facts}, reverse=True
        )
        if lengths:
            words.append(f"tokens of {' and '.join(map(str, lengths))} characters")
        if words:
            yield f"### {', '.join(words)}\n"
        yield from (calls_table if "round_trips" in alike[0].facts else race_table)(case, alike)
        yield ""


def race_table(case: str, rows: list[Row]) -> Iterator[str]:
    operations = list(dict.fromkeys(row.operation for row in rows))
    extra = [name for name in FACTS if any(name in row.facts for row in rows)]
    titles = [*operations, *(FACTS[name] for name in extra), "measured again by"]
    yield f"| | {' | '.join(titles)} |"
    yield "| --- |" + " ---: |" * (len(titles) - 1) + " --- |"
    contenders = [
        [row for row in rows if row.contender == name]
        for name in dict.fromkeys(row.contender for row in rows)
    ]
    for own in sorted(contenders, key=lambda own: own[0].seconds):
        times = {row.operation: time_cell(row) for row in own}
        cells = [times.get(name, "-") for name in operations] + [
            fact_cell(name, own[0].facts.get(name)) for name in extra
        ]
        again = f"`make bench CASES='{selection(case, own[0])}'`"
        yield f"| {label(own[0])} | {' | '.join(cells)} | {again} |"


def calls_table(case: str, rows: list[Row]) -> Iterator[str]:
    """Return a contender's calls to a server, a line for each."""
    yield f"{label(rows[0]).replace('<br>', ': ')}.\n"
    yield "| | time | round trips | the server's processor | measured again by |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for row in rows:
        trips, server = (
            row.facts[name][row.operation] for name in ("round_trips", "server_seconds")
        )
        cells = [time_cell(row), f"{trips:g}", duration(server) if trips else "-"]
        again = f"`make bench CASES='{selection(case, row)}{row.operation}]'`"
        yield f"| `{row.operation}` | {' | '.join(cells)} | {again} |"


def time_cell(row: Row) -> str:
    """Return the time, its spread, and how many times that of this library it is."""
    ours = row.facts.get("ours")
    times = (
        f" ({row.seconds / ours:.3g} {TIMES})"
        if ours and not row.contender.startswith(BASELINES)
        else ""
    )
    spread = f" ± {50 * row.spread / row.seconds:.0f}%" if row.rounds > 1 else ""
    rate = f"<br>{1 / row.seconds:,.0f} a second" if row.case in RATES else ""
    return f"{duration(row.seconds)}{spread}{times}{rate}"


def fact_cell(name: str, value: float | list[float] | None) -> str:
    if value is None:
        return "-"
    if name == "gc_collect":
        return duration(float(str(value)))
    if isinstance(value, list):
        return f"{100 * statistics.median(value):.0f}%" if name in SHARES else f"{max(value):.0f}"
    return f"{value:,.0f}"


def label(row: Row) -> str:
    contender = CONTENDERS[row.contender]
    notes = [contender.remark] if contender.remark else []
    notes += [f"`{row.facts[name]}`" for name in ("set", "hit", "delete") if row.facts.get(name)]
    if row.facts.get("server"):
        notes.append(row.facts["server"])
    unchecked = row.facts.get("unchecked")
    if unchecked:
        notes.append(f"does **not** check {unchecked}")
    return f"{contender.title} {row.version.split(',')[0]}" + (
        f"<br>{'; '.join(notes)}" if notes else ""
    )


def plain(name: str) -> str:
    return CONTENDERS[name].title.replace("**", "").replace("`", "")


def selection(case: str, row: Row) -> str:
    """Return what ``-k`` selects just this line by."""
    several = case in SEVERAL
    values = [*(str(value) for value in row.race.values()), row.contender]
    return f"{case.removeprefix('test_')}[{'-'.join(values)}{'-' if several else ']'}"


def make_plots(results: Results) -> Iterator[tuple[str, str]]:
    note = environment(results)
    seen = [
        row
        for row in results.rows
        if row.case == "test_read_seen" and row.race == {"algorithm": "HS256"}
    ]
    if seen:
        bars = [
            Bar(
                f"{plain(row.contender)} {row.version.split(',')[0]}",
                row.seconds,
                row.contender == "tokenwheel",
            )
            for row in seen
        ]
        yield (
            "read-seen.svg",
            draw_bars("Verifying an access token that was seen before (HS256)", note, bars),
        )
    unseen = [
        row
        for row in results.rows
        if row.case == "test_read_unseen" and row.race == {"algorithm": "HS256"}
    ]
    if unseen:
        bars = [
            Bar(
                f"{plain(row.contender)} {row.version.split(',')[0]}",
                row.seconds,
                row.contender == "tokenwheel",
            )
            for row in unseen
        ]
        yield (
            "read-unseen.svg",
            draw_bars("Verifying an access token that was never seen (HS256)", note, bars),
        )
    lines = [
        Line(f"{plain(contender)}, {operation}", points, colour, dashed=contender == "dict")
        for contender in ("tokenwheel", "dict")
        for colour, operation in enumerate(("set", "hit", "miss", "delete"))
        if (points := scale_points(results, contender, operation))
    ]
    if lines:
        yield (
            "scale.svg",
            draw_lines("ExpiringCache beside a plain dict, as entries grow", note, lines),
        )
    due = [row for row in results.rows if (row.case, row.operation) == ("test_falling_due", "cpu")]
    if due:
        bars = [
            Bar(plain(row.contender), row.seconds, row.contender == "tokenwheel") for row in due
        ]
        yield (
            "falling-due.svg",
            draw_bars(
                "The longest wait of a caller when a million entries have fallen due", note, bars
            ),
        )


def scale_points(results: Results, contender: str, operation: str) -> list[tuple[float, float]]:
    rows = [
        row
        for row in results.rows
        if (row.case, row.contender, row.operation) == ("test_scale", contender, operation)
    ]
    return sorted((float(row.race["size"]), row.seconds) for row in rows)


def readme_table(results: Results) -> Iterator[str]:
    """Return the lines that the project's README shows of the results."""
    lines = [
        (
            "`read`, seen before",
            "test_read_seen",
            {"algorithm": "HS256"},
            None,
            "tokenwheel",
            "pyjwt",
        ),
        (
            "`read`, seen before, RS256",
            "test_read_seen",
            {"algorithm": "RS256"},
            None,
            "tokenwheel",
            "pyjwt",
        ),
        (
            "`read`, never seen",
            "test_read_unseen",
            {"algorithm": "HS256"},
            None,
            "tokenwheel",
            "pyjwt",
        ),
        (
            "`read`, never seen, beside the fastest of all",
            "test_read_unseen",
            {"algorithm": "HS256"},
            None,
            "tokenwheel",
            "ryjwt",
        ),
        ("`create`, beside signing alone", "test_issue", {}, None, "create", "pyjwt"),
        ("`new_token(24)`", "test_new_token", {}, None, "tokenwheel", "secrets"),
        (
            "`ExpiringCache`, a million entries, `get`",
            "test_cache",
            {"size": 1_000_000},
            "hit",
            "tokenwheel",
            "cachebox_vttl",
        ),
        (
            "`ExpiringCache`, a million entries, `set`",
            "test_cache",
            {"size": 1_000_000},
            "set",
            "tokenwheel",
            "cachebox_vttl",
        ),
        (
            "`read`, seen before, on one of many machines",
            "test_read_blocklist",
            {},
            "seen",
            "redis_fed",
            "pyjwt_blocklist",
        ),
        (
            "a million entries due at once, longest wait",
            "test_falling_due",
            {},
            "cpu",
            "tokenwheel",
            "cachebox_vttl",
        ),
    ]
    for title, case, race, operation, ours, theirs in lines:
        mine, other = (
            results.find(case, contender, operation, **race) for contender in (ours, theirs)
        )
        if mine is not None and other is not None:
            against = f"{plain(theirs)} {other.version}: {duration(other.seconds)}"
            share = other.seconds / mine.seconds
            times = f"{share:.2g}" if share < 10 else f"{share:,.0f}"
            yield f"| {title} | {duration(mine.seconds)} | {against} | {times} {TIMES} |"


def main() -> None:
    source, folder = map(Path, sys.argv[1:])
    write_report(read_results(source), folder)
    print(f"the report: {folder / 'README.md'}")


if __name__ == "__main__":
    main()

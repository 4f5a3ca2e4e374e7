"""A section of the report for each case, with a table for each race."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import groupby

from .contenders import CONTENDERS
from .plots import duration
from .results import Results, Row

TITLES = {
    "test_read_seen": "Reading a token seen before",
    "test_read_seen_each": "Reading a token seen before, by algorithm",
    "test_read_seen_thousand": "Reading a thousand tokens seen before, in turn",
    "test_read_beside_revocations": "Reading a token seen before, beside revocations",
    "test_read_unseen": "Reading a token never seen",
    "test_read_unseen_claim": "Reading a token never seen, and one claim of it",
    "test_remembered": "Memory of remembered tokens",
    "test_read_zipf": "Reading 100,000 tokens in Zipf order",
    "test_issue": "Opening and refreshing a session, beside signing a token",
    "test_new_token": "Random tokens",
    "test_cache": "ExpiringCache",
    "test_revocations": "RevocationList",
    "test_scale": "Time as entries grow",
    "test_falling_due": "A million entries due in the same second",
    "test_last": "Sessions that outlive the process",
    "test_read_followed": "Reading by keys that are followed",
    "test_read_measured": "Reading with metrics on",
    "test_read_fed": "Reading beside a feed",
    "test_replay": "Taking in what was revoked before",
    "test_import": "Importing the library",
    "test_remote_calls": "Each call with sessions on a server",
    "test_remote_rate": "Calls a second with sessions on a server",
    "test_logout": "A logout on one of eight nodes",
    "test_read_blocklist": "Reading beside a blocklist on a server",
}
FACTS = {
    "revocations": "revocations",
    "bytes_per_token": "bytes a token",
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
    "test_read_beside_revocations",
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
BASELINES = ("tokenwheel", "create")
"""Besides whom nobody is shown as so many times ours."""


def case_section(results: Results, case: str, rows: list[Row]) -> Iterator[str]:
    yield f"\n## {TITLES[case]}\n\n{results.about[case]}\n"
    if len(results.runs) > 1:
        yield f"Run of {results.runs[rows[0].run]['date']}.\n"
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


def selection(case: str, row: Row) -> str:
    """Return what ``-k`` selects just this line by."""
    several = case in SEVERAL
    values = [*(str(value) for value in row.race.values()), row.contender]
    return f"{case.removeprefix('test_')}[{'-'.join(values)}{'-' if several else ']'}"

"""The lines of the report that the project's README shows."""

from __future__ import annotations

from collections.abc import Iterator

from .contenders import plain
from .plots import duration
from .report_tables import TIMES
from .results import Results

README = [
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
    (
        "`read`, never seen, one claim looked up",
        "test_read_unseen_claim",
        {},
        None,
        "tokenwheel",
        "ryjwt",
    ),
    ("`create`, beside signing alone", "test_issue", {}, None, "create", "pyjwt"),
    ("`update`, beside signing alone", "test_issue", {}, None, "update", "pyjwt"),
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


def runs_shown(results: Results) -> set[int]:
    """Return the runs that the project's README shows figures of."""
    cases = {case for _, case, *_ in README}
    return {row.run for row in results.rows if row.case in cases}


def readme_table(results: Results) -> Iterator[str]:
    """Return the lines that the project's README shows of the results."""
    for title, case, race, operation, ours, theirs in README:
        mine, other = (
            results.find(case, contender, operation, **race) for contender in (ours, theirs)
        )
        if mine is not None and other is not None:
            against = f"{plain(theirs)} {other.version}: {duration(other.seconds)}"
            share = other.seconds / mine.seconds
            times = f"{share:.2g}" if share < 10 else f"{share:,.0f}"
            yield f"| {title} | {duration(mine.seconds)} | {against} | {times} {TIMES} |"

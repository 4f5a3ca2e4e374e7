"""The plots of the report, each of one case."""

from __future__ import annotations

from collections.abc import Iterator

from .contenders import plain
from .plots import Bar, Line, draw_bars, draw_lines
from .results import Results, Row, environment


def make_plots(results: Results) -> Iterator[tuple[str, str]]:
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
            draw_bars(
                "Verifying an access token that was seen before (HS256)",
                note_of(results, seen),
                bars,
            ),
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
            draw_bars(
                "Verifying an access token that was never seen (HS256)",
                note_of(results, unseen),
                bars,
            ),
        )
    lines = [
        Line(f"{plain(contender)}, {operation}", points, colour, dashed=contender == "dict")
        for contender in ("tokenwheel", "dict")
        for colour, operation in enumerate(("set", "hit", "miss", "delete"))
        if (points := scale_points(results, contender, operation))
    ]
    if lines:
        scale = [row for row in results.rows if row.case == "test_scale"]
        yield (
            "scale.svg",
            draw_lines(
                "ExpiringCache beside a plain dict, as entries grow", note_of(results, scale), lines
            ),
        )
    due = [row for row in results.rows if (row.case, row.operation) == ("test_falling_due", "cpu")]
    if due:
        bars = [
            Bar(plain(row.contender), row.seconds, row.contender == "tokenwheel") for row in due
        ]
        yield (
            "falling-due.svg",
            draw_bars(
                "The longest wait of a caller when a million entries have fallen due",
                note_of(results, due),
                bars,
            ),
        )


def note_of(results: Results, rows: list[Row]) -> str:
    """Return what a plot of these rows, all of one run, says below its title."""
    return environment(results.runs[rows[0].run])


def scale_points(results: Results, contender: str, operation: str) -> list[tuple[float, float]]:
    rows = [
        row
        for row in results.rows
        if (row.case, row.contender, row.operation) == ("test_scale", contender, operation)
    ]
    return sorted((float(row.race["size"]), row.seconds) for row in rows)

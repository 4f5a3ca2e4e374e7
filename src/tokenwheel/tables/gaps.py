"""Which positions below the last one were not seen yet, though a row may still come there.

A row gets its position before it is committed, so rows may become visible out of order. A position
that was passed over may be one of a transaction that still runs, of one that was rolled back, or of
a row that was removed. Nothing here asks which: it only remembers the positions.

Gaps lie together in batches by the time in which they were noted. Once a batch is old enough, it is
worth asking whether anybody can still fill it (``Statements.have_ended``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

__all__ = ["Batch", "Gaps", "Range", "in_few_ranges"]

_MOST_RANGES = 16  # of which one statement tells
_BATCH_LASTS = 10.0  # seconds in which gaps go to one batch
# Seconds until it is asked who can still fill a gap. Most are filled within milliseconds. And who
# was just given a position may not be known to the database as a writer yet.
_OLD_ENOUGH = 60.0
_MOST_BATCHES = 16

Range = tuple[int, int]
"""The first and the last of positions that follow each other."""


@dataclass(slots=True)
class Batch:
    """Gaps that were noted one soon after the other."""

    first: int
    """The first position of all."""
    last: int
    """The last position of all."""
    began_at: float
    noted_at: float
    """When the last of the gaps was noted, in seconds of the timer."""
    asked_at: float
    """When it was last asked whether they can still be filled."""
    writers: Any = None
    """Who wrote when that was first asked (``Statements.writers``), or None before."""


class Gaps:
    """Hold positions that were not seen. Each lies below the last position that was."""

    __slots__ = ("_batches", "_firsts", "_lasts")

    def __init__(self) -> None:
        # Of each gap. No two of them touch, and they are in the order of their positions.
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        # They cover all gaps, and are in the same order.
        self._batches: list[Batch] = []

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, position: int) -> bool:
        place = bisect_right(self._firsts, position) - 1
        return place >= 0 and position <= self._lasts[place]

    def note(self, first: int, last: int, now: float) -> None:
        """Take note of a gap that lies above all others.

        Args:
            first: its first position.
            last: its last position.
            now: seconds of the timer.
        """
        self._firsts.append(first)
        self._lasts.append(last)
        newest = self._batches[-1] if self._batches else None
        if newest is None or (
            now - newest.began_at >= _BATCH_LASTS and len(self._batches) < _MOST_BATCHES
        ):
            self._batches.append(Batch(first, last, now, now, now))
        else:
            newest.last, newest.noted_at, newest.writers = last, now, None

    def drop(self, first: int, last: int) -> None:
        """Forget all positions from ``first`` to ``last``: they were seen, or nobody fills them."""
        start = bisect_left(self._lasts, first)
        end = bisect_right(self._firsts, last)
        if start >= end:
            return
        left = [
            (rest_first, rest_last)
            for rest_first, rest_last in (
                (self._firsts[start], first - 1),
                (last + 1, self._lasts[end - 1]),
            )
            if rest_first <= rest_last
        ]
        self._firsts[start:end] = [rest_first for rest_first, _ in left]
        self._lasts[start:end] = [rest_last for _, rest_last in left]
        self._batches = [batch for batch in self._batches if self._has_any(batch)]

    def ranges(self) -> Sequence[Range]:
        """Return at most 16 ranges, in their order, in which all gaps lie.

        Where there are more gaps, some ranges also hold positions that were seen: as few as can be.
        """
        return in_few_ranges(list(self))

    def due(self, now: float) -> Batch | None:
        """Return the batch of which it is to be asked now whether it can still be filled, or None.

        Of several it is the one of which that was asked the longest ago.

        Args:
            now: seconds of the timer.
        """
        due = [batch for batch in self._batches if now - batch.noted_at >= _OLD_ENOUGH]
        return min(due, key=lambda batch: batch.asked_at, default=None)

    def ranges_of(self, batch: Batch) -> Sequence[Range]:
        """Return at most 16 ranges, in their order, in which all gaps of a batch lie."""
        start = bisect_left(self._lasts, batch.first)
        end = bisect_right(self._firsts, batch.last)
        return in_few_ranges(
            list(zip(self._firsts[start:end], self._lasts[start:end], strict=True))
        )

    def forget_writers(self) -> None:
        """Have it asked anew who writes."""
        for batch in self._batches:
            batch.writers = None

    def _has_any(self, batch: Batch) -> bool:
        place = bisect_left(self._lasts, batch.first)
        return place < len(self._firsts) and self._firsts[place] <= batch.last


def in_few_ranges(gaps: Sequence[Range]) -> Sequence[Range]:
    """Return at most ``_MOST_RANGES`` ranges that hold all gaps, and as little else as can be."""
    if len(gaps) <= _MOST_RANGES:
        return gaps
    # They stay apart where the most was seen in between.
    starts = sorted(
        nlargest(
            _MOST_RANGES - 1,
            range(1, len(gaps)),
            key=lambda place: gaps[place][0] - gaps[place - 1][1],
        )
    )
    return [
        (gaps[start][0], gaps[end - 1][1])
        for start, end in zip([0, *starts], [*starts, len(gaps)], strict=True)
    ]

"""When rows that are long over are removed: a few beside a write, and more where there are more."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from .protocol import Statements, Work

__all__ = ["STAYS_AFTER_END", "Removal"]

STAYS_AFTER_END = 3600.0
"""Seconds, one hour: how long a row stays after its end.

So it is there for who starts after a clock was put right, or whose clock is behind.
"""

_AT_ONCE = 8  # rows: more than most writes add, so the table stops growing
_LOOKED_AGAIN_AFTER = 1.0  # seconds, where fewer than that were found


class Removal:
    """Remove what is over, beside writes.

    Each look costs a round trip. So the next write looks again only where this one found as many
    rows as it could remove, and otherwise a write a second later.

    Args:
        remove: removes rows that ended before a time, so many at most. Returns how many it removed.
    """

    def __init__(self, remove: Callable[[Statements, float, int], int]) -> None:
        self._remove = remove
        self._looked_at = -inf

    def beside_write(self, now: float) -> Work | None:
        """Return what to do once a write is committed, or None where nothing is due.

        Args:
            now: Unix seconds, by a clock that is surely not ahead where that matters.
        """
        if abs(now - self._looked_at) < _LOOKED_AGAIN_AFTER:
            return None
        self._looked_at = now

        def remove(statements: Statements) -> None:
            if self._remove(statements, now - STAYS_AFTER_END, _AT_ONCE) >= _AT_ONCE:
                self._looked_at = -inf

        return remove

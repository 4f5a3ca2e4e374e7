"""A binary heap: which timer expires soonest and, among equals, was set longest ago.

Only the order of eviction belongs here. The timer wheel (``wheel.py``) knows what is due, in
cheaper and coarser steps, and never this. The readable twin of ``heap.pxd``.

Theory: Williams, "Algorithm 232: Heapsort" (CACM 1964), as Python's ``heapq`` has it. A timer that
was moved or removed leaves a stale node behind. It is dropped when it comes to the top, or when
stale nodes outnumber the others.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

from .wheel import Timer

__all__ = ["ExpiryHeap", "RankedTimer"]

_SPARE = 64  # stale nodes that a heap may hold, however few its timers are


class RankedTimer(Timer):
    """A timer with a rank among those that expire at the same time."""

    __slots__ = ("sequence",)

    def __init__(self, expires_at: float, sequence: int) -> None:
        super().__init__(expires_at)
        self.sequence = sequence
        """Grows each time a timer is set. -1 once the timer has been removed."""


T = TypeVar("T", bound=RankedTimer)


class ExpiryHeap(Generic[T]):
    """Timers by when they expire."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes: list[tuple[float, int, T]] = []

    def push(self, timer: T, live: int) -> None:
        """Rank a timer anew, by the expiry and the sequence that it has now.

        Args:
            timer: the timer, which must be ranked again whenever either changes.
            live: how many timers there are.
        """
        heapq.heappush(self._nodes, (timer.expires_at, timer.sequence, timer))
        if len(self._nodes) > 2 * live + _SPARE:
            self._nodes = [node for node in self._nodes if _is_current(node)]
            heapq.heapify(self._nodes)

    def soonest(self) -> T:
        """Return the timer that expires first and, of several, the one that was set longest ago.

        Raises:
            IndexError: there is no timer.
        """
        while not _is_current(self._nodes[0]):
            heapq.heappop(self._nodes)
        return self._nodes[0][2]

    def clear(self) -> None:
        """Forget every timer."""
        self._nodes.clear()

    def count(self) -> int:
        """Return how many timers are ranked, found by looking at every node."""
        return len({id(node[2]) for node in self._nodes if _is_current(node)})


def _is_current(node: tuple[float, int, RankedTimer]) -> bool:
    expires_at, sequence, timer = node
    return timer.sequence == sequence and timer.expires_at == expires_at

"""The slowest clock that may be right: by it alone is anything forgotten.

The readable twin of ``ext/table/slow_clock.pxd``, and what feeds go by.

A wall clock that ran ahead may be put right again: by NTP, by an operator, after a suspend. What it
said meanwhile must not have made anybody forget a revocation whose token is unexpired once more. A
steady clock (``time.monotonic``) cannot tell the date, but it cannot be set either. So the distance
between the two is watched. A wall clock that jumps ahead makes it larger at once, one that is put
back makes it smaller at once. The smallest distance of the last ``PERIOD`` or two counts: a jump
ahead is believed only when it has stood that long, a step back at once.

``SlowClock`` reads no clock: both readings are arguments. ``SlowTime`` reads the two.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .fork_safety import hold_lock_during_fork
from .seconds import checked_clock

__all__ = ["PERIOD", "SlowClock", "SlowTime"]

PERIOD = 86_400.0  # seconds: one day
_STEP = 1.0  # seconds: a smaller change is drift


class SlowClock:
    """Tells a time that no wall clock seen in the last day has been behind."""

    __slots__ = ("_least", "_least_before", "_since")

    def __init__(self) -> None:
        self._least: float | None = None  # the smallest distance in this period
        self._least_before = 0.0  # and in the one before
        self._since = 0.0  # when this period began, by the steady clock

    def observe(self, now: float, steady: float) -> bool:
        """Take note of both clocks. Return True where the wall clock was put back.

        Args:
            now: what the wall clock says, in Unix seconds.
            steady: what the steady clock says, in seconds.
        """
        distance = now - steady
        least = self._least
        if least is None:
            self._least = self._least_before = distance
            self._since = steady
            return False
        is_step_back = distance < min(least, self._least_before) - _STEP
        if steady - self._since >= PERIOD:
            self._least_before, self._least, self._since = least, distance, steady
            return is_step_back
        # A timer that runs back proves nothing about the wall clock.
        self._since = min(self._since, steady)
        if distance < least:
            self._least = distance
        return is_step_back

    def time(self, now: float, steady: float) -> float:
        """Return the time by the slowest clock, in Unix seconds; at most ``now``.

        ``now`` and ``steady`` are those that were just observed.
        """
        if self._least is None:
            return now
        return min(now, steady + min(self._least, self._least_before))

    def read(self, now: float, steady: float) -> float:
        """Take note of both clocks, and return the time by the slowest one, in Unix seconds."""
        self.observe(now, steady)
        return self.time(now, steady)


class SlowTime:
    """Tells the time by the slowest clock: of a wall clock, and of a steady one that watches it.

    Safe to share between threads.

    Args:
        clock: returns Unix seconds.
        timer: returns seconds that no one sets.
    """

    __slots__ = ("__weakref__", "_clock", "_lock", "_slow", "_timer")

    def __init__(self, clock: Callable[[], float], timer: Callable[[], float]) -> None:
        self._clock = checked_clock(clock)
        self._timer = checked_clock(timer)
        self._slow = SlowClock()
        self._lock = threading.Lock()
        hold_lock_during_fork(self, "_lock")

    def __call__(self) -> float:
        """Return the time in Unix seconds; at most that of the wall clock.

        Raises:
            InvalidArgument: a clock told no time. What was known of them stays as it was.
        """
        now, steady = self._clock(), self._timer()
        with self._lock:
            return self._slow.read(now, steady)

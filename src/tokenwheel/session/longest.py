"""The longest lifetime that was ever seen, by whichever thread."""

from __future__ import annotations

import threading

from ..fork_safety import hold_lock_during_fork

__all__ = ["Longest"]


class Longest:
    """The longest of some lifetimes. Two threads that note one at once lose neither.

    Args:
        seconds: a lifetime.

    Attributes:
        seconds: the longest so far.
    """

    __slots__ = ("__weakref__", "_lock", "seconds")

    def __init__(self, seconds: int) -> None:
        self._lock = threading.Lock()
        hold_lock_during_fork(self, "_lock")
        self.seconds = seconds

    def note(self, seconds: int) -> None:
        """Take note of one more lifetime."""
        if seconds > self.seconds:
            with self._lock:
                self.seconds = max(self.seconds, seconds)

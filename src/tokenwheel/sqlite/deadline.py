"""How long a call waits for others: for all of them together, not for each in turn.

A call waits for other threads of its process, and for other processes. Nothing here knows what for.

SQLite can wait by itself, but sleeps longer each time that it finds a lock taken, up to 0.1 s. A
lock that is held for microseconds then goes to whoever came last, and some wait for seconds. Here
all who wait ask at the same short intervals, which are random lest two ask in step for ever.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import StorageUnavailable
from ..seconds import steady_time

__all__ = ["Deadline"]

T = TypeVar("T")

_SLEEP = 0.000_2, 0.002  # seconds: the shortest and the longest


class Deadline:
    """Say until when a call waits.

    Args:
        timeout: seconds from now.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._end = steady_time() + timeout

    def acquire(self, lock: threading.Lock) -> bool:
        """Take a lock within the time that is left. Return True if it was taken."""
        return lock.acquire(False) or lock.acquire(timeout=self._remaining())

    def insist(self, call: Callable[..., T], *arguments: object) -> T:
        """Make the call until no other connection is in its way. Return what it returned.

        Raises:
            StorageUnavailable: the file was busy until the end.
        """
        while True:
            try:
                return call(*arguments)
            except sqlite3.OperationalError as error:
                # Python's own errors have no code, as that of a text which is not UTF-8.
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
                if code & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if not self.sleep():
                    raise self.too_late(error.sqlite_errorname) from error

    def sleep(self) -> bool:
        """Sleep for a moment. Return False, at once, where there is no time left."""
        remaining = self._remaining()
        if remaining > 0:
            time.sleep(min(random.uniform(*_SLEEP), remaining))  # noqa: S311 (no secret)
        return remaining > 0

    def at_most(self, seconds: float) -> Deadline:
        """Return a deadline that is no later than this one, nor than so many seconds from now."""
        return Deadline(min(seconds, self._remaining()))

    def too_late(self, reason: str) -> StorageUnavailable:
        """Return the error that says for how long the call has waited."""
        return StorageUnavailable(
            f"the database file was busy for {self._timeout:g} seconds ({reason}); "
            "the call can be made again"
        )

    def _remaining(self) -> float:
        return max(self._end - steady_time(), 0)

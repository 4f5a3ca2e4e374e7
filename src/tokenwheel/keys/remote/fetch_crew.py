"""Who fetches the keys of a URL, and who waits for that.

One thread or task does. Where it has died or stands still, which each look at the keys finds out,
another one takes its place; what the first one may still bring is not heard. No thread runs while
the process forks, and none before the keys are looked at.

``lock`` is held for moments only, never while anything is fetched. It guards who fetches, and the
schedule.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from contextlib import suppress

from .fetcher import FetchThread
from .fetching_protocol import Fetcher

__all__ = ["FetchCrew"]

_MOST_STUCK = 3  # fetchers that stand still, beside which another one is begun
_LONGEST_GOODBYE = 1.0  # seconds


class FetchCrew:
    """Know who fetches, and who waits.

    Attributes:
        lock: guards what is here.
        fetcher: who fetches, or None.
        is_closed: True where nobody is to fetch.
        is_tried: True once an attempt has ended.
        is_busy: True while a fetch goes on, until what it brought has been taken over.
        pid: the process that fetches here.
    """

    def __init__(self) -> None:
        self.is_tried = False
        self.is_closed = False
        self.renew()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with locks of its own and nobody who fetches."""
        self.lock = threading.RLock()
        self.fetcher: Fetcher | None = None
        self.is_busy = False
        self._forking = threading.Lock()  # held while no thread may be begun
        self._is_resting = False
        self._was_broken_off = False
        self._stuck: list[Fetcher] = []
        # Who waits for a fetch that has not begun, and for the one that goes on.
        self._waiting: list[Future[str | None]] = []
        self._attending: list[Future[str | None]] = []
        self.pid = os.getpid()  # Last, as another thread goes by it.

    def lacks_fetcher(self, now: float, due_at: float) -> bool:
        """Return True where somebody ought to fetch, and nobody does."""
        fetcher = self.fetcher
        return not self.is_closed and (fetcher is None or fetcher.is_over(now, due_at))

    def begin(self, make: Callable[[], Fetcher]) -> None:
        """Have somebody fetch, unless the process forks. The caller holds the lock.

        Raises:
            RuntimeError: the system has no room for another thread.
        """
        if self._forking.locked():
            return
        begun = make()
        self.fetcher = begun
        try:
            begun.start()
        except RuntimeError:
            self.fetcher = None
            raise

    def may_abandon(self, now: float) -> bool:
        """Return False where too many stand still already. The caller holds the lock."""
        fetcher = self.fetcher
        if fetcher is None or not fetcher.stands_still(now):
            return True
        self._stuck = [other for other in self._stuck if other.stands_still(now)]
        if len(self._stuck) >= _MOST_STUCK:
            return False
        self._stuck.append(fetcher)
        return True

    def let_go(self) -> Fetcher | None:
        """Have whoever fetches end by itself. The caller holds the lock.

        Returns:
            Who it was.
        """
        fetcher, self.fetcher = self.fetcher, None
        self.is_busy = False
        if fetcher is not None:
            fetcher.stop()
        return fetcher

    def pause(self) -> bool:
        """End the thread that fetches, before a fork. Return True where there was one.

        A fetch is broken off; only where the one before was broken off as well, its end is waited
        for: a process that forks again and again would have no newer keys otherwise.
        """
        self._forking.acquire()
        with self.lock:
            is_again = self.is_busy and self._was_broken_off
            attempt = self.expect(anew=False)
        if is_again:
            with suppress(NotDone):
                attempt.result(_LONGEST_GOODBYE)
        attempt.cancel()
        with self.lock:
            fetcher = self.fetcher
            self._was_broken_off = self.is_busy
            self._is_resting = isinstance(fetcher, FetchThread)
            if self._is_resting:
                self.let_go()
        if isinstance(fetcher, FetchThread):
            fetcher.join(_LONGEST_GOODBYE)
        return self._is_resting

    def go_on(self) -> bool:
        """Allow threads again, in the parent. Return True where one ran before the fork."""
        self._forking.release()
        return self._is_resting

    # Who waits.

    def expect(self, *, anew: bool) -> Future[str | None]:
        """Return what is done once a fetch has ended, with the reason where it has failed.

        The caller holds the lock.

        Args:
            anew: True for the next fetch that begins, even if one goes on.
        """
        future: Future[str | None] = Future()
        (self._attending if self.is_busy and not anew else self._waiting).append(future)
        return future

    def note_begin(self) -> None:
        """Note that a fetch begins. The caller holds the lock."""
        self.is_busy = True
        self._attending += self._waiting
        self._waiting = []

    def dismiss(self, reason: str) -> None:
        """Tell all who wait that nothing will be fetched. The caller holds the lock."""
        self.note_begin()
        self.note_end(reason)
        self.is_tried = False

    def note_end(self, reason: str | None) -> None:
        """Tell those who wait that a fetch has ended, and why it has failed, or None."""
        with self.lock:
            self.is_tried = True
            self.is_busy = self._was_broken_off = False
            attending, self._attending = self._attending, []
        for future in attending:
            if future.set_running_or_notify_cancel():
                future.set_result(reason)

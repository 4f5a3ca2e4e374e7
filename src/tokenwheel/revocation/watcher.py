"""The threads that tell subscribers what a list beside a feed takes in.

They run only while there are subscribers. One looks for news a few times a second, as a lookup
does: a process that only holds connections open makes no lookup. The other tells. So a logout made
here is told at once though the feed is out of reach, and a slow subscriber keeps no news away from
the list. Neither keeps a list alive. A child of a fork begins with threads of its own.

Where a feed has to be awaited, its event loop is asked to look. Should that loop stand still or
have ended, the thread looks itself, so that the feed says that nobody listens.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from weakref import WeakMethod

from ..event_loop import running_loop
from ..fork_safety import restart_after_fork
from .subscribers import Raised, Subscribers

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["Watcher"]

logger = logging.getLogger("tokenwheel")

_LOOKS_EVERY = 0.25  # seconds
_LOOKED_AFTER = 1.0  # seconds, for whether the list is still there
_LONGEST_GOODBYE = 1.0  # seconds


class Watcher:
    """Look for news and tell it to subscribers, in threads.

    Args:
        subscribers: whom to tell. Their lock is held while threads are started.
        look: a method that takes in what has come. It is held weakly.
    """

    def __init__(self, subscribers: Subscribers, look: Callable[[], object]) -> None:
        self.subscribers = subscribers
        self._look = WeakMethod(look)
        self._loop: AbstractEventLoop | None = None
        self._pid_of_loop = 0
        self._is_loop_asked = False
        self._is_deaf = False
        self._threads: tuple[_Thread, ...] = ()
        self._is_closed = False
        self._pid = os.getpid()
        restart_after_fork(self)

    def start(self) -> None:
        """Start the threads, unless they run already, or the watcher was closed.

        Raises:
            RuntimeError: the system has no room for another thread.
        """
        if self._runs():
            return
        with self.subscribers.lock:
            if not self._runs() and not self._is_closed:
                self._stop_threads()
                self._pid = os.getpid()
                self._threads = (
                    _Thread("subscribers", self._tell, self.subscribers.queue, _LOOKED_AFTER),
                    _Thread("watcher", self._look_unless_over, SimpleQueue(), _LOOKS_EVERY),
                )
                for thread in self._threads:
                    thread.start()

    def note_loop(self) -> None:
        """Look on the event loop that runs here from now on, if one does."""
        loop = running_loop()
        if loop is not None and (loop is not self._loop or self._pid_of_loop != os.getpid()):
            self._loop, self._is_loop_asked = loop, False
            self._pid_of_loop = os.getpid()

    def look(self) -> None:
        """Take in what has come, or have the event loop do so. Whatever that raises is logged."""
        loop = self._loop
        if loop is None or self._is_loop_asked or self._pid_of_loop != os.getpid():
            self._look_here()
            return
        self._is_loop_asked = True
        with suppress(RuntimeError):  # The loop was closed.
            loop.call_soon_threadsafe(self._look_on_loop)

    def restart(self) -> None:
        """See to it that the threads run, if anybody subscribes; say so where they can't."""
        if self.subscribers and not self._runs():
            try:
                self.start()
            except RuntimeError as error:
                logger.warning("subscribers hear of no revocation from others: %s", error)

    def stop(self, *, waits: bool = True) -> None:
        """End the threads once what is in the queue has been told.

        Args:
            waits: return once they have ended, or are kept too long by a subscriber or the feed.
        """
        with self.subscribers.lock:
            threads = self._threads
            self._stop_threads()
        if waits and self._pid == os.getpid():
            for thread in threads:
                if thread is not threading.current_thread() and thread.is_alive():
                    thread.join(_LONGEST_GOODBYE)

    def close(self) -> None:
        """Stop for good."""
        with self.subscribers.lock:
            self._is_closed = True
        self.stop()

    def _stop_threads(self) -> None:
        if self._pid == os.getpid():
            for thread in self._threads:
                thread.stop()
        self._threads = ()

    def _tell(self, raised: Raised | None) -> None:
        self.subscribers.tell(raised)
        self.subscribers.tell_waiting()

    def _look_unless_over(self, _: Raised | None) -> None:
        if self._threads:
            self.look()

    def _look_on_loop(self) -> None:
        self._is_loop_asked = False
        self._look_here()

    def _look_here(self) -> None:
        look = self._look()
        if look is None:
            return
        try:
            look()
        except Exception as error:
            if not self._is_deaf:
                logger.warning(
                    "subscribers hear of no revocation from others until the feed is back (%s)",
                    type(error).__name__,
                )
            self._is_deaf = True
        else:
            self._is_deaf = False

    def _runs(self) -> bool:
        threads = self._threads
        return (
            bool(threads)
            and self._pid == os.getpid()
            and all(thread.is_alive() for thread in threads)
        )


class _Thread(threading.Thread):
    """Call a method with what comes from a queue, and every so often with None.

    Args:
        name: what the thread is called.
        turn: the method. It is held weakly, and the thread ends when its object has gone.
        queue: whatever is put into it begins a turn.
        longest: seconds between two turns.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[Raised | None], None],
        queue: SimpleQueue[Raised | None],
        longest: float,
    ) -> None:
        super().__init__(name=f"tokenwheel-{name}", daemon=True)
        self._turn = WeakMethod(turn)
        self._queue = queue
        self._longest = longest
        self._is_stopping = False

    def stop(self) -> None:
        """End after one more turn."""
        self._is_stopping = True
        self._queue.put(None)

    def run(self) -> None:
        while self._take_turn():
            pass

    def _take_turn(self) -> bool:
        raised = None
        with suppress(Empty):
            raised = self._queue.get(timeout=self._longest)
        is_last = self._is_stopping
        turn = self._turn()
        if turn is None:
            return False
        try:
            turn(raised)
        except BaseException:  # Without this thread a process would be deaf.
            logger.exception("%s goes on after an error", self.name)
        return not is_last

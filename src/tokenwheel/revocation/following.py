"""How a process follows a log of revocations that lies on a server.

Each process follows the log in the background: in a thread or, on an event loop, in a task. What
comes goes straight into the process's list, so a ``read`` costs what it costs without a feed. A
process begins by taking in every live revocation, before its first ``read`` is answered.

Nothing runs before the first lookup or publication, so a manager may be made before a process
forks: each process of the fork begins by itself, after the last entry that was read before the
fork. A process that forks later stops reading first. Its next lookup or publication goes on from
there.

``tail.py`` has the thread and the task, and ``freshness.py`` what lookups do while a process is cut
off. What the log is, and how it is read and appended to, is each feed's own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Literal

from ..errors import ConfigurationError, StorageUnavailable
from ..event_loop import check_event_loop
from ..fork_safety import pause_during_fork, renew_after_fork
from ..option_checks import check_choice, check_seconds
from .freshness import Freshness
from .log_protocol import LogReader
from .protocol import Apply
from .stats import FeedStats
from .tail import Reading, TaskTail, ThreadTail, read_once

__all__ = ["FollowingFeed"]

logger = logging.getLogger("tokenwheel")

_SHORTEST_STALENESS = 1.0  # seconds
_LONGEST_STALENESS = 86_400.0  # seconds: one day
_FRESH = 1.0  # seconds: a lookup waits for nothing where no more was missed than that
_MOST_STUCK = 3  # threads that stand still, beside which another one is begun
_LONGEST_WAIT = 1.0  # seconds for which the server holds an answer back while there is no news
_LONGEST_PATIENCE = 2.0  # seconds more until an answer counts as lost


class FollowingFeed:
    """Follow a log of revocations. A feed is made from this, and adds ``publish``.

    Args:
        reader: has taken in nothing yet.
        connect: returns a connection for a tail: see ``Reading``.
        is_async: True to read in a task of the event loop, over connections that are awaited.
        max_staleness: seconds, 1 to 86,400, for which a process may be cut off until it counts as
            stale.
        when_stale: what ``read`` does on a stale process: ``"accept"`` or ``"refuse"``.
        timer: returns seconds that never run back; the one that the reader uses.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(
        self,
        reader: LogReader,
        connect: Callable[[float], Any],
        *,
        is_async: bool,
        max_staleness: float,
        when_stale: Literal["accept", "refuse"],
        timer: Callable[[], float],
    ) -> None:
        max_staleness = check_seconds(
            "max_staleness", max_staleness, _SHORTEST_STALENESS, _LONGEST_STALENESS
        )
        refuses = check_choice("when_stale", when_stale, ("accept", "refuse")) == "refuse"
        self._is_async = is_async
        self._connect = connect
        self._timer = timer
        self._pid = os.getpid()
        self._has_replayed = False
        self._goes_on = False  # after a fork, or after another reader of the log
        self._max_staleness = max_staleness
        self._reader = reader
        self._freshness = Freshness(reader, timer, max_staleness, refuses=refuses)
        self._lock = threading.Lock()
        self._tail: Any = None
        self._stuck: list[ThreadTail] = []
        self._is_started = False
        self._is_closed = False
        pause_during_fork(self)
        renew_after_fork(self)

    @property
    def is_async(self) -> bool:
        """True where ``publish`` and ``close`` return awaitables."""
        return self._is_async

    @property
    def waits(self) -> bool:
        """True where ``publish`` waits for the network, so that an async manager needs threads."""
        return not self._is_async

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when the node is cut off, and when it is back.

        None where the node may have to refuse soon: each lookup then has to ask.
        """
        return self._freshness.doorbell

    def stats(self) -> FeedStats:
        """Return how far this process has read the log."""
        return self._freshness.stats()

    def start(self, apply: Apply) -> None:
        """Hand every live revocation to ``apply``, and keep ``apply`` for those to come.

        On an event loop nothing is handed over yet: :meth:`replay` does that.

        Raises:
            ConfigurationError: the feed was started before.
            Exception: the connection's errors.
        """
        if self._is_started:
            raise ConfigurationError(
                "a feed serves one RevocationList: make another feed, of the same log, "
                "for another list"
            )
        self._is_started = True
        self._reader.begin(apply)
        if not self.is_async:
            self._read_at_start()

    async def replay(self) -> None:
        """Take in every live revocation, if that was not done yet, and read on in a task.

        An async manager awaits this before anything else. Off an event loop it does nothing, since
        :meth:`start` has done it.

        Raises:
            ConfigurationError: no event loop of asyncio runs.
            StorageUnavailable: the feed was closed meanwhile.
            Exception: the connection's errors.
        """
        if self.is_async and not self._is_closed and not self._is_ready():
            check_event_loop()
            caught_up = self._begin_task().caught_up
            await asyncio.wait((caught_up,))
            if caught_up.cancelled():  # And not the caller, who hears nothing of tasks.
                raise StorageUnavailable("the feed of revocations was closed")
            caught_up.result()
            self._has_replayed = True

    def poll(self) -> None:
        """See to it that somebody reads the log, and that lookups may rely on what is known.

        Revocations are handed over as they come, and not by this.

        Raises:
            StorageUnavailable: the node was cut off for longer than ``max_staleness``, and
                ``when_stale`` is ``"refuse"``; or nobody has awaited :meth:`replay` yet.
        """
        if not self._is_closed and not self._is_ready():
            self._begin()
        self._freshness.check()

    def rewind(self) -> None:
        """Read the log from its start once more, within a second."""
        self._reader.rewind()

    def close(self) -> Any:
        """Stop reading, and leave no thread, task or connection behind. Can be called again.

        Lookups then rely on what was known.

        Returns:
            None; where the feed is async, an awaitable of it.
        """
        self._is_closed = True
        if self.is_async:
            return self._close_task()
        with self._lock:
            self._stop_thread()
        self._let_go()
        return None

    def pause(self) -> None:
        """Let go before a fork: a child must inherit no held lock and no open connection."""
        self._lock.acquire()
        if not self.is_async:
            try:
                self._stop_thread()
            except Exception:  # Whatever it is, the lock must be given back after the fork.
                logger.exception("a feed's listener could not be stopped before a fork")

    def go_on(self) -> None:
        """Let other threads use the feed again, after the fork, in the parent."""
        self._lock.release()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with a lock of its own and nobody who reads."""
        self._lock = threading.Lock()
        self._forget_tail()
        self._pid = os.getpid()  # Last, as another thread goes by it.

    def _read_at_start(self) -> None:
        """Take in all that the log holds."""
        read_once(self._reading())

    def _let_go(self) -> None:
        """Close what the feed itself has opened. Called once the thread has ended."""

    def _begin_before_publishing(self) -> None:
        """Begin to read before a publication, so that this process hears what it publishes."""
        if self._is_started and not self._is_closed and not self._is_async and not self._is_ready():
            self._begin(waits=True)

    def _is_ready(self) -> bool:
        """Return True if somebody reads the log, and is done with the first attempt at it."""
        tail = self._tail
        return tail is not None and tail.is_ready and not tail.is_over

    def _begin(self, *, waits: bool = False) -> None:
        """See to it that somebody reads the log; say so where nobody can.

        Return once it has been read to its end, if ``waits`` or if much may have been missed.
        """
        if self._pid != os.getpid():
            # Forked by a server that runs no hooks of Python. Another thread may hold the lock.
            self.renew()
            self._begin_anew("the process was forked without Python's hooks")
        if self.is_async:
            self._begin_on_running_loop()
        else:
            self._begin_thread(waits=waits)

    def _begin_thread(self, *, waits: bool) -> None:
        waits = waits or self._goes_on
        with self._lock:
            if self._is_closed:
                return
            if self._tail is not None and self._tail.is_over:
                if not self._may_abandon(self._tail):
                    return
                self._begin_anew("its thread has ended or stands still")
                waits = True
            if self._tail is None:
                tail = ThreadTail(self._reading())
                try:
                    tail.start()
                except RuntimeError as error:  # There is no room for another thread.
                    self._freshness.tell_nobody_listens(str(error))
                    return
                self._tail = tail
                waits = waits or self._freshness.staleness > _FRESH
            if waits:
                self._tail.wait_until_tried()

    def _may_abandon(self, tail: ThreadTail) -> bool:
        """Have a thread end by itself. Return False where too many others stand still already."""
        self._stuck = [other for other in self._stuck if other.is_stuck]
        if len(self._stuck) >= _MOST_STUCK:
            return False
        tail.abandon()
        self._stuck.append(tail)
        return True

    def _begin_on_running_loop(self) -> None:
        try:
            self._begin_task()
        except RuntimeError:
            self._freshness.tell_nobody_listens("no event loop runs that could")
        if not self._has_replayed:
            raise StorageUnavailable(
                "the revocations that live have not been taken in yet: "
                "enter the manager with 'async with', or await a method of it first"
            )

    def _begin_task(self) -> TaskTail:
        asyncio.get_running_loop()  # Where there is none, what was there stays.
        if self._tail is not None and self._tail.is_over:
            self._tail.abandon()
            self._begin_anew("its event loop has ended or stands still")
        if self._tail is None:
            self._tail = TaskTail(self._reading())
        tail: TaskTail = self._tail
        return tail

    def _begin_anew(self, reason: str) -> None:
        """Forget who read the log, and read it from its start.

        The last entry may have been taken in half.
        """
        self._freshness.tell_nobody_listens(f"{reason}, so it is begun anew")
        self._forget_tail()
        self._reader = self._reader.begun_anew()
        self._freshness.follow(self._reader)

    def _reading(self) -> Reading:
        # Short enough for one lost answer to be noticed while the node is not stale yet.
        share = self._max_staleness / 4
        longest_wait = min(_LONGEST_WAIT, share)
        return Reading(
            connect=self._connect,
            reader=self._reader,
            longest_wait=longest_wait,
            patience=longest_wait + min(_LONGEST_PATIENCE, share),
            timer=self._timer,
            report=self._report,
        )

    def _report(self, error: Exception | None) -> None:
        # A method of the feed, so that the feed lives, and pauses for a fork, while anybody reads.
        self._freshness.report(error)

    def _stop_thread(self) -> None:
        if self._tail is not None:
            self._tail.stop()
            self._forget_tail()

    async def _close_task(self) -> None:
        if self._tail is not None:
            await self._tail.stop()
            self._forget_tail()

    def _forget_tail(self) -> None:
        self._tail = None
        self._goes_on = True
        self._freshness.stop()

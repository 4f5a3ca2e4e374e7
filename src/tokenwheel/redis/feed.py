"""Revocations between machines, and for after a restart: a stream on a Redis or Valkey server.

``publish`` appends to the stream. Each process follows the stream in the background: in a thread
or, with an asyncio client, in a task. What comes goes straight into the process's list, so a
``read`` costs what it costs without a feed. A process begins by taking in every live revocation,
before its first ``read`` is answered.

Nothing runs before the first lookup or publication, so a manager may be made before a process
forks: each process of the fork begins by itself, after the last entry that was read before the
fork. A process that forks later stops reading first. Its next lookup or publication goes on from
there.

``stream_reader.py`` says how the stream is read, and ``tail.py`` who reads it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..errors import ConfigurationError, StorageUnavailable
from ..event_loop import check_event_loop
from ..fork_safety import pause_during_fork, renew_after_fork
from ..hidden import clears_locals
from ..option_checks import check_choice, check_clocks, check_seconds
from ..revocation.message import plain_revocations
from ..revocation.protocol import Apply, Revocation
from ..seconds import checked_clock, steady_time, wall_time
from ..slow_clock import SlowTime
from .client import Client, Conversation, RedisClient, call
from .deadline import TIMEOUT
from .entry import REVOCATIONS_PER_ENTRY, encode_entry
from .freshness import FeedStats, Freshness
from .key_names import PREFIX, KeyNames
from .scripts import APPEND
from .stream_reader import StreamReader
from .tail import Reading, TaskTail, ThreadTail, read_once

__all__ = ["RedisFeed"]

logger = logging.getLogger("tokenwheel")

_SHORTEST_STALENESS = 1.0  # seconds
_LONGEST_STALENESS = 86_400.0  # seconds: one day
_FRESH = 1.0  # seconds: a lookup waits for nothing where no more was missed than that
_MOST_STUCK = 3  # threads that stand still, beside which another one is begun
_LONGEST_WAIT = 1.0  # seconds for which the server holds an answer back while there is no news
_LONGEST_PATIENCE = 2.0  # seconds more until an answer counts as lost


class RedisFeed:
    """Tie the :class:`~tokenwheel.RevocationList` of every process of a service to one stream.

    The processes may run on any number of machines.

    Args:
        client: a client of redis-py or valkey-py, with any options: ``Redis``, ``RedisCluster`` or
            what ``Sentinel.master_for`` returns, blocking or asyncio's. Closing it stays the
            caller's task. The feed opens connections of its own, with the client's options.
        prefix: what the name of the stream begins with, so that services can share a server.
        max_staleness: seconds, 1 to 86,400, for which a node may be cut off until it counts as
            stale.
        when_stale: what ``read`` does on a stale node. ``"accept"``: it goes on with what is known.
            ``"refuse"``: it refuses every token with :class:`~tokenwheel.StorageUnavailable`.
        timeout: seconds, 0.1 to 3,600, that ``publish`` may take, whatever the client's options.
        clock: returns Unix seconds. It decides which published revocations still live.
        timer: returns seconds that never run back. It measures staleness.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    @clears_locals
    def __init__(
        self,
        client: Client,
        *,
        prefix: str = PREFIX,
        max_staleness: float = 10.0,
        when_stale: Literal["accept", "refuse"] = "accept",
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        max_staleness = check_seconds(
            "max_staleness", max_staleness, _SHORTEST_STALENESS, _LONGEST_STALENESS
        )
        refuses = check_choice("when_stale", when_stale, ("accept", "refuse")) == "refuse"
        check_clocks(clock=clock, timer=timer)
        timer = checked_clock(timer)
        self.client = RedisClient(client, timeout)
        self._names = KeyNames(prefix)
        self._time = SlowTime(clock, timer)
        self._timer = timer
        self._pid = os.getpid()
        self._has_replayed = False
        self._goes_on = False  # after a fork, or after another reader of the stream
        self._max_staleness = max_staleness
        self._reader = StreamReader(self._names.stream, self._time, timer)
        self._freshness = Freshness(self._reader, timer, max_staleness, refuses=refuses)
        self._lock = threading.Lock()
        self._tail: Any = None
        self._stuck: list[ThreadTail] = []
        self._is_started = False
        self._is_closed = False
        pause_during_fork(self)
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<RedisFeed {self._names.prefix!r}>"

    @property
    def is_async(self) -> bool:
        """True where ``publish`` and ``close`` return awaitables."""
        return self.client.is_async

    @property
    def waits(self) -> bool:
        """True where ``publish`` waits for the network, so that an async manager needs threads."""
        return not self.client.is_async

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when the node is cut off, and when it is back.

        None where the node may have to refuse soon: each lookup then has to ask.
        """
        return self._freshness.doorbell

    def stats(self) -> FeedStats:
        """Return how far this process has read the stream."""
        return self._freshness.stats()

    def start(self, apply: Apply) -> None:
        """Hand every live revocation to ``apply``, and keep ``apply`` for those to come.

        With an asyncio client nothing is handed over yet: :meth:`replay` does that.

        Raises:
            ConfigurationError: the feed was started before.
            Exception: the client's errors.
        """
        if self._is_started:
            raise ConfigurationError(
                "a feed serves one RevocationList: make another feed, of the same client, "
                "for another list"
            )
        self._is_started = True
        self._reader.begin(apply)
        if not self.is_async:
            read_once(self._reading())

    async def replay(self) -> None:
        """Take in every live revocation, if that was not done yet, and read on in a task.

        An async manager awaits this before anything else. Without an asyncio client it does
        nothing, since :meth:`start` has done it.

        Raises:
            ConfigurationError: no event loop of asyncio runs.
            StorageUnavailable: the feed was closed meanwhile.
            Exception: the client's errors.
        """
        if self.is_async and not self._is_closed and not self._is_ready():
            check_event_loop()
            caught_up = self._begin_task().caught_up
            await asyncio.wait((caught_up,))
            if caught_up.cancelled():  # And not the caller, who hears nothing of tasks.
                raise StorageUnavailable("the feed of revocations was closed")
            caught_up.result()
            self._has_replayed = True

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        """Append revocations to the stream, in one round trip for up to 250 of them.

        Every connected node has heard them within the time that a message takes.

        Returns:
            None; with an asyncio client an awaitable of it.

        Raises:
            InvalidArgument: a revocation that no list could take.
            Exception: the client's errors. Nothing was published, or all, or the first of more
                than 250.
        """
        return self.client.run(self._append(plain_revocations(revocations)))

    def entry_for(self, revocations: Sequence[Revocation]) -> tuple[str, str, list[bytes]]:
        """Return what a storage on the same server needs to publish revocations itself.

        The node then waits to hear them, and publishes once more what it does not: what a server
        has lost, or what could not be sent. What the storage chose not to publish, it must say to
        :meth:`was_not_published`.

        Returns:
            The name of the stream, for how long it keeps the entry, as the scripts take that, and
            the message of each revocation.
        """
        lasting, messages = encode_entry(revocations, self._time())
        if self._is_started and not self._is_closed:
            if not self.is_async and not self._is_ready():
                self._begin(waits=True)
            self._reader.expect(messages)
        return self._names.stream, lasting, messages

    def was_not_published(self, messages: Sequence[bytes]) -> None:
        """Wait no longer to hear messages of :meth:`entry_for`: they are not to be published."""
        self._reader.expect_no_more(messages)

    def poll(self) -> None:
        """See to it that somebody reads the stream, and that lookups may rely on what is known.

        Revocations are handed over as they come, and not by this.

        Raises:
            StorageUnavailable: the node was cut off for longer than ``max_staleness``, and
                ``when_stale`` is ``"refuse"``; or nobody has awaited :meth:`replay` yet.
        """
        if not self._is_closed and not self._is_ready():
            self._begin()
        self._freshness.check()

    def rewind(self) -> None:
        """Read the stream from its start once more, within a second."""
        self._reader.rewind()

    def close(self) -> Any:
        """Stop reading, and leave no thread, task or connection behind. Can be called again.

        Lookups then rely on what was known.

        Returns:
            None; with an asyncio client an awaitable of it.
        """
        self._is_closed = True
        if self.is_async:
            return self._close_task()
        with self._lock:
            self._stop_thread()
        self.client.close()
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

    def _is_ready(self) -> bool:
        """Return True if somebody reads the stream, and is done with the first attempt at it."""
        tail = self._tail
        return tail is not None and tail.is_ready and not tail.is_over

    def _begin(self, *, waits: bool = False) -> None:
        """See to it that somebody reads the stream; say so where nobody can.

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
        """Forget who read the stream, and read it from its start.

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
            client=self.client,
            name=self._names.stream,
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

    def _append(self, revocations: Sequence[Revocation]) -> Conversation[None]:
        for start in range(0, len(revocations), REVOCATIONS_PER_ENTRY):
            chunk = revocations[start : start + REVOCATIONS_PER_ENTRY]
            stream, lasting, messages = self.entry_for(chunk)
            yield from call(APPEND, (stream,), lasting, b"".join(messages))

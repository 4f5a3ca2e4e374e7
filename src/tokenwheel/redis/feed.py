"""Revocations between machines, and for after a restart: a stream on a Redis or Valkey server.

``publish`` appends to the stream. Each process follows it in the background, in a thread or, with an asyncio client, in a task, and what
comes goes straight into its list; so a ``read`` costs what it costs without a feed. It begins by taking in all that lives, before the first
``read`` is answered. How the stream is read is in ``stream``, who reads it in ``tail``.

Nothing runs before the first lookup or publication, so a manager may be made before a process forks: each process of the fork begins by
itself, after the entry that the list had got to. A process that forks later stops reading first, and whoever looks something up or
publishes goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from ..errors import ConfigurationError, StorageUnavailable
from ..fork_safety import pause_during_fork, renew_after_fork
from ..revocation.protocol import Revocation
from .client import Client, Conversation, RedisClient, call
from .key_names import PREFIX, KeyNames
from .scripts import APPEND
from .stream_reader import REVOCATIONS_PER_ENTRY, Apply, StreamReader, encode_entry
from .tail import Reading, TaskTail, ThreadTail, read_once

__all__ = ["FeedStats", "RedisFeed"]

logger = logging.getLogger("tokenwheel")

_SHORTEST_STALENESS = 1.0  # seconds
_LONGEST_STALENESS = 86_400.0
_LONGEST_WAIT = (
    1.0  # seconds for which the server holds an answer back where there is nothing to tell
)
_LONGEST_PATIENCE = 2.0  # seconds more until an answer counts as lost


class FeedStats(NamedTuple):
    """How a node stands to the stream."""

    lag: int
    """Entries of the stream that it had yet to take in when it last looked, at most a second ago while it is connected."""
    staleness: float
    """Seconds since it was last sure to have missed nothing; infinite before it has taken in all for the first time."""
    reconnects: int
    """How often it had to connect anew."""
    entries: int
    """How many it has taken in, those included that it heard twice."""
    skipped: int
    """How many of these were none of this library's."""
    replays: int
    """How often it had to read the stream again from its start, because it was trimmed, lost or replaced."""
    last_id: str
    """The id of the last entry it took in."""


class RedisFeed:
    """Ties the :class:`~tokenwheel.RevocationList` of every process of a service, on whichever machine, to one stream.

    Args:
        client: of redis-py or valkey-py: ``Redis``, ``RedisCluster`` or what ``Sentinel.master_for`` returns, blocking or asyncio's,
            with any options. It stays the caller's to close. Connections of the feed's own are made like those of the client.
        prefix: what the name of the stream begins with, so that services can share a server.
        max_staleness: seconds, 1 to 86,400, for which a node may be cut off until it counts as stale.
        when_stale: what ``read`` does then. ``"accept"``: it goes on with what is known. ``"refuse"``: it refuses every token with
            :class:`~tokenwheel.StorageUnavailable`.
        clock: returns Unix seconds; by it what is published counts as live.
        timer: returns seconds that never run back; by it staleness is measured.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(
        self,
        client: Client,
        *,
        prefix: str = PREFIX,
        max_staleness: float = 10.0,
        when_stale: Literal["accept", "refuse"] = "accept",
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        if (
            isinstance(max_staleness, bool)
            or not isinstance(max_staleness, int | float)
            or not _SHORTEST_STALENESS <= max_staleness <= _LONGEST_STALENESS
        ):
            raise ConfigurationError(
                f"max_staleness must be a number of seconds from {_SHORTEST_STALENESS:g} to {_LONGEST_STALENESS:g}"
            )
        if when_stale not in ("accept", "refuse"):
            raise ConfigurationError("when_stale must be 'accept' or 'refuse'")
        for name, one in (("clock", clock), ("timer", timer)):
            if not callable(one):
                raise ConfigurationError(f"{name} must be a callable that returns seconds")
        self.client = RedisClient(client)
        self._names = KeyNames(prefix)
        self._max_staleness = max_staleness
        self._refuses = when_stale == "refuse"
        self._clock = clock
        self._timer = timer
        self._reader = StreamReader(self._names.stream, clock, timer)
        self._lock = threading.Lock()
        self._tail: Any = None
        self._is_started = False
        self._is_closed = False
        self._was_connected = False
        self._has_complained = False
        self._reconnects = 0
        self._doorbell = memoryview(bytearray(8))
        self._number = self._doorbell.cast("Q")
        pause_during_fork(self)
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<RedisFeed {self._names.prefix!r}>"

    @property
    def is_async(self) -> bool:
        """Whether ``publish`` and ``close`` return awaitables."""
        return self.client.is_async

    @property
    def waits(self) -> bool:
        """For the network: an async manager publishes to a blocking one from a worker thread."""
        return not self.client.is_async

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when the node is cut off; None while each lookup has to see whether it may still be answered."""
        may_be_stale_soon = self._refuses and self._staleness() >= self._max_staleness / 2
        return None if may_be_stale_soon else self._doorbell

    def stats(self) -> FeedStats:
        """How this process stands to the stream."""
        reader = self._reader
        return FeedStats(
            reader.lag,
            self._staleness(),
            self._reconnects,
            reader.entries,
            reader.skipped,
            reader.replays,
            reader.last_id.decode(),
        )

    def start(self, apply: Apply) -> None:
        """Takes in all that lives; with an asyncio client, leaves that to :meth:`replay`.

        Raises:
            ConfigurationError: it was started before.
            the client's errors.
        """
        if self._is_started:
            raise ConfigurationError(
                "a feed serves one RevocationList: make another feed, of the same client, for another list"
            )
        self._is_started = True
        self._reader.begin(apply)
        if not self.is_async:
            read_once(self._reading)

    async def replay(self) -> None:
        """With an asyncio client: takes in all that lives, if that was not done yet, and reads on in a task. An async manager awaits it.

        Raises:
            the client's errors.
        """
        if self.is_async and not self._is_closed and not self._is_ready():
            await asyncio.shield(self._begin_task().caught_up)

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        """Appends to the stream: one round trip for up to 250. Every connected node has heard it within the time that a message takes.

        Raises:
            InvalidArgument: a revocation that no list could take.
            the client's errors: nothing was published, or all, or the first of more than 250.
        """
        return self.client.run(self._append(revocations))

    def entry_for(self, revocations: Sequence[Revocation]) -> tuple[str, int, list[bytes]]:
        """What a storage on the same server needs to publish them itself: the stream, how long it keeps the entry, a message of each."""
        lasting, messages = encode_entry(revocations, self._clock())
        if self._is_started and not self._is_closed:
            if not self.is_async and not self._is_ready():
                self._begin()
            self._reader.expect(messages)
        return self._names.stream, lasting, messages

    def poll(self) -> None:
        """Sees to it that somebody reads on, and whether lookups may go by what is known. What comes is handed over as it comes.

        Raises:
            StorageUnavailable: the node was cut off for longer than ``max_staleness``, and ``when_stale`` is ``"refuse"``; or nobody has
                awaited :meth:`replay` yet.
        """
        if not self._is_closed and not self._is_ready():
            self._begin()
        if self._refuses and self._staleness() > self._max_staleness:
            raise StorageUnavailable(
                f"no revocations were heard for more than the {self._max_staleness:g} seconds of max_staleness, "
                "so every access token is refused until the feed is back"
            )

    def close(self) -> Any:
        """Stops reading and leaves no thread, task or connection behind. Can be called again; lookups then go by what was known."""
        self._is_closed = True
        if self.is_async:
            return self._close_task()
        with self._lock:
            self._stop_thread()
        return None

    def pause(self) -> None:
        """Before a fork: so that no thread holds a lock, and no connection is open, which the child would inherit."""
        self._lock.acquire()
        if not self.is_async:
            self._stop_thread()

    def go_on(self) -> None:
        self._lock.release()

    def renew(self) -> None:
        self._lock = threading.Lock()  # Another thread of the parent may have held it.
        self._forget_tail()

    @property
    def _longest_wait(self) -> float:
        return min(_LONGEST_WAIT, self._max_staleness / 4)

    @property
    def _patience(self) -> float:
        """Short enough for one lost answer to be noticed while the node is not stale yet."""
        return self._longest_wait + min(_LONGEST_PATIENCE, self._max_staleness / 4)

    def _staleness(self) -> float:
        return max(self._timer() - self._reader.fresh_at, 0)

    def _is_ready(self) -> bool:
        """Whether all that lived was taken in, and somebody reads on."""
        tail = self._tail
        return tail is not None and tail.is_ready

    def _begin(self) -> None:
        if self.is_async:
            with suppress(RuntimeError):  # No event loop runs.
                self._begin_task()
            raise StorageUnavailable(
                "the revocations that live have not been taken in yet: enter the manager with 'async with', or await a method of it first"
            )
        with self._lock:
            if self._tail is None and not self._is_closed:
                self._tail = ThreadTail(self._reading)
                self._tail.start()

    def _begin_task(self) -> TaskTail:
        if self._tail is None or self._tail.is_over:
            self._tail = TaskTail(self._reading)
        tail: TaskTail = self._tail
        return tail

    @property
    def _reading(self) -> Reading:
        return Reading(
            self.client,
            self._names.stream,
            self._reader,
            self._longest_wait,
            self._patience,
            self._hear_of,
        )

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
        self._was_connected = False
        self._ring()

    def _append(self, revocations: Sequence[Revocation]) -> Conversation[None]:
        for start in range(0, len(revocations), REVOCATIONS_PER_ENTRY):
            stream, lasting, messages = self.entry_for(
                revocations[start : start + REVOCATIONS_PER_ENTRY]
            )
            yield from call(APPEND, (stream,), lasting, b"".join(messages))

    def _hear_of(self, error: Exception | None) -> None:
        """What has become of the connection. A lookup has to know, since it may have to be refused."""
        if error is None:
            self._reconnects += self._was_connected
            if self._has_complained:
                logger.warning("the feed of revocations is connected again")
            self._was_connected, self._has_complained = True, False
        else:
            if not self._has_complained:
                logger.warning(
                    "the feed of revocations is cut off (%s), and tries to connect anew",
                    type(error).__name__,
                )
            self._has_complained = True
        self._ring()

    def _ring(self) -> None:
        self._number[0] = (self._number[0] + 1) % 2**64

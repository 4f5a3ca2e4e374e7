"""Revocations between machines, and for after a restart: a stream on a Redis or Valkey server.

``publish`` appends to the stream, and each process follows it (``revocation/following.py``).
``stream_reader.py`` says how the stream is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..hidden import clears_locals
from ..option_checks import check_clocks
from ..revocation.following import FollowingFeed
from ..revocation.message import plain_revocations
from ..revocation.protocol import Revocation
from ..seconds import checked_clock, steady_time, wall_time
from ..slow_clock import SlowTime
from .client import (
    AsyncDedicatedConnection,
    Client,
    Conversation,
    DedicatedConnection,
    RedisClient,
    call,
)
from .deadline import TIMEOUT
from .entry import REVOCATIONS_PER_ENTRY, encode_entry
from .key_names import PREFIX, KeyNames
from .scripts import APPEND
from .stream_reader import StreamReader

__all__ = ["RedisFeed"]


class RedisFeed(FollowingFeed):
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

    db_system = "redis"
    """What traces of a call name as the kind of database, in the words of OpenTelemetry."""

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
        check_clocks(clock=clock, timer=timer)
        timer = checked_clock(timer)
        self.client = RedisClient(client, timeout)
        self._names = KeyNames(prefix)
        self._time = SlowTime(clock, timer)
        self._reader: StreamReader
        super().__init__(
            StreamReader(self._names.stream, self._time, timer),
            self._dedicated_connection,
            is_async=self.client.is_async,
            max_staleness=max_staleness,
            when_stale=when_stale,
            timer=timer,
        )

    def __repr__(self) -> str:
        return f"<RedisFeed {self._names.prefix!r}>"

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
        self._begin_before_publishing()
        if self._is_started and not self._is_closed:
            self._reader.expect(messages)
        return self._names.stream, lasting, messages

    def was_not_published(self, messages: Sequence[bytes]) -> None:
        """Wait no longer to hear messages of :meth:`entry_for`: they are not to be published."""
        self._reader.expect_no_more(messages)

    def _let_go(self) -> None:
        self.client.close()

    def _dedicated_connection(
        self, patience: float
    ) -> DedicatedConnection | AsyncDedicatedConnection:
        kind = AsyncDedicatedConnection if self.is_async else DedicatedConnection
        return kind(self.client, self._names.stream, patience)

    def _append(self, revocations: Sequence[Revocation]) -> Conversation[None]:
        for start in range(0, len(revocations), REVOCATIONS_PER_ENTRY):
            chunk = revocations[start : start + REVOCATIONS_PER_ENTRY]
            stream, lasting, messages = self.entry_for(chunk)
            yield from call(APPEND, (stream,), lasting, b"".join(messages))

"""The user's client, whatever its kind and colour, and connections of one's own to where it leads.

Clients of redis-py and of valkey-py are taken alike, since nothing is asked of them but ``execute_command`` and, for a connection of one's
own, what their pools connect with. A command is one round trip. A script is called by its hash; a server that doesn't know it, after
``SCRIPT FLUSH``, a restart or a failover, is sent its text, which teaches it.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol, TypeVar

from ..driver import drive, drive_async
from ..errors import ConfigurationError

__all__ = [
    "AsyncDedicatedConnection",
    "Client",
    "Command",
    "Conversation",
    "DedicatedConnection",
    "RedisClient",
    "Script",
    "call",
]

T = TypeVar("T")
Command = tuple[Any, ...]
Conversation = Generator[Command, Any, T]

_LONGEST_CONNECT = 2.0  # seconds
_NEVER_COPIED = (
    "maint_notifications",
    "oss_cluster_maint_notifications",
    "orig_",
    "event_dispatcher",
    "himport_registry",
)
"""What a pool gives to its connections and to no others: they would report to it."""


class Client(Protocol):
    """``redis.Redis``, ``redis.asyncio.Redis``, ``RedisCluster`` of either, what ``Sentinel.master_for`` returns; or the same of valkey."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...


class Script(NamedTuple):
    """Lua that a server carries out in one step."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def call(script: Script, keys: tuple[Any, ...], *arguments: Any) -> Conversation[Any]:
    """Runs the script; what it returned."""
    try:
        return (yield ("EVALSHA", script.sha, len(keys), *keys, *arguments))
    except Exception as error:
        if type(error).__name__ != "NoScriptError":  # in either library
            raise
    return (yield ("EVAL", script.text, len(keys), *keys, *arguments))


class RedisClient:
    """What is behind the user's client.

    Raises:
        ConfigurationError: not a client of redis-py or valkey-py.
    """

    def __init__(self, client: Client) -> None:
        _check(client)
        self.adapted: Any = client
        self.is_async = inspect.iscoroutinefunction(client.execute_command)
        self.is_cluster = callable(getattr(client, "get_node_from_key", None))

    def run(self, conversation: Conversation[T]) -> Any:
        """Holds a conversation on the client; what it returned, or with an asyncio client an awaitable of that."""
        if self.is_async:
            return drive_async(conversation, self._send)
        return drive(conversation, self._send)

    def _send(self, command: Command) -> Any:
        # What is stored is bytes, also where the application has its client decode answers.
        return self.adapted.execute_command(*command, NEVER_DECODE=True)

    def connection(self, key: str, timeout: float) -> Any:
        """A connection like those of the client to the server that has the key, not yet open; one answer takes ``timeout`` seconds at
        most."""
        origin = self.adapted
        if self.is_cluster:
            origin = self.adapted.get_node_from_key(key)
            if not hasattr(origin, "connection_kwargs"):
                origin = self.adapted.get_redis_connection(origin)
        origin = getattr(origin, "connection_pool", origin)
        options = {
            name: value
            for name, value in origin.connection_kwargs.items()
            if not name.startswith(_NEVER_COPIED)
        }
        # Version 2 of the protocol, in which every answer is a list. Who waits here knows best when to try again.
        options.update(
            decode_responses=False,
            protocol=2,
            retry=None,
            retry_on_error=[],
            retry_on_timeout=False,
            health_check_interval=0,
        )
        options.update(
            socket_timeout=timeout, socket_connect_timeout=min(timeout, _LONGEST_CONNECT)
        )
        return origin.connection_class(**options)


def _check(client: object) -> None:
    if isinstance(client, type):
        raise ConfigurationError(
            f"client must be an instance, and is the class {client.__name__}: "
            f"write {client.__name__}(...) instead of {client.__name__}"
        )
    if not callable(getattr(client, "execute_command", None)):
        raise ConfigurationError(
            "client must be a client of redis-py or valkey-py: Redis, RedisCluster, "
            "what Sentinel.master_for returns, or asyncio's"
        )
    # Pipelines answer nothing before they are executed, and a subscription answers no command.
    if callable(getattr(client, "execute", None)) or callable(getattr(client, "listen", None)):
        raise ConfigurationError(
            f"client must be the client itself, not a {type(client).__name__} that it has made"
        )


class _Dedicated:
    def __init__(self, client: RedisClient, key: str, timeout: float) -> None:
        self._client = client
        self._key = key
        self._timeout = timeout
        self._connection: Any = None


class DedicatedConnection(_Dedicated):
    """A connection of one's own, on which a command may wait for news: no pool lends it, and no child process of a fork uses it."""

    def open(self) -> None:
        if self._client.is_cluster:
            self._client.adapted.execute_command(
                "EXISTS", self._key
            )  # by which the client learns who has the key now
        self._connection = self._client.connection(self._key, self._timeout)
        self._connection.connect()

    def send(self, command: Command) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()

    def close(self) -> None:
        """Ends the connection. From another thread: ends what the first one waits for."""
        if self._connection is not None:
            self._connection.disconnect()


class AsyncDedicatedConnection(_Dedicated):
    """The same for an event loop."""

    async def open(self) -> None:
        if self._client.is_cluster:
            await self._client.adapted.execute_command("EXISTS", self._key)
        self._connection = self._client.connection(self._key, self._timeout)
        await self._connection.connect()

    async def send(self, command: Command) -> Any:
        await self._connection.send_command(*command)
        return await self._connection.read_response()

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.disconnect()

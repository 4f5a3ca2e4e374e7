"""Adapt the user's client, of any kind and colour, and open dedicated connections to its server.

Clients of redis-py and of valkey-py are treated alike. All that is asked of one is
``execute_command`` and, for a dedicated connection, the options that its pool connects with.

A command is one round trip. A script is called by its hash. A server that doesn't know the script,
after ``SCRIPT FLUSH``, a restart or a failover, is sent its text and knows it from then on.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol, TypeVar

from ..conformance import check_instance
from ..driver import drive, drive_async
from ..errors import ConfigurationError
from ..event_loop import check_event_loop
from ..hidden import ClearedLocals, clears_locals
from .deadline import TIMEOUT, begin, check_timeout, end, is_over, no_answer
from .limited import OwnConnections
from .limited_pool import own_options
from .room import is_exhausted, room_of

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
"""The name of a command and its arguments."""
Conversation = Generator[Command, Any, T]
"""Yields commands, is sent the answer to each, and returns what it learned from them."""

_LONGEST_CONNECT = 2.0  # seconds
_PAUSE = 0.01  # seconds
_NO_CLIENT = (
    "client must be a client of redis-py or valkey-py: Redis, RedisCluster, "
    "what Sentinel.master_for returns, or asyncio's"
)


class Client(Protocol):
    """A client of redis-py or valkey-py.

    It is a ``Redis``, a ``RedisCluster``, or what ``Sentinel.master_for`` returns; blocking or
    asyncio's.
    """

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the server, and return its answer or an awaitable of it."""
        ...


class Script(NamedTuple):
    """A script in Lua that a server carries out in one step."""

    text: str
    sha: str
    """The hash by which a server that knows the script is asked to run it."""

    @classmethod
    def of(cls, text: str) -> Script:
        """Return the script with this text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def call(script: Script, keys: tuple[Any, ...], *arguments: Any) -> Conversation[Any]:
    """Run a script on the server. Return its answer."""
    try:
        return (yield ("EVALSHA", script.sha, len(keys), *keys, *arguments))
    except Exception as error:
        # The error has this name in either library.
        if type(error).__name__ != "NoScriptError":
            raise
    return (yield ("EVAL", script.text, len(keys), *keys, *arguments))


class RedisClient:
    """Adapt a client of redis-py or valkey-py: blocking or asyncio's, single server or cluster.

    Args:
        client: the user's client.
        timeout: seconds that a call may take.

    Attributes:
        adapted: the user's client.
        is_async: True where the client's calls return awaitables.
        is_cluster: True where the client is one of a cluster.
        timeout: seconds that a call may take.

    Raises:
        ConfigurationError: not a client of redis-py or valkey-py, or no such timeout.
    """

    @clears_locals
    def __init__(self, client: Client, timeout: float = TIMEOUT) -> None:
        try:
            _check(client)
        except ConfigurationError:
            raise
        except Exception as error:  # any: its attributes are the caller's own
            raise ConfigurationError(_NO_CLIENT) from error
        timeout = check_timeout(timeout)
        self.adapted: Any = client
        self.is_async = inspect.iscoroutinefunction(client.execute_command)
        self.is_cluster = callable(getattr(client, "get_node_from_key", None))
        self.timeout = timeout
        self._own = OwnConnections.beside(client, timeout)

    def run(self, conversation: Conversation[T]) -> Any:
        """Hold a conversation with the server, within the timeout.

        Returns:
            What the conversation returned; with an asyncio client an awaitable of it.

        Raises:
            ConfigurationError: the client is asyncio's, and no event loop of asyncio runs.
            StorageUnavailable: it took too long.
            Exception: the client's errors.
        """
        if self.is_async:
            return self._run_async(conversation)
        token = begin(self.timeout)
        try:
            return drive(conversation, self._send)
        finally:
            end(token)

    @property
    def limited(self) -> Any:
        """A client whose calls end in time, where the user's is a blocking one."""
        return self._own.client

    def close(self) -> None:
        """Close what was opened beside the user's client. Can be called again."""
        self._own.close()

    def _send(self, command: Command) -> Any:
        try:
            with ClearedLocals():  # The client's own frames hold the server's password.
                # What is stored is bytes, also where the application has its client decode answers.
                return self.limited.execute_command(*command, NEVER_DECODE=True)
        except Exception as error:
            if is_over():
                raise no_answer(self.timeout) from error
            raise

    async def _run_async(self, conversation: Conversation[T]) -> T:
        check_event_loop()
        try:
            async with asyncio.timeout(self.timeout), room_of(self.adapted):
                return await drive_async(conversation, self._send_async)
        except TimeoutError as error:
            raise no_answer(self.timeout) from error

    async def _send_async(self, command: Command) -> Any:
        while True:
            try:
                with ClearedLocals():
                    return await self.adapted.execute_command(*command, NEVER_DECODE=True)
            except Exception as error:
                if not is_exhausted(error):
                    raise
            # The application has lent all connections elsewhere, and tells nobody of their return.
            await asyncio.sleep(_PAUSE)

    def connection(self, key: str, timeout: float) -> Any:
        """Return a new connection, not yet open, to the server that holds ``key``.

        Args:
            key: the name of a key.
            timeout: seconds within which each answer must come.
        """
        pool = self._pool_for(key)
        options = own_options(pool, timeout)
        # Every answer of version 2 of the protocol is a list. And whoever uses the connection knows
        # best when to try again.
        options.update(
            protocol=2,
            decode_responses=False,
            socket_connect_timeout=min(timeout, _LONGEST_CONNECT),
        )
        return pool.connection_class(**options)

    def _pool_for(self, key: str) -> Any:
        """Return what knows how to connect to the server that holds ``key``."""
        client = self.adapted if self.is_async else self.limited
        holder = client
        if self.is_cluster:
            holder = client.get_node_from_key(key)
            if not hasattr(holder, "connection_kwargs"):
                holder = client.get_redis_connection(holder)
        return getattr(holder, "connection_pool", holder)


def _check(client: object) -> None:
    check_instance("client", client)
    if issubclass(type(client), str):
        raise ConfigurationError(f"{_NO_CLIENT}; of a URL, redis.Redis.from_url(url) makes one")
    if callable(getattr(client, "master_for", None)):
        raise ConfigurationError(
            "client must be what the Sentinel's master_for returns, not the Sentinel"
        )
    if not callable(getattr(client, "execute_command", None)):
        raise ConfigurationError(_NO_CLIENT)
    # Pipelines answer nothing before they are executed, and a subscription answers no command.
    if callable(getattr(client, "execute", None)) or callable(getattr(client, "listen", None)):
        raise ConfigurationError(
            f"client must be the client itself, not a {type(client).__name__} that it has made"
        )


def _look_up(key: str) -> Conversation[None]:
    """Ask for a key, by which the client of a cluster learns which server holds it."""
    yield "EXISTS", key


class _Dedicated:
    def __init__(self, client: RedisClient, key: str, timeout: float) -> None:
        self._client = client
        self._key = key
        self._timeout = timeout
        self._connection: Any = None


class DedicatedConnection(_Dedicated):
    """Hold a connection on which a command may wait for news.

    No pool lends the connection, and no child process of a fork uses it.

    Args:
        client: the client whose server to connect to.
        key: the name of the key that the server holds.
        timeout: seconds within which each answer must come.
    """

    def open(self) -> None:
        """Connect to the server that holds the key now."""
        if self._client.is_cluster:
            self._client.run(_look_up(self._key))
        token = begin(self._client.timeout)
        try:
            with ClearedLocals():
                self._connection = self._client.connection(self._key, self._timeout)
                self._connection.connect()
        finally:
            end(token)

    def send(self, command: Command) -> Any:
        """Send a command. Return its answer."""
        self._connection.send_command(*command)
        return self._connection.read_response()

    def close(self) -> None:
        """End the connection.

        A thread that waits for an answer on it then waits no longer.
        """
        if self._connection is not None:
            self._connection.disconnect()


class AsyncDedicatedConnection(_Dedicated):
    """Hold a connection on which a command may wait for news, for an event loop.

    Args:
        client: the asyncio client whose server to connect to.
        key: the name of the key that the server holds.
        timeout: seconds within which each answer must come.
    """

    async def open(self) -> None:
        """Connect to the server that holds the key now."""
        if self._client.is_cluster:
            await self._client.run(_look_up(self._key))
        with ClearedLocals():
            self._connection = self._client.connection(self._key, self._timeout)
            async with asyncio.timeout(self._client.timeout):
                await self._connection.connect()

    async def send(self, command: Command) -> Any:
        """Send a command. Return its answer."""
        await self._connection.send_command(*command)
        return await self._connection.read_response()

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            await self._connection.disconnect()

"""Connections whose every step has a deadline, and a pool that has callers wait for one.

What is here is mixed into classes of the user's client library, whose names for things it uses. Who
makes clients of them is ``limited.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any

from .deadline import time_left

__all__ = ["WaitingPool", "limited_connection_class", "own_options", "waiting_pool_class"]

_MOST_CONNECTIONS = 1_000  # of a process: one a thread
_NEVER_COPIED = (
    "maint_notifications",
    "oss_cluster_maint_notifications",
    "orig_",
    "event_dispatcher",
    "himport_registry",
)
"""How options begin that a pool gives to its own connections: another one would report to it."""


def own_options(pool: Any, longest: float) -> dict[str, Any]:
    """Return the options of a pool's connections, for others that wait ``longest`` at most."""
    options = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(_NEVER_COPIED)
    }
    options.update(
        retry=None,
        retry_on_error=[],
        retry_on_timeout=False,
        health_check_interval=0,
        socket_timeout=longest,
        socket_connect_timeout=longest,
    )
    return options


@lru_cache(maxsize=64)
def limited_connection_class(connection_class: Any) -> Any:
    """Return a class of connections like this one, with a deadline on whatever they wait for."""
    return type(connection_class.__name__, (_LimitedConnection, connection_class), {})


@lru_cache(maxsize=64)
def waiting_pool_class(pool_class: Any) -> Any:
    """Return a class of pools like this one of the client library, which waits and not refuses."""
    return type(pool_class.__name__, (WaitingPool, pool_class), {})


class _LimitedConnection:
    """Set the limits of a socket before each thing that it does. It goes before the user's class.

    The options are read anew for each address that a name stands for, and for each answer.
    """

    _sock: Any
    is_owed_answer = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._longest: float = options["socket_timeout"]
        self._longest_connect: float = options["socket_connect_timeout"]
        super().__init__(*arguments, **options)

    @property
    def is_open(self) -> bool:
        return self._sock is not None

    @property
    def socket_timeout(self) -> float:
        return time_left(self._longest)

    @socket_timeout.setter
    def socket_timeout(self, seconds: float) -> None:
        """Ignore what the client library sets: the options are known already."""

    @property
    def socket_connect_timeout(self) -> float:
        # An address that does not answer must leave time for the next one.
        return time_left(self._longest_connect) / 2

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, seconds: float) -> None:
        """Ignore what the client library sets: the options are known already."""

    def begin_call(self) -> None:
        """Give what is sent from here on the time that is left."""
        self._sock.settimeout(time_left(self._longest))
        self.is_owed_answer = True

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        if self._sock is not None:
            self._sock.settimeout(time_left(self._longest))
        try:
            answer = super().read_response(*arguments, **options)  # type: ignore[misc]
        except Exception:  # Either that is the answer, or the connection has ended.
            self.is_owed_answer = False
            raise
        self.is_owed_answer = False
        return answer


class WaitingPool:
    """Have whoever comes when all connections are lent wait for one. It goes before the pool.

    Lending is written anew, in the terms of the pool: waiting has to cost nothing where there is no
    need to wait, and what redis-py 8 counts and reports takes longer than all the rest.
    """

    max_connections: int
    owns_connection: Callable[[Any], bool]
    _checkpid: Callable[[], None]
    _lock: threading.Lock
    _available_connections: list[Any]
    _in_use_connections: set[Any]
    _created_connections: int

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._longest = options["socket_timeout"]
        super().__init__(*arguments, **options)

    def reset(self) -> None:
        """Begin with no connection; so does a child of a fork."""
        # A queue, since it waits in C, as no other lock of Python does with a number.
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(min(self.max_connections, _MOST_CONNECTIONS)):
            self._permits.put(None)
        super().reset()  # type: ignore[misc]

    def make_connection(self) -> Any:
        connection = super().make_connection()  # type: ignore[misc]
        connection.retry = _RetryOnce()
        connection.retry_on_error = (Exception,)  # which of these is told by the retry
        return connection

    def get_connection(self, *_: Any, **__: Any) -> Any:
        self._checkpid()
        permits = self._permits
        try:
            permits.get_nowait()
        except Empty:
            self._wait_for(permits)
        try:
            with self._lock:
                idle = self._available_connections
                connection = idle.pop() if idle else self.make_connection()
                self._in_use_connections.add(connection)
        except BaseException:
            permits.put(None)
            raise
        try:
            _make_ready(connection)
            connection.begin_call()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def _wait_for(self, permits: SimpleQueue[None]) -> None:
        try:
            permits.get(timeout=time_left(self._longest))
        except Empty:
            raise TimeoutError("no connection of the pool has become free") from None

    def release(self, connection: Any) -> None:
        self._checkpid()
        with self._lock:
            if connection not in self._in_use_connections:
                return  # It was lent before a fork.
            self._in_use_connections.remove(connection)
            if self.owns_connection(connection):
                if connection.is_owed_answer:
                    # The call was broken off, by a signal say, and the next would be given it.
                    connection.disconnect()
                connection.retry.has_rested = connection.is_open
                self._available_connections.append(connection)
            else:
                self._created_connections -= 1
                connection.disconnect()
        self._permits.put(None)


def _make_ready(connection: Any) -> None:
    """Connect, where that is not done yet, or the connection broke while it lay idle."""
    connection.connect()
    try:
        # Nobody has asked anything: the other side has ended it, or it is out of step.
        is_spoilt = connection.can_read()
    except Exception:
        is_spoilt = True
    if is_spoilt:
        connection.retry.has_rested = False
        connection.disconnect()
        connection.connect()


class _RetryOnce:
    """Try once more, and at once, what failed since a connection broke while it lay idle.

    It takes the place of a retry policy of the client library.
    """

    has_rested = False

    def get_retries(self) -> int:
        return int(self.has_rested)

    def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        try:
            return do()
        except Exception as error:
            # These have the same names in either library.
            names = {kind.__name__ for kind in type(error).__mro__}
            if names.isdisjoint(("ConnectionError", "TimeoutError")):
                raise
            # Which ends the connection, so that what may still come is nobody's answer.
            fail(error, 1) if with_failure_count else fail(error)
            if not self.has_rested or "TimeoutError" in names:
                raise
        self.has_rested = False
        return do()

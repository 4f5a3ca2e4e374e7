"""What a driver offers beside SQL: the socket to wait on, the news it hears, and how to hang up.

psycopg 3 and asyncpg tell of PostgreSQL's notifications. psycopg2 and the drivers of other
databases tell of none that could be waited for, so who uses them looks at intervals.

Several notifications that came before somebody waits are told as one.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Protocol

from ..seconds import steady_time

__all__ = [
    "AsyncListener",
    "Line",
    "Listener",
    "async_listener_on",
    "hang_up",
    "line_of",
    "listener_on",
]


class Line:
    """The socket of a connection, which a thread waits on and another thread may cut.

    It is a duplicate. So it never means another socket, which the system may give the same number
    once the driver has closed its own.
    """

    def __init__(self, descriptor: int) -> None:
        # The kind of the socket is a label here, which nothing goes by.
        self.socket = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)

    def wait(self, seconds: float) -> None:
        """Return when there is something to read, the line was cut or the time is up."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.select(seconds)

    def cut(self) -> None:
        """Have whoever reads from the connection find it ended. It can still say good-bye."""
        with suppress(OSError):  # It has ended already.
            self.socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Let go of the duplicate. The connection itself stays."""
        self.socket.close()

    def __del__(self) -> None:
        self.socket.close()


def line_of(driver_connection: Any) -> Line | None:
    """Return the line of a driver's connection, or None where the driver doesn't show it."""
    holder = driver_connection
    if not callable(getattr(holder, "fileno", None)):
        holder = getattr(driver_connection, "_sock", None)  # as PyMySQL calls it
    try:
        return Line(holder.fileno())
    except Exception:  # any: there is none, or the driver calls something else by these names
        return None


def hang_up(driver_connection: Any, line: Line | None) -> None:
    """End a connection of an asyncio driver at once, so that whoever awaits it gets an error."""
    with suppress(Exception):
        if line is not None:
            line.cut()
        elif callable(getattr(driver_connection, "terminate", None)):
            driver_connection.terminate()
        elif not inspect.iscoroutinefunction(getattr(driver_connection, "close", None)):
            driver_connection.close()


class Listener(Protocol):
    """Hear notifications of PostgreSQL on a blocking connection."""

    @property
    def pid(self) -> int:
        """The number of the server's process, as the driver was told it."""
        ...

    def listen(self, connection: Any, channel: str) -> None:
        """Listen to a channel, over SQLAlchemy's connection to the driver's."""
        ...

    def wait(self, seconds: float) -> bool:
        """Return True once a notification has come since the last wait, False after the time."""
        ...


class AsyncListener(Protocol):
    """Hear notifications of PostgreSQL on a connection of an event loop."""

    @property
    def pid(self) -> int:
        """The number of the server's process, as the driver was told it."""
        ...

    def listen(self, connection: Any, channel: str) -> None:
        """Listen to a channel, over SQLAlchemy's connection, where that is used without await."""
        ...

    async def wait(self, seconds: float) -> bool:
        """Return True once a notification has come since the last wait, False after the time."""
        ...


def listener_on(driver_connection: Any, line: Line | None) -> Listener | None:
    """Return what hears on a blocking connection, or None where its driver tells of nothing."""
    if line is None or not _is_psycopg(driver_connection):
        return None
    return _PsycopgListener(driver_connection, line)


def async_listener_on(driver_connection: Any, line: Line | None) -> AsyncListener | None:
    """Return what hears on an event loop, or None where the driver tells of nothing."""
    if callable(getattr(driver_connection, "add_listener", None)):
        return _AsyncpgListener(driver_connection)
    if line is None or not _is_psycopg(driver_connection):
        return None
    return _AsyncPsycopgListener(driver_connection, line)


def _is_psycopg(driver_connection: Any) -> bool:
    return hasattr(driver_connection, "pgconn") and hasattr(driver_connection, "add_notify_handler")


class _Psycopg:
    """Notice what psycopg 3 takes in while a statement runs, and what comes in between."""

    def __init__(self, driver_connection: Any, line: Line) -> None:
        self._libpq = driver_connection.pgconn
        self._line = line
        self._has_heard = False
        # psycopg tells a handler of what comes with the answer to a statement.
        driver_connection.add_notify_handler(self._hear)

    @property
    def pid(self) -> int:
        pid: int = self._libpq.backend_pid
        return pid

    def listen(self, connection: Any, channel: str) -> None:
        connection.exec_driver_sql(f'LISTEN "{channel}"')

    def _hear(self, _: object) -> None:
        self._has_heard = True

    def _take_in(self) -> bool:
        """Take in what has come, without waiting. Return True once about each notification."""
        self._libpq.consume_input()
        while self._libpq.notifies() is not None:
            self._has_heard = True
        has_heard, self._has_heard = self._has_heard, False
        return has_heard


class _PsycopgListener(_Psycopg):
    def wait(self, seconds: float) -> bool:
        end = steady_time() + seconds
        while not self._take_in():
            left = end - steady_time()
            if left <= 0:
                return False
            self._line.wait(left)
        return True


class _AsyncPsycopgListener(_Psycopg):
    async def wait(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = steady_time() + seconds
        while not self._take_in():
            left = end - steady_time()
            if left <= 0:
                return False
            readable = asyncio.Event()
            loop.add_reader(self._line.socket, readable.set)
            try:
                await _wait_for(readable, left)
            finally:
                loop.remove_reader(self._line.socket)
        return True


class _AsyncpgListener:
    def __init__(self, driver_connection: Any) -> None:
        self._heard = asyncio.Event()
        self.pid: int = driver_connection.get_server_pid()
        # Who waits then finds out at once.
        driver_connection.add_termination_listener(self._hear)

    def listen(self, connection: Any, channel: str) -> None:
        def add(driver_connection: Any) -> Awaitable[None]:
            added: Awaitable[None] = driver_connection.add_listener(channel, self._hear)
            return added

        connection.connection.run_async(add)

    async def wait(self, seconds: float) -> bool:
        has_heard = await _wait_for(self._heard, seconds)
        self._heard.clear()
        return has_heard

    def _hear(self, *_: object) -> None:
        self._heard.set()


async def _wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Return True once the event is set, and False where that takes too long."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False

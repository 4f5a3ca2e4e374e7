"""The connection over which a feed reads the log and waits for news.

PostgreSQL tells of news (``LISTEN``), and psycopg 3 lets one wait for that. Elsewhere the log is
looked at once in a while.

A proxy such as PgBouncer may lend a connection of the server to each transaction anew. Then
``LISTEN`` is answered, and no news ever come. Who is behind a proxy is told another process number
than the server's own. Then it is tried once whether news come.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from django.db import connections, transaction

from ..errors import StorageUnavailable
from ..tables.limited_threads import LimitedThreads
from ..tables.names import CHANNEL
from ..tables.protocol import Wait, Work
from .connections import is_outdated, own_connection
from .dialects import statements_on, takes_no_writes
from .shared_connections import is_testing
from .versions import check_version

__all__ = ["Listener"]

_LONGEST_TRIAL = 1.0  # seconds, in which news must come that were sent to try it


class Listener:
    """Hold a connection for one tail: a ``LogConnection``.

    Args:
        alias: of the database.
        patience: seconds within which an answer must come.
        tell_no_news: called where a proxy before the server keeps its news back.
    """

    def __init__(self, alias: str, patience: float, tell_no_news: Callable[[], object]) -> None:
        self._alias = alias
        self._patience = patience
        self._tell_no_news = tell_no_news
        self._opened: _Opened | None = None

    def open(self) -> None:
        """Connect, and listen where the server tells of news.

        Raises:
            StorageUnavailable: the server takes no writes, or did not answer in time.
            ConfigurationError: the tables are not there, or are of a later version.
            Exception: Django's errors.
        """
        self.close()
        opened = self._opened = _Opened(self._alias, self._patience, self._tell_no_news)
        opened.begin()

    def send(self, command: Work | Wait, /) -> Any:
        """Carry out work in a transaction of its own, or wait for news. Return the answer."""
        if self._opened is None:
            raise StorageUnavailable("the connection was closed")
        return self._opened.send(command)

    def close(self) -> None:
        """End the connection, from any thread. Whoever waits on it then waits no longer."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


class _Opened:
    """A connection from when it is opened until it is closed, with a thread of its own.

    So a caller waits in vain no longer than agreed, and may run an event loop.
    """

    def __init__(self, alias: str, patience: float, tell_no_news: Callable[[], object]) -> None:
        self._alias = alias
        self._patience = patience
        self._tell_no_news = tell_no_news
        self._connection: Any = None
        self._listens = self._is_unsure = self._has_news = False
        self._is_closed = False
        self._closing = threading.Lock()
        self._waker, self._woken = socket.socketpair()
        self._selector = DefaultSelector()
        self._selector.register(self._woken, EVENT_READ)
        self._threads = LimitedThreads(patience, self._end)

    def begin(self) -> None:
        self._threads.call(self._connect)

    def send(self, command: Work | Wait) -> Any:
        if isinstance(command, Wait):
            return self._threads.call(lambda: self._wait(command))
        return self._threads.call(lambda: self._carry_out(command))

    def close(self) -> None:
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                self._waker.close()
                _shut_down(self._connection)
        self._threads.close()

    def _connect(self) -> None:
        connection = own_connection(self._alias, self._patience, mostly_reads=True)
        self._connection = connection
        connections[self._alias] = connection
        if takes_no_writes(connection):
            raise StorageUnavailable("the server takes no writes, and its news may be old")
        check_version(statements_on(connection))
        # Django drops the database of its tests when nobody is connected.
        if not is_testing() and hasattr(connection.connection, "pgconn"):
            self._listen(connection)

    def _listen(self, connection: Any) -> None:
        driver = connection.connection
        driver.add_notify_handler(self._take_news)
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
            cursor.execute("SELECT pg_backend_pid()")
            self._is_unsure = cursor.fetchone()[0] != driver.pgconn.backend_pid
        self._selector.register(driver.pgconn.socket, EVENT_READ)
        self._listens = True

    def _carry_out(self, work: Work) -> Any:
        connection = self._connection
        connections[self._alias] = connection  # Where the thread is another, Django refuses.
        if is_outdated(connection):
            raise StorageUnavailable("DATABASES names another database now")
        try:
            with transaction.atomic(self._alias):
                return work(statements_on(connection))
        finally:
            if is_testing():
                connection.close()

    def _wait(self, wait: Wait) -> None:
        if not self._listens:
            self._selector.select(wait.poll_interval)
        elif self._is_unsure:
            self._try_news(min(wait.seconds, _LONGEST_TRIAL))
        else:
            self._wait_for_news(wait.seconds)

    def _wait_for_news(self, seconds: float) -> bool:
        """Return True as soon as there are news; False where the time was up, or at the end."""
        pgconn = self._connection.connection.pgconn
        ends_at = time.monotonic() + seconds
        while True:
            while pgconn.notifies() is not None:
                self._has_news = True
            if self._has_news:
                self._has_news = False
                return True
            ready = self._selector.select(max(ends_at - time.monotonic(), 0))
            if not ready or any(key.fileobj is self._woken for key, _ in ready):
                return False
            pgconn.consume_input()

    def _try_news(self, seconds: float) -> None:
        with (
            closing(own_connection(self._alias, self._patience)) as other,
            other.cursor() as cursor,
        ):
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        self._is_unsure = False
        self._listens = self._wait_for_news(seconds)
        if not self._listens:
            self._selector.unregister(self._connection.connection.pgconn.socket)
            self._tell_no_news()

    def _take_news(self, _: object) -> None:
        self._has_news = True

    def _end(self) -> None:
        with self._closing:
            connection, self._connection = self._connection, None
            self._selector.close()
            self._woken.close()
            if connection is not None:
                with suppress(Exception):  # any: it may have broken in any way
                    connection.close()


def _shut_down(connection: Any) -> None:
    """End what a connection waits for in another thread."""
    driver = getattr(connection, "connection", None)
    with suppress(Exception):  # any: it may be amid connecting, or of any driver
        descriptor = _descriptor_of(driver)
        if descriptor is not None:
            with closing(socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)) as server:
                server.shutdown(socket.SHUT_RDWR)


def _descriptor_of(driver: Any) -> int | None:
    """Return the file descriptor of the connection to a server, where its driver tells."""
    if hasattr(driver, "pgconn"):  # psycopg 3
        return int(driver.pgconn.socket)
    if hasattr(driver, "get_backend_pid"):  # psycopg2
        return int(driver.fileno())
    if hasattr(driver, "_sock"):  # PyMySQL
        return int(driver._sock.fileno())
    return None

"""The connection over which a tail follows the table of revocations, and waits for news.

Each tail has one that no pool lends. On PostgreSQL it listens to the channel which every
publication tells; elsewhere, and with drivers that tell of no notification, it only waits until the
next look is due. A connection that breaks is never mended: the tail opens the next.

**Through a pooler** such as PgBouncer in transaction mode, a notification reaches nobody, and no
error says so. There the server's process is another than the driver was told of. Then a probe is
sent over a second connection. Where it doesn't come, this process polls, and says so once.

**A server that hangs** keeps nobody waiting beyond ``patience``. The connection is made on a thread
of its own (``tables/limited_threads.py``). From then on another thread watches: when an answer is
late, it shuts the socket down, so that the driver gets an error. Where the driver shows no socket,
all goes over the first thread.

``async_listening.py`` has the connection of an event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from ..errors import StorageUnavailable
from ..hidden import ClearedLocals
from ..seconds import steady_time
from ..tables.limited_threads import LimitedThreads
from ..tables.names import CHANNEL
from ..tables.protocol import Wait, Work
from .apart import (
    ASKED_EVERY,
    LONGEST_PROBE,
    SHORTEST_CONNECT,
    check_server,
    check_takes_writes,
    closed,
    engine_apart,
    goes_through_pooler,
    listen,
    no_answer,
    notify,
    probe_channel,
    tell_it_polls,
)
from .drivers import Line, Listener, line_of, listener_on
from .statements import SqlStatements

__all__ = ["BlockingConnection"]

T = TypeVar("T")

_LOOKS_OF_WATCH = 4  # within the time that an answer may take
_MOST_CONNECTING = 32  # attempts that hang, beside which another one is made


class BlockingConnection:
    """Hold a connection on which a thread may wait for news: a ``LogConnection``.

    Args:
        engine: the application's.
        statements: makes the statements on a connection.
        patience: seconds within which an answer must come.
    """

    def __init__(self, engine: Engine, statements: type[SqlStatements], patience: float) -> None:
        self._engine = engine
        self._statements = statements
        self._patience = patience
        self._connecting: set[object] = set()
        self._link: _Link | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: the tables are not there, or of a later version.
            StorageUnavailable: it took too long, or the server takes no writes.
            Exception: the driver's errors.
        """
        if len(self._connecting) >= _MOST_CONNECTING:
            raise StorageUnavailable("too many connections are being made to the database already")
        link = _Link(self._engine, self._statements, self._patience, self._connecting)
        self._link = link
        link.open()

    def send(self, command: Work | Wait) -> Any:
        """Carry out work, or wait. Return the work's answer, or True where there is news.

        Raises:
            StorageUnavailable: it took too long, or the connection was closed.
            Exception: what the work or the driver raised.
        """
        if self._link is None:
            raise closed()
        if isinstance(command, Wait):
            return self._link.wait(command)
        return self._link.carry_out(command)

    def close(self) -> None:
        """End the connection, from any thread. Whoever waits on it then waits no longer."""
        if self._link is not None:
            self._link.close()


class _Link:
    """A connection of a blocking driver, from its making to its end."""

    def __init__(
        self,
        engine: Engine,
        statements: type[SqlStatements],
        patience: float,
        connecting: set[object],
    ) -> None:
        self._engine = engine
        self._statements = statements
        self._patience = patience
        self._connecting = connecting
        self._owner = threading.get_ident()
        # A single one, as some drivers let only the thread use a connection that has made it.
        self._thread = LimitedThreads(patience, self._end_thread, most=1)
        self._watcher = threading.Thread(target=self._watch, name="tokenwheel-watch", daemon=True)
        self._is_over = threading.Event()
        self._connection: Connection | None = None
        self._driver: Any = None
        self._to_close: Any = None
        self._line: Line | None = None
        self._listener: Listener | None = None
        self._due_at = inf  # when an answer is late
        self._asked_at: float | None = None

    def open(self) -> None:
        self._thread.call(self._connect, max(self._patience, SHORTEST_CONNECT))
        if self._line is not None:
            self._watcher.start()
        self._call(partial(check_server, self._opened, self._statements))

    def carry_out(self, work: Work) -> Any:
        return self._call(partial(self._work, work))

    def wait(self, wait: Wait) -> bool:
        if self._is_over.is_set():
            raise closed()
        now = steady_time()
        if self._asked_at is None:
            self._asked_at = now
            self._listen()
            return True  # Something may have come since the last look.
        if now - self._asked_at > ASKED_EVERY:
            self._asked_at = now
            self._call(partial(check_takes_writes, self._opened, self._statements))
        if self._listener is None:
            self._is_over.wait(wait.poll_interval)
            is_woken = False
        else:
            is_woken = self._listener.wait(wait.seconds)
        if self._is_over.is_set():
            raise closed()
        return is_woken

    def close(self) -> None:
        self._is_over.set()
        if self._line is not None:
            self._line.cut()
        self._thread.close()
        if self._watcher.is_alive():
            self._watcher.join()
        # A driver is never told to close what another thread still uses.
        if self._line is not None and threading.get_ident() == self._owner:
            self._let_go()

    def _connect(self) -> None:
        attempt = object()
        self._connecting.add(attempt)
        try:
            with ClearedLocals():
                connection = engine_apart(self._engine).connect()
        finally:
            self._connecting.discard(attempt)
        # SQLAlchemy forgets the first with the next line, and both where the connection breaks.
        self._driver = connection.connection.driver_connection
        self._to_close = connection.connection.dbapi_connection
        connection.detach()
        self._connection = connection
        self._line = line_of(self._driver)
        if self._is_over.is_set():  # Nobody waits for it any more.
            self._let_go()

    def _call(self, function: Callable[[], T]) -> T:
        """Call what talks to the server. It ends in time, since the line is cut then."""
        if self._is_over.is_set():
            raise closed()
        if self._line is None:
            return self._thread.call(function)
        self._due_at = steady_time() + self._patience
        try:
            return function()
        except Exception as error:
            if steady_time() > self._due_at:
                raise no_answer(self._patience) from error
            raise
        finally:
            self._due_at = inf

    def _watch(self) -> None:
        """Cut the line when an answer is late, from another thread than the one that waits."""
        while not self._is_over.wait(self._patience / _LOOKS_OF_WATCH):
            if self._line is not None and steady_time() > self._due_at:
                self._line.cut()

    def _work(self, work: Work) -> Any:
        with ClearedLocals(), self._opened.begin():
            return work(self._statements(self._opened))

    def _listen(self) -> None:
        listener = listener_on(self._driver, self._line)
        if self._statements.name != "postgresql" or listener is None:
            return
        listen_to = partial(listen, self._opened, listener)
        if self._call(partial(goes_through_pooler, self._opened, listener.pid)):
            channel = probe_channel()
            self._call(partial(listen_to, channel))
            if not (self._notify(channel) and listener.wait(LONGEST_PROBE)):
                tell_it_polls()
                return
        self._call(partial(listen_to, CHANNEL))
        self._listener = listener

    def _notify(self, channel: str) -> bool:
        """Tell a channel over a second connection. Return False where that failed."""

        def tell() -> None:
            engine = engine_apart(self._engine)
            with ClearedLocals():
                with engine.connect() as second:
                    notify(second, channel)
                engine.dispose()

        # Where a pooler lends nobody a second connection, the thread hangs.
        thread = LimitedThreads(LONGEST_PROBE, most=1)
        try:
            thread.call(tell)
        except Exception:
            return False
        finally:
            thread.close()
        return True

    @property
    def _opened(self) -> Connection:
        if self._connection is None:
            raise closed()
        return self._connection

    def _end_thread(self) -> None:
        if self._line is None:
            self._let_go()

    def _let_go(self) -> None:
        # Not by SQLAlchemy, which would send a rollback first.
        self._connection, to_close, self._to_close = None, self._to_close, None
        if to_close is not None:
            with suppress(Exception):  # It may be broken, and is of no more use.
                to_close.close()
        if self._line is not None:
            self._line.close()

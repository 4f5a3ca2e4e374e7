"""The connection over which a task follows the table of revocations, and waits for news.

``listening.py`` says what it does, and has the same for a thread. No call is awaited beyond
``patience``: where the time is up, the connection is broken off, so that the call ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection as AlchemyConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from ..hidden import ClearedLocals
from ..seconds import steady_time
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
from .drivers import AsyncListener, Line, async_listener_on, hang_up, line_of
from .statements import SqlStatements

__all__ = ["AsyncConnection"]

T = TypeVar("T")

_LONGEST_GOODBYE = 1.0  # seconds


class AsyncConnection:
    """Hold a connection on which a task may wait for news: an ``AsyncLogConnection``.

    Args:
        engine: what lies under the application's ``AsyncEngine``.
        statements: makes the statements on a connection.
        patience: seconds within which an answer must come.
    """

    def __init__(self, engine: Engine, statements: type[SqlStatements], patience: float) -> None:
        self._engine = engine
        self._statements = statements
        self._patience = patience
        self._link: _AsyncLink | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: the tables are not there, or of a later version.
            StorageUnavailable: it took too long, or the server takes no writes.
            Exception: the driver's errors.
        """
        link = self._link = _AsyncLink(self._engine, self._statements, self._patience)
        await link.open()

    async def send(self, command: Work | Wait) -> Any:
        """Carry out work, or wait. Return the work's answer, or True where there is news.

        Raises:
            StorageUnavailable: it took too long, or the connection was closed.
            Exception: what the work or the driver raised.
        """
        if self._link is None:
            raise closed()
        if isinstance(command, Wait):
            return await self._link.wait(command)
        return await self._link.carry_out(command)

    async def close(self) -> None:
        """End the connection. Can be called again."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()


class _AsyncLink:
    """A connection of an asyncio driver, from its making to its end."""

    def __init__(self, engine: Engine, statements: type[SqlStatements], patience: float) -> None:
        self._engine = engine
        self._statements = statements
        self._patience = patience
        self._calls: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self._connection: AlchemyConnection | None = None
        self._driver: Any = None
        self._to_close: Any = None
        self._line: Line | None = None
        self._listener: AsyncListener | None = None
        self._asked_at: float | None = None

    async def open(self) -> None:
        await self._in_time(self._connect(), max(self._patience, SHORTEST_CONNECT))

    async def carry_out(self, work: Work) -> Any:
        return await self._run(partial(self._work, work))

    async def wait(self, wait: Wait) -> bool:
        now = steady_time()
        if self._asked_at is None:
            self._asked_at = now
            await self._listen()
            return True  # Something may have come since the last look.
        if now - self._asked_at > ASKED_EVERY:
            self._asked_at = now
            await self._run(partial(check_takes_writes, kind=self._statements))
        if self._listener is None:
            await asyncio.sleep(wait.poll_interval)
            return False
        return await self._listener.wait(wait.seconds)

    async def close(self) -> None:
        self._is_over = True
        self._connection, to_close, self._to_close = None, self._to_close, None
        if self._calls:
            self._hang_up()
            await asyncio.wait(self._calls, timeout=_LONGEST_GOODBYE)
        if to_close is not None:
            goodbye = self._begin(greenlet_spawn(_close, to_close))
            await asyncio.wait((goodbye,), timeout=_LONGEST_GOODBYE)
            if not goodbye.done():
                self._hang_up()
        if self._line is not None:
            self._line.close()

    async def _connect(self) -> None:
        with ClearedLocals():
            connection = await AsyncEngine(engine_apart(self._engine)).connect()
        # SQLAlchemy forgets the first with the next line, and both where the connection breaks.
        lent = await connection.get_raw_connection()
        self._driver, to_close = lent.driver_connection, lent.dbapi_connection
        await connection.run_sync(Connection.detach)
        if self._is_over:  # though the task was cancelled
            await greenlet_spawn(_close, to_close)
            raise closed()
        self._to_close = to_close
        self._connection = connection
        self._line = line_of(self._driver)
        await connection.run_sync(check_server, self._statements)

    def _work(self, work: Work, connection: Connection) -> Any:
        with ClearedLocals(), connection.begin():
            return work(self._statements(connection))

    async def _listen(self) -> None:
        listener = async_listener_on(self._driver, self._line)
        if self._statements.name != "postgresql" or listener is None:
            return
        is_told = not await self._run(
            partial(goes_through_pooler, pid=listener.pid)
        ) or await self._is_told(listener)
        if not is_told:
            tell_it_polls()
            return
        await self._run(partial(listen, listener=listener, channel=CHANNEL))
        self._listener = listener

    async def _is_told(self, listener: AsyncListener) -> bool:
        channel = probe_channel()
        await self._run(partial(listen, listener=listener, channel=channel))
        telling = self._begin(self._notify(channel))
        await asyncio.wait((telling,), timeout=LONGEST_PROBE)
        if not telling.done() or telling.cancelled() or telling.exception() is not None:
            telling.cancel()
            return False
        return await listener.wait(LONGEST_PROBE)

    async def _notify(self, channel: str) -> None:
        engine = AsyncEngine(engine_apart(self._engine))
        with ClearedLocals():
            async with engine.connect() as second:
                await second.run_sync(notify, channel)
            await engine.dispose()

    async def _run(self, function: Callable[[Connection], T]) -> T:
        if self._connection is None:
            raise closed()
        return await self._in_time(self._connection.run_sync(function), self._patience)

    async def _in_time(self, call: Coroutine[Any, Any, T], seconds: float) -> T:
        task = self._begin(call)
        try:
            await asyncio.wait((task,), timeout=seconds)
            if task.done():
                return task.result()
        finally:
            # Nobody awaits it from here on: its end may hang as the server does.
            if not task.done():
                self._is_over = True
                self._hang_up()
                if self._connection is None:
                    task.cancel()
        raise no_answer(seconds)

    def _begin(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(call)
        # An event loop that is closed meanwhile loses nothing, and need not be told so.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._calls.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # so that asyncio doesn't complain where nobody waits any more

    def _hang_up(self) -> None:
        if self._driver is not None:
            hang_up(self._driver, self._line)


def _close(connection: Any) -> None:
    """Close a connection as SQLAlchemy adapts it, without the rollback that it would send first."""
    with suppress(Exception):  # It may be broken, and is of no more use.
        connection.close()

"""Nodes of a service over one database, blocking and on an event loop, which are called alike.

Each has an engine of its own, as a machine of its own would.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from tests.databases import Database, DatabaseServer
from tests.servers import until
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.sql import SqlFeed, SqlStorage, create_all

# Who shares a session cannot rely on a statement that was prepared in it.
UNPREPARED = {
    "psycopg": {"prepare_threshold": None},
    "psycopg_async": {"prepare_threshold": None},
    "asyncpg": {"prepared_statement_cache_size": 0, "statement_cache_size": 0},
}
ASYNC = {"asyncpg", "psycopg_async", "aiomysql"}


def engine_on(database: Database, driver: str, *, port: int = 0, **options: Any) -> Any:
    """Return a new engine for a driver, over asyncio where the driver's name is in ``ASYNC``."""
    make = create_async_engine if driver in ASYNC else create_engine
    return make(database.url(driver, port=port), **options)


@contextmanager
def tables_in(server: DatabaseServer) -> Iterator[Database]:
    """Make a database with the tables of tokenwheel."""
    driver = {"postgresql": "psycopg", "mysql": "pymysql"}[server.dialect]
    with server.database() as database:
        engine = engine_on(database, driver)
        create_all(engine)
        engine.dispose()
        yield database


class Nodes:
    """Managers over one database. Those over asyncio's drivers all live on one loop.

    Args:
        database: where they keep sessions and revocations.
        driver: how they reach it.
        port: of what leads to the server; 0: the server's own.
        options: of each engine.
    """

    def __init__(self, database: Database, driver: str, *, port: int = 0, **options: Any) -> None:
        self._database = database
        self._options = options
        self._driver = driver
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._stack = ExitStack()
        self._stack.callback(self._loop.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def join(self, clock: Callable[[], float] = time.time, **options: Any) -> Any:
        """Return the manager of one more node, whose feed has these options.

        Over asyncio's drivers its methods return what is awaited.
        """
        engine = engine_on(self._database, self._driver, port=self._port, **self._options)
        self._stack.callback(lambda: self.run(engine.dispose()))
        feed = SqlFeed(engine, clock=clock, **options)
        storage = SqlStorage(engine)
        if not feed.is_async:
            revocations = RevocationList(feed, clock=clock)
            manager: Any = SessionManager(
                SECRET,
                issuer="i",
                audience="a",
                storage=storage,
                revocations=revocations,
                clock=clock,
            )
            self._stack.callback(manager.close)
            return manager
        manager = AsyncSessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=storage,
            revocations=RevocationList(feed, clock=clock),
            clock=clock,
        )
        self._stack.callback(lambda: self.run(manager.close()))
        self.run(manager.__aenter__())
        return _Called(manager, self.run)

    def run(self, answer: Any) -> Any:
        """Run what is awaited to its end. Return the answer."""
        return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

    def until(self, holds: Callable[[], Any], what: str = "what was waited for") -> Any:
        """As ``until``, with a loop that goes on meanwhile."""
        return until(lambda: self._go_on() or holds(), what)

    def insist(self, call: Callable[[], Any]) -> Any:
        """Make the call until it succeeds, as its contract allows. Return what it returned."""
        answers: list[Any] = []

        def succeeds() -> bool:
            try:
                answers.append(call())
            except StorageUnavailable:
                return False
            return True

        self.until(succeeds, "the success of a call")
        return answers[0]

    def _go_on(self) -> None:
        if self._driver in ASYNC:
            self._loop.run_until_complete(asyncio.sleep(0.001))


class _Called:
    """An async manager whose coroutines are run to their end."""

    def __init__(self, manager: AsyncSessionManager, run: Callable[[Any], Any]) -> None:
        self._manager = manager
        self._run = run

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._manager, name)
        if not callable(attribute):
            return attribute
        return lambda *arguments, **options: self._run(attribute(*arguments, **options))


def refuses(manager: Any, token: str) -> bool:
    """Return True if a node refuses a token as revoked, False also where it can't say."""
    try:
        manager.read(token)
    except AccessTokenRevoked:
        return True
    except StorageUnavailable:
        return False
    return False


def is_accepted(manager: Any, token: str) -> bool:
    """Return True if a node accepts a token."""
    try:
        manager.read(token)
    except (AccessTokenRevoked, StorageUnavailable):
        return False
    return True


def stats_of(manager: Any) -> Any:
    """Return what a node's feed has read."""
    return manager._revocations.feed.stats()

"""How statements are carried out over the application's engine, blocking or on an event loop.

The code that talks to the database is the same in both colours: SQLAlchemy runs blocking code of
an ``AsyncEngine`` in a greenlet, which is awaited. Every call ends in time: a blocking one is made
on a thread (``tables/limited_threads.py``), and an awaited one is left alone.

- A connection is lent by the application's pool for one transaction. What the application has open
  on other connections takes no part in it.
- A transaction of several statements runs READ COMMITTED, whatever the engine's isolation level.
- A connection that nobody has used for a while is tried first, as the server may have been started
  anew since. And a transaction that the database has certainly undone is carried out again: where
  it deadlocked, or where the connection broke before the commit.
- A child process of a fork leaves the connections of its parent alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, NullPool, Pool
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.util import greenlet_spawn

from ..errors import StorageUnavailable
from ..event_loop import check_event_loop, running_loop
from ..failures import meaning_of
from ..fork_safety import renew_after_fork
from ..hidden import ClearedLocals
from ..option_checks import check_seconds
from ..seconds import steady_time
from ..tables.limited_threads import LimitedThreads
from ..tables.protocol import Work
from .dialects import statements_for
from .engines import blocking_engine, connect, quiet
from .schema import check_version

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["TIMEOUT", "SqlDatabase"]

TIMEOUT = 5.0  # seconds
_SHORTEST, _LONGEST = 0.1, 3_600.0  # seconds: one hour
_IDLE = 1.0  # seconds, after which a connection is tried before it is used
_ATTEMPTS = 5  # to carry out a transaction that the database has undone each time
_MOST_BROKEN = 100  # connections that are found broken one after another
_USED = "tokenwheel_used"  # when a connection was last used, and in which event loop

# In which process the connections of an engine were made. And those of parent processes, which
# their drivers must not close here.
_made_in: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
_left_to_parents: list[Pool] = []


class SqlDatabase:
    """Reach the tables by an engine of the application's. Safe to share between threads.

    Args:
        engine: an ``Engine`` or an ``AsyncEngine``. No connection is made yet.
        timeout: seconds, 0.1 to 3,600, that a call may take.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(self, engine: Engine | AsyncEngine, timeout: float = TIMEOUT) -> None:
        self.timeout = check_seconds("timeout", timeout, _SHORTEST, _LONGEST)
        self._engine, self.is_async = blocking_engine(engine)
        self._statements = statements_for(self._engine.dialect)
        self._quiet = quiet(self._engine)
        # Where a connection may have broken while nobody used it.
        self._tries_connections = self._statements.name != "sqlite" and not isinstance(
            self._engine.pool, NullPool
        )
        self._threads = None if self.is_async else LimitedThreads(self.timeout)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._is_checked = False
        self._pid = os.getpid()
        _made_in.setdefault(self._engine, self._pid)
        renew_after_fork(self)

    def system(self) -> str:
        """Return the kind of database. MariaDB is told from MySQL once a connection was made."""
        is_mariadb = getattr(self._engine.dialect, "is_mariadb", False)
        return "mariadb" if is_mariadb else self._statements.name

    @property
    def place(self) -> Any:
        """The engine: it is equal for those who reach the same tables over the same connections."""
        return self._engine

    def run(self, work: Work, *, alone: bool = False, afterwards: Work | None = None) -> Any:
        """Carry out work in one transaction of a connection of its own, and commit.

        It may be called again where the database has undone the transaction.

        Args:
            work: is given the statements.
            alone: True where the work is a single statement, which needs no transaction.
            afterwards: further work, once the first is committed. Its failure is nobody's concern.

        Returns:
            What the work returned; with an ``AsyncEngine`` an awaitable of it.

        Raises:
            ConfigurationError: the tables are not there, or of a later version; or no event loop of
                asyncio runs.
            StorageUnavailable: the time was up, or the database refused what was to be written.
            Exception: what the work or the driver raised.
        """
        if self._pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()

        def carry_out() -> Any:
            with ClearedLocals():
                return self._carry_out(work, alone, afterwards)

        if self._threads is None:
            return self._run_async(carry_out)
        return self._threads.call(carry_out)

    def connect(self, patience: float) -> Any:
        """Return a connection for a tail, which takes no place in the engine's pool.

        Args:
            patience: seconds within which an answer must come.
        """
        if self._pid != os.getpid():
            self.renew()
        if self.is_async:
            from .async_listening import AsyncConnection

            return AsyncConnection(self._engine, self._statements, patience)
        from .listening import BlockingConnection

        return BlockingConnection(self._engine, self._statements, patience)

    def close(self) -> Any:
        """Let go of threads. The engine stays the application's to dispose of.

        Can be called again.

        Returns:
            None; with an ``AsyncEngine`` an awaitable of it.
        """
        self._is_closed = True
        if self._threads is None:
            return self._close_async()
        self._threads.close()
        return None

    def renew(self) -> None:
        """Leave, in a child of a fork, the connections to the parent."""
        if _made_in.get(self._engine) != os.getpid():  # Others may use the same engine.
            _left_to_parents.append(self._engine.pool)
            self._engine.dispose(close=False)
            _made_in[self._engine] = os.getpid()
        self._tasks = set()
        self._is_checked = False
        self._pid = os.getpid()  # Last, as another thread goes by it.

    async def _run_async(self, carry_out: Callable[[], Any]) -> Any:
        check_event_loop()
        if self._is_closed:
            raise StorageUnavailable("the storage was closed")
        task = asyncio.ensure_future(greenlet_spawn(carry_out))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        try:
            # The task is not awaited once it is cancelled: its end may hang as the server does.
            await asyncio.wait((task,), timeout=self.timeout)
        finally:
            task.cancel()
        if not task.done():
            raise StorageUnavailable(
                f"the database did not answer within the {self.timeout:g} seconds of timeout"
            )
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # so that asyncio doesn't complain where nobody waits any more

    async def _close_async(self) -> None:
        """Await those calls that have been given up."""
        mine = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        if mine:
            await asyncio.wait(mine, timeout=self.timeout)

    def _carry_out(self, work: Work, alone: bool, afterwards: Work | None) -> Any:
        if not self._is_checked:
            self._transact(check_version, alone=True)
            self._is_checked = True
        answer = self._transact(work, alone=alone)
        if afterwards is not None:
            with suppress(Exception):
                self._transact(afterwards, alone=False)
        return answer

    def _transact(self, work: Work, *, alone: bool) -> Any:
        attempts = 0
        while True:
            is_committing = False
            try:
                with self._connect(alone) as connection:
                    if not alone:
                        self._statements.begin(connection)
                    answer = work(self._statements(connection))
                    is_committing = True
                    connection.commit()
                    connection.info[_USED] = steady_time(), running_loop()
                    return answer
            except (DataError, IntegrityError) as error:
                refusal = meaning_of("the database refused what was to be written", error)
            except DBAPIError as error:
                attempts += 1
                is_broken = error.connection_invalidated and not (alone or is_committing)
                was_undone = is_broken or self._statements.was_undone(error.orig)
                if not was_undone or attempts == _ATTEMPTS:
                    raise
                continue
            raise refusal  # Not from the error, in which the database quotes the row.

    def _connect(self, alone: bool) -> Connection:
        """Borrow a connection that works."""
        level = self._statements.isolation_alone if alone else self._statements.isolation
        for _ in range(_MOST_BROKEN):
            connection = connect(self._quiet, level)
            try:
                self._try(connection)
            except Exception as error:  # any: it may be one of the event loop
                connection.invalidate(error)
                connection.close()
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        return connect(self._quiet, level)

    def _try(self, connection: Connection) -> None:
        """Raise if the connection has been idle for a while and is broken."""
        used_at, loop = connection.info.get(_USED, (-inf, None))
        is_idle = steady_time() - used_at > _IDLE or loop is not running_loop()
        if is_idle and self._tries_connections:
            connection.dialect.do_ping(connection.connection.dbapi_connection)  # type: ignore[arg-type]

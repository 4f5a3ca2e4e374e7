"""Revocations in a SQL database that SQLAlchemy reaches. All but the options is in ``tables``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine

from ..seconds import steady_time, wall_time
from ..tables.feed import TableFeed
from .database import TIMEOUT, SqlDatabase

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["SqlFeed"]


class SqlFeed(TableFeed):
    """Tie the :class:`~tokenwheel.RevocationList` of every process to a table of a SQL database.

    Each process reads the table over a connection of its own, which takes no place in the engine's
    pool. On PostgreSQL the database wakes the processes, with psycopg 3 and asyncpg. Others look
    every ``poll_interval``.

    Args:
        engine: an ``Engine`` or an ``AsyncEngine`` of SQLAlchemy, for PostgreSQL, MySQL, MariaDB or
            a SQLite file. A ``SqlStorage`` of the same engine publishes a revocation in the
            transaction that ends the session. With an ``AsyncEngine``, ``publish`` and ``close``
            return awaitables.
        poll_interval: seconds, 0.05 to 60, between two looks at the table where the database wakes
            nobody. A look is made once a second in any case.
        max_staleness: seconds, 1 to 86,400, for which a node may be cut off until it counts as
            stale.
        when_stale: what ``read`` does on a stale node. ``"accept"``: it goes on with what is known.
            ``"refuse"``: it refuses every token with :class:`~tokenwheel.StorageUnavailable`.
        timeout: seconds, 0.1 to 3,600, that ``publish`` may take, whatever the server does.
        clock: returns Unix seconds. It decides which published revocations still live.
        timer: returns seconds that never run back. It measures staleness.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        poll_interval: float = 0.5,
        max_staleness: float = 10.0,
        when_stale: Literal["accept", "refuse"] = "accept",
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        database = SqlDatabase(engine, timeout)
        super().__init__(
            database,
            poll_interval=poll_interval,
            max_staleness=max_staleness,
            when_stale=when_stale,
            clock=clock,
            timer=timer,
        )
        self._system = database.system

    def __repr__(self) -> str:
        return f"<SqlFeed {self._system()}>"

    @property
    def db_system(self) -> str:
        """What traces name as the kind of database, in the words of OpenTelemetry."""
        return self._system()

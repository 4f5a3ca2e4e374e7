"""Sessions in a SQL database that SQLAlchemy reaches. All but the options is in ``tables``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ..tables.storage import TableStorage
from .database import TIMEOUT, SqlDatabase

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["SqlStorage"]


class SqlStorage(TableStorage):
    """Keep sessions in the application's own database, for any number of machines.

    Of secrets it holds SHA-256 hashes only. The tables are made by ``tokenwheel.sql.create_all``,
    or by Alembic from ``tokenwheel.sql.metadata``.

    Args:
        engine: an ``Engine`` or an ``AsyncEngine`` of SQLAlchemy, for PostgreSQL, MySQL, MariaDB or
            a SQLite file. Disposing of it stays the caller's task. With an ``AsyncEngine`` each
            method returns an awaitable, for ``AsyncSessionManager``. Each call borrows a connection
            from its pool for one transaction.
        timeout: seconds, 0.1 to 3,600, that a call may take, whatever the server does. The wait for
            a connection and connecting are part of it.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(self, engine: Engine | AsyncEngine, *, timeout: float = TIMEOUT) -> None:
        database = SqlDatabase(engine, timeout)
        super().__init__(database)
        self._system = database.system

    def __repr__(self) -> str:
        return f"<SqlStorage {self._system()}>"

    @property
    def db_system(self) -> str:
        """What traces name as the kind of database, in the words of OpenTelemetry."""
        return self._system()

"""Places that keep sessions in SQL databases, beside those of ``tests/places.py``.

What is damaged or lost, is damaged or lost by direct SQL.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import sqlalchemy

from tests.database_server import Database
from tests.places import Driven, Place
from tests.servers import LONGEST_WAIT
from tests.sql_services import empty, make_engine, make_tables
from tokenwheel import RevocationList, SessionManager, SqlFeed, SqlStorage

DRIVERS = {"aiomysql", "aiosqlite", "asyncpg"}
DRIVERS = {"postgresql": ("psycopg", "asyncpg"), "mysql": ("pymysql", "pymysql")}
"""For each dialect the driver of a blocking manager, and that of an async one."""


class SqlPlace(Place):
    """Sessions and revocations where URLs lead: that for blocking managers, or for async ones.

    Each manager has an engine of its own, as each process of a service has.
    """

    def __init__(self, kind: type, url: str, async_url: str) -> None:
        super().__init__(kind)
        self._url = url if kind is SessionManager else async_url
        # What is done behind everybody's back goes a way of its own.
        self._direct = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        empty(url)

    def open(self, **options: Any) -> Driven:
        self._engine = make_engine(self._url)
        driven = super().open(**options)
        driven.disposed_of.append(self._engine)
        return driven

    def close(self) -> None:
        super().close()
        self._direct.dispose()

    def damage(self, session_id: str, **fields: Any) -> None:
        assignments = ", ".join(f"{name} = :{name}" for name in fields)
        self.execute(
            f"UPDATE tokenwheel_sessions SET {assignments} WHERE id = :session_id",
            session_id=session_id,
            **fields,
        )

    def lose(self, session_id: str) -> None:
        self.execute("DELETE FROM tokenwheel_sessions WHERE id = :id", id=session_id)

    def keep_access_lifetime(self, issuer: str, seconds: Any) -> None:
        hashed = hashlib.sha256(issuer.encode()).hexdigest()
        self.execute(
            "UPDATE tokenwheel_values SET number = :seconds WHERE name = :name",
            seconds=seconds,
            name=f"access_lifetime:{hashed}",
        )

    def execute(self, statement: str, **values: Any) -> None:
        with self._direct.begin() as connection:
            connection.execute(sqlalchemy.text(statement), values)

    def _parts(self) -> tuple[Any, Any]:
        # What is tested here takes the time that it takes.
        storage = SqlStorage(self._engine, timeout=LONGEST_WAIT)
        return storage, RevocationList(SqlFeed(self._engine, timeout=LONGEST_WAIT))


def place_on(database: Database, kind: type) -> SqlPlace:
    """Return a place in a server's database, which has the tables."""
    blocking, awaited = DRIVERS[database.server.dialect]
    return SqlPlace(kind, database.url(blocking), database.url(awaited))


def place_in(path: Path, kind: type) -> SqlPlace:
    """Return a place in a file, reached through SQLAlchemy."""
    url = f"sqlite:///{path}"
    make_tables(url)
    return SqlPlace(kind, url, url)

"""Services over SQL databases, set up as an application does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from tests.database_server import Database
from tests.support import SECRET
from tokenwheel import AsyncSessionManager, RevocationList, SessionManager, SqlFeed, SqlStorage
from tokenwheel.sql import create_all

ASYNC_DRIVERS = {"aiomysql", "asyncpg"}


def make_engine(url: str, **options: Any) -> Any:
    """Return an engine, an async one where the URL's driver is."""
    driver = sqlalchemy.make_url(url).get_driver_name()
    if driver in ASYNC_DRIVERS:
        return create_async_engine(url, **options)
    return sqlalchemy.create_engine(url, **options)


def make_manager(engine: Any, **options: Any) -> Any:
    """Return a manager whose sessions and revocations are where an engine leads.

    The manager is an async one where the engine is.
    """
    parts = {name: options.pop(name) for name in ("timeout",) if name in options}
    storage = SqlStorage(engine, **parts)
    kind = AsyncSessionManager if storage.is_async else SessionManager
    return kind(
        SECRET,
        storage=storage,
        revocations=RevocationList(SqlFeed(engine, **parts)),
        **{"issuer": "i", "audience": "a", **options},
    )


@contextmanager
def managed(url: str, **options: Any) -> Iterator[SessionManager]:
    """Make a blocking manager for a while, as a process of a service does."""
    engine = make_engine(url)
    try:
        with make_manager(engine, **options) as manager:
            yield manager
    finally:
        engine.dispose()


def make_tables(url: str) -> None:
    engine = make_engine(url)
    create_all(engine)
    engine.dispose()


def names_of_tables(database: Database) -> list[str]:
    """Return the names of all tables that a database has."""
    driver = "psycopg" if database.server.dialect == "postgresql" else "pymysql"
    engine = make_engine(database.url(driver))
    names = sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
    return names


def empty(url: str) -> None:
    """Remove all sessions, revocations and lifetimes."""
    engine = make_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        for table in ("tokenwheel_sessions", "tokenwheel_revocations"):
            connection.execute(sqlalchemy.text(f"DELETE FROM {table}"))
        connection.execute(
            sqlalchemy.text("DELETE FROM tokenwheel_values WHERE name LIKE 'access_lifetime:%'")
        )

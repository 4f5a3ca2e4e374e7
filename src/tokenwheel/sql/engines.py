"""The application's engine: which one can be used, and how it is used without a word of secrets.

SQLAlchemy's part for asyncio needs greenlet, so nothing here imports it. Whoever has an
``AsyncEngine`` has done so.
"""

from __future__ import annotations

import sys

from sqlalchemy import Connection, Engine, StaticPool
from sqlalchemy.pool import SingletonThreadPool

from ..errors import ConfigurationError
from ..exact import named
from .dialects import statements_for

__all__ = ["blocking_engine", "connect", "quiet"]


def blocking_engine(engine: object) -> tuple[Engine, bool]:
    """Return the engine that SQLAlchemy's blocking code uses, and whether that has to be awaited.

    Args:
        engine: the application's, an ``Engine`` or an ``AsyncEngine``.

    Raises:
        ConfigurationError: it is none, or none of a database that works.
    """
    awaited = sys.modules.get("sqlalchemy.ext.asyncio")
    is_async = awaited is not None and isinstance(engine, awaited.AsyncEngine)
    blocking: object = engine.sync_engine if is_async else engine  # type: ignore[attr-defined]
    if not isinstance(blocking, Engine):
        raise ConfigurationError(
            "engine must be an Engine, as sqlalchemy.create_engine(url) makes one, or an "
            f"AsyncEngine of sqlalchemy.ext.asyncio.create_async_engine(url), not {named(engine)}"
        )
    statements_for(blocking.dialect)
    if isinstance(blocking.pool, StaticPool | SingletonThreadPool):
        raise ConfigurationError(
            "engine must lend each thread a connection to the same database, which one of SQLite "
            "in memory doesn't: name a file in its URL, as sqlite:///sessions.db"
        )
    return blocking, is_async


def quiet(engine: Engine) -> Engine:
    """Return an engine with the same connections that shows no parameters, in errors or its log."""
    ours = engine.execution_options()
    ours.hide_parameters = True
    return ours


def connect(engine: Engine, isolation_level: str | None) -> Connection:
    """Borrow a connection of an engine.

    Args:
        engine: the application's, or what :func:`quiet` has made of it.
        isolation_level: what the connection is set to until it is given back; None: left as is.
    """
    connection = engine.connect()
    if isolation_level is not None:
        try:
            connection.execution_options(isolation_level=isolation_level)
        except BaseException:
            connection.close()
            raise
    return connection

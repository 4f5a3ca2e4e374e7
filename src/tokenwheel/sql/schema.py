"""The version of the tables, and how they are made where no migration makes them.

The version is a row of ``tokenwheel_values``. :func:`create_all` writes it. A migration of Alembic
makes the tables and no row: then whoever uses the tables first writes the version that this library
has, as the migration was made from its metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn

from ..errors import ConfigurationError
from ..tables.names import SCHEMA_VERSION, VERSION_NAME
from .dialects import statements_for
from .engines import blocking_engine, connect, quiet
from .metadata import metadata

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["check_version", "create_all"]

_NO_TABLES = (
    "the database lacks the tables of tokenwheel: call tokenwheel.sql.create_all(engine) once, or "
    "add tokenwheel.sql.metadata to what Alembic migrates (with Django: manage.py migrate)"
)


def create_all(engine: Engine | AsyncEngine) -> Any:
    """Create the tables and indexes that are not there yet.

    Any number of processes may do so at once. An application that migrates by Alembic doesn't need
    this: it names :data:`~tokenwheel.sql.metadata` in ``target_metadata``.

    Args:
        engine: where to create them.

    Returns:
        None; for an ``AsyncEngine`` an awaitable of it.

    Raises:
        ConfigurationError: no engine of a database that works, or one whose tables are of a later
            version.
        Exception: the driver's errors.
    """
    blocking, is_async = blocking_engine(engine)
    return greenlet_spawn(_create, blocking) if is_async else _create(blocking)


def check_version(statements: Any) -> None:
    """Check the version of the tables, and write it where a migration has made them without one.

    Args:
        statements: a :class:`~.statements.SqlStatements` that commits each statement by itself.

    Raises:
        ConfigurationError: the tables are not there, or are of a later version.
    """
    try:
        version = statements.value(VERSION_NAME)
        if version is None:
            for table in metadata.sorted_tables:
                statements.connection.execute(select(table).limit(0))
            version = statements.raise_value(VERSION_NAME, SCHEMA_VERSION)
    except DBAPIError as error:
        if statements.lacks_table(error.orig):
            raise ConfigurationError(_NO_TABLES) from error
        raise
    _check(version)


def _check(version: int) -> None:
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the tables of tokenwheel are of version {version}, "
            f"and this tokenwheel knows none above {SCHEMA_VERSION}"
        )


def _create(engine: Engine) -> None:
    kind = statements_for(engine.dialect)
    with connect(quiet(engine), kind.isolation) as connection:
        statements = kind(connection)
        statements.begin(connection)
        with statements.only_one():
            metadata.create_all(connection)
            # Where a process ended amid this, a table may lack its indexes.
            for table in metadata.sorted_tables:
                for index in table.indexes:
                    index.create(connection, checkfirst=True)
            _check(statements.raise_value(VERSION_NAME, SCHEMA_VERSION))
            connection.commit()

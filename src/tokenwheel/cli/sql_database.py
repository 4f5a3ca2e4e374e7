"""A SQL database, opened for a command by its URL as SQLAlchemy has it.

The commands block. So where a URL names a driver that is awaited, its blocking sibling is taken.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

__all__ = ["PASSWORDS", "SCHEMES", "open_engine"]

PASSWORDS = "PGPASSWORD or MYSQL_PWD"  # as psql and mysql have them

_LONGEST_WAIT = 5  # seconds until a connection stands
_NO_URL = "that is not the URL of a database: postgresql://user@host:5432/name"
_FORGOTTEN = {"", ":memory:"}  # databases that end with the process


class _Kind(NamedTuple):
    backend: str  # as SQLAlchemy calls it
    driver: str  # the one that is taken where the URL names none
    awaited: tuple[str, ...]  # drivers that are awaited, for each of which that one stands in
    password: str | None  # the variable of the environment that holds it


_POSTGRESQL = _Kind("postgresql", "psycopg", ("asyncpg", "psycopg_async"), "PGPASSWORD")
_AWAITED_ON_MYSQL = "aiomysql", "asyncmy"
_KINDS = {
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "mysql": _Kind("mysql", "pymysql", _AWAITED_ON_MYSQL, "MYSQL_PWD"),
    "mariadb": _Kind("mariadb", "pymysql", _AWAITED_ON_MYSQL, "MYSQL_PWD"),
    "sqlite": _Kind("sqlite", "pysqlite", ("aiosqlite",), None),
}
SCHEMES = tuple(_KINDS)
"""What a URL may begin with, before the name of a driver."""

_TO_INSTALL = {
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "pymysql": "pymysql",
    "mysqldb": "mysqlclient",
}


@contextmanager
def open_engine(given: str) -> Iterator[Engine]:
    """Yield an engine for the URL of a database, once that has let us in.

    Raises:
        ConfigurationError: that is no such URL, or SQLAlchemy or the driver is missing.
        StorageUnavailable: what is done within the block met an error of the database's.
    """
    library = _library()
    kind = _KINDS[given.partition(":")[0].partition("+")[0]]
    url = _address(library, kind, given)
    options = {} if kind.backend == "sqlite" else {"connect_timeout": _LONGEST_WAIT}
    engine = _engine(library, url, options)
    errors = library.exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error
    try:
        engine.connect().close()  # So that what a URL has wrong is said as such.
        yield engine
    except errors as error:
        raise StorageUnavailable(
            "the database could not be reached, refused this user or password, or answered an "
            f"error ({_named(error)})"
        ) from error
    finally:
        engine.dispose()


def _library() -> Any:
    try:
        return importlib.import_module("sqlalchemy")
    except ImportError:
        raise ConfigurationError(
            "for a database's URL SQLAlchemy is needed: pip install 'tokenwheel[sql]'"
        ) from None


def _address(library: Any, kind: _Kind, given: str) -> URL:
    """Return the URL with a driver that blocks, and with the password of the environment."""
    url: URL | None = None
    # An error of the library's may hold some of the URL in its text, and must not be the context.
    with suppress(library.exc.ArgumentError, ValueError):
        url = library.make_url(given)
    if url is None:
        raise ConfigurationError(_NO_URL)
    _, _, driver = url.drivername.partition("+")
    if driver in kind.awaited and url.query:
        raise ConfigurationError(
            f"the command needs a driver that blocks, and the URL's options are for {driver}: "
            f"give the URL as {kind.driver} takes it, {kind.backend}+{kind.driver}://"
        )
    if not driver or driver in kind.awaited:
        driver = kind.driver
    url = url.set(drivername=f"{kind.backend}+{driver}")
    if kind.password is None:
        return _existing(url)
    if url.password is not None or "password" in url.query:
        print(
            f"tokenwheel: every user of this machine can see a password in a command; "
            f"{kind.password} keeps it out of sight",
            file=sys.stderr,
        )
        return url
    return url.set(password=os.environ.get(kind.password))


def _existing(url: URL) -> URL:
    """Return the URL of a file that is there: a mistyped name must not make one."""
    if (url.database or "") in _FORGOTTEN:
        raise ConfigurationError("a database in memory is another one in each process")
    if not Path(str(url.database)).exists():
        raise ConfigurationError("there is no such database file")
    return url


def _engine(library: Any, url: URL, options: dict[str, Any]) -> Engine:
    driver = url.get_driver_name()
    engine: Engine | None = None
    with suppress(ImportError, library.exc.NoSuchModuleError):
        engine = library.create_engine(url, connect_args=options)
    if engine is None:
        cure = f": pip install {_TO_INSTALL[driver]}" if driver in _TO_INSTALL else ""
        raise ConfigurationError(f"the driver of the database is not installed{cure}")
    return engine


def _named(error: Any) -> str:
    """Return what met the database, by class and number: a text may hold an address or a name."""
    original = getattr(error, "orig", None) or error
    number = getattr(original, "sqlstate", None) or next(iter(original.args), None)
    is_number = isinstance(number, int) or (isinstance(number, str) and len(number) == 5)
    return f"{type(original).__name__} {number}" if is_number else type(original).__name__

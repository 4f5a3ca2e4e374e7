"""Connections to the user's databases that only this library uses.

Each is as ``DATABASES`` says, but for this:

- It is in no transaction of the application's, whatever ``ATOMIC_REQUESTS`` and ``AUTOCOMMIT`` say,
  and comes from no pool: who holds a connection of the pool and waits for another may wait for
  ever.
- Transactions are READ COMMITTED. In SQLite those that write begin with the lock for writing, since
  one that has read first may be refused it later.
- It is kept for a minute at least. ``CONN_MAX_AGE`` is 0 by default, for one connection a request.
  Where it was not used for a second, it is tried first.
- It gives up in time where the driver can do that.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from django.db import connections

from ..errors import ConfigurationError
from ..exact import named, text_of

__all__ = ["checked_alias", "is_outdated", "keep_for_ever", "own_connection"]

_KEPT_AT_LEAST = 60  # seconds
_LEAST_OF_LIBPQ = 2  # seconds: it takes less for that
_SHARE_OF_SQLITE = 0.9  # of the timeout: that the file is locked says more than that time was up

_kept: list[Any] = []


def checked_alias(using: object) -> str:
    """Return the alias of a database.

    Raises:
        ConfigurationError: ``DATABASES`` has none of this name.
    """
    alias = text_of(using)
    if alias is None:
        raise ConfigurationError(f"using must be an alias in DATABASES, not {named(using)}")
    if alias not in connections.settings:
        raise ConfigurationError(f"using is {alias!r}, and DATABASES has no database of that name")
    return alias


def own_connection(alias: str, timeout: float, *, mostly_reads: bool = False) -> Any:
    """Return a new connection of the calling thread, which is opened when it is first used.

    Args:
        alias: of the database.
        timeout: seconds after which the driver gives up, where it can.
        mostly_reads: True where a transaction in SQLite must not wait for who writes.
    """
    connection: Any = connections.create_connection(alias)
    given = connection.settings_dict
    max_age = given["CONN_MAX_AGE"]
    connection.settings_dict = {
        **given,
        "ATOMIC_REQUESTS": False,
        "AUTOCOMMIT": True,
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": max_age if max_age is None else max(max_age, _KEPT_AT_LEAST),
        "OPTIONS": _own_options(connection, given["OPTIONS"], timeout, mostly_reads),
    }
    # With DEBUG, Django would keep and log each statement with its values: hashes and ids.
    connection.make_debug_cursor = connection.make_cursor
    return connection


def is_outdated(connection: Any) -> bool:
    """Return True where ``DATABASES`` names another database now, as it does when tests begin."""
    given = connections.settings[connection.alias]
    return bool(given["NAME"] != connection.settings_dict["NAME"])


def keep_for_ever(connection: Any) -> None:
    """Let a connection that a child of a fork inherited never be closed.

    To close it would tell the server that the parent is done with it.
    """
    _kept.append(connection)
    try:
        import ctypes
    except ImportError:
        return
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _own_options(
    connection: Any, given: dict[str, Any], timeout: float, mostly_reads: bool
) -> dict[str, Any]:
    seconds = ceil(timeout)
    options = {name: value for name, value in given.items() if name != "pool"}
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        options["isolation_level"] = IsolationLevel.READ_COMMITTED
        options.setdefault("connect_timeout", max(seconds, _LEAST_OF_LIBPQ))
    elif connection.vendor == "mysql":
        options["isolation_level"] = "read committed"
        if connection.Database.__name__ in ("MySQLdb", "pymysql"):
            for name in ("connect_timeout", "read_timeout", "write_timeout"):
                options.setdefault(name, seconds)
    elif connection.vendor == "sqlite":
        options["timeout"] = timeout * _SHARE_OF_SQLITE
        options["transaction_mode"] = "DEFERRED" if mostly_reads else "IMMEDIATE"
    return options

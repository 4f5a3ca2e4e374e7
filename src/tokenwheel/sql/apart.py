"""A connection apart from the application's pool, as a tail needs it, and what it must be asked.

It is made as the application's are: with the same arguments, events and execution options. Nothing
here awaits. On an event loop these functions run where SQLAlchemy awaits for them.
"""

from __future__ import annotations

import logging
import os
import secrets
from typing import Any

from sqlalchemy import Connection, Engine

from ..errors import StorageUnavailable
from .drivers import AsyncListener, Listener
from .schema import check_version
from .statements import SqlStatements

__all__ = [
    "ASKED_EVERY",
    "LONGEST_PROBE",
    "SHORTEST_CONNECT",
    "check_server",
    "check_takes_writes",
    "closed",
    "engine_apart",
    "goes_through_pooler",
    "listen",
    "no_answer",
    "notify",
    "probe_channel",
    "tell_it_polls",
]

logger = logging.getLogger("tokenwheel")

SHORTEST_CONNECT = 2.0
"""Seconds that connecting may take at least: the way to a far server is gone many times."""
LONGEST_PROBE = 1.0
"""Seconds within which a notification comes where any does."""
ASKED_EVERY = 5.0
"""Seconds between two questions whether the server still takes writes."""

_READ_ONLY = {
    "postgresql": (
        "SELECT pg_is_in_recovery()::int, (current_setting('transaction_read_only') = 'on')::int"
    ),
    "mysql": "SELECT @@global.read_only, @@global.innodb_read_only",
}
_NO = {0, "0", "OFF", None}
_have_told: set[int] = set()  # the process that has said that it polls


def engine_apart(engine: Engine) -> Engine:
    """Return an engine with a pool of its own, which connects as the application's engine does.

    On its connections each statement is committed by itself.
    """
    options = {**engine.get_execution_options(), "isolation_level": "AUTOCOMMIT"}
    return Engine(
        engine.pool.recreate(),
        engine.dialect,
        engine.url,
        execution_options=options,
        hide_parameters=True,
    )


def check_server(connection: Connection, kind: type[SqlStatements]) -> None:
    """Check that a new connection leads to our tables, and to where they are written.

    Raises:
        ConfigurationError: the tables are not there, or of a later version.
        StorageUnavailable: the server takes no writes.
    """
    check_takes_writes(connection, kind)
    with connection.begin():
        check_version(kind(connection))
        if kind.name == "mysql":
            # So that a locking read locks rows, and no room for new ones between them.
            connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def check_takes_writes(connection: Connection, kind: type[SqlStatements]) -> None:
    """Check that the server is no replica, whose news may be old.

    Raises:
        StorageUnavailable: it takes no writes.
    """
    question = _READ_ONLY.get(kind.name)
    if question is None:
        return
    with connection.begin():
        answer: Any = connection.exec_driver_sql(question).one()
    if not _NO.issuperset(answer):
        raise StorageUnavailable("the database takes no writes now, so its news may be old")


def goes_through_pooler(connection: Connection, pid: int) -> bool:
    """Return True if the server's process is another than the driver was told of (PostgreSQL)."""
    with connection.begin():
        return bool(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != pid)


def probe_channel() -> str:
    """Return the name of a channel that nobody else uses."""
    return f"tokenwheel_probe_{secrets.token_hex(8)}"


def notify(connection: Connection, channel: str) -> None:
    """Tell who listens to a channel of PostgreSQL."""
    with connection.begin():
        connection.exec_driver_sql(f'NOTIFY "{channel}"')


def tell_it_polls() -> None:
    """Say, once in each process, that no notification comes."""
    if os.getpid() in _have_told:
        return
    _have_told.add(os.getpid())
    logger.warning(
        "the database cannot wake this process, as through PgBouncer in transaction mode, "
        "so the table of revocations is looked at every poll_interval"
    )


def listen(connection: Connection, listener: Listener | AsyncListener, channel: str) -> None:
    """Have a listener hear what is told to a channel of PostgreSQL from here on."""
    with connection.begin():
        listener.listen(connection, channel)


def closed() -> StorageUnavailable:
    """Return the error for whoever uses a connection that was closed."""
    return StorageUnavailable("the connection to the database was closed")


def no_answer(seconds: float) -> StorageUnavailable:
    """Return the error for whoever has waited for the server in vain."""
    return StorageUnavailable(f"the database did not answer within {seconds:g} seconds")

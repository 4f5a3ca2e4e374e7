"""What ``tokenwheel doctor`` says of a SQL database where a service keeps its sessions.

It only asks, and makes no table. What it sends to listeners goes over a channel of its own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import StorageUnavailable, TokenwheelError
from ..tables.limited_threads import LimitedThreads
from .findings import Finding, good, note, wrong
from .sql_database import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["examine_database"]

_LONGEST_EXAMINATION = 15.0  # seconds, until a server counts as one that hangs
_LONGEST_WAIT = 2  # seconds for a notification to come
_NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
_OFF = {"0", "OFF"}
_SESSIONS, _REVOCATIONS = "tokenwheel_sessions", "tokenwheel_revocations"
_VALUES = "tokenwheel_values"
_RIGHTS = {
    _SESSIONS: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    _REVOCATIONS: ("SELECT", "INSERT", "UPDATE", "DELETE"),  # UPDATE: to lock what it removes
    _VALUES: ("SELECT", "INSERT", "UPDATE"),
}
# No right to the sequence of an identity column is needed, as Django makes one.
_MAY_NUMBER = """
    SELECT attidentity <> ''
        OR has_sequence_privilege(pg_get_serial_sequence(:table, attname), 'USAGE')
    FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = 'position'
"""


def examine_database(url: str) -> Iterator[Finding]:
    """Yield what the URL of a database leads to, and how that stands."""
    found: list[Finding] = []
    threads = LimitedThreads(_LONGEST_EXAMINATION)
    try:
        # No time limit of a driver holds against a server that takes a question and hangs.
        threads.call(lambda: _examine(url, found))
    except StorageUnavailable:
        found.append(wrong("answers", "the server did not answer in time"))
    threads.close()
    yield from found


def _examine(url: str, found: list[Finding]) -> None:
    """Add what was found to a list, one by one, so that the first are there where it hangs."""
    try:
        with open_engine(url) as opened:
            engine = opened.execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                found.extend(_findings(engine, connection))
    except TokenwheelError as error:
        found.append(wrong("server", str(error)))


def _findings(engine: Engine, connection: Connection) -> Iterator[Finding]:
    yield good("server", _round_trip(connection))
    yield good("release", _release(connection))
    if connection.dialect.name != "sqlite":
        yield from _server(connection)
    is_there = yield from _tables(connection)
    if is_there:
        yield from _contents(connection)
    if connection.dialect.name == "postgresql":
        yield from _rights(connection) if is_there else ()
        yield _listening(engine, connection)


def _ask(connection: Connection, question: str, **values: Any) -> Any:
    """Return the first value of the answer, or None where this user may not ask."""
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    try:
        return connection.execute(text(question), values).scalar()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return None


def _round_trip(connection: Connection) -> str:
    start = time.perf_counter()
    _ask(connection, "SELECT 1")
    milliseconds = (time.perf_counter() - start) * 1000
    return f"it answers; a round trip took {milliseconds:.1f} ms"


def _release(connection: Connection) -> str:
    dialect: Any = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    numbers = dialect.server_version_info or ("?",)
    return f"{_NAMES[name]} {'.'.join(map(str, numbers))}"


def _server(connection: Connection) -> Iterator[Finding]:
    if connection.dialect.name == "postgresql":
        is_standby = bool(_ask(connection, "SELECT pg_is_in_recovery()"))
        is_closed = _ask(connection, "SHOW transaction_read_only") == "on"
        is_kept = _ask(connection, "SHOW synchronous_commit") != "off"
        is_whole = _ask(connection, "SHOW fsync") != "off"
    else:
        is_standby = str(_ask(connection, "SELECT @@global.read_only")).upper() not in _OFF
        is_closed = False
        is_kept = str(_ask(connection, "SELECT @@innodb_flush_log_at_trx_commit")) == "1"
        is_whole = True
    yield (
        wrong("role", "a standby, which takes no writes: give the primary")
        if is_standby
        else wrong("role", "this user's transactions are read-only: let them write")
        if is_closed
        else good("role", "it takes writes")
    )
    yield (
        wrong("durability", "a crash can destroy the database: set fsync on")
        if not is_whole
        else good("durability", "every write is kept")
        if is_kept
        else note("durability", "a crash loses what was written last")
    )


def _tables(connection: Connection) -> Generator[Finding, None, bool]:
    """Yield how the tables stand. Return True if their contents can be looked at."""
    from sqlalchemy import inspect

    from ..tables.names import SCHEMA_VERSION

    inspector = inspect(connection)
    missing = [name for name in _RIGHTS if not inspector.has_table(name)]
    if missing:
        yield wrong(
            "tables",
            f"{', '.join(missing)} missing: make them by tokenwheel.sql.create_all, by Alembic or "
            "by manage.py migrate",
        )
        return False
    question = f"SELECT coalesce(max(number), 0) FROM {_VALUES} WHERE name = 'schema_version'"  # noqa: S608 - ours
    version = _ask(connection, question)
    yield (
        wrong("tables", f"this user may not read {_VALUES}")
        if version is None
        else good("tables", "made, and not used yet")
        if version == 0
        else good("tables", f"version {version}")
        if version <= SCHEMA_VERSION
        else wrong("tables", f"version {version}, and this release knows up to {SCHEMA_VERSION}")
    )
    return True


def _contents(connection: Connection) -> Iterator[Finding]:
    for name, table, end in (
        ("sessions", _SESSIONS, "ends_at"),
        ("revocations kept", _REVOCATIONS, "expires_at"),
    ):
        question = f"SELECT count(*) FROM {table} WHERE {end} > :now"  # noqa: S608 - of the two above
        count = _ask(connection, question, now=time.time())
        yield (
            wrong(name, "this user may not read them")
            if count is None
            else good(name, f"{count:,}")
        )


def _rights(connection: Connection) -> Iterator[Finding]:
    question = "SELECT has_table_privilege(:table, :right)"
    missing = [
        f"{right} on {table}"
        for table, rights in _RIGHTS.items()
        for right in rights
        if not _ask(connection, question, table=table, right=right)
    ]
    if not _ask(connection, _MAY_NUMBER, table=_REVOCATIONS):
        missing.append(f"USAGE on the sequence of {_REVOCATIONS}")
    yield (
        wrong("rights", f"this user lacks {', '.join(missing)}")
        if missing
        else good("rights", "this user may read and write the tables")
    )


def _listening(engine: Engine, connection: Connection) -> Finding:
    """Return whether a notification gets through, as none does by way of a pool of transactions."""
    if engine.driver != "psycopg":
        return note("listening", "tried with psycopg alone: pip install 'psycopg[binary]'")
    channel = f"tokenwheel_doctor_{secrets.token_hex(8)}"
    with engine.connect() as other:
        listener: Any = other.connection.driver_connection
        listener.execute(f"LISTEN {channel}")
        connection.exec_driver_sql(f"NOTIFY {channel}")
        heard = list(listener.notifies(timeout=_LONGEST_WAIT, stop_after=1))
        listener.execute(f"UNLISTEN {channel}")
    return (
        good("listening", "a notification gets through: others hear of a logout at once")
        if heard
        else note(
            "listening",
            "no notification gets through, as behind PgBouncer in transaction mode: others hear "
            "of a logout after poll_interval; give SqlFeed an engine that leads to the server",
        )
    )

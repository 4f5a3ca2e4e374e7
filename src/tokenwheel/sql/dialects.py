"""What is particular to PostgreSQL and SQLite, and which statements go with which dialect.

That is how they lock, how a transaction begins, and which errors mean what. MySQL and MariaDB have
``mysql.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Double,
    Integer,
    String,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import ConfigurationError
from ..revocation.protocol import Revocation
from ..tables.names import CHANNEL, LOCK_CLASS, LONGEST_LOCK
from .metadata import revocations as log
from .metadata import sessions, values
from .mysql import MysqlStatements
from .statements import (
    ENDED_REVOCATIONS,
    ENDED_SESSIONS,
    UPSERT,
    SqlStatements,
    log_values,
)

__all__ = ["statements_for"]

# The lock under which tables are created. The numbers of others begin at zero.
_CREATION = -1


class PostgresqlStatements(SqlStatements):
    """PostgreSQL: advisory locks, and news for those who listen."""

    name = "postgresql"
    isolation_alone = "AUTOCOMMIT"
    isolation = "READ COMMITTED"

    # An expression with a lock is evaluated once, where a subquery might be once a row.
    _ended_sessions = ENDED_SESSIONS.with_for_update(skip_locked=True).cte("ended")
    _ended_revocations = ENDED_REVOCATIONS.with_for_update(skip_locked=True).cte("ended")
    _remove_sessions = delete(sessions).where(sessions.c.id.in_(select(_ended_sessions.c.id)))
    _remove_revocations = delete(log).where(
        log.c.position.in_(select(_ended_revocations.c.position))
    )
    _inserted = postgresql.insert(values).values(UPSERT)
    _raise_value = _inserted.on_conflict_do_update(
        index_elements=[values.c.name],
        set_={"number": func.greatest(values.c.number, _inserted.excluded.number)},
    )
    _lock = select(
        func.set_config("lock_timeout", LONGEST_LOCK, true()),
        func.pg_advisory_xact_lock(LOCK_CLASS, bindparam("number", type_=Integer)),
    )
    # The rows are five parameters, however many they are.
    _news = func.unnest(
        bindparam("mark", type_=postgresql.ARRAY(String)),
        bindparam("session_id", type_=postgresql.ARRAY(String)),
        bindparam("expires_at", type_=postgresql.ARRAY(Double)),
        bindparam("before", type_=postgresql.ARRAY(BigInteger)),
        bindparam("published_at", type_=postgresql.ARRAY(Double)),
    ).table_valued("mark", "session_id", "expires_at", "before", "published_at", name="news")
    _append = select(func.pg_notify(CHANNEL, "")).add_cte(
        insert(log)
        .from_select([column.name for column in _news.c], select(_news.render_derived()))
        .cte("appended")
    )
    _writers = select(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text))
    _oldest_writer = select(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text))

    @classmethod
    def begin(cls, connection: Connection) -> None:
        """Begin a transaction, as the driver does with its first statement."""
        connection.begin()

    @staticmethod
    def lacks_table(error: BaseException | None) -> bool:
        """Return True where this error of the driver says that a table isn't there."""
        return _sqlstate(error) == "42P01"

    @staticmethod
    def was_undone(error: BaseException | None) -> bool:
        """Return True for a serialization failure and for a deadlock."""
        return _sqlstate(error) in {"40001", "40P01"}

    def only_one(self) -> AbstractContextManager[object]:
        """Hold a lock of its own until the transaction ends."""
        self.lock(_CREATION)
        return nullcontext()

    def lock(self, number: int) -> None:
        """Hold an advisory lock of this number until the transaction ends."""
        self.connection.execute(self._lock, {"number": number})

    def append(self, revocations: Sequence[Revocation], published_at: float) -> None:
        """Add a row to the log for each revocation, and wake who listens, by one statement."""
        rows = [log_values(revocation, published_at) for revocation in revocations]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        self.connection.execute(self._append, columns)

    def writers(self) -> Any:
        """Return the id that the next transaction gets."""
        return int(self.connection.execute(self._writers).scalar_one())

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True if each transaction that is running now has begun later."""
        oldest: int = int(self.connection.execute(self._oldest_writer).scalar_one())
        return bool(oldest >= writers)


class SqliteStatements(SqlStatements):
    """SQLite: one transaction writes at a time."""

    name = "sqlite"
    isolation_alone = "AUTOCOMMIT"
    isolation = "AUTOCOMMIT"

    _remove_sessions = delete(sessions).where(sessions.c.id.in_(ENDED_SESSIONS))
    _remove_revocations = delete(log).where(log.c.position.in_(ENDED_REVOCATIONS))
    _inserted = sqlite.insert(values).values(UPSERT)
    _raise_value = _inserted.on_conflict_do_update(
        index_elements=[values.c.name],
        set_={"number": func.max(values.c.number, _inserted.excluded.number)},
    )

    @classmethod
    def begin(cls, connection: Connection) -> None:
        """Begin a transaction that writes, so that it never has to be undone for another."""
        connection.begin()
        # The driver, or a listener of the application's, may have begun one that only reads.
        if getattr(connection.connection.driver_connection, "in_transaction", False):
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @staticmethod
    def lacks_table(error: BaseException | None) -> bool:
        """Return True where this error of the driver says that a table isn't there."""
        return "no such table" in str(error)

    @staticmethod
    def was_undone(error: BaseException | None) -> bool:
        """Return False: no transaction is undone for another."""
        return False

    def lock(self, number: int) -> None:
        """Do nothing, since the transaction is the only one that writes."""

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True: a position is given out while nobody else writes."""
        return True


_STATEMENTS: dict[str, type[SqlStatements]] = {
    "postgresql": PostgresqlStatements,
    "mysql": MysqlStatements,
    "mariadb": MysqlStatements,
    "sqlite": SqliteStatements,
}


def statements_for(dialect: Dialect) -> type[SqlStatements]:
    """Return the statements as a dialect of SQLAlchemy needs them.

    Raises:
        ConfigurationError: there are none; names the dialects that work.
    """
    statements = _STATEMENTS.get(dialect.name)
    if statements is None:
        raise ConfigurationError(
            f"engine must be one of {', '.join(sorted(_STATEMENTS))}, not of {dialect.name}"
        )
    return statements


def _sqlstate(error: BaseException | None) -> object:
    """Return the code of an error of PostgreSQL, as one of its drivers has it."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)

"""What Django's ORM has nothing for: locks, news for who listens, and who writes, by database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import OperationalError

from ..revocation.protocol import Revocation
from ..tables.names import CHANNEL, LOCK_CLASS, LONGEST_LOCK, name_of_lock
from .statements import DjangoStatements, entry_values

__all__ = ["statements_on", "takes_no_writes"]

_APPEND = """
    WITH appended AS (
        INSERT INTO tokenwheel_revocations (mark, session_id, expires_at, before, published_at)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[], %s::bigint[], %s::float8[])
    )
    SELECT pg_notify(%s, '')
"""
_RAISE = """
    INSERT INTO tokenwheel_values (name, number) VALUES (%s, %s)
    ON DUPLICATE KEY UPDATE number = GREATEST(number, VALUES(number))
"""
_IS_LOCKED = {1205, 3572}  # MariaDB's number, and MySQL's


class PostgresqlStatements(DjangoStatements):
    """PostgreSQL: advisory locks, and news for those who listen."""

    def lock(self, number: int) -> None:
        """Hold an advisory lock of this number until the transaction ends."""
        self._ask(
            "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s, %s)",
            [LONGEST_LOCK, LOCK_CLASS, number],
        )

    def append(self, revocations: Sequence[Revocation], published_at: float) -> None:
        """Add a row to the log for each revocation, and wake who listens, by one statement."""
        rows = [entry_values(revocation, published_at) for revocation in revocations]
        self._ask(_APPEND, [*map(list, zip(*rows, strict=True)), CHANNEL])

    def writers(self) -> Any:
        """Return the id that the next transaction gets."""
        return int(self._ask("SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True if each transaction that is running now has begun later."""
        oldest = int(self._ask("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"))
        return oldest >= int(writers)

    def _ask(self, statement: str, arguments: Sequence[Any] = ()) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchone()[0]


class MysqlStatements(DjangoStatements):
    """MySQL and MariaDB: locks of rows."""

    def lock(self, number: int) -> None:
        """Hold the lock of a row, which is added where nobody has used it before."""
        self._raise(name_of_lock(number), 0)

    def raise_value(self, name: str, number: int) -> int:
        """Keep ``number`` under a name, unless a higher one is kept. Return what is kept."""
        kept = self.value(name)
        if kept is None or kept < number:
            self._raise(name, number)
            kept = self.value(name)
        return number if kept is None else kept

    def _raise(self, name: str, number: int) -> None:
        # A plain INSERT that meets a row locks it for reading. Then two who both go on to write
        # wait for each other.
        with self.connection.cursor() as cursor:
            cursor.execute(_RAISE, [name, number])

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True if no row in this range is being added by another transaction."""
        rows = self._log.filter(position__range=(first, last)).select_for_update(nowait=True)
        try:
            list(rows.values_list("position"))
        except OperationalError as error:
            if error.args and error.args[0] in _IS_LOCKED:
                return False
            raise
        return True


class SqliteStatements(DjangoStatements):
    """SQLite: one transaction writes at a time."""

    def lock(self, number: int) -> None:
        """Do nothing, since the transaction is the only one that writes."""

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True: a position is given out while nobody else writes."""
        return True


_STATEMENTS: dict[str, type[DjangoStatements]] = {
    "postgresql": PostgresqlStatements,
    "mysql": MysqlStatements,
    "sqlite": SqliteStatements,
}
_READ_ONLY = {
    "postgresql": "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool",
    "mysql": "SELECT @@global.read_only",
}


def statements_on(connection: Any) -> DjangoStatements:
    """Return the statements on a connection of Django, as its database needs them."""
    return _STATEMENTS.get(connection.vendor, DjangoStatements)(connection)


def takes_no_writes(connection: Any) -> bool:
    """Return True where the server says that it takes none, as a replica."""
    statement = _READ_ONLY.get(connection.vendor)
    if statement is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return bool(cursor.fetchone()[0])

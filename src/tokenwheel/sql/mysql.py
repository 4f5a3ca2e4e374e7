"""What is particular to MySQL from 8.0 and to MariaDB from 10.6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import floor
from typing import Any

from sqlalchemy import (
    Connection,
    LargeBinary,
    String,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError

from ..tables.names import name_of_lock
from ..tables.rows import CHANGING_COLUMNS, SESSION_COLUMNS
from .metadata import revocations as log
from .metadata import sessions, values
from .statements import ENDED_REVOCATIONS, ENDED_SESSIONS, OF_THIS_VERSION, UPSERT, SqlStatements

__all__ = ["MysqlStatements"]

_CREATION = "tokenwheel_tables"  # the name of the lock under which tables are created
_LONGEST_CREATION = 60  # seconds


def _sent_by_mysql(name: str) -> Any:
    """Return what stands for the value of a session's column in a statement."""
    if isinstance(sessions.c[name].type, LargeBinary):
        return func.unhex(bindparam(name, type_=String))
    return bindparam(name)


class MysqlStatements(SqlStatements):
    """MySQL from 8.0 and MariaDB from 10.6: locks of rows."""

    name = "mysql"
    # What is alone runs as the engine has it: a change would cost round trips.
    isolation_alone = None
    isolation = None

    # Bytes are sent as hexadecimal digits, since aiomysql 0.3 can send none with PyMySQL 1.2
    # (aio-libs/aiomysql#1080).
    _insert_session = insert(sessions).values(
        {name: _sent_by_mysql(name) for name in SESSION_COLUMNS}
    )
    _replace_session = (
        update(sessions)
        .where(*OF_THIS_VERSION)
        .values({name: _sent_by_mysql(name) for name in CHANGING_COLUMNS})
    )
    # A DELETE of these databases skips no row that is locked.
    _ended_sessions = ENDED_SESSIONS.with_for_update(skip_locked=True)
    _ended_revocations = ENDED_REVOCATIONS.with_for_update(skip_locked=True)
    _inserted = mysql.insert(values).values(UPSERT)
    _raise_value = _inserted.on_duplicate_key_update(
        number=func.greatest(values.c.number, _inserted.inserted.number)
    )
    _keep_value = _inserted.on_duplicate_key_update(number=values.c.number)
    _lock = select(values.c.number).where(values.c.name == bindparam("of_name")).with_for_update()

    @classmethod
    def begin(cls, connection: Connection) -> None:
        """Begin a transaction, also where the engine commits each statement by itself."""
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql("START TRANSACTION")

    @staticmethod
    def lacks_table(error: BaseException | None) -> bool:
        """Return True where this error of the driver says that a table isn't there."""
        return _number(error) == 1146

    @staticmethod
    def was_undone(error: BaseException | None) -> bool:
        """Return True for a deadlock."""
        return _number(error) == 1213

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Hold a lock of the connection, since a new table ends a transaction."""
        self.connection.execute(select(func.get_lock(_CREATION, _LONGEST_CREATION)))
        try:
            yield
        finally:
            self.connection.execute(select(func.release_lock(_CREATION)))

    def lock(self, number: int) -> None:
        """Hold the lock of a row, which is added where nobody has used it before."""
        name = name_of_lock(number)
        if self.connection.execute(self._lock, {"of_name": name}).first() is None:
            self.connection.execute(self._keep_value, {"name": name, "number": 0})

    @staticmethod
    def _sent(row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a session's columns, with digits in the place of bytes."""
        return {
            name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()
        }

    def remove_sessions(self, ended_before: float, most: int) -> int:
        """Remove sessions that ended, the oldest first, but those that others have locked."""
        arguments = {"ended_before": floor(ended_before), "most": most}
        ids = self.connection.scalars(self._ended_sessions, arguments).all()
        if not ids:
            return 0
        return self.connection.execute(delete(sessions).where(sessions.c.id.in_(ids))).rowcount

    def remove_revocations(self, ended_before: float, most: int) -> int:
        """Remove rows that ended, the oldest first, but the last and those that are locked."""
        arguments = {"ended_before": ended_before, "most": most}
        positions = self.connection.scalars(self._ended_revocations, arguments).all()
        if not positions:
            return 0
        return self.connection.execute(delete(log).where(log.c.position.in_(positions))).rowcount

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True if no row in this range is being added by another transaction."""
        statement = (
            select(log.c.position)
            .where(log.c.position.between(first, last))
            .with_for_update(nowait=True)
        )
        try:
            self.connection.execute(statement).all()
        except DBAPIError as error:
            if _number(error.orig) in {1205, 3572}:
                return False
            raise
        return True


def _number(error: BaseException | None) -> object:
    """Return the number of an error of MySQL or MariaDB."""
    arguments = getattr(error, "args", None)
    return arguments[0] if arguments else None

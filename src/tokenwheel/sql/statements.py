"""The statements on the tables, as they are in every database.

Where databases differ, ``dialects`` has a class for each. The expressions are made once, so
SQLAlchemy compiles each of them once for a dialect.

Values come back as the driver reads them, and not as the column's type would convert them: a row
that is damaged is then told as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import floor
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import NULLTYPE

from ..revocation.protocol import Revocation
from ..tables.rows import SESSION_COLUMNS, LogRow, new_mark
from .metadata import revocations as log
from .metadata import sessions, values

__all__ = ["SqlStatements"]

_LARGEST = 2**63 - 1  # of a whole number in a column
_ROWS_AT_ONCE = 1000  # of an insertion: a database takes so many values in one statement


def as_read(column: Column[Any]) -> Any:
    """Return a column whose values stay as the driver reads them."""
    return type_coerce(column, NULLTYPE).label(column.name)


_NOW = bindparam("now", type_=BigInteger)
_SESSIONS = select(*(as_read(sessions.c[name]) for name in SESSION_COLUMNS))
_SESSION = _SESSIONS.where(sessions.c.id == bindparam("session_id"))
# No access token outlives its session, but where the end of that was damaged.
_LIVE_SESSIONS = _SESSIONS.where(
    sessions.c.subject_hash == bindparam("subject_hash"),
    or_(sessions.c.ends_at > _NOW, sessions.c.access_expires_at > _NOW),
)
_ISSUERS = select(as_read(sessions.c.issuer)).where(
    sessions.c.subject_hash == bindparam("subject_hash"), sessions.c.ends_at > _NOW
)
_COUNT = select(func.count()).select_from(sessions).where(sessions.c.ends_at > _NOW)
UPSERT: dict[str, Any] = {"name": bindparam("name"), "number": bindparam("number")}
"""The values of a new row of ``tokenwheel_values``."""
OF_THIS_VERSION = (
    sessions.c.id == bindparam("of_id"),
    sessions.c.version == bindparam("of_version"),
)
"""What is true of a session whose id and version are the parameters ``of_id``, ``of_version``."""
_DELETE_SESSION = delete(sessions).where(*OF_THIS_VERSION)
# In one order, so that two who delete the same sessions wait for each other in turn.
_VERSIONS = (
    select(as_read(sessions.c.id), as_read(sessions.c.version))
    .order_by(sessions.c.id)
    .with_for_update()
)
_VALUE = select(as_read(values.c.number)).where(values.c.name == bindparam("of_name"))
_APPEND = insert(log)
_LOG = select(*(as_read(log.c[name]) for name in LogRow._fields)).order_by(log.c.position)
# What each look asks for where nothing is missing. To make it takes longer than to run it.
_LOG_FROM = _LOG.where(log.c.position >= bindparam("first", type_=BigInteger)).limit(
    bindparam("most")
)

ENDED_SESSIONS = (
    select(sessions.c.id)
    .where(sessions.c.ends_at <= bindparam("ended_before", type_=BigInteger))
    .order_by(sessions.c.ends_at)
    .limit(bindparam("most"))
)
"""The ids of sessions that ended before a time, the oldest first."""
ENDED_REVOCATIONS = (
    select(log.c.position)
    .where(
        log.c.expires_at <= bindparam("ended_before", type_=Double),
        # Who has taken in the last row finds it there.
        log.c.position < select(func.max(log.c.position)).correlate(None).scalar_subquery(),
    )
    .order_by(log.c.expires_at)
    .limit(bindparam("most"))
)
"""The positions of revocations that ended before a time, the oldest first."""


class SqlStatements:
    """Carry out single statements on a connection of SQLAlchemy: see ``tables.protocol``.

    Args:
        connection: the connection, which is used by nobody else meanwhile.

    Attributes:
        connection: that connection.
    """

    name: ClassVar[str]
    """The kind of database, as OpenTelemetry names it."""
    isolation_alone: ClassVar[str | None]
    """SQLAlchemy's isolation level for a statement alone; None: whichever the engine has."""
    isolation: ClassVar[str | None]
    """SQLAlchemy's isolation level for a transaction; None: :meth:`begin` sees to it."""

    _insert_session: ClassVar[Any] = insert(sessions)
    _replace_session: ClassVar[Any] = update(sessions).where(*OF_THIS_VERSION)
    _remove_sessions: Any
    _remove_revocations: Any
    _raise_value: Any

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def begin(cls, connection: Connection) -> None:
        """Begin a transaction of several statements."""
        raise NotImplementedError

    @staticmethod
    def lacks_table(error: BaseException | None) -> bool:
        """Return True where this error of the driver says that a table isn't there."""
        raise NotImplementedError

    @staticmethod
    def was_undone(error: BaseException | None) -> bool:
        """Return True where this error says that the database undid a transaction for another."""
        raise NotImplementedError

    def only_one(self) -> AbstractContextManager[object]:
        """Return a block that is entered by one process at a time, to create the tables.

        The transaction is to be committed within it.
        """
        return nullcontext()

    def lock(self, number: int) -> None:
        """Hold the lock of this number until the transaction ends, waiting for it where need be."""
        raise NotImplementedError

    def issuers(self, subject_hash: str, now: float) -> Sequence[str]:
        """Return the issuer of each session of a subject with ``ends_at > now``."""
        arguments = {"subject_hash": subject_hash, "now": floor(now)}
        return self.connection.scalars(_ISSUERS, arguments).all()

    def insert_session(self, row: Mapping[str, Any]) -> None:
        """Add a session. Raise the database's error where there is one of this id."""
        self.connection.execute(self._insert_session, self._sent(row))

    def session(self, session_id: str) -> Sequence[Any] | None:
        """Return the row of a session, in the order of ``SESSION_COLUMNS``, or None."""
        return self.connection.execute(_SESSION, {"session_id": session_id}).first()

    def sessions(self, subject_hash: str, now: float) -> Sequence[Sequence[Any]]:
        """Return the rows of a subject with ``ends_at > now`` or ``access_expires_at > now``."""
        arguments = {"subject_hash": subject_hash, "now": floor(now)}
        return self.connection.execute(_LIVE_SESSIONS, arguments).all()

    def replace_session(self, row: Mapping[str, Any], session_id: str, version: Any) -> bool:
        """Set the columns in ``row`` where id and version are these. Return True if it was done."""
        arguments = {**self._sent(row), "of_id": session_id, "of_version": version}
        return self.connection.execute(self._replace_session, arguments).rowcount == 1

    def delete_sessions(self, versions: Mapping[str, Any]) -> Sequence[str]:
        """Delete each session whose version is the one given for its id. Return their ids."""
        ids = sorted(versions)
        if len(ids) == 1 and type(versions[ids[0]]) is int:
            return ids if self._delete_session(ids[0], versions[ids[0]]) else []
        deleted: list[str] = []
        for begin in range(0, len(ids), _ROWS_AT_ONCE):
            chunk = ids[begin : begin + _ROWS_AT_ONCE]
            stored = self.connection.execute(_VERSIONS.where(sessions.c.id.in_(chunk))).all()
            found = [name for name, version in stored if versions.get(name) == version]
            if found:
                self.connection.execute(delete(sessions).where(sessions.c.id.in_(found)))
            deleted += found
        return deleted

    def _delete_session(self, session_id: str, version: int) -> bool:
        if not -_LARGEST <= version <= _LARGEST:  # No row can have it.
            return False
        arguments = {"of_id": session_id, "of_version": version}
        return self.connection.execute(_DELETE_SESSION, arguments).rowcount == 1

    @staticmethod
    def _sent(row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a session's columns as the driver is given them."""
        return dict(row)

    def remove_sessions(self, ended_before: float, most: int) -> int:
        """Remove sessions with ``ends_at <= ended_before``, the oldest first, ``most`` at most.

        Return how many were removed.
        """
        arguments = {"ended_before": floor(ended_before), "most": most}
        return self.connection.execute(self._remove_sessions, arguments).rowcount

    def count_sessions(self, now: float) -> int:
        """Return how many sessions have ``ends_at > now``."""
        return int(self.connection.scalar(_COUNT, {"now": floor(now)}) or 0)

    def value(self, name: str) -> int | None:
        """Return the number kept under a name, or None."""
        number: int | None = self.connection.scalar(_VALUE, {"of_name": name})
        return number

    def raise_value(self, name: str, number: int) -> int:
        """Keep ``number`` under a name, unless a higher one is kept. Return what is kept."""
        kept = self.value(name)
        if kept is None or kept < number:
            self.connection.execute(self._raise_value, {"name": name, "number": number})
            kept = self.value(name)
        return number if kept is None else kept

    def append(self, revocations: Sequence[Revocation], published_at: float) -> None:
        """Add a row to the log for each revocation."""
        rows = [log_values(revocation, published_at) for revocation in revocations]
        if len(rows) == 1:  # which SQLAlchemy compiles once
            self.connection.execute(_APPEND, rows[0])
            return
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            self.connection.execute(_APPEND.values(rows[begin : begin + _ROWS_AT_ONCE]))

    def log_rows(
        self, ranges: Sequence[tuple[int, int | None]], after: int, most: int
    ) -> Sequence[LogRow]:
        """Return rows of the log in the order of their positions, ``most`` at most.

        Args:
            ranges: the first and the last position of each range; None: no last one.
            after: positions up to this one are left out.
            most: how many rows at most.
        """
        if len(ranges) == 1 and ranges[0][1] is None:
            arguments = {"first": max(ranges[0][0], after + 1), "most": most}
            return [LogRow._make(row) for row in self.connection.execute(_LOG_FROM, arguments)]
        position = log.c.position
        within = (
            position >= first if last is None else position.between(first, last)
            for first, last in ranges
        )
        statement = _LOG.where(position > after, or_(*within)).limit(most)
        return [LogRow._make(row) for row in self.connection.execute(statement)]

    def remove_revocations(self, ended_before: float, most: int) -> int:
        """Remove rows with ``expires_at <= ended_before``, the oldest first, ``most`` at most.

        The row with the highest position stays. Return how many were removed.
        """
        arguments = {"ended_before": ended_before, "most": most}
        return self.connection.execute(self._remove_revocations, arguments).rowcount

    def writers(self) -> Any:
        """Return what tells later whether all who write now have ended (:meth:`have_ended`)."""
        return None

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True if no row can come any more with a position from ``first`` to ``last``."""
        raise NotImplementedError


def log_values(revocation: Revocation, published_at: float) -> dict[str, Any]:
    """Return the values of a new row of the log by their columns."""
    return {
        "mark": new_mark(),
        "session_id": revocation.session_id,
        "expires_at": revocation.expires_at,
        "before": revocation.before,
        "published_at": published_at,
    }

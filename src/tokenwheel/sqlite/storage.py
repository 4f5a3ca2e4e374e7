"""Sessions in a SQLite file: for the processes of one machine, and for after a restart.

Only records and statements belong here. The file and its transactions are in ``database.py``, its
tables in ``schema.py``. Sessions that are over are removed beside each write: more of them than a
write can add, so the file stops growing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import InvalidArgument, StorageUnavailable
from ..models import SessionRecord
from ..storage.context import pack_context, unpack_context
from ..storage.damaged import damage_of, whole_records
from ..storage.given import (
    given_lifetime,
    given_limit,
    given_now,
    given_record,
    given_records,
    given_text,
)
from ..storage.lifetimes import lifetime_in
from .database import Database, Synchronous
from .schema import bring_up_to_date

__all__ = ["SqliteStorage"]

T = TypeVar("T")

_PLACE = "the database file"
_REMOVED_AT_ONCE = 4  # sessions that are over, beside each write
# Seconds, one hour: how long a session stays after its end. A clock that is ahead for a while takes
# no session away that a logout must still find.
_STAYS_AFTER_END = 3600
_NEVER_CHANGED = {"id", "subject", "created_at", "expires_at", "context"}

_COLUMNS = SessionRecord._fields
_BINDABLE = frozenset({str, int, float, bytes, bytearray, memoryview, type(None)})
_CHANGING = [name for name in _COLUMNS if name not in _NEVER_CHANGED]

_CONTEXT = _COLUMNS.index("context")
_NAMES = ", ".join(_COLUMNS)
_ASSIGNMENTS = ", ".join(f"{name} = ?" for name in _CHANGING)
_SELECT = f"SELECT {_NAMES} FROM sessions"
# No access token outlives its session, but where the end of that was damaged.
_SELECT_LIVE = f"{_SELECT} WHERE subject = ? AND (ends_at > ? OR access_expires_at > ?)"
_INSERT = f"INSERT INTO sessions ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_UPDATE = f"UPDATE sessions SET {_ASSIGNMENTS} WHERE id = ? AND version = ?"
_DELETE = "DELETE FROM sessions WHERE id = ? AND version = ?"
_COUNT_OF_SUBJECT = "SELECT count(*) FROM sessions WHERE subject = ? AND issuer = ? AND ends_at > ?"
_COUNT = "SELECT count(*) FROM sessions WHERE ends_at > ?"
_LIFETIME = "SELECT seconds FROM access_lifetimes WHERE issuer = ?"
# What is damaged is left as it is: nobody knows how long it was.
_KEEP_LIFETIME = """
    INSERT INTO access_lifetimes (issuer, seconds) VALUES (?, ?)
    ON CONFLICT (issuer) DO UPDATE SET seconds = excluded.seconds
    WHERE typeof(access_lifetimes.seconds) = 'integer'
    AND access_lifetimes.seconds < excluded.seconds
"""


class SqliteStorage:
    """Keep sessions in a file, for the processes of one machine.

    Several processes may use the file at once. Of secrets it holds SHA-256 hashes only.

    Args:
        path: the file. Where there is none it is made, readable by its owner alone. A
            ``SqliteFeed`` may use the same one.
        timeout: seconds that a call waits for other threads and processes, all together.
        synchronous: ``"FULL"``: what was answered survives a loss of power. ``"NORMAL"`` is several
            times as fast: it survives the end of any process, but a loss of power takes the last
            moments with it.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is
            one of a later version.
        StorageUnavailable: the file cannot be opened.
    """

    waits = True
    """Calls wait for the disk and for other processes, so an async manager needs worker threads."""
    is_checked = True
    """A record that is damaged is told from the others."""
    is_durable = True
    """Who can read or write the file reads or writes sessions: see a manager's ``storage_key``."""
    db_system = "sqlite"
    """What traces of a call name as the kind of database, in the words of OpenTelemetry."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
    ) -> None:
        self._database = Database(path, timeout=timeout, synchronous=synchronous)
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<SqliteStorage {os.fspath(self._database.path)!r}>"

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        """Add a session, unless its subject has ``limit`` live ones of its issuer.

        Return True if it was added.

        Raises:
            StorageUnavailable: the file cannot be written, or holds a session with this id.
        """
        record, limit, now = given_record(record), given_limit(limit), given_now(now)

        fields = _bindable(*record[:-2], pack_context(record.context) or None, record.mac)

        def work(connection: sqlite3.Connection) -> bool:
            _remove_what_is_over(connection, now)
            if limit is not None:
                whose = (record.subject, record.issuer, now)
                (live,) = connection.execute(_COUNT_OF_SUBJECT, whose).fetchone()
                if live >= limit:
                    return False
            connection.execute(_INSERT, fields)
            return True

        return self._database.write(work)

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        """Return the record of a session, or None where there is none.

        Raises:
            DamagedRecords: the record is damaged.
            StorageUnavailable: the file cannot be read.
        """
        session_id = given_text("session_id", session_id)

        def work(connection: sqlite3.Connection) -> list[Any]:
            return _rows(connection, f"{_SELECT} WHERE id = ?", (session_id,))

        rows = self._read(work)
        return whole_records(map(_unpack, rows), _PLACE)[0] if rows else None

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        """Return the records of a subject's live sessions, in any order.

        Raises:
            DamagedRecords: some of the records are damaged; has the others.
            StorageUnavailable: the file cannot be read.
        """
        subject, now = given_text("subject", subject), given_now(now)

        def work(connection: sqlite3.Connection) -> list[Any]:
            return _rows(connection, _SELECT_LIVE, (subject, now, now))

        return whole_records(map(_unpack, self._read(work)), _PLACE)

    def replace(self, record: SessionRecord, now: float) -> bool:
        """Write a new state of a session, where the stored version is ``record.version - 1``.

        Return True where it was written.

        Raises:
            StorageUnavailable: the file cannot be written.
        """
        record, now = given_record(record), given_now(now)
        changed = [getattr(record, name) for name in _CHANGING]
        fields = _bindable(*changed, record.id, record.version - 1)

        def work(connection: sqlite3.Connection) -> bool:
            _remove_what_is_over(connection, now)
            cursor = connection.execute(_UPDATE, fields)
            return cursor.rowcount == 1

        return self._database.write(work)

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        """Delete each session whose stored version is that of its record. Return the deleted ids.

        Raises:
            StorageUnavailable: the file cannot be written; nothing was deleted.
        """
        records, now = given_records(records), given_now(now)
        whole = [(record, _bindable(record.id, record.version)) for record in records]

        def work(connection: sqlite3.Connection) -> list[str]:
            _remove_what_is_over(connection, now)
            return [
                record.id
                for record, fields in whole
                if connection.execute(_DELETE, fields).rowcount == 1
            ]

        return self._database.write(work)

    def keep_access_lifetime(self, issuer: str, seconds: int) -> int:
        """Keep the longest lifetime of an issuer's access tokens. Return what is kept, in seconds.

        Raises:
            StorageUnavailable: the file cannot be read, or cannot be written where it has to be.
        """
        issuer, seconds = given_text("issuer", issuer), given_lifetime(seconds)

        def ask(connection: sqlite3.Connection) -> int:
            row = connection.execute(_LIFETIME, (issuer,)).fetchone()
            return 0 if row is None else lifetime_in(row[0])

        def keep(connection: sqlite3.Connection) -> int:
            connection.execute(_KEEP_LIFETIME, (issuer, seconds))
            return ask(connection)

        return self._database.write(keep) if seconds else self._read(ask)

    def count(self, now: float) -> int:
        """Return the number of live sessions.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        now = given_now(now)

        def work(connection: sqlite3.Connection) -> int:
            return int(connection.execute(_COUNT, (now,)).fetchone()[0])

        return self._read(work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._database.read(work)
        except StorageUnavailable as error:
            failure = error.__cause__
            if getattr(failure, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
                raise
        # A column is missing: a backup of an older version may have been restored.
        self._database.write(bring_up_to_date)
        return self._database.read(work)

    def close(self) -> None:
        """Let go of the file. Can be called again.

        Any other call then raises :class:`~tokenwheel.errors.StorageUnavailable`.
        """
        self._database.close()


def _bindable(*fields: Any) -> tuple[Any, ...]:
    """Return fields of a record that a table can hold. SQLite would ask any others what they are.

    Raises:
        InvalidArgument: one of them is of another type.
    """
    if not _BINDABLE.issuperset(map(type, fields)):
        raise InvalidArgument("a record must hold texts, numbers, bytes and None")
    return fields


def _remove_what_is_over(connection: sqlite3.Connection, now: float) -> None:
    over = "SELECT id FROM sessions WHERE ends_at <= ? ORDER BY ends_at LIMIT ?"
    long_over = now - _STAYS_AFTER_END
    connection.execute(f"DELETE FROM sessions WHERE id IN ({over})", (long_over, _REMOVED_AT_ONCE))


def _rows(connection: sqlite3.Connection, query: str, arguments: Sequence[Any]) -> list[Any]:
    """Return the rows that a query finds. A text that is not UTF-8 gets lone surrogates."""
    try:
        return connection.execute(query, arguments).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    try:
        connection.text_factory = _decode_anything
        return connection.execute(query, arguments).fetchall()
    finally:
        connection.text_factory = str


def _decode_anything(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _unpack(row: tuple[Any, ...]) -> tuple[SessionRecord, str | None]:
    """Return the record in a row, and which of its fields is damaged, or None where all are whole.

    What is in a damaged row stands in the record as it was found.
    """
    try:
        context = row[_CONTEXT] or b""
        if type(context) is not bytes:
            raise TypeError("a context is bytes")
        record = SessionRecord._make(
            (*row[:_CONTEXT], unpack_context(context), *row[_CONTEXT + 1 :])
        )
    except (ValueError, TypeError):
        return SessionRecord._make(row), "context"
    return record, damage_of(record)

"""Sessions in a SQLite file: for the processes of one machine, and for after a restart.

Only records and statements belong here. The file and its transactions are in ``database.py``, its
tables in ``schema.py``. Sessions that are over are removed beside each write: more of them than a
write can add, so the file stops growing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from types import NoneType
from typing import Any

from ..errors import StorageUnavailable
from ..models import SessionRecord
from ..storage.context import pack_context, unpack_context
from .database import Database, Synchronous

__all__ = ["SqliteStorage"]

_REMOVED_AT_ONCE = 4  # sessions that are over, beside each write
# Seconds, one hour: how long a session stays after its end. A clock that is ahead for a while takes
# no session away that a logout must still find.
_STAYS_AFTER_END = 3600
_NEVER_CHANGED = {"id", "subject", "created_at", "expires_at", "context"}

_TYPE_OF: dict[str, type | tuple[type, ...]] = {
    "version": int,
    "id": str,
    "subject": str,
    "issuer": str,
    "created_at": float,
    "expires_at": int,
    "ends_at": int,
    "last_used_at": float,
    "generation": int,
    "access_expires_at": int,
    "family_hash": bytes,
    "secret_hash": bytes,
    "previous_hash": (bytes, NoneType),
    "salt": (bytes, NoneType),
    "rotated_at": (float, NoneType),
    "context": (bytes, NoneType),
    "mac": (bytes, NoneType),
}
"""What each column of a session holds."""
_COLUMNS = SessionRecord._fields
_TYPES = tuple(_TYPE_OF[name] for name in _COLUMNS)
_CHANGING = [name for name in _COLUMNS if name not in _NEVER_CHANGED]

_NAMES = ", ".join(_COLUMNS)
_ASSIGNMENTS = ", ".join(f"{name} = ?" for name in _CHANGING)
_SELECT = f"SELECT {_NAMES} FROM sessions"
_INSERT = f"INSERT INTO sessions ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_UPDATE = f"UPDATE sessions SET {_ASSIGNMENTS} WHERE id = ? AND version = ?"
_DELETE = "DELETE FROM sessions WHERE id = ? AND version = ?"
_COUNT_OF_SUBJECT = "SELECT count(*) FROM sessions WHERE subject = ? AND issuer = ? AND ends_at > ?"
_COUNT = "SELECT count(*) FROM sessions WHERE ends_at > ?"


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
    is_durable = True
    """Who can read or write the file reads or writes sessions: see a manager's ``storage_key``."""

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

        def work(connection: sqlite3.Connection) -> bool:
            _remove_what_is_over(connection, now)
            if limit is not None:
                whose = (record.subject, record.issuer, now)
                (live,) = connection.execute(_COUNT_OF_SUBJECT, whose).fetchone()
                if live >= limit:
                    return False
            connection.execute(
                _INSERT, (*record[:-2], pack_context(record.context) or None, record.mac)
            )
            return True

        return self._database.write(work)

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        """Return the record of a session, or None where there is none.

        Raises:
            StorageUnavailable: the file cannot be read, or is damaged.
        """

        def work(connection: sqlite3.Connection) -> Any:
            return connection.execute(f"{_SELECT} WHERE id = ?", (session_id,)).fetchone()

        row = self._database.read(work)
        return None if row is None else _unpack(row)

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        """Return the records of a subject's live sessions, in any order.

        Raises:
            StorageUnavailable: the file cannot be read, or is damaged.
        """

        def work(connection: sqlite3.Connection) -> list[Any]:
            live = f"{_SELECT} WHERE subject = ? AND ends_at > ?"
            return connection.execute(live, (subject, now)).fetchall()

        return [_unpack(row) for row in self._database.read(work)]

    def replace(self, record: SessionRecord, now: float) -> bool:
        """Write a new state of a session, where the stored version is ``record.version - 1``.

        Return True where it was written.

        Raises:
            StorageUnavailable: the file cannot be written.
        """

        def work(connection: sqlite3.Connection) -> bool:
            _remove_what_is_over(connection, now)
            changed = [getattr(record, name) for name in _CHANGING]
            cursor = connection.execute(_UPDATE, (*changed, record.id, record.version - 1))
            return cursor.rowcount == 1

        return self._database.write(work)

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        """Delete each session whose stored version is that of its record. Return the deleted ids.

        Raises:
            StorageUnavailable: the file cannot be written; nothing was deleted.
        """

        def work(connection: sqlite3.Connection) -> list[str]:
            _remove_what_is_over(connection, now)
            return [
                record.id
                for record in records
                if connection.execute(_DELETE, (record.id, record.version)).rowcount == 1
            ]

        return self._database.write(work)

    def count(self, now: float) -> int:
        """Return the number of live sessions.

        Raises:
            StorageUnavailable: the file cannot be read.
        """

        def work(connection: sqlite3.Connection) -> int:
            return int(connection.execute(_COUNT, (now,)).fetchone()[0])

        return self._database.read(work)

    def close(self) -> None:
        """Let go of the file. Can be called again.

        Any other call then raises :class:`~tokenwheel.errors.StorageUnavailable`.
        """
        self._database.close()


def _remove_what_is_over(connection: sqlite3.Connection, now: float) -> None:
    over = "SELECT id FROM sessions WHERE ends_at <= ? ORDER BY ends_at LIMIT ?"
    long_over = now - _STAYS_AFTER_END
    connection.execute(f"DELETE FROM sessions WHERE id IN ({over})", (long_over, _REMOVED_AT_ONCE))


def _unpack(row: tuple[Any, ...]) -> SessionRecord:
    if not all(map(isinstance, row, _TYPES)):
        raise StorageUnavailable("the database file is damaged: it holds what cannot be a session")
    try:
        return SessionRecord._make((*row[:-2], unpack_context(row[-2] or b""), row[-1]))
    except (ValueError, TypeError) as error:
        raise StorageUnavailable(
            "the database file is damaged: it holds what cannot be the context of a session"
        ) from error

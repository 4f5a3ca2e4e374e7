"""Sessions in a SQLite file: for the processes of one machine, and for after a restart.

Only records and statements belong here; the file, its schema and its transactions are ``database.py``'s. A session that is over is
removed by those that come and change: a few rows with each write, more than one write can add, so that the file stops growing.
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
_COLUMNS = SessionRecord._fields
_BYTES_OR_NONE = (bytes, NoneType)
_TYPES: tuple[Any, ...] = (
    *(int, str, str, float, int, int, float, int, int, bytes, bytes),
    *(_BYTES_OR_NONE, _BYTES_OR_NONE, (float, NoneType), _BYTES_OR_NONE),
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM sessions"
_INSERT = f"INSERT INTO sessions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_CHANGING = [
    name
    for name in _COLUMNS
    if name not in ("id", "subject", "created_at", "expires_at", "context")
]
_UPDATE = f"UPDATE sessions SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ? AND version = ?"


class SqliteStorage:
    """Keeps sessions in a file. Several processes of one machine may use it at once; of secrets it holds SHA-256 hashes only.

    Args:
        path: the file; made, readable by its owner alone, where there is none. A ``SqliteFeed`` may use the same one.
        timeout: seconds to wait for another process's write.
        synchronous: ``"FULL"``: what was answered survives a loss of power. ``"NORMAL"``, several times as fast: it survives the end of any
            process, and a loss of power takes the last moments with it.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is one of a later version.
        StorageUnavailable: the file cannot be opened.
    """

    waits = True
    """For the disk and for other processes: an async manager calls it from a worker thread."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
    ) -> None:
        self._database = Database(path, timeout=timeout, synchronous=synchronous)

    def __repr__(self) -> str:
        return f"<SqliteStorage {os.fspath(self._database.path)!r}>"

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            _remove_what_is_over(connection, now)
            if limit is not None:
                counted = connection.execute(
                    "SELECT count(*) FROM sessions WHERE subject = ? AND ends_at > ?",
                    (record.subject, now),
                )
                if counted.fetchone()[0] >= limit:
                    return False
            connection.execute(_INSERT, (*record[:-1], pack_context(record.context) or None))
            return True

        return self._database.write(work)

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        row = self._database.read(
            lambda connection: connection.execute(
                f"{_SELECT} WHERE id = ?", (session_id,)
            ).fetchone()
        )
        return None if row is None else _unpack(row)

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        rows = self._database.read(
            lambda connection: connection.execute(
                f"{_SELECT} WHERE subject = ? AND ends_at > ?", (subject, now)
            ).fetchall()
        )
        return [_unpack(row) for row in rows]

    def replace(self, record: SessionRecord, now: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            _remove_what_is_over(connection, now)
            changed = connection.execute(
                _UPDATE,
                (*(getattr(record, name) for name in _CHANGING), record.id, record.version - 1),
            )
            return changed.rowcount == 1

        return self._database.write(work)

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        def work(connection: sqlite3.Connection) -> list[str]:
            _remove_what_is_over(connection, now)
            return [
                record.id
                for record in records
                if connection.execute(
                    "DELETE FROM sessions WHERE id = ? AND version = ?", (record.id, record.version)
                ).rowcount
                == 1
            ]

        return self._database.write(work)

    def count(self, now: float) -> int:
        """How many sessions live.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        counted = "SELECT count(*) FROM sessions WHERE ends_at > ?"
        return int(
            self._database.read(
                lambda connection: connection.execute(counted, (now,)).fetchone()[0]
            )
        )

    def close(self) -> None:
        """Lets go of the file. Can be called again; any other call then raises :class:`~tokenwheel.errors.StorageUnavailable`."""
        self._database.close()


def _remove_what_is_over(connection: sqlite3.Connection, now: float) -> None:
    over = "SELECT id FROM sessions WHERE ends_at <= ? ORDER BY ends_at LIMIT ?"
    connection.execute(f"DELETE FROM sessions WHERE id IN ({over})", (now, _REMOVED_AT_ONCE))


def _unpack(row: tuple[Any, ...]) -> SessionRecord:
    if not all(map(isinstance, row, _TYPES)):
        raise StorageUnavailable("the database file is damaged: it holds what cannot be a session")
    try:
        return SessionRecord._make((*row[:-1], unpack_context(row[-1] or b"")))
    except (ValueError, TypeError) as error:
        raise StorageUnavailable(
            "the database file is damaged: it holds what cannot be the context of a session"
        ) from error

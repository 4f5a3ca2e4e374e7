"""The log of revocations: rows in a table, with a position and a mark each.

Rows are only ever appended, and removed long after they are over. A position is given once in the
life of a file. But a file may be rolled back to an older state, and then its positions are given
anew. So each row has a mark, too: random bytes. Who finds the row that it took in last, with the
same mark, knows that this is the same log, and that all before that row was there before.

Statements only: which rows a process has taken in is known in ``log_reader.py``, and how the file
is opened in ``database.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..revocation.protocol import Revocation, Row

__all__ = ["READ_AT_ONCE", "LogRow", "append", "put_back", "remove_over", "rows_from"]

READ_AT_ONCE = 1_000  # rows

# Rows that are over, removed beside each publication: more than one publication adds, but for a
# logout everywhere.
_REMOVED_AT_ONCE = 8
# Seconds, one hour: how long a row stays after its end. So it is there for who starts after a clock
# was put right, or whose clock is behind.
_STAYS_AFTER_END = 3600

# The last row stays, so that who has taken it in finds it there.
_OVER = (
    "SELECT position FROM revocations WHERE expires_at <= ? "
    "AND position < (SELECT max(position) FROM revocations) ORDER BY expires_at LIMIT ?"
)
_REMOVE = f"DELETE FROM revocations WHERE position IN ({_OVER})"
_INSERT = "INSERT INTO revocations (session_id, expires_at, before, mark)"
_APPEND = f"{_INSERT} VALUES (?, ?, ?, randomblob(8))"
_PUT_BACK = (
    f"{_INSERT} SELECT ?1, ?2, ?3, randomblob(8) WHERE NOT EXISTS (SELECT 1 FROM revocations "
    "WHERE session_id = ?1 AND expires_at = ?2 AND before IS ?3)"
)
_ROWS = (
    "SELECT position, mark, session_id, expires_at, before FROM revocations "
    "WHERE position >= ? ORDER BY position LIMIT ?"
)


class LogRow(NamedTuple):
    """A row as it lies in the table."""

    position: int
    mark: bytes
    session_id: str
    expires_at: float
    before: int | None

    @property
    def revocation(self) -> Row:
        """What the row says."""
        return self[2:]


def append(connection: sqlite3.Connection, revocations: Sequence[Revocation]) -> None:
    """Add a row for each revocation."""
    connection.executemany(_APPEND, revocations)


def put_back(connection: sqlite3.Connection, revocations: Iterable[Revocation]) -> int:
    """Add a row for each revocation that the log lacks. Return how many it lacked."""
    return connection.executemany(_PUT_BACK, revocations).rowcount


def remove_over(connection: sqlite3.Connection, now: float) -> None:
    """Remove a few rows that are long over, by a clock that is surely not ahead."""
    connection.execute(_REMOVE, (now - _STAYS_AFTER_END, _REMOVED_AT_ONCE))


def rows_from(connection: sqlite3.Connection, position: int) -> list[LogRow]:
    """Return the row at a position and those after it, in their order, as at one moment.

    At most one row more than ``READ_AT_ONCE`` is returned.
    """
    rows: list[Any] = connection.execute(_ROWS, (position, READ_AT_ONCE + 1)).fetchall()
    return list(map(LogRow._make, rows))

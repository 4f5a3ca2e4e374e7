"""A session as a row of a table, and back; and a row of the log of revocations.

Texts are compared by the database's own rules, which may take ``a`` for ``A`` or drop blanks at the
end. So nothing is found by a subject: a row has the SHA-256 of it. And what is found by an id is
looked at once more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import InvalidArgument
from ..models import SessionRecord
from ..revocation.protocol import Row
from ..storage.context import pack_context, unpack_context
from ..storage.damaged import damage_of

__all__ = [
    "CHANGING_COLUMNS",
    "SESSION_COLUMNS",
    "LogRow",
    "changes_of",
    "new_mark",
    "record_in",
    "row_of",
    "subject_hash",
]

SESSION_COLUMNS = (*SessionRecord._fields, "subject_hash")
"""The columns of the table of sessions: the fields of a record, and by what a subject is found."""

_NEVER_CHANGED = {"id", "subject", "created_at", "expires_at", "context"}
CHANGING_COLUMNS = tuple(name for name in SessionRecord._fields if name not in _NEVER_CHANGED)
"""The columns that a refresh, a restriction or an end changes."""

_CONTEXT = SESSION_COLUMNS.index("context")
_OF_DATABASES = (str, int, float, bytes, type(None))
_MARK_BYTES = 8


class LogRow(NamedTuple):
    """A row of the table of revocations."""

    position: int
    """Given by the database, once in the life of the table."""
    mark: str
    """Random hexadecimal digits, which tell the row from another of this position."""
    session_id: str
    expires_at: float
    """When the revocation is over, in Unix seconds."""
    before: int | None
    """Tokens of a generation below this are refused; None: those of every generation."""
    published_at: float
    """When it was published, in Unix seconds by the publisher's clock."""

    @property
    def revocation(self) -> Row:
        """What the row says."""
        return self.session_id, self.expires_at, self.before


def new_mark() -> str:
    """Return the mark of a new row: 16 random hexadecimal digits."""
    return secrets.token_hex(_MARK_BYTES)


def subject_hash(subject: str) -> str:
    """Return by what the sessions of a subject are found: the SHA-256 of its UTF-8, in hex."""
    return hashlib.sha256(subject.encode()).hexdigest()


def row_of(record: SessionRecord) -> dict[str, Any]:
    """Return the values of a new session by their columns.

    Raises:
        InvalidArgument: a field is of a type that no database holds.
    """
    row = record._asdict()
    row["context"] = pack_context(record.context) or None
    row["subject_hash"] = subject_hash(record.subject)
    _check_types(row)
    return row


def changes_of(record: SessionRecord) -> dict[str, Any]:
    """Return the values that a new state of a session has, by their columns.

    Raises:
        InvalidArgument: a field is of a type that no database holds.
    """
    row = {name: getattr(record, name) for name in CHANGING_COLUMNS}
    _check_types(row)
    return row


def record_in(row: Sequence[Any]) -> tuple[SessionRecord, str | None]:
    """Return the record in a row, and which of its fields is damaged, or None where all are whole.

    What is in a damaged row stands in the record as it was found.

    Args:
        row: values in the order of ``SESSION_COLUMNS``.
    """
    plain = [bytes(value) if isinstance(value, memoryview | bytearray) else value for value in row]
    *fields, hashed = plain
    packed = fields[_CONTEXT]
    try:
        if not isinstance(packed, bytes | None):  # SQLite's columns hold what they are given.
            raise TypeError("a context is packed in bytes")
        fields[_CONTEXT] = unpack_context(packed or b"")
    except (ValueError, TypeError):
        return SessionRecord._make(fields), "context"
    record = SessionRecord._make(fields)
    damage = damage_of(record)
    if damage is None and hashed != subject_hash(record.subject):
        damage = "subject"
    return record, damage


def _check_types(row: dict[str, Any]) -> None:
    if not all(type(value) in _OF_DATABASES for value in row.values()):
        raise InvalidArgument("a record must hold texts, numbers, bytes and None")

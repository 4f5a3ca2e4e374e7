"""What a failure of the file means to the caller, in words that hold nothing of what was stored.

The call can be made again where that may help: the file is in another's hands, or the disk has
failed for once. Where somebody has to do something first, the words say what.
"""

from __future__ import annotations

import errno
import sqlite3

from ..errors import StorageUnavailable
from ..failures import AGAIN, lasts

__all__ = ["FAILURES", "unavailable"]

# Python raises a UnicodeDecodeError where a message of SQLite quotes a damaged file, and the others
# for what no table can hold.
FAILURES = sqlite3.Error, OSError, UnicodeError, OverflowError

_ALLOWED = (
    "this process must be allowed to read and write the file, those that SQLite keeps beside it, "
    "and their folder"
)
_ROOM = f"there is no room on the disk; once there is, {AGAIN}"
_DAMAGED = "the file is damaged, or is no database: a backup has to be restored"

_UNDONE = "another application has left work undone in it, and has to finish that"

# By the lowest byte of what SQLite answers, or by all of it (sqlite.org/rescode.html).
_HELP = {
    sqlite3.SQLITE_AUTH: _ALLOWED,
    sqlite3.SQLITE_BUSY: AGAIN,
    sqlite3.SQLITE_CANTOPEN: _ALLOWED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: _ROOM,
    sqlite3.SQLITE_INTERRUPT: AGAIN,
    sqlite3.SQLITE_IOERR: AGAIN,
    sqlite3.SQLITE_LOCKED: AGAIN,
    sqlite3.SQLITE_NOMEM: AGAIN,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_PERM: _ALLOWED,
    sqlite3.SQLITE_PROTOCOL: AGAIN,
    sqlite3.SQLITE_READONLY: _ALLOWED,
    sqlite3.SQLITE_READONLY_ROLLBACK: _UNDONE,
}
_HELP_OF_SYSTEM = {
    errno.EACCES: _ALLOWED,
    errno.EPERM: _ALLOWED,
    errno.EROFS: _ALLOWED,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
}


def unavailable(error: Exception) -> StorageUnavailable:
    """Return an error that says what went wrong, and what helps."""
    reason = (
        getattr(error, "sqlite_errorname", None)
        or getattr(error, "strerror", None)
        or type(error).__name__
    )
    words = ["the database file could not be used: " + reason, _what_helps(error)]
    return StorageUnavailable("; ".join(filter(None, words)))


def _what_helps(error: Exception) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return _HELP.get(code, _HELP.get(code & 0xFF))
    if isinstance(error, OSError):
        return _HELP_OF_SYSTEM.get(error.errno or 0, None if lasts(error) else AGAIN)
    return _DAMAGED if isinstance(error, UnicodeDecodeError) else None

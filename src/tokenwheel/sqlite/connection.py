"""How a connection to the file is opened: what it is checked for, and which settings it gets."""

from __future__ import annotations

import mmap
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Literal

from ..errors import ConfigurationError
from .log_sync import can_sync
from .schema import check_schema, migrate

__all__ = ["Synchronous", "check_owner", "open_connection"]

Synchronous = Literal["FULL", "NORMAL"]

_LARGEST_IDLE_LOG = 4 * 1024 * 1024  # bytes: 4 MiB, as much as a log of 1,000 pages has


def open_connection(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """Open the file, bring it up to date, and put it in WAL mode where it can be.

    The connection waits for nobody. It can be used by one thread at a time, whichever that is.

    Raises:
        ConfigurationError: the file is another application's, or of a later version.
        sqlite3.Error: the file cannot be opened, or is in another's hands.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        migrate(connection)
        mode = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != ("wal",) and _can_map(path.parent):
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # The log shrinks to this size where a long reader has let it grow.
        connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_IDLE_LOG}")
        # With FULL, commits in a log are synced by ``log_sync.py``.
        synced_by_us = mode == ("wal",) and can_sync
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if synced_by_us else synchronous}")
        if synchronous == "FULL":
            # On macOS nothing less reaches the disk. Elsewhere it changes nothing.
            connection.execute("PRAGMA fullfsync = 1")
    except BaseException:
        connection.close()
        raise
    return connection


def check_owner(path: Path) -> None:
    """Refuse a file that belongs to another application.

    The file is opened to read only: to open it for writing would finish or undo what its
    application left behind.

    Raises:
        ConfigurationError: the file is another application's, of a later version, or no database.
        sqlite3.Error: the file cannot be read, or is in another's hands.
    """
    uri = f"{path.as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            check_schema(connection)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise
        raise ConfigurationError(
            "path must be the path of a SQLite database or of no file yet, and the file there is "
            "no such database, or a damaged one; it was left as it is"
        ) from error


def _can_map(folder: Path) -> bool:
    """Return True if processes can share memory through a file in this folder.

    Where they can't, SQLite has no write-ahead log; it is slower without one.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(1)
        try:
            mmap.mmap(file.fileno(), 1).close()
        except OSError:
            return False
    return True

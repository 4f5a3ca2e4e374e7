"""Which files SQLite has open, and whether they are still the ones under their names.

Beside a database in WAL mode lie its log, ``-wal``, and the index of that, ``-shm``. SQLite opens
them by name and never looks again. Where somebody deletes one of them, those who come later make
another. Two groups of processes then write without seeing each other, and in the end one of them
overwrites what the other has done.

As long as a connection is open, no other process removes these files in the course of things, nor
puts others in their place: SQLite does so under a lock that excludes every other connection.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path

__all__ = ["FileId", "OpenFiles", "close_without_checkpoint", "identify"]

FileId = tuple[int, int]
"""The device and the number of a file: another one under the same name has others."""

_COARSEST_TICK = 3.0  # seconds, and some: no file system in use tells times less exactly


def identify(path: str | os.PathLike[str]) -> FileId:
    """Return what tells the file that is under a name now from any other.

    Raises:
        OSError: there is none, or it cannot be looked at.
    """
    status = Path(path).stat()
    return status.st_dev, status.st_ino


class OpenFiles:
    """Know the files that a connection has open.

    Each look at a file costs as much as a tenth of a read. So as long as the folder has not
    changed, its files are not looked at: no name in it comes to mean another file without that.

    Args:
        connection: has its files open from now on.
        path: the database, by the name that is used for it.

    Attributes:
        log: the path of the write-ahead log. None where the connection has none.
        ids: what each of the files was when it was opened.

    Raises:
        FileNotFoundError: somebody has deleted one already.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.log: str | None = None
        self._paths = [os.fspath(path)]
        if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            # SQLite opens the two beside the database when it first reads.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            # The name as SQLite knows it: links are resolved.
            (_, _, name) = connection.execute("PRAGMA database_list").fetchone()
            self.log = f"{name}-wal"
            self._paths += [self.log, f"{name}-shm"]
        self.ids = [identify(name) for name in self._paths]
        self._folder = os.fspath(path.parent)
        # Windows tells no time of change; and a link may lead to another folder.
        self._trusts_folder = sys.platform != "win32" and not path.is_symlink()
        self._settled: tuple[int, int, int] | None = None

    def are_in_place(self) -> bool:
        """Return True if all are still the ones under their names.

        Raises:
            OSError: they cannot be looked at.
        """
        if not self._trusts_folder:
            return self._look()
        folder = os.stat(self._folder)  # noqa: PTH116 (twice a write, and cheaper than a Path's)
        # Not the time of modification, which whoever restores a backup sets back.
        state = folder.st_dev, folder.st_ino, folder.st_ctime_ns
        if state == self._settled:
            return True
        is_settled = time.time() - folder.st_ctime > _COARSEST_TICK
        if not self._look():
            return False
        # What happens within one tick of the file system's clock leaves the time as it is.
        self._settled = state if is_settled else None
        return True

    def _look(self) -> bool:
        try:
            return [identify(name) for name in self._paths] == self.ids
        except FileNotFoundError:
            return False


def close_without_checkpoint(connection: sqlite3.Connection) -> None:
    """Close a connection whose log must not be carried over into the database.

    The last connection to be closed otherwise does that.
    """
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
    # This stops a checkpoint before its first page, and is forgotten when a statement begins. None
    # does before the end.
    connection.interrupt()
    connection.close()

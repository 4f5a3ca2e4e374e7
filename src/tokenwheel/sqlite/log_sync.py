"""How a commit in the write-ahead log comes to be on the disk: many of them by one sync.

SQLite's own ``synchronous=FULL`` syncs the log before it gives back the write lock. Each commit
then waits for the syncs of all before it. Here SQLite commits with ``NORMAL``, which doesn't sync
the log. The log is synced once the lock has been given back, and before the call returns. What
several threads or processes have committed meanwhile reaches the disk together.

What SQLite does about the log stays true under ``NORMAL`` (sqlite.org/wal.html): before anything of
the log is written into the database, the log is synced, and before the log is begun anew, the
database is.

Only the log may be opened beside SQLite. To close the database or the index would drop all locks
that this process has on it (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import sys
import threading

from ..errors import StorageUnavailable
from .turns import Turns

__all__ = ["LogSync", "can_sync"]

if sys.platform == "darwin":
    import fcntl

can_sync = sys.platform == "darwin" or hasattr(os, "fdatasync")
"""False on Windows: nobody could delete the log there while another has it open."""


class LogSync:
    """Bring commits to the disk, as many at once as there are.

    Args:
        path: the log, which is open in SQLite.

    Attributes:
        turns: those of the processes that commit to this log.

    Raises:
        OSError: the log cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.turns = Turns(self._descriptor)
        self._lock = threading.Lock()
        self._commits = 0  # how many there were
        self._synced = 0  # how many of them are on the disk
        self._error: OSError | None = None

    @property
    def has_failed(self) -> bool:
        """True from a sync that failed until :meth:`mend`."""
        return self._error is not None

    def count(self) -> int:
        """Return the number of a commit that was just made. Called by one thread at a time."""
        self._commits += 1
        return self._commits

    def bring_to_disk(self, commit: int) -> None:
        """Return once the commit of that number, and all before it, are on the disk.

        Raises:
            StorageUnavailable: the disk failed.
        """
        with self._lock:
            if commit > self._synced:
                self._bring_all()

    def mend(self) -> None:
        """Go on after a failure: all that was committed has been written into the database."""
        with self._lock:
            self._error = None
            self._synced = self._commits

    def close(self) -> None:
        """Let go of the log, once all that was committed is on the disk or has failed."""
        with self._lock:
            if self._descriptor < 0:
                return
            try:
                if self._synced < self._commits:
                    self._bring_all()
            except StorageUnavailable:
                pass  # Whoever waits for the commit is told.
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def abandon(self) -> None:
        """Let go of the log in a child of a fork, where nobody waits for it."""
        os.close(self._descriptor)

    def _bring_all(self) -> None:
        # A system reports once that it could not write, and takes what it has not written for
        # written. No later sync can be believed.
        if self._error is None:
            commits = self._commits
            try:
                _sync(self._descriptor)
            except OSError as error:
                self._error = error
            else:
                self._synced = commits
                return
        raise StorageUnavailable(
            f"the database file could not be brought to the disk ({self._error.strerror}); "
            "all of it may have been written, and the call can be made again"
        ) from self._error


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        # There, nothing less reaches the disk.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif sys.platform != "win32":
        os.fdatasync(descriptor)

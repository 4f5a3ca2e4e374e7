"""A connection with what belongs to it, for one thread at a time."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from .connection import Synchronous, open_connection
from .deadline import Deadline
from .log_sync import LogSync, can_sync
from .open_files import OpenFiles, close_without_checkpoint

__all__ = ["Line"]


class Line:
    """Hold a connection that is used by one thread at a time.

    A database has one line to read and one to write, so that no reader waits for a writer, nor for
    the disk that the writer waits for.

    Attributes:
        lock: whoever uses the line holds it.
        is_paused: True while the lock is held for a fork.
        connection: None where it is not open.
        files: those that the connection has open.
        log_sync: brings commits to the disk. None where SQLite does so.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_paused = False
        self.connection: sqlite3.Connection | None = None
        self.files: OpenFiles | None = None
        self.log_sync: LogSync | None = None

    def take(self, deadline: Deadline) -> None:
        """Take the lock.

        Raises:
            StorageUnavailable: other threads had it until the end.
        """
        if not deadline.acquire(self.lock):
            raise deadline.too_late("other threads were using it")

    @property
    def was_in_use(self) -> bool:
        """True, in a child of a fork, where another thread of the parent was using the line."""
        if self.is_paused:
            return False
        return self.lock.locked() or (
            self.connection is not None and self.connection.in_transaction
        )

    def open(
        self, path: Path, synchronous: Synchronous, writes: bool
    ) -> tuple[sqlite3.Connection, OpenFiles]:
        """Open the connection.

        Args:
            path: the file, by the name that was given for it.
            synchronous: what a commit waits for.
            writes: True for the line to write.

        Returns:
            The connection, and the files that it has open.

        Raises:
            ConfigurationError: the file is another application's, or of a later version.
            OSError: a file beside it is missing, or cannot be opened.
            sqlite3.Error: the file cannot be opened, or is in another's hands.
        """
        connection = open_connection(path, synchronous)
        try:
            files = OpenFiles(connection, path)
            if files.log is not None and synchronous == "FULL" and writes and can_sync:
                self.log_sync = LogSync(files.log)
        except BaseException:
            close_without_checkpoint(connection)
            raise
        self.connection, self.files = connection, files
        return connection, files

    def let_go(self) -> None:
        """Close the connection, if it is open."""
        connection, files = self.connection, self.files
        if connection is None or files is None:
            return
        # First: as long as these are here, they count as open in this process.
        self.forget()
        try:
            is_whole = files.are_in_place()
        except OSError:
            is_whole = False
        if is_whole:
            connection.close()
        else:
            # Another log may be in use by now.
            close_without_checkpoint(connection)

    def forget(self) -> None:
        """Let go of all that belongs to a connection, and of that, without closing it."""
        if self.log_sync is not None:
            self.log_sync.close()
        self.connection = self.files = self.log_sync = None

    def leave_to_parent(self) -> None:
        """Close the connection in a child of a fork. What is in the log is the parent's."""
        if self.log_sync is not None:
            self.log_sync.abandon()
        if self.connection is not None:
            close_without_checkpoint(self.connection)

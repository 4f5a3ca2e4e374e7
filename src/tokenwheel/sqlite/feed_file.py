"""The database file as a feed uses it, whose lookups must not wait for those who write.

Lookups read, and where they can go on without the file they don't wait for it either. What a lookup
has to write, it writes only where the write lock is free. ``database.py`` has the transactions.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigurationError, StorageUnavailable
from .database import Database, Synchronous
from .file_names import real_path

__all__ = ["FeedFile"]

T = TypeVar("T")


class FeedFile:
    """Use a file of this library for lookups and publications. Safe to share between threads.

    Arguments and errors are those of :class:`~tokenwheel.SqliteFeed`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, timeout: float, synchronous: Synchronous
    ) -> None:
        self.path = real_path(path)
        self._given = Path(path).absolute()
        self._synchronous: Synchronous = synchronous
        self._database = Database(self.path, timeout=timeout, synchronous=synchronous)

    def check_name(self) -> None:
        """Refuse to go on where a symbolic link leads to another file than it did.

        Raises:
            StorageUnavailable: it does, or leads nowhere.
        """
        if self._given == self.path:
            return  # The database knows whether its file is still there.
        try:
            is_same = self._given.samefile(self.path)
        except OSError as error:
            raise StorageUnavailable(
                f"the database file could not be used: {error.strerror}"
            ) from error
        if not is_same:
            raise StorageUnavailable(
                "the database file was replaced while it was in use; "
                "the process must be started anew"
            )

    def read(
        self, work: Callable[[sqlite3.Connection], T], *, longest_wait: float | None = None
    ) -> T:
        """Carry out work that only reads. Return what ``work`` returned.

        Args:
            work: is given a connection.
            longest_wait: seconds to wait where another process keeps even readers out; None for
                the timeout that the file was opened with.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        if longest_wait is None:
            return self._database.read(work)

        def impatient(connection: sqlite3.Connection) -> T:
            connection.execute(f"PRAGMA busy_timeout = {int(longest_wait * 1000)}")
            return work(connection)

        return self._database.read(impatient)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out work in one transaction. Return what ``work`` returned.

        Raises:
            StorageUnavailable: the file cannot be written; nothing was changed.
        """
        return self._database.write(work)

    def write_if_free(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Carry out work in one transaction, unless another process holds the write lock.

        Returns:
            What ``work`` returned; None where the file cannot be written now, for whatever reason.
        """
        try:
            with closing(Database(self.path, timeout=0, synchronous=self._synchronous)) as database:
                return database.write(work)
        except (StorageUnavailable, ConfigurationError):
            return None

    def close(self) -> None:
        """Let go of the file. Can be called again."""
        self._database.close()

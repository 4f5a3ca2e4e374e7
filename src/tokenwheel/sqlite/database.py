"""One SQLite file, as a process has it open: checked, migrated, and used a transaction at a time.

Sessions and revocations may share a file; the storage and the feed each open it for themselves.
Nothing here knows a session or a revocation.

Every process relies on this:

- The file is in WAL mode, where it can be, so nobody who reads waits for anybody who writes.
- A transaction that writes takes the write lock when it begins, so no two of them see each other's
  work half done.
- A commit is on the disk before it returns, unless ``synchronous="NORMAL"`` was chosen.
- No connection is open during a ``fork``. SQLite remembers by process which locks it has on a file.
  A child inherits what SQLite remembers, and no lock. What the child commits could then be lost
  when another process tidies up (sqlite.org/howtocorrupt.html, 2.6).
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from ..errors import ConfigurationError, StorageUnavailable
from ..fork_safety import pause_during_fork, renew_after_fork
from .new_file import create_file
from .schema import check_schema, migrate, rolled_back

__all__ = ["Database", "Synchronous"]

Synchronous = Literal["FULL", "NORMAL"]
T = TypeVar("T")

_LONGEST_WAIT = 3600.0  # seconds: one hour

_inherited: list[object] = []
"""Connections that could not be closed before a fork: the child neither uses nor closes them."""


class _Line:
    """Hold a connection that is used by one thread at a time.

    A database has one line to read and one to write, so that no reader waits for a writer, nor for
    the disk that the writer waits for.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.is_paused = False

    def let_go(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Database:
    """Use a SQLite file of this library. Safe to share between threads, and over a ``fork``.

    Args:
        path: the file. Where there is none it is made, readable by its owner alone.
        timeout: seconds to wait for another process's write.
        synchronous: ``"FULL"``: what was committed survives a loss of power. ``"NORMAL"``: it
            survives the end of any process, but a loss of power takes the last moments with it.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is
            one of a later version.
        StorageUnavailable: the file cannot be opened or read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
    ) -> None:
        _check_options(path, timeout, synchronous)
        self.path = Path(path).absolute()
        self._timeout = timeout
        self._synchronous = synchronous
        self._writer, self._reader = _Line(), _Line()
        self._closed = False
        pause_during_fork(self)
        renew_after_fork(self)
        with self._writer.lock, self._failures():
            if not self.path.exists():
                create_file(self.path, self._fill)
            self._file = self._identify()
            self._check_owner()
            self._connect(self._writer)

    def __repr__(self) -> str:
        return f"<Database {os.fspath(self.path)!r}>"

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out work in one transaction: all of it takes effect, or none.

        Returns:
            What ``work`` returned.

        Raises:
            StorageUnavailable: the file cannot be written. Nothing was changed; or all, where the
                disk failed as the commit ended.
        """
        line = self._writer
        with line.lock, self._failures():
            connection = self._connect(line)
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if not rolled_back(connection):
                    line.connection = None
                raise
            return answer

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out work that only reads. It waits for nobody who writes.

        Returns:
            What ``work`` returned.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        line = self._reader
        with line.lock, self._failures():
            return work(self._connect(line))

    def close(self) -> None:
        """Let go of the file. Can be called again.

        Any other call then raises :class:`~tokenwheel.errors.StorageUnavailable`.
        """
        self._closed = True
        for line in (self._writer, self._reader):
            with line.lock:
                line.let_go()

    def pause(self) -> None:
        """Let go of the file before a fork, until :meth:`go_on`.

        Waits for what is going on in other threads, ``timeout`` seconds at most for each line.
        """
        for line in (self._writer, self._reader):
            line.is_paused = line.lock.acquire(timeout=self._timeout)
            if line.is_paused:
                line.let_go()

    def go_on(self) -> None:
        """Let other threads use the file again, after the fork, in the parent."""
        for line in (self._writer, self._reader):
            if line.is_paused:
                line.is_paused = False
                line.lock.release()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with connections and locks of its own.

        This thread holds the old locks, or a thread of the parent does that is not here.
        """
        lines = self._writer, self._reader
        _inherited.extend(line.connection for line in lines if line.connection is not None)
        self._writer, self._reader = _Line(), _Line()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        # Python raises a UnicodeDecodeError where a message of SQLite quotes a damaged file.
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise StorageUnavailable(
                f"the database file could not be used: {_reason(error)}; the call can be made again"
            ) from error

    def _connect(self, line: _Line) -> sqlite3.Connection:
        if self._closed:
            raise StorageUnavailable("the database file was closed")
        if self._identify() != self._file:
            # To go on with a file that nobody will find again would forget every logout. So would
            # to begin an empty one.
            raise StorageUnavailable(
                "the database file was replaced while it was in use; "
                "the process must be started anew"
            )
        if line.connection is None:
            line.connection = self._open_prepared(self.path)
        return line.connection

    def _open_prepared(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _fill(self, path: Path) -> None:
        self._open_prepared(path).close()

    def _identify(self) -> tuple[int, int]:
        """Return the device and the number of the file that is under the path now."""
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _check_owner(self) -> None:
        """Refuse a file that belongs to another application.

        The file is opened to read only: to open it for writing would finish or undo what its
        application left behind.
        """
        uri = f"{self.path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=self._timeout)) as connection:
            check_schema(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        migrate(connection)
        mode = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != ("wal",) and _can_map(self.path.parent):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        if self._synchronous == "FULL":
            # On macOS nothing less reaches the disk. Elsewhere it changes nothing.
            connection.execute("PRAGMA fullfsync = 1")


def _check_options(path: object, timeout: object, synchronous: object) -> None:
    if (
        not isinstance(path, str | os.PathLike)
        or not isinstance(os.fspath(path), str)
        or os.fspath(path) in ("", ":memory:")
    ):
        raise ConfigurationError(
            "path must be the path of a file; for sessions in memory there is MemoryStorage"
        )
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, int | float)
        or not 0 <= timeout <= _LONGEST_WAIT
    ):
        raise ConfigurationError(f"timeout must be a number of seconds from 0 to {_LONGEST_WAIT:g}")
    if synchronous not in ("FULL", "NORMAL"):
        raise ConfigurationError("synchronous must be 'FULL' or 'NORMAL'")


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


def _reason(error: Exception) -> str:
    """Return what went wrong, in words that hold nothing of what was stored."""
    return (
        getattr(error, "sqlite_errorname", None)
        or getattr(error, "strerror", None)
        or type(error).__name__
    )

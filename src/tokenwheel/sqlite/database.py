"""One SQLite file, as one process has it open: checked, migrated, and used a transaction at a time.

Sessions and revocations may share a file; each of their classes opens it for itself. Nothing here knows a session or a revocation.

What every process relies on: the file is in WAL mode, where it can be, so nobody who reads waits for anybody who writes; a
transaction that writes takes the write lock when it begins, so two never find each other's work half done; and a commit is on the
disk before it returns, unless ``synchronous="NORMAL"`` was chosen. No connection is open during a ``fork``: SQLite knows by process
which locks it has on a file, and a child that inherits that knowledge inherits no lock. What the child commits would then go when
another process tidies up (sqlite.org/howtocorrupt.html, 2.6).
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from ..errors import ConfigurationError, StorageUnavailable
from ..fork_safety import pause_during_fork, renew_after_fork
from .schema import check_schema, migrate, rolled_back

__all__ = ["Database", "Synchronous"]

Synchronous = Literal["FULL", "NORMAL"]
T = TypeVar("T")

_LONGEST_WAIT = 3600.0  # seconds

_inherited: list[
    object
] = []  # connections that could not be closed in time: a child neither uses nor closes them


class _Line:
    """A connection that is used by one thread at a time. One that reads waits for none that writes, nor for the disk that it waits for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.is_paused = False

    def let_go(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Database:
    """A SQLite file of this library. Safe to share between threads, and over a ``fork``.

    Args:
        path: the file; made, readable by its owner alone, where there is none.
        timeout: seconds to wait for another process's write.
        synchronous: ``"FULL"``: what was committed survives a loss of power. ``"NORMAL"``: it survives the end of any process, and a
            loss of power takes the last moments with it.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is one of a later version.
        StorageUnavailable: the file cannot be opened or read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
    ) -> None:
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
            raise ConfigurationError(
                f"timeout must be a number of seconds from 0 to {_LONGEST_WAIT:g}"
            )
        if synchronous not in ("FULL", "NORMAL"):
            raise ConfigurationError("synchronous must be 'FULL' or 'NORMAL'")
        self.path = Path(path).absolute()
        self._timeout = timeout
        self._synchronous = synchronous
        self._writer, self._reader = _Line(), _Line()
        self._closed = False
        pause_during_fork(self)
        renew_after_fork(self)
        with self._writer.lock, self._failures():
            if not self.path.exists():
                self._create()
            self._file = self._identify()
            self._look()
            self._connect(self._writer)

    def __repr__(self) -> str:
        return f"<Database {os.fspath(self.path)!r}>"

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carries out the work in one transaction: all of it takes effect, or none.

        Raises:
            StorageUnavailable: the file cannot be written. Nothing was changed, or all, where the disk failed as the commit ended.
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
        """Carries out work that only reads; it waits for nobody who writes.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        line = self._reader
        with line.lock, self._failures():
            return work(self._connect(line))

    def close(self) -> None:
        """Lets go of the file. Can be called again; what comes after raises :class:`~tokenwheel.errors.StorageUnavailable`."""
        self._closed = True
        for line in (self._writer, self._reader):
            with line.lock:
                line.let_go()

    def pause(self) -> None:
        """Before a fork: waits for what is going on in other threads, and lets go of the file until :meth:`go_on`."""
        for line in (self._writer, self._reader):
            line.is_paused = line.lock.acquire(timeout=self._timeout)
            if line.is_paused:
                line.let_go()

    def go_on(self) -> None:
        """After the fork, in the parent."""
        for line in (self._writer, self._reader):
            if line.is_paused:
                line.is_paused = False
                line.lock.release()

    def renew(self) -> None:
        _inherited.extend(
            line.connection for line in (self._writer, self._reader) if line.connection is not None
        )
        self._writer, self._reader = (
            _Line(),
            _Line(),
        )  # Their locks are held by this thread, or by one that is not here.

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (
            sqlite3.Error,
            OSError,
            UnicodeDecodeError,
        ) as error:  # The last one where a message quotes a damaged file.
            raise StorageUnavailable(
                f"the database file could not be used: {_reason(error)}; the call can be made again"
            ) from error

    def _connect(self, line: _Line) -> sqlite3.Connection:
        if self._closed:
            raise StorageUnavailable("the database file was closed")
        if self._identify() != self._file:
            # To go on with a file that nobody will find again, or to begin an empty one, would both forget every logout.
            raise StorageUnavailable(
                "the database file was replaced while it was in use; the process must be started anew"
            )
        if line.connection is None:
            connection = self._open(self.path)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            line.connection = connection
        return line.connection

    def _open(self, path: Path) -> sqlite3.Connection:
        return sqlite3.connect(
            path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )

    def _identify(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def _create(self) -> None:
        """Makes the file, whole before anybody sees it, and readable by its owner alone."""
        descriptor, name = tempfile.mkstemp(
            prefix=f".{self.path.name}-", dir=self.path.parent
        )  # of mode 0600
        os.close(descriptor)
        made = Path(name)
        try:
            connection = self._open(made)
            try:
                self._prepare(connection)
            finally:
                connection.close()
            with suppress(FileExistsError):  # Another process was faster, and its file is as good.
                try:
                    os.link(made, self.path)
                except FileExistsError:
                    raise
                except OSError:  # A file system without links. An empty file is of version 0: who opens it brings it up to date.
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        finally:
            for one in (
                made,
                *(made.with_name(made.name + suffix) for suffix in ("-journal", "-wal", "-shm")),
            ):
                one.unlink(missing_ok=True)

    def _look(self) -> None:
        """Refuses a file that is another's. Read only: to open it for writing would finish or undo what its application left behind."""
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=ro", uri=True, timeout=self._timeout
        )
        try:
            check_schema(connection)
        finally:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        migrate(connection)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",) and _can_map(
            self.path.parent
        ):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        if self._synchronous == "FULL":
            connection.execute(
                "PRAGMA fullfsync = 1"
            )  # On macOS nothing less reaches the disk; elsewhere it changes nothing.


def _can_map(folder: Path) -> bool:
    """Whether processes can share memory through a file there, without which SQLite has no write-ahead log; slower, it does without."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(1)
        try:
            mmap.mmap(file.fileno(), 1).close()
        except OSError:
            return False
    return True


def _reason(error: Exception) -> str:
    """What went wrong, in words that hold nothing of what was stored."""
    return (
        getattr(error, "sqlite_errorname", None)
        or getattr(error, "strerror", None)
        or type(error).__name__
    )

"""One SQLite file, as a process has it open: checked, migrated, and used a transaction at a time.

Sessions and revocations may share a file; the storage and the feed each open it for themselves.
Nothing here knows a session or a revocation.

Every process relies on this:

- The file is in WAL mode, where it can be, so nobody who reads waits for anybody who writes.
- A transaction that writes takes the write lock when it begins, so no two of them see each other's
  work half done.
- A commit is on the disk before it returns, unless ``synchronous="NORMAL"`` was chosen.
- All processes use the same files. Who finds that another is under the name of one of them refuses
  to go on, and says so.
- No connection that was open during a ``fork`` is used in the child. SQLite remembers by process
  which locks it has on a file. A child inherits what SQLite remembers, and no lock. What the child
  commits could then be lost when another process tidies up (sqlite.org/howtocorrupt.html, 2.6).
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import StorageUnavailable
from ..fork_safety import pause_during_fork, renew_after_fork
from ..option_checks import check_choice, check_seconds
from ..weak_identities import WeakIdentityDictionary
from .connection import Synchronous, check_owner, open_connection
from .deadline import Deadline
from .failures import FAILURES, unavailable
from .file_modes import warn_of_modes
from .file_names import real_path
from .given_path import given_path
from .inherited import begin_anew, is_inherited, keep_for_ever, watch
from .line import Line
from .log_sync import LogSync
from .new_file import create_file
from .open_files import FileId, OpenFiles, identify
from .schema import bring_up_to_date, rolled_back

__all__ = ["Database", "Synchronous"]

T = TypeVar("T")

_LONGEST_WAIT = 3600.0  # seconds: one hour
_FORKED_AMID_A_CALL = (
    "the database file was in use while this process was forked; let the fork wait for that, "
    "as os.fork does, and uWSGI with py-call-uwsgi-fork-hooks = true"
)
# To go on with a file that nobody will find again would forget every logout. So would to begin an
# empty one.
_REPLACED = "the database file was replaced while it was in use; the process must be started anew"
_REMOVED = (
    "a file beside the database, its -wal or its -shm, was removed while it was in use; "
    "the process must be started anew"
)

_databases: WeakIdentityDictionary[Database, None] = WeakIdentityDictionary()


class Database:
    """Use a SQLite file of this library. Safe to share between threads, and over a ``fork``.

    Args:
        path: the file, or a symbolic link to it. Where there is none it is made, readable by its
            owner alone.
        timeout: seconds that a call waits for other threads and processes, for all of them
            together.
        synchronous: ``"FULL"``: what was committed survives a loss of power. ``"NORMAL"``: it
            survives the end of any process, but a loss of power takes the last moments with it.

    Attributes:
        path: the file, absolute and without links.
        file: what tells it from any other. None until it is open.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is
            one of a later version, or has several names.
        StorageUnavailable: the file cannot be opened or read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
    ) -> None:
        timeout = check_seconds("timeout", timeout, 0, _LONGEST_WAIT)
        synchronous = check_choice("synchronous", synchronous, ("FULL", "NORMAL"))
        name = given_path(path)
        self.path = real_path(name)
        # Where this is a link, it may come to lead to another file.
        self._given = Path(name).absolute()
        self.file: FileId | None = None
        self._timeout = timeout
        self._synchronous: Synchronous = synchronous
        self._writer, self._reader = self._lines = [Line(), Line()]
        self._closed = False
        self._refusal: str | None = None
        if is_inherited():
            begin_anew()
        watch(self)
        pause_during_fork(self)
        renew_after_fork(self)
        _databases[self] = None
        weakref.finalize(self, _let_go, self._lines)
        deadline = Deadline(timeout)
        self._writer.take(deadline)
        try:
            if not self.path.exists():
                create_file(self.path, self._fill)
            self.file = identify(self._given)
            deadline.insist(check_owner, self.path)
            self._connect(self._writer, deadline)
        except FAILURES as error:
            raise unavailable(error) from error
        finally:
            self._writer.lock.release()
        warn_of_modes(self.path)

    def __repr__(self) -> str:
        return f"<Database {os.fspath(self.path)!r}>"

    def write(self, work: Callable[[sqlite3.Connection], T], *, timeout: float | None = None) -> T:
        """Carry out work in one transaction: all of it takes effect, or none.

        Args:
            work: is given a connection.
            timeout: seconds that this call waits; None for as long as any.

        Returns:
            What ``work`` returned.

        Raises:
            StorageUnavailable: the file cannot be written, or was busy for ``timeout`` seconds.
                Nothing was changed; or all, where the disk failed as the commit ended.
        """
        if is_inherited():
            begin_anew()
        line, deadline = self._writer, self._deadline(timeout)
        line.take(deadline)
        try:
            try:
                answer = self._transact(line, deadline, work)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
                    raise
                # A table is missing: a backup of an older version may have been restored.
                self._transact(line, deadline, bring_up_to_date)
                answer = self._transact(line, deadline, work)
            log_sync = line.log_sync
            commit = 0 if log_sync is None else log_sync.count()
            if line.files is not None and not line.files.are_in_place():
                raise self._refuse(line, "; all of it may have been written")
        except FAILURES as error:
            raise unavailable(error) from error
        finally:
            line.lock.release()
        # SQLite's write lock was given back, and this process's: others commit meanwhile.
        if log_sync is not None:
            log_sync.bring_to_disk(commit)
        return answer

    def read(self, work: Callable[[sqlite3.Connection], T], *, timeout: float | None = None) -> T:
        """Carry out work that only reads. It waits for nobody who writes.

        Args:
            work: is given a connection. It may be called again, where the file was busy amid it.
            timeout: seconds that this call waits; None for as long as any.

        Returns:
            What ``work`` returned.

        Raises:
            StorageUnavailable: the file cannot be read, or was busy for ``timeout`` seconds.
        """
        if is_inherited():
            begin_anew()
        line, deadline = self._reader, self._deadline(timeout)
        line.take(deadline)
        try:
            return deadline.insist(work, self._connect(line, deadline))
        except FAILURES as error:
            raise unavailable(error) from error
        finally:
            line.lock.release()

    def close(self) -> None:
        """Let go of the file. Can be called again.

        Any other call then raises :class:`~tokenwheel.errors.StorageUnavailable`.
        """
        if is_inherited():
            begin_anew()
        self._closed = True
        for line in self._lines:
            with line.lock:
                line.let_go()

    def pause(self) -> None:
        """Let go of the file before a fork, until :meth:`go_on`.

        Waits for what is going on in other threads, ``timeout`` seconds at most.
        """
        if is_inherited():
            begin_anew()
        deadline = Deadline(self._timeout)
        for line in self._lines:
            line.is_paused = deadline.acquire(line.lock)
            if line.is_paused:
                line.let_go()

    def go_on(self) -> None:
        """Let other threads use the file again, after the fork, in the parent."""
        for line in self._lines:
            if line.is_paused:
                line.is_paused = False
                line.lock.release()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with connections and locks of its own."""
        begin_anew()

    def was_in_use(self) -> bool:
        """Return True, in a child, if another thread of the parent was amid a call."""
        return any(line.was_in_use for line in self._lines)

    def leave_parent(self, *, is_usable: bool) -> None:
        """Drop, in a child, all that is the parent's.

        Args:
            is_usable: False where the file was in use during the fork: the child then refuses it.
        """
        for line in self._lines:
            if line.connection is None:
                continue
            if is_usable:
                line.leave_to_parent()
            else:
                keep_for_ever(line.connection)
        if not is_usable:
            self._refusal = _FORKED_AMID_A_CALL
        self._lines[:] = self._writer, self._reader = Line(), Line()

    def _transact(
        self, line: Line, deadline: Deadline, work: Callable[[sqlite3.Connection], T]
    ) -> T:
        connection = self._connect(line, deadline)
        if line.log_sync is not None and line.log_sync.has_failed:
            _mend(connection, line.log_sync)
        turns = None if line.log_sync is None else line.log_sync.turns
        if turns is not None:
            turns.begin(deadline)
        try:
            try:
                deadline.insist(connection.execute, "BEGIN IMMEDIATE")
                answer = work(connection)
                deadline.insist(connection.execute, "COMMIT")
            finally:
                if turns is not None:
                    turns.end()
        except BaseException:
            if not rolled_back(connection):
                line.forget()
            raise
        return answer

    def _connect(self, line: Line, deadline: Deadline) -> sqlite3.Connection:
        """Return the line's connection, once it is sure that all its files are the right ones."""
        if self._closed:
            raise StorageUnavailable("the database file was closed")
        if self._refusal is not None:
            raise StorageUnavailable(self._refusal)
        connection, files = line.connection, line.files
        if connection is None or files is None:
            return self._open(line, deadline)
        if not files.are_in_place():
            raise self._refuse(line)
        return connection

    def _open(self, line: Line, deadline: Deadline) -> sqlite3.Connection:
        if identify(self._given) != self.file:
            raise self._refuse(line)
        writes = line is self._writer
        try:
            connection, opened = deadline.insist(line.open, self._given, self._synchronous, writes)
        except FileNotFoundError as error:
            raise self._refuse(line) from error
        # All connections of a process share the log's index that the first of them has opened,
        # whatever has become of that since.
        if any(files.ids != opened.ids for files in self._files_of_process()):
            raise self._refuse(line)
        return connection

    def _files_of_process(self) -> list[OpenFiles]:
        """Return those that this process's connections to the file have open."""
        files = [
            line.files
            for database in _databases
            if database.file == self.file
            for line in database._lines
        ]
        return [opened for opened in files if opened is not None]

    def _refuse(self, line: Line, addition: str = "") -> StorageUnavailable:
        """Let go of the file for good, so as not to write beside others who use other files.

        Returns:
            The error that says so.
        """
        is_replaced = identify(self._given) != self.file
        self._refusal = _REPLACED if is_replaced else _REMOVED
        line.let_go()
        return StorageUnavailable(self._refusal + addition)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout)

    def _fill(self, path: Path) -> None:
        open_connection(path, self._synchronous).close()


def _let_go(lines: Sequence[Line]) -> None:
    """Let go of a database that nobody uses any more, at the latest when the process ends.

    Python would close the connections without asking whether their files are still in place.
    """
    for line in lines:
        if line.lock.acquire(blocking=False):
            try:
                if is_inherited():
                    line.leave_to_parent()
                else:
                    line.let_go()
            finally:
                line.lock.release()


def _mend(connection: sqlite3.Connection, log_sync: LogSync) -> None:
    """Write all that is in the log into the database, and begin the log anew.

    The disk has failed to take something of the log. Where that is missing, whatever comes behind
    it would be lost as well.
    """
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    if is_busy:
        raise StorageUnavailable(
            "the database file must be brought to the disk after a failure, and is in use; "
            "the call can be made again"
        )
    log_sync.mend()

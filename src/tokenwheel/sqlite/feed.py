"""Revocations between the processes of one machine: rows in a SQLite file, beside it a doorbell.

They are still there after a restart. Rows are only ever appended, and removed when they are long
over. After each commit the doorbell is rung. A lookup that begins after ``publish`` has returned
finds the number changed, whichever process it runs in, and fetches the rows first. As long as
nothing happens, a lookup costs one load from memory.

The doorbell is only a hint; the table is the truth. A process looks at the table at least once a
second (``RevocationTable``), whatever the number says. A new doorbell may have taken the place of
an old one, whoever did that, and other processes listen to the old one until that second is over.
So ``publish`` waits out the rest of the second before it returns. It waits a whole one where it
cannot ring.

A lookup never waits for the write lock. What it has to write, it writes where the lock is free, and
otherwise a second later.

``log.py`` has the rows, ``log_reader.py`` how a process follows them, ``doorbell_keeper.py`` who
makes and rings the doorbell, and ``reachability.py`` what lookups do where the file can't be read.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Literal, TypeVar

from ..errors import ConfigurationError, StorageUnavailable
from ..fork_safety import renew_after_fork
from ..option_checks import check_choice, check_clocks
from ..revocation.message import pack, plain_revocations
from ..revocation.protocol import Apply, Revocation
from ..revocation.stats import FeedStats
from ..seconds import checked_clock, steady_time, wall_time
from .database import Database, Synchronous
from .doorbell_keeper import DoorbellKeeper
from .kept_clock import boot_id, least_distance
from .log import append, put_back, remove_over
from .log_reader import LogReader
from .reachability import Reachability
from .schema import bring_up_to_date

__all__ = ["SqliteFeed"]

T = TypeVar("T")

_PUT_BACK_AT_ONCE = 1_000  # revocations
_PUT_BACK_AGAIN_AFTER = 1.0  # seconds, where the file was being written to


class SqliteFeed:
    """Tie the :class:`~tokenwheel.RevocationList` of each process of a machine to one file.

    Safe over ``fork``, as in gunicorn's preload. The file may be restored from a backup while it is
    in use, with SQLite's backup API. What the backup lacks, the processes put back that know of it.

    Args:
        path: the file, or a symbolic link to it. Where there is none it is made, readable by its
            owner alone. A ``SqliteStorage`` may use the same one. The doorbell is the file with
            ``-doorbell`` behind its name.
        timeout: seconds that a call waits for other threads and processes, together.
        synchronous: ``"FULL"``: a revocation survives a loss of power. ``"NORMAL"``: it survives
            the end of any process.
        when_stale: what ``read`` does where the file cannot be read. ``"refuse"``: it refuses every
            token with :class:`~tokenwheel.StorageUnavailable`. ``"accept"``: it goes on with what
            is known, and tries again once a second.
        clock: returns Unix seconds.
        timer: returns seconds that never run back.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is
            one of a later version, or has several names.
        StorageUnavailable: the file cannot be opened.
    """

    waits = True
    """Calls wait for the disk and for other processes, so an async manager needs worker threads."""
    db_system = "sqlite"
    """What traces of a call name as the kind of database, in the words of OpenTelemetry."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
        when_stale: Literal["accept", "refuse"] = "refuse",
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        refuses = check_choice("when_stale", when_stale, ("accept", "refuse")) == "refuse"
        check_clocks(clock=clock, timer=timer)
        clock, timer = checked_clock(clock), checked_clock(timer)
        self._database = Database(path, timeout=timeout, synchronous=synchronous)
        self._clock = clock
        self._timer = timer
        self._boot = boot_id()
        self._keeper = DoorbellKeeper(self._database.path)
        self._reader = LogReader(self._read, clock, timer)
        self._reachability = Reachability(timer, refuses=refuses)
        self._apply: Apply | None = None
        self._put_back_again_at = -inf
        self._is_closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<SqliteFeed {os.fspath(self._database.path)!r}>"

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when there is news.

        None where there is no doorbell, or files cannot be mapped: each lookup then has to ask.
        """
        return self._keeper.number

    def stats(self) -> FeedStats:
        """Return how far this process has read the log of revocations. The file is left alone."""
        reader = self._reader
        return FeedStats(
            lag=reader.lag,
            staleness=max(self._timer() - reader.fresh_at, 0),
            reconnects=self._reachability.reconnects,
            entries=reader.entries,
            skipped=0,
            replays=reader.replays,
            last_id=str(reader.position),
        )

    def start(self, apply: Apply) -> None:
        """Hand every live revocation to ``apply``, and keep ``apply`` for those to come.

        Raises:
            ConfigurationError: the feed was started before.
            StorageUnavailable: the file cannot be read, or is damaged.
        """
        with self._lock:
            if self._apply is not None:
                raise ConfigurationError(
                    "a feed serves one RevocationList: make another feed, of the same file, "
                    "for another list"
                )
            self._reader.begin(apply)
            self._keeper.look()
            if not self._keeper.is_there():
                self._write_if_free(self._keeper.make)
            self._catch_up()
            self._apply = apply

    def publish(self, revocations: Sequence[Revocation]) -> None:
        """Append revocations in one transaction, then ring the doorbell.

        Returns once the next lookup of every process finds them.

        Raises:
            InvalidArgument: a revocation that no list could take.
            StorageUnavailable: the file cannot be written; nothing was published.
        """
        revocations = plain_revocations(revocations)
        for revocation in revocations:
            pack(revocation)  # which refuses what cannot be sent
        if not revocations:
            return
        self._leave_parent()
        with self._lock:
            messages = self._reader.expect(revocations)
            distance = self._reader.slowest_distance()
        try:
            self._database.write(lambda connection: self._append(connection, revocations, distance))
        except BaseException:
            with self._lock:
                self._reader.expect_no_more(messages)
            raise
        with self._lock:
            heard_by_all = self._keeper.ring()
            self._look_for(messages)
            if self._is_closed:  # Meanwhile. What was rung is not to be kept.
                self._keeper.let_go()
        remaining = heard_by_all - steady_time()
        if remaining > 0:
            time.sleep(remaining)

    def poll(self) -> None:
        """Hand the revocations to ``apply`` that have come since the last call.

        Raises:
            StorageUnavailable: the file cannot be read, or is damaged, and ``when_stale`` is
                ``"refuse"``.
        """
        self._leave_parent()
        if not self._reachability.is_to_look():
            return
        longest_wait = self._reachability.longest_wait
        if not self._lock.acquire(timeout=-1 if longest_wait is None else longest_wait):
            return  # Another thread looks, and this one goes on with what is known.
        try:
            if self._apply is not None and self._reachability.is_to_look():
                self._look()
        finally:
            self._lock.release()

    def rewind(self) -> None:
        """Read the log from its start once more, at the next poll."""
        self._reader.rewind()

    def close(self) -> None:
        """Let go of the file and the doorbell. Can be called again.

        Lookups then rely on what was known.
        """
        self._leave_parent()
        with self._lock:
            self._is_closed = True
            self._apply = None
            self._keeper.let_go()
        self._database.close()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with a lock of its own.

        Another thread of the parent may have held the old one.
        """
        self._lock = threading.Lock()
        self._pid = os.getpid()  # Last, as another thread goes by it.

    def _leave_parent(self) -> None:
        if self._pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()

    def _look(self) -> None:
        began = self._timer()
        try:
            self._catch_up()
        except StorageUnavailable as error:
            self._reachability.take_failure(error, began=began)
        else:
            self._reachability.take_success()
            self._put_back()

    def _catch_up(self) -> None:
        self._keeper.look()
        try:
            self._reader.catch_up()
        except StorageUnavailable as error:
            if not isinstance(error.__cause__, sqlite3.OperationalError):
                raise
            # A backup of an older version may have been restored.
            self._write_if_free(bring_up_to_date)
            self._reader.catch_up()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._database.read(work, timeout=self._reachability.longest_wait)

    def _write_if_free(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Carry out work in one transaction, unless somebody else is writing.

        Returns:
            What ``work`` returned; None where the file cannot be written now, for whatever reason.
        """
        try:
            return self._database.write(work, timeout=0)
        except (StorageUnavailable, ConfigurationError):
            return None

    def _look_for(self, messages: set[bytes]) -> None:
        """Take in what there is. Put back what was just published and is not heard."""
        if self._apply is None:
            self._reader.expect_no_more(messages)
            return
        try:
            self._catch_up()
        except StorageUnavailable:
            # It is published all the same. The next lookup meets the same, and says so.
            self._reader.miss(messages)
        else:
            self._reader.miss(messages)
            self._put_back()

    def _append(
        self, connection: sqlite3.Connection, revocations: Sequence[Revocation], distance: float
    ) -> None:
        bring_up_to_date(connection)
        steady = self._timer()
        remove_over(connection, steady + least_distance(connection, distance, steady, self._boot))
        append(connection, revocations)
        if not self._keeper.is_there():
            self._keeper.make(connection)

    def _put_back(self) -> None:
        """Put back some of what the log lacks, where that takes no waiting."""
        if self._timer() < self._put_back_again_at:
            return
        missing = self._reader.missing(_PUT_BACK_AT_ONCE)
        if not missing:
            return
        lacking = self._write_if_free(lambda connection: put_back(connection, missing))
        if lacking is None:
            self._put_back_again_at = self._timer() + _PUT_BACK_AGAIN_AFTER
            return
        if lacking:
            self._reader.tell_put_back(lacking)
        # The next lookup hears them, puts back the rest, and so on.
        self._keeper.ring()

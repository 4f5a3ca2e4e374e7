"""How calls wait for each other and for the disk, and what is let go of."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from errno import EIO
from pathlib import Path

import pytest

from tests.servers import until
from tokenwheel import StorageUnavailable
from tokenwheel.sqlite import log_sync
from tokenwheel.sqlite.database import Database

THREADS = 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path)
    yield database
    database.close()


def publish(connection: sqlite3.Connection, session_id: str = "A" * 16) -> None:
    connection.execute(
        "INSERT INTO revocations (session_id, expires_at) VALUES (?, 1)", (session_id,)
    )


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM revocations").fetchone()[0])


def count_from_outside(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return count(connection)


def start(call: Callable[[], object], times: int = 1) -> list[threading.Thread]:
    threads = [threading.Thread(target=call) for _ in range(times)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("kind", ["write", "read"])
def test_threads_behind_each_other_all_give_up_when_their_own_time_is_over(
    path: Path, kind: str
) -> None:
    """Each in turn for its whole time, sixteen would take sixteen times as long."""
    database = Database(path, timeout=1)
    refusals: list[str] = []
    longest: list[float] = []

    def call() -> None:
        begun = time.monotonic()
        try:
            getattr(database, kind)(count)
        except StorageUnavailable as error:
            refusals.append(str(error))
        longest.append(time.monotonic() - begun)

    # So that also reading has to wait.
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        if kind == "write":
            holder.execute("BEGIN IMMEDIATE")
        else:
            database._reader.lock.acquire()
        for thread in start(call, THREADS):
            thread.join()
        if kind == "read":
            database._reader.lock.release()
    assert max(longest) < THREADS / 2
    assert len(refusals) == THREADS
    assert all("was busy for 1 seconds" in refusal for refusal in refusals)
    assert database.write(count) == 0
    database.close()


def test_a_call_that_comes_while_the_file_is_locked_goes_on_once_it_is_free(path: Path) -> None:
    database = Database(path, timeout=60)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        threads = start(lambda: database.write(publish), 3)
        until(database._writer.lock.locked)
        assert database.read(count) == 0
        holder.execute("ROLLBACK")
        for thread in threads:
            thread.join()
    assert database.read(count) == 3
    database.close()


def test_a_fork_waits_for_both_readers_and_writers_no_longer_than_a_call(path: Path) -> None:
    database = Database(path, timeout=1)
    waits: list[float] = []

    class Timed:
        """A lock that another thread keeps, and that notes how long it was waited for."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            waits.append(timeout if blocking else 0)
            time.sleep(timeout if blocking else 0)
            return False

    locks = database._writer.lock, database._reader.lock
    database._writer.lock = database._reader.lock = Timed()  # type: ignore[assignment]
    database.pause()
    database.go_on()
    database._writer.lock, database._reader.lock = locks
    assert sum(waits) <= 1
    assert database.write(count) == 0
    database.close()


class Syncs:
    """Count the syncs of logs, and do something before each, beside the disk's own."""

    def __init__(self) -> None:
        self.count = 0
        self.before: list[Callable[[], object]] = []
        self._real = log_sync._sync

    def __call__(self, descriptor: int) -> None:
        self.count += 1
        if self.before:
            self.before.pop(0)()
        self._real(descriptor)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    syncs = Syncs()
    monkeypatch.setattr(log_sync, "_sync", syncs)
    return syncs


needs_own_sync = pytest.mark.skipif(
    not log_sync.can_sync, reason="SQLite syncs by itself on this system"
)


@needs_own_sync
def test_a_commit_is_on_the_disk_before_the_call_returns_and_the_lock_free_before_that(
    database: Database, path: Path, syncs: Syncs
) -> None:
    seen: list[int] = []

    def look() -> None:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            seen.append(count(other))
            other.execute("ROLLBACK")

    for number in range(1, 4):
        syncs.before.append(look)
        database.write(publish)
        assert seen.pop() == number
        assert not syncs.before


@needs_own_sync
def test_with_normal_no_commit_waits_for_the_disk(path: Path, syncs: Syncs) -> None:
    database = Database(path, synchronous="NORMAL")
    database.write(publish)
    database.close()
    assert syncs.count == 0


@needs_own_sync
def test_what_threads_commit_during_a_sync_shares_the_next(
    database: Database, path: Path, syncs: Syncs
) -> None:
    may_end = threading.Event()
    syncs.before.append(may_end.wait)
    threads = start(lambda: database.write(publish), THREADS)
    until(lambda: count_from_outside(path) == THREADS, "all commits beside the first one's sync")
    may_end.set()
    for thread in threads:
        thread.join()
    assert syncs.count == 2


def fail() -> None:
    raise OSError(EIO, os.strerror(EIO))


@needs_own_sync
def test_a_sync_that_fails_is_told_to_all_whose_commits_it_was_to_cover(
    database: Database, path: Path, syncs: Syncs
) -> None:
    """The system forgets what it could not write: a second sync would succeed for nothing."""
    may_fail = threading.Event()
    refusals: list[str] = []

    def wait_and_fail() -> None:
        may_fail.wait()
        fail()

    def call() -> None:
        try:
            database.write(publish)
        except StorageUnavailable as error:
            refusals.append(str(error))

    syncs.before.append(wait_and_fail)
    threads = start(call, 4)
    until(lambda: count_from_outside(path) == 4)
    may_fail.set()
    for thread in threads:
        thread.join()
    assert len(refusals) == 4
    assert all("all of it may have been written" in refusal for refusal in refusals)


@needs_own_sync
def test_after_a_failed_sync_all_is_written_into_the_database_itself(
    database: Database, path: Path, syncs: Syncs
) -> None:
    """What comes behind a part of the log that is missing on the disk would be lost with it."""
    syncs.before.append(fail)
    with pytest.raises(StorageUnavailable, match="could not be brought to the disk"):
        database.write(publish)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        count(reader)
        with pytest.raises(StorageUnavailable, match="must be brought to the disk"):
            database.write(publish)
    database.write(publish)
    copy = path.with_name("without-its-log.db")
    shutil.copy(path, copy)
    assert count_from_outside(copy) == 1
    assert database.read(count) == 2


def test_a_log_that_grew_beside_a_long_reader_shrinks_after_it(
    database: Database, path: Path
) -> None:
    log = path.with_name(f"{path.name}-wal")

    def write_much(connection: sqlite3.Connection) -> None:
        for _ in range(20_000):
            publish(connection)
        connection.execute("DELETE FROM revocations")

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        count(reader)
        while log.stat().st_size < 20_000_000:
            database.write(write_much)
    for _ in range(3):
        database.write(publish)
    assert log.stat().st_size <= 4 * 1024 * 1024


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not listed here")
@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_nothing_is_open_after_close(path: Path, synchronous: str) -> None:
    def is_open() -> bool:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return any(link.readlink().is_relative_to(path.parent) for link in links)

    database = Database(path, synchronous=synchronous)  # type: ignore[arg-type]
    database.write(publish)
    database.read(count)
    assert is_open()
    database.close()
    database.close()
    assert not is_open()
    with pytest.raises(StorageUnavailable, match="was closed"):
        database.read(count)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def test_nobody_is_warned_of_what_was_left_open_by_a_database_that_was_closed(path: Path) -> None:
    unraisable: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        database = Database(path)
        database.write(publish)
        database.read(count)
        database.close()
        del database
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert not unraisable

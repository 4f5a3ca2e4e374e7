"""SqliteStorage: the contract of every storage, and what is a file's own.

Step by step it does what MemoryStorage does.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import stat
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests.storage.own_copies import OwnCopiesContract
from tests.storage.twice import Twice
from tests.support import SECRET, FakeClock
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.sqlite.schema import APPLICATION_ID, MIGRATIONS, VERSION
from tokenwheel.testing import NOW, make_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


class TestContract(OwnCopiesContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        pass

    def make_storage(self) -> SqliteStorage:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteStorage(Path(self.folder.name, "sessions.db"), synchronous="NORMAL")

    def teardown_method(self) -> None:
        super().teardown_method()
        self.storage.close()
        self.folder.cleanup()


class AwaitedStorage:
    """The storage as an async manager uses it: each call in a worker thread."""

    def __init__(self, storage: SqliteStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> object:
        call = getattr(self._storage, name)
        return call if name == "close" else lambda *arguments: asyncio.to_thread(call, *arguments)


class TestContractAwaited(TestContract):
    def make_storage(self) -> AwaitedStorage:  # type: ignore[override]
        return AwaitedStorage(super().make_storage())


class TwiceOverFile(Twice):
    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__()

    def open(self) -> SqliteStorage:
        return SqliteStorage(Path(self.folder.name, "sessions.db"), synchronous="NORMAL")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestTwice = TwiceOverFile.TestCase
TestTwice.settings = settings(stateful_step_count=30)


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes of files")
def test_what_it_makes_can_be_read_by_its_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        storage, feed = SqliteStorage(path), SqliteFeed(path)
        storage.insert(make_record(), None, NOW)
        feed.start(lambda revocations: None)
        made = sorted(file.name for file in path.parent.iterdir())
        assert made == ["sessions.db", "sessions.db-doorbell", "sessions.db-shm", "sessions.db-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)
    feed.close()
    storage.close()


def test_sessions_are_there_after_a_restart(path: Path) -> None:
    storage = SqliteStorage(path)
    record = make_record()
    storage.insert(record, None, NOW)
    storage.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        storage.read(record.id, NOW)
    again = SqliteStorage(os.fspath(path))
    assert again.read(record.id, NOW) == record
    again.close()
    again.close()


def test_no_file_of_it_holds_a_secret_or_a_token(path: Path) -> None:
    storage = SqliteStorage(path)
    manager = SessionManager(SECRET, issuer="i", audience="a", storage=storage)
    issued = [manager.create({"note": "claims are not kept"}, subject="ann")]
    issued += [manager.update(issued[0].refresh_token)]
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    storage.close()
    kept += path.read_bytes()
    for tokens in issued:
        assert tokens.session_id.encode() in kept  # so that what is looked for would be found
        secrets = tokens.refresh_token[16:]
        for place in range(0, len(secrets) - 12, 4):
            assert secrets[place : place + 12].encode() not in kept
        assert tokens.access_token.rpartition(".")[2].encode() not in kept
    assert b"claims are not kept" not in kept
    assert SECRET.encode() not in kept


def test_its_repr_shows_the_file_and_no_session(path: Path) -> None:
    storage = SqliteStorage(path)
    storage.insert(make_record(subject="uid1"), None, NOW)
    assert repr(storage) == f"<SqliteStorage {os.fspath(path)!r}>"
    storage.close()


def test_the_file_stops_growing_where_sessions_come_and_go(path: Path) -> None:
    storage = SqliteStorage(path, synchronous="NORMAL")
    clock = FakeClock(NOW)
    numbers = itertools.count()

    def live_a_while() -> int:
        for _ in range(2_000):
            storage.insert(
                make_record(
                    next(numbers), subject=str(next(numbers) % 50), ends_at=int(clock.now) + 100
                ),
                None,
                clock.now,
            )
            clock.now += 4
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.stat().st_size

    live_a_while()
    assert live_a_while() <= live_a_while() * 1.01
    with sqlite3.connect(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
    connection.close()
    # There are those that live or were over in the last hour, and a step's worth.
    kept = storage.count(clock.now - 3_600)
    assert kept <= rows <= kept + 4
    storage.close()


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": -1},
        {"timeout": True},
        {"timeout": "5"},
        {"timeout": float("nan")},
        {"synchronous": "OFF"},
        {"synchronous": None},
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused_before_a_file_is_made(
    path: Path, options: dict[str, object]
) -> None:
    for kind in (SqliteStorage, SqliteFeed):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            kind(path, **options)  # type: ignore[arg-type]
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["", ":memory:", b"sessions.db", None, 1], ids=repr)
def test_only_a_file_lasts(path: object) -> None:
    for kind in (SqliteStorage, SqliteFeed):
        with pytest.raises(ConfigurationError, match="path"):
            kind(path)  # type: ignore[arg-type]


def test_a_relative_path_means_the_same_file_after_the_process_moved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    storage = SqliteStorage(path.name)
    (path.parent / "elsewhere").mkdir()
    monkeypatch.chdir(path.parent / "elsewhere")
    storage.insert(make_record(), None, NOW)
    assert storage.read(make_record().id, NOW) == make_record()
    storage.close()
    assert list((path.parent / "elsewhere").iterdir()) == []


def test_many_that_come_first_at_once_make_one_file(path: Path) -> None:
    gate = threading.Barrier(8)
    made: list[SqliteStorage] = []

    def come() -> None:
        gate.wait()
        made.append(SqliteStorage(path))

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    made[0].insert(make_record(), None, NOW)
    assert all(storage.read(make_record().id, NOW) == make_record() for storage in made)
    for storage in made:
        storage.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_it_is_made_on_a_file_system_without_links(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage = SqliteStorage(path)
    storage.insert(make_record(), None, NOW)
    storage.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_an_earlier_version_is_brought_up_to_date(path: Path) -> None:
    """Version 0 is an empty database: what somebody made with `touch` or with `sqlite3`."""
    path.touch()
    storage = SqliteStorage(path)
    storage.insert(make_record(), None, NOW)
    storage.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_a_session_in_a_file_from_before_there_were_issuers_is_kept(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statements in MIGRATIONS[:2]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 2")
    record = make_record(issuer="")
    lacking = {"issuer", "mac", "context"}
    names = [name for name in type(record)._fields if name not in lacking]
    connection.execute(
        f"INSERT INTO sessions ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [getattr(record, name) for name in names],
    )
    connection.close()
    storage = SqliteStorage(path)
    assert storage.read(record.id, NOW) == record
    assert storage.read_all(record.subject, NOW) == [record]
    storage.close()


def test_an_event_loop_goes_on_while_the_file_is_locked(path: Path) -> None:
    """Every operation waits in a worker thread.

    Other tasks take hundreds of turns meanwhile, and reads are answered.
    """

    async def serve() -> int:
        storage = SqliteStorage(path, timeout=60)
        manager = AsyncSessionManager(SECRET, issuer="i", audience="a", storage=storage)
        tokens, other = await manager.create(subject="ann"), await manager.create(subject="bob")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        calls = [
            asyncio.ensure_future(call)
            for call in (
                manager.create(subject="ann"),
                manager.update(tokens.refresh_token),
                manager.restrict_all("ann"),
            )
        ]
        for _ in range(300):
            await asyncio.sleep(0)
            assert manager.read(other.access_token).subject == "bob"
        assert not any(call.done() for call in calls)
        holder.execute("ROLLBACK")
        holder.close()
        await asyncio.gather(*calls)
        left = len(await manager.read_all("ann"))
        storage.close()
        return left

    assert asyncio.run(serve()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there, a file in use cannot be deleted")
def test_a_session_is_never_written_where_nobody_finds_it(path: Path) -> None:
    storage = SqliteStorage(path)
    path.unlink()
    with pytest.raises(StorageUnavailable, match="No such file or directory"):
        storage.insert(make_record(), None, NOW)
    with suppress(StorageUnavailable):
        storage.close()
    assert not path.exists()


def test_time_to_wait_is_what_was_asked_for(path: Path) -> None:
    """A write that finds the file locked gives up after ``timeout``.

    It does so neither at once nor after SQLite's own five seconds.
    """
    storage = SqliteStorage(path, timeout=0.2)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(StorageUnavailable, match=r"SQLITE_BUSY|OperationalError"):
        storage.insert(make_record(), None, NOW)
    assert time.monotonic() - start >= 0.15
    holder.close()
    storage.insert(make_record(), None, NOW)
    storage.close()

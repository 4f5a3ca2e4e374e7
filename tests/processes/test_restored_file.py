"""A backup is restored into the file in use, with SQLite's own backup API.

Positions begin anew below those that processes have heard. Yet they hear every later logout, and
put back what the backup lacks.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.servers import until
from tokenwheel import (
    AccessTokenRevoked,
    Revocation,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)

from .support import employed, make_manager, managed, refuses, serve

TO_VERSION_1 = """
    DROP TRIGGER mark_revocation;
    DROP TABLE slow_clock;
    DROP TABLE access_lifetimes;
    ALTER TABLE sessions DROP COLUMN issuer;
    ALTER TABLE sessions DROP COLUMN mac;
    ALTER TABLE revocations DROP COLUMN mark;
    PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def employ(path: Path) -> Iterator[Callable[[], Any]]:
    """Return what starts a worker over the file, and waits until it has opened it."""
    with ExitStack() as stack:

        def start() -> Any:
            worker = stack.enter_context(employed(obey, path))
            worker.read_all("nobody")
            return worker

        yield start


Employ = Callable[[], Any]


def obey(path: Path, connection: Connection) -> None:
    serve(make_manager(path), connection)


def copy(source: Path, target: Path) -> None:
    """Write all of one database into another, which may be in use."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def revocations_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM revocations").fetchone()[0])


def of_this_file(path: Path, backup: Path) -> None:
    copy(path, backup)


def of_this_file_before_any_logout(path: Path, backup: Path) -> None:
    copy(path, backup)
    with closing(sqlite3.connect(backup)) as connection:
        connection.executescript("DELETE FROM revocations; DELETE FROM sqlite_sequence;")


def of_another_file(path: Path, backup: Path) -> None:
    with managed(backup) as other:
        for number in range(9):
            other.delete_one("bob", other.create(subject=f"bob{number}").session_id)


def of_another_file_with_as_many_rows(path: Path, backup: Path) -> None:
    with managed(backup) as other:
        for _ in range(15):
            other._revocations.revoke(other.create(subject="bob").session_id, 900)


def of_an_older_version(path: Path, backup: Path) -> None:
    copy(path, backup)
    with closing(sqlite3.connect(backup)) as connection:
        connection.executescript(TO_VERSION_1)


BACKUPS = [
    of_this_file,
    of_this_file_before_any_logout,
    of_another_file,
    of_another_file_with_as_many_rows,
    of_an_older_version,
]


@pytest.mark.parametrize("backed_up", BACKUPS)
def test_after_a_restore_every_later_logout_is_heard_and_no_earlier_one_is_forgotten(
    path: Path, employ: Employ, backed_up: Callable[[Path, Path], None]
) -> None:
    first, second = employ(), employ()
    sessions = [first.create(subject="ann") for _ in range(35)]
    before, between, later = sessions[:5], sessions[5:15], sessions[15:]
    for tokens in before:
        first.delete_one("ann", tokens.session_id)
    backup = path.with_name("backup.db")
    backed_up(path, backup)
    for tokens in between:
        first.delete_one("ann", tokens.session_id)
        assert refuses(second, tokens.access_token)
    copy(backup, path)
    for tokens in later:
        assert not refuses(second, tokens.access_token)
        first.delete_one("ann", tokens.session_id)
        assert refuses(second, tokens.access_token)
    # All are refused by those who heard them, and by who starts after these have looked.
    for worker in (first, second, employ()):
        assert [refuses(worker, tokens.access_token) for tokens in sessions] == [True] * 35


def test_what_a_backup_lacks_is_put_back_by_who_only_reads(path: Path, employ: Employ) -> None:
    first, second = employ(), employ()
    sessions = [first.create(subject="ann") for _ in range(10)]
    backup = path.with_name("backup.db")
    copy(path, backup)
    for tokens in sessions:
        first.delete_one("ann", tokens.session_id)
    for tokens in sessions:
        assert refuses(second, tokens.access_token)
    first.close()
    copy(backup, path)
    assert revocations_in(path) == 0
    until(lambda: refuses(second, sessions[0].access_token) and revocations_in(path) == 10)
    late = employ()
    assert all(refuses(late, tokens.access_token) for tokens in sessions)


def test_what_only_its_publisher_knows_is_put_back_by_it(path: Path, employ: Employ) -> None:
    """The log is rolled back before anybody else has looked at it."""
    first = employ()
    tokens = first.create(subject="ann")
    backup = path.with_name("backup.db")
    copy(path, backup)
    first.delete_one("ann", tokens.session_id)
    copy(backup, path)
    until(lambda: refuses(first, tokens.access_token) and revocations_in(path) == 1)
    assert refuses(employ(), tokens.access_token)


def test_many_that_a_backup_lacks_are_put_back_once_by_several_processes(
    path: Path, employ: Employ
) -> None:
    workers = [employ() for _ in range(3)]
    backup = path.with_name("backup.db")
    copy(path, backup)
    with managed(path) as manager:
        tokens = manager.create(subject="ann")
        manager._revocations.publish([row(number) for number in range(3_500)], 0)
        manager.delete_one("ann", tokens.session_id)
    for worker in workers:
        assert refuses(worker, tokens.access_token)
    copy(backup, path)

    def all_are_back() -> bool:
        assert all(refuses(worker, tokens.access_token) for worker in workers)
        return revocations_in(path) >= 3_501

    until(all_are_back)
    assert revocations_in(path) == 3_501


def row(number: int) -> Revocation:
    return Revocation(f"{number:016d}", 4_000_000_000.0, None)


def test_a_file_that_is_restored_several_times_forgets_nothing(path: Path, employ: Employ) -> None:
    first, second = employ(), employ()
    sessions = [first.create(subject="ann") for _ in range(60)]
    backup, older = path.with_name("backup.db"), path.with_name("older.db")
    copy(path, older)
    first.delete_one("ann", sessions[0].session_id)
    copy(path, backup)
    for turn, tokens in enumerate(sessions):
        first.delete_one("ann", tokens.session_id)
        assert refuses(second, tokens.access_token)
        if turn % 7 == 3:
            copy(backup if turn % 2 else older, path)
    late = employ()
    for worker in (first, second, late):
        assert all(refuses(worker, tokens.access_token) for tokens in sessions)


def test_a_file_that_is_restored_while_logouts_go_on_forgets_nothing(
    path: Path, employ: Employ
) -> None:
    """One that is wiped out before anybody hears it is put back by who published it."""
    first, second = employ(), employ()
    sessions = [first.create(subject="ann") for _ in range(100)]
    backup = path.with_name("backup.db")
    copy(path, backup)
    is_over = threading.Event()

    def restore() -> None:
        while not is_over.is_set():
            copy(backup, path)
            is_over.wait(0.01)

    thread = threading.Thread(target=restore)
    thread.start()
    try:
        for tokens in sessions:
            first.delete_one("ann", tokens.session_id)
    finally:
        is_over.set()
        thread.join()
    until(lambda: refuses(first, sessions[0].access_token) and revocations_in(path) >= 100)
    for worker in (second, employ()):
        assert all(refuses(worker, tokens.access_token) for tokens in sessions)


def test_a_backup_of_another_application_is_left_alone_and_reads_are_refused(
    path: Path, employ: Employ
) -> None:
    first = employ()
    tokens = first.create(subject="ann")
    first.delete_one("ann", tokens.session_id)
    backup = path.with_name("backup.db")
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("CREATE TABLE theirs (something)")
    copy(backup, path)

    def is_refused() -> bool:
        try:
            first.read(tokens.access_token)
        except AccessTokenRevoked:
            return False
        except StorageUnavailable:
            return True
        raise AssertionError("a token was accepted")

    until(is_refused)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_an_older_process_that_still_runs_is_heard_after_the_file_was_brought_up_to_date(
    path: Path, employ: Employ
) -> None:
    """It inserts no mark, since it does not know of it, and the file gives one."""
    first = employ()
    sessions = [first.create(subject="ann") for _ in range(5)]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TO_VERSION_1)
        for turn, tokens in enumerate(sessions):
            connection.execute(
                "INSERT INTO revocations (session_id, expires_at, before) VALUES (?, 4e9, NULL)",
                (tokens.session_id,),
            )
            connection.commit()
            if turn == 2:
                SqliteFeed(path).close()
                SqliteStorage(path).close()
                marks = "SELECT count(DISTINCT mark) FROM revocations WHERE length(mark) = 8"
                assert connection.execute(marks).fetchone() == (3,)
        assert connection.execute(marks).fetchone() == (5,)
    until(lambda: all(refuses(first, tokens.access_token) for tokens in sessions))
    assert all(refuses(employ(), tokens.access_token) for tokens in sessions)

"""The file is locked, gone, replaced, damaged, another's or of a later version.

What follows is a clear error, and the file is left as it was.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenwheel import (
    AccessTokenRevoked,
    ConfigurationError,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.sqlite.schema import VERSION

from .support import managed

REFUSED = (ConfigurationError, StorageUnavailable)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


def test_a_database_that_another_process_keeps_locked_is_unavailable_until_it_is_free(
    path: Path,
) -> None:
    with managed(path, timeout=0.05) as manager:
        tokens = manager.create(subject="ann")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        for call in (
            lambda: manager.create(subject="ann"),
            lambda: manager.update(tokens.refresh_token),
            lambda: manager.delete_one("ann", tokens.session_id),
            lambda: manager.restrict_all("ann"),
        ):
            with pytest.raises(StorageUnavailable, match="SQLITE_BUSY"):
                call()
        assert list(manager.read_all("ann")) == [tokens.session_id]
        holder.close()
        assert manager.delete_one("ann", tokens.session_id) is True
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)


@pytest.mark.skipif(
    sys.platform == "win32", reason="there, a file in use can be neither deleted nor replaced"
)
@pytest.mark.parametrize(
    "becomes, reason",
    [("deleted", "No such file or directory"), ("replaced", "was replaced while it was in use")],
)
def test_who_has_a_file_open_that_is_deleted_or_replaced_says_so_and_makes_none(
    path: Path, becomes: str, reason: str
) -> None:
    with managed(path.with_name("other.db")) as other:
        other.create(subject="bob")
    put_there = path.with_name("other.db").read_bytes()
    with managed(path) as manager:
        tokens = manager.create(subject="ann")
        path.unlink() if becomes == "deleted" else path.with_name("other.db").replace(path)
        for call in (
            lambda: manager.create(subject="ann"),
            lambda: manager.update(tokens.refresh_token),
            lambda: manager.read_all("ann"),
            lambda: manager.delete_all("ann"),
            lambda: manager._revocations.revoke(tokens.session_id, 60),
        ):
            with pytest.raises(StorageUnavailable, match=reason):
                call()
    if becomes == "deleted":
        assert not path.exists()
    else:
        assert path.read_bytes() == put_there


@pytest.fixture
def whole(path: Path) -> bytes:
    """Make a file of this library, closed, with rows on each of its pages. Return its bytes."""
    with managed(path) as manager:
        for number in range(60):
            tokens = manager.create(subject=f"uid{number % 7}")
            if number % 2:
                manager.delete_one(f"uid{number % 7}", tokens.session_id)
    return path.read_bytes()


def look_at(path: Path) -> None:
    """Open the file and read all there is, as a worker that starts, without a change."""
    with managed(path, timeout=0) as manager:
        for number in range(7):
            manager.read_all(f"uid{number}")


@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_damaged_file_is_refused_or_read_and_never_touched(
    path: Path, whole: bytes, times: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    look_at(path)
    for _ in range(times):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 8])):
            damaged[chance.choice([chance.randrange(100), chance.randrange(len(whole))])] ^= (
                1 << chance.randrange(8)
            )
        # These two bytes say that there is a write-ahead log, and are set again where they don't.
        damaged[18:20] = whole[18:20]
        path.write_bytes(damaged)
        try:
            look_at(path)
        except REFUSED:
            pass
        assert path.read_bytes() == damaged


@pytest.mark.parametrize("length", [15, 16, 99, 100, 101, 4095, 4096, 4097, 12_288])
def test_a_file_that_was_cut_short_is_refused_and_never_touched(
    path: Path, whole: bytes, length: int
) -> None:
    path.write_bytes(whole[:length])
    with pytest.raises(REFUSED, match=r"SQLITE_CORRUPT|or a damaged one; it was left"):
        look_at(path)
    assert path.read_bytes() == whole[:length]


def foreign_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (something)")
    connection.close()


def foreign_number(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 1")
    connection.close()


def foreign_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()


def text(path: Path) -> None:
    path.write_text("no database, but what somebody wrote and wants to keep\n" * 99)


def later_version(path: Path) -> None:
    SqliteStorage(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


@pytest.mark.parametrize(
    "make, error, reason",
    [
        (foreign_table, ConfigurationError, "belongs to another application"),
        (foreign_number, ConfigurationError, "belongs to another application"),
        (foreign_version, ConfigurationError, "belongs to another application"),
        (text, ConfigurationError, "no such database, or a damaged one; it was left as it is"),
        (later_version, ConfigurationError, f"is of version {VERSION + 1}"),
    ],
)
@pytest.mark.parametrize("kind", [SqliteStorage, SqliteFeed])
def test_a_file_that_is_not_for_this_library_is_refused_and_never_touched(
    path: Path, make: Callable[[Path], None], error: type[Exception], reason: str, kind: type
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(error, match=reason):
        kind(path)
    assert path.read_bytes() == before


DIE_AMID = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = " + sys.argv[2])
connection.execute("CREATE TABLE theirs (something)")
connection.execute("PRAGMA cache_size = 1")
if sys.argv[2] != "WAL":
    connection.execute("BEGIN")
connection.executemany("INSERT INTO theirs VALUES (?)", [("x" * 5000,)] * 50)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill")
@pytest.mark.parametrize(
    "journal, reason",
    [("WAL", "belongs to another application"), ("DELETE", "SQLITE_READONLY_ROLLBACK")],
)
def test_what_another_application_left_undone_is_left_to_it(
    path: Path, journal: str, reason: str
) -> None:
    """To open such a file for writing would finish or undo that work, and change the file."""
    subprocess.run([sys.executable, "-c", DIE_AMID, str(path), journal], check=False)
    beside = path.with_name(path.name + ("-wal" if journal == "WAL" else "-journal"))
    before = path.read_bytes(), beside.read_bytes()
    assert before[1]
    with pytest.raises(REFUSED, match=reason):
        SqliteStorage(path)
    assert (path.read_bytes(), beside.read_bytes()) == before

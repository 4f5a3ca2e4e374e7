"""A file beside the database is removed while processes use it.

They never split into groups that don't hear each other: those that were there refuse to go on.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.servers import until
from tokenwheel import SessionTokens, SqliteStorage, StorageUnavailable

from .support import Board, check_file, employed, make_manager, managed, run_together, serve

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="there, a file in use can be neither deleted nor replaced"
)

REASON = "was removed while it was in use; the process must be started anew"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


def serve_file(path: Path, connection: Connection) -> None:
    serve(make_manager(path), connection)


def delete(files: list[Path]) -> None:
    for file in files:
        file.unlink()


def move_away(files: list[Path]) -> None:
    for file in files:
        file.rename(file.with_name(f"{file.name}-moved"))


def replace_by_copies(files: list[Path]) -> None:
    for file in files:
        copy = file.with_name(f"{file.name}-copy")
        shutil.copy(file, copy)
        copy.replace(file)


@pytest.mark.parametrize("remove", [delete, move_away, replace_by_copies])
@pytest.mark.parametrize("suffixes", [("-shm",), ("-wal",), ("-shm", "-wal")], ids=" ".join)
def test_every_process_that_was_there_refuses_and_a_fresh_one_works(
    path: Path, remove: Callable[[list[Path]], None], suffixes: tuple[str, ...]
) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(employed(serve_file, path)) for _ in range(2)]
        tokens = workers[0].create(subject="ann")
        kept = workers[1].create(subject="ann")
        for worker in workers:
            worker.read(tokens.access_token)
        # What is only in the log is gone with it. So all is put into the database first.
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        remove([path.with_name(path.name + suffix) for suffix in suffixes])
        with managed(path) as fresh:
            opened = fresh.create(subject="ann")
            assert fresh.delete_one("ann", tokens.session_id) is True
            for worker in workers:
                # It looks at the table at least once a second.
                until(lambda worker=worker: reads_nothing(worker, tokens))  # type: ignore[misc]
                for name, arguments, options in (
                    ("create", (), {"subject": "ann"}),
                    ("update", (kept.refresh_token,), {}),
                    ("read_all", ("ann",), {}),
                    ("delete_one", ("ann", kept.session_id), {}),
                ):
                    with pytest.raises(StorageUnavailable, match=REASON):
                        getattr(worker, name)(*arguments, **options)
        # Nor does it help that all others have gone.
        with pytest.raises(StorageUnavailable, match=REASON):
            workers[0].read_all("ann")
    check_file(path)
    with managed(path) as anew:
        assert set(anew.read_all("ann")) == {kept.session_id, opened.session_id}


def reads_nothing(worker: Any, tokens: SessionTokens) -> bool:
    try:
        worker.read(tokens.access_token)
    except StorageUnavailable as error:
        return REASON in str(error)
    return False


SCRIPT_BEGIN = """
import sys
from pathlib import Path
from tests.processes.support import managed
path = Path(sys.argv[1])
"""
FRESH = """
with managed(path) as manager:
    manager.delete_all("ann")
    for _ in range(50):
        manager.create(subject="bob")
"""
OLD = """
from tokenwheel import SqliteStorage
storages = [SqliteStorage(path) for _ in range(2)]
for storage in storages:
    storage.count(0)
print("ready", flush=True)
input()
"""
WAYS = {
    "it closes": "for storage in storages: storage.close()",
    "it forgets": "del storages, storage; import gc; gc.collect()",
    "it ends": "",
    "it is refused first": """
from tokenwheel import StorageUnavailable
try:
    storage.count(0)
except StorageUnavailable:
    storage.close()
else:
    sys.exit(1)
""",
}


def run_script(path: Path, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", SCRIPT_BEGIN + script, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("way", WAYS)
def test_who_lets_go_after_a_removal_writes_nothing_over_what_others_have_done(
    path: Path, way: str
) -> None:
    """The log that was removed holds older pages of the database. They must not come back."""
    with run_script(path, OLD + WAYS[way]) as old:
        assert old.stdout is not None
        assert old.stdin is not None
        assert old.stdout.readline() == "ready\n"
        with managed(path) as manager:
            for _ in range(20):
                manager.create(subject="ann")
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint")
            manager.create(subject="ann")  # which is in the log alone
        delete([path.with_name(f"{path.name}-{suffix}") for suffix in ("wal", "shm")])
        with run_script(path, FRESH) as fresh:
            pass
        assert fresh.returncode == 0
        old.stdin.write("\n")
    assert old.returncode == 0
    check_file(path)
    with managed(path) as anew:
        assert not anew.read_all("ann")
        assert len(anew.read_all("bob")) == 50


@pytest.mark.parametrize("is_there_another", [True, False])
def test_who_opens_the_file_a_second_time_after_a_removal_is_refused(
    path: Path, is_there_another: bool
) -> None:
    """SQLite would share the index that is gone with what this process has open."""
    first = SqliteStorage(path)
    delete([path.with_name(f"{path.name}-shm")])
    if is_there_another:
        shutil.copy(path, path.with_name(f"{path.name}-shm"))
    with pytest.raises(StorageUnavailable, match=REASON):
        SqliteStorage(path)
    with pytest.raises(StorageUnavailable, match=REASON):
        first.count(0)
    first.close()


def test_a_removal_amid_a_write_leaves_its_outcome_open(path: Path) -> None:
    storage = SqliteStorage(path)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM sessions")
        delete([path.with_name(f"{path.name}-shm")])

    with pytest.raises(StorageUnavailable, match=f"{REASON}; all of it may have been written"):
        storage._database.write(work)
    with pytest.raises(StorageUnavailable, match=f"{REASON}$"):
        storage.count(0)
    storage.close()


def test_a_backup_that_is_put_in_place_with_its_times_is_noticed(path: Path) -> None:
    """Whoever restores a folder may set its time of modification to what it was."""
    storage = SqliteStorage(path)
    storage.count(0)
    time_before = path.parent.stat().st_mtime_ns
    # The folder counts as unchanged once its last change is some seconds ago.
    files = storage._database._reader.files
    assert files is not None
    until(lambda: files.are_in_place() and files._settled)
    delete([path.with_name(f"{path.name}-{suffix}") for suffix in ("wal", "shm")])
    os.utime(path.parent, ns=(time_before, time_before))
    assert path.parent.stat().st_mtime_ns == time_before
    with pytest.raises(StorageUnavailable, match=REASON):
        storage.count(0)
    storage.close()


PROCESSES = 4


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_nothing_that_happens_in_the_course_of_things_is_taken_for_a_removal(
    path: Path, synchronous: str
) -> None:
    """Processes come and go, often as the only one, beside checkpoints and VACUUM."""
    board = Board(path.with_name("board"))
    run_together(
        "spawn",
        PROCESSES,
        come_and_go,
        path,
        synchronous,
        give_up=lambda: board.__setitem__(0, 1),
    )
    check_file(path)


def come_and_go(number: int, path: Path, synchronous: str) -> None:
    board = Board(path.with_name("board"))
    for turn in range(30):
        if board[0]:
            return
        with managed(path, synchronous=synchronous) as manager:
            for _ in range(5):
                tokens = manager.create(subject=f"uid{number}")
                manager.read(tokens.access_token)
                assert manager.delete_one(f"uid{number}", tokens.session_id) is True
            with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                if turn % 10 == number:
                    connection.execute("VACUUM")
            assert not manager.read_all(f"uid{number}")


def test_a_link_to_the_file_is_as_good_as_its_name(path: Path, tmp_path: Path) -> None:
    SqliteStorage(path).close()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(path)
    with managed(link) as manager, managed(path) as other:
        tokens = manager.create(subject="ann")
        assert other.delete_one("ann", tokens.session_id) is True
        delete([path.with_name(f"{path.name}-shm")])
        for each in (manager, other):
            with pytest.raises(StorageUnavailable, match=REASON):
                each.create(subject="ann")

"""Processes that write to one file at the same time each get their share, and lose nothing."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

import pytest

from tests.servers import until
from tokenwheel import SqliteStorage
from tokenwheel.sqlite.database import Database

from .faults import NO_SPACE, NO_SPACE_ONCE, WRITE_ERROR, Fault, Victim, compile_faults, why_not
from .support import Board, check_file, managed, run_together

PROCESSES = 4
WRITES = 2_000  # of all together
READY, STOP = 20, 40  # places on the board: of each process, and of all


def test_each_process_that_writes_gets_its_share(tmp_path: Path) -> None:
    path, board = tmp_path / "sessions.db", Board(tmp_path / "board")
    SqliteStorage(path).close()
    run_together(
        "spawn",
        PROCESSES,
        write_until_all_have_done_enough,
        path,
        tmp_path / "board",
        give_up=lambda: board.__setitem__(STOP, 1),
    )
    counts = [board[number] for number in range(PROCESSES)]
    assert sum(counts) >= WRITES
    assert min(counts) >= sum(counts) / PROCESSES / 3
    check_file(path)


def write_until_all_have_done_enough(number: int, path: Path, board_path: Path) -> None:
    board = Board(board_path)
    database = Database(path, timeout=60)

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO revocations (session_id, expires_at) VALUES (?, 4e9)", (f"{number:016}",)
        )

    board[READY + number] = 1
    until(lambda: all(board[READY + other] for other in range(PROCESSES)))
    while not board[STOP] and sum(board[other] for other in range(PROCESSES)) < WRITES:
        database.write(work)
        board[number] += 1
    database.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there, nobody takes turns")
def test_whoever_keeps_the_turn_to_write_holds_up_nobody_for_long(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "sessions.db"
    database = Database(path, timeout=60)
    with path.with_name(f"{path.name}-wal").open("rb") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        begun = time.monotonic()
        for _ in range(3):
            database.write(lambda connection: connection.execute("DELETE FROM sessions"))
        assert time.monotonic() - begun < 30
    database.close()


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "not skipped")
@pytest.mark.parametrize("fault", [WRITE_ERROR, NO_SPACE, NO_SPACE_ONCE], ids=str)
def test_a_process_whose_syncs_fail_says_so_and_goes_on_when_they_succeed_again(
    tmp_path: Path, fault: Fault
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    path = folder / "sessions.db"
    victim = Victim(compile_faults(tmp_path), folder)
    with managed(path) as other:
        assert victim.open(path, timeout=0, synchronous="FULL") == ""
        at, has_suffered = 0, True
        while has_suffered:
            at += 1
            with victim.suffering(fault, at):
                tokens, error = victim.call("create", subject="ann")
            has_suffered = victim.has_suffered
            assert error in (("", "StorageUnavailable") if has_suffered else ("",))
            if error == "":
                assert tokens.session_id in other.read_all("ann")
            assert victim.call("delete_all", "ann")[1] == ""
            assert not other.read_all("ann")
            check_file(path)
        assert at > 1
        assert victim.leave() == ""
    victim.close()

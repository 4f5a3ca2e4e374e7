"""A process is forked from C, as by uWSGI: nothing of Python's is called before or after."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.servers import until
from tokenwheel import SessionManager, SqliteStorage, StorageUnavailable

from .support import Board, check_file, make_manager, managed, refuses, run_apart

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or sys.platform == "darwin",
    reason="this system has no fork, or none that is safe without hooks",
)

CHILDREN = 6
SESSIONS = 25  # opened by each process


def fork_from_c(run: Callable[[], None]) -> int:
    """Return the number of a child process that runs the function and leaves with 0, or with 1."""
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        try:
            run()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return int(child)


def all_ended_well(children: list[int]) -> bool:
    return all(os.waitpid(child, 0)[1] == 0 for child in children)


def test_parent_and_children_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    run_apart(write_together, tmp_path / "sessions.db", tmp_path / "board")


def write_together(path: Path, board_path: Path) -> None:
    manager, board = make_manager(path), Board(board_path)
    shared = manager.create(subject="ann")
    manager.read(shared.access_token)
    children = [
        fork_from_c(lambda number=number: write_and_listen(number, manager, board, shared))  # type: ignore[misc]
        for number in range(1, CHILDREN + 1)
    ]
    write_and_listen(0, manager, board, shared)
    assert all_ended_well(children)
    for number in range(CHILDREN + 1):
        assert len(manager.read_all(f"uid{number}")) == SESSIONS
    with managed(path) as anew:
        assert sum(len(anew.read_all(f"uid{number}")) for number in range(CHILDREN + 1)) == (
            SESSIONS * (CHILDREN + 1)
        )
    check_file(path)


def write_and_listen(number: int, manager: SessionManager, board: Board, shared: Any) -> None:
    """Open sessions beside all the others. Then hear of a logout, by the last to be ready."""
    for _ in range(SESSIONS):
        manager.create(subject=f"uid{number}")
    board[number] = 1
    until(lambda: all(board[place] for place in range(CHILDREN + 1)), "the others' sessions")
    if number == CHILDREN:
        assert manager.delete_one("ann", shared.session_id) is True
        board[60] = 1
    until(lambda: board[60], "the logout")
    assert refuses(manager, shared.access_token)


def test_each_child_is_heard_by_its_parent_and_by_its_siblings(tmp_path: Path) -> None:
    run_apart(hear_each_other, tmp_path / "sessions.db", tmp_path / "board")


def hear_each_other(path: Path, board_path: Path) -> None:
    manager, board = make_manager(path), Board(board_path)
    tokens = [manager.create(subject="ann") for _ in range(CHILDREN + 1)]

    def end_and_listen(number: int) -> None:
        until(lambda: board[0] == number, "the turn")
        assert manager.delete_one("ann", tokens[number].session_id) is True
        board[0] = number + 1
        for turn in range(CHILDREN + 1):
            until(lambda turn=turn: board[0] > turn, "a logout")  # type: ignore[misc]
            assert refuses(manager, tokens[turn].access_token)

    children = [
        fork_from_c(lambda number=number: end_and_listen(number))  # type: ignore[misc]
        for number in range(1, CHILDREN + 1)
    ]
    end_and_listen(0)
    assert all_ended_well(children)
    check_file(path)


def test_a_child_that_only_closes_what_it_inherited_takes_nothing_from_its_parent(
    tmp_path: Path,
) -> None:
    run_apart(close_in_child, tmp_path / "sessions.db")


def close_in_child(path: Path) -> None:
    storage = SqliteStorage(path)
    with managed(path) as manager:
        kept = manager.create(subject="ann")
        assert storage.read(kept.session_id, 0) is not None
        assert all_ended_well([fork_from_c(storage.close)])
        # The parent's locks still hold: whoever closes now is not the last.
        with closing(sqlite3.connect(path)) as other:
            other.execute("SELECT count(*) FROM sessions").fetchone()
        assert path.with_name(f"{path.name}-wal").exists()
        another = manager.create(subject="ann")
        assert set(manager.read_all("ann")) == {kept.session_id, another.session_id}
        assert storage.read(another.session_id, 0) is not None
    storage.close()
    check_file(path)


def test_a_child_forked_amid_a_call_refuses_the_file_and_names_the_right_way(
    tmp_path: Path,
) -> None:
    run_apart(fork_amid_a_call, tmp_path / "sessions.db")


def fork_amid_a_call(path: Path) -> None:
    storage, beside = SqliteStorage(path), SqliteStorage(path)
    elsewhere = SqliteStorage(path.with_name("other.db"))
    is_amid, may_go_on = threading.Event(), threading.Event()

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM sessions")
        is_amid.set()
        may_go_on.wait()

    writer = threading.Thread(target=storage._database.write, args=(work,))
    writer.start()
    is_amid.wait()

    def be_refused() -> None:
        for same_file in (storage, beside, storage):
            with pytest.raises(StorageUnavailable, match="py-call-uwsgi-fork-hooks = true"):
                same_file.count(0)
            with pytest.raises(StorageUnavailable, match=r"as os\.fork does"):
                same_file.delete([], 0)
        assert elsewhere.count(0) == 0
        storage.close()

    children = [fork_from_c(be_refused) for _ in range(3)]
    assert all_ended_well(children)
    may_go_on.set()
    writer.join()
    assert storage.count(0) == beside.count(0) == 0
    for opened in (storage, beside, elsewhere):
        opened.close()
    check_file(path)


def test_a_grandchild_forked_from_c_works_as_well(tmp_path: Path) -> None:
    run_apart(fork_twice, tmp_path / "sessions.db")


def fork_twice(path: Path) -> None:
    manager = make_manager(path)
    manager.create(subject="ann")

    def have_a_child() -> None:
        manager.create(subject="ann")
        assert all_ended_well([fork_from_c(lambda: create_and_see(3))])
        create_and_see(4)

    def create_and_see(count: int) -> None:
        manager.create(subject="ann")
        assert len(manager.read_all("ann")) == count

    assert all_ended_well([fork_from_c(have_a_child)])
    create_and_see(5)
    check_file(path)

"""A logout in one worker is obeyed by the very next `read` in every other worker.

It is so however the workers were started. One stale acceptance fails. That a call had returned is
told by a number in shared memory: who ends a session sets it afterwards, and who reads looks at it
before the read that is judged.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import AccessTokenRevoked, SessionManager, SessionNotFound

from .support import Board, Worker, make_manager, run_apart, run_together, serve

WORKERS = 4
ENDED = 0  # where the board tells how many sessions have been ended
STOP = 1  # that a worker has failed, and the others need not wait
SEEN = 8  # and, for each worker, of how many it has accepted the token

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
STARTED = [
    "spawned",
    pytest.param("forked", marks=needs_fork),
    # The manager was there before the fork, as with `gunicorn --preload`.
    pytest.param("preloaded", marks=needs_fork),
]


@pytest.mark.parametrize("started", STARTED)
def test_no_worker_accepts_a_token_after_a_logout_returned_in_another(
    started: str, tmp_path: Path
) -> None:
    run_apart(read_and_end, started, tmp_path, 120)


@pytest.mark.long
@pytest.mark.parametrize("started", STARTED)
def test_no_worker_accepts_a_token_over_thousands_of_logouts(started: str, tmp_path: Path) -> None:
    run_apart(read_and_end, started, tmp_path, 5_000)


@pytest.mark.parametrize("started", STARTED)
def test_what_another_worker_issues_right_after_is_good_at_once(
    started: str, tmp_path: Path
) -> None:
    run_apart(end_and_issue, started, tmp_path, 40)


def read_and_end(started: str, folder: Path, sessions: int) -> None:
    path = folder / "sessions.db"
    manager = make_manager(path)
    opened = [manager.create(subject="ann") for _ in range(sessions)]
    (folder / "sessions.json").write_text(
        json.dumps([(tokens.session_id, tokens.access_token) for tokens in opened])
    )
    board = Board(folder / "board")
    preloaded = manager if started == "preloaded" else None

    def give_up() -> None:
        board[STOP] = 1

    run_together(method_of(started), WORKERS, read_or_end, folder, preloaded, give_up=give_up)
    assert board[ENDED] == sessions
    assert manager.read_all("ann") == {}


def read_or_end(number: int, folder: Path, preloaded: SessionManager | None) -> None:
    """Take part as one worker: end every session that is this worker's turn, and read the others.

    A session is ended once all workers have accepted its token. The others then read it until it is
    refused.
    """
    manager = preloaded or make_manager(folder / "sessions.db")
    board = Board(folder / "board")
    sessions: list[tuple[str, str]] = json.loads((folder / "sessions.json").read_text())
    for turn, (session_id, token) in enumerate(sessions, 1):
        if turn % WORKERS == number:
            manager.read(token)
            board[SEEN + number] = turn
            while any(board[SEEN + worker] < turn for worker in range(WORKERS)) and not board[STOP]:
                pass
            assert manager.delete_one("ann", session_id) is True
            board[ENDED] = turn
        while not board[STOP]:
            ended = board[ENDED]
            try:
                manager.read(token)
            except AccessTokenRevoked:
                if ended >= turn:
                    break
            else:
                assert ended < turn, (
                    f"worker {number} accepted the token of session {turn} "
                    "after its logout had returned"
                )
                board[SEEN + number] = turn


def end_and_issue(started: str, folder: Path, rounds: int) -> None:
    manager = make_manager(folder / "sessions.db")
    manager.delete_all("ann")
    context: Any = multiprocessing.get_context(method_of(started))
    workers, processes = [], []
    for _ in range(WORKERS):
        ours, theirs = context.Pipe()
        process = context.Process(
            target=obey,
            args=(folder, manager if started == "preloaded" else None, theirs),
            daemon=True,
        )
        process.start()
        workers.append(Worker(ours))
        processes.append(process)
    for turn in range(rounds):
        first, second, third, fourth = (
            workers[(turn + place) % WORKERS] for place in range(WORKERS)
        )
        before = first.create(subject="ann")
        first.read(before.access_token)
        second.restrict_all("ann")
        refreshed = third.update(before.refresh_token)
        for worker in workers:
            assert worker.read(refreshed.access_token)["sid"] == before.session_id
            with pytest.raises(AccessTokenRevoked):
                worker.read(before.access_token)
        assert fourth.delete_all("ann") == 1
        anew = first.create(subject="ann")
        for worker in workers:
            assert worker.read(anew.access_token)["sid"] == anew.session_id
            with pytest.raises(AccessTokenRevoked):
                worker.read(refreshed.access_token)
        with pytest.raises(SessionNotFound, match="no session is open"):
            third.update(refreshed.refresh_token)
        assert second.delete_one("ann", anew.session_id) is True


def obey(folder: Path, preloaded: SessionManager | None, connection: Connection) -> None:
    serve(preloaded or make_manager(folder / "sessions.db"), connection)


def method_of(started: str) -> str:
    return "spawn" if started == "spawned" else "fork"

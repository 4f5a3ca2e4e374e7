"""Several processes that follow one key file: what one of them signs, all of them accept."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.keys.key_files import kid_of, replace, text_of_set
from tests.servers import until
from tests.support import secret_of
from tokenwheel import (
    AccessTokenRevoked,
    InvalidAccessToken,
    Key,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.keys import KeyFile

from .support import OPTIONS, Board, Worker, employed, run_apart, serve

COUNT = 4
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class Busy:
    """A manager over a key file, in which a thread logs in and reads all the time."""

    def __init__(self, path: Path) -> None:
        self._manager = SessionManager(KeyFile(path), issuer="i", audience="a")
        self._over = threading.Event()
        self._refusals: list[str] = []
        self._turns = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                self._manager.read(self._manager.create(subject="busy").access_token)
            except Exception as error:
                self._refusals.append(f"{type(error).__name__}: {error}")
                raise
            self._turns += 1

    def sign(self) -> str:
        return self._manager.create(subject="ann").access_token

    def accepts(self, token: str) -> bool:
        try:
            self._manager.read(token)
        except InvalidAccessToken:
            return False
        return True

    def turns(self) -> int:
        return self._turns

    def rest(self) -> list[str]:
        """Let the thread end. Return what it was refused."""
        self._over.set()
        self._thread.join()
        return self._refusals


def be_busy(path: Path, connection: Connection) -> None:
    serve(Busy(path), connection)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def keys() -> Iterator[Key]:
    """Return as many new keys as are asked for."""
    return (Key.generate("ES256") for _ in range(100))


@pytest.fixture
def workers(path: Path, keys: Iterator[Key]) -> Iterator[list[Any]]:
    """Yield some processes at work. The file has one key."""
    replace(path, text_of_set(next(keys)))
    with ExitStack() as stack:
        employees: list[Any] = [stack.enter_context(employed(be_busy, path)) for _ in range(COUNT)]
        for worker in employees:
            worker.turns()  # It answers once it has read the file.
        yield employees


def test_what_one_process_signs_with_a_new_key_all_accept_at_once(
    path: Path, keys: Iterator[Key], workers: list[Any]
) -> None:
    """Even where the key signs as soon as it is in the file, and while all are at work."""
    older = workers[0].sign()
    oldest = KeyFile(path).signing
    assert oldest is not None
    known = [next(keys)]
    replace(path, text_of_set(known[0], oldest))
    for worker in workers:
        until(lambda worker=worker: _signed(worker, known[0]), "the second key")
        turns = worker.turns()  # A login that is going on may still be by the oldest key.
        until(lambda worker=worker, turns=turns: worker.turns() > turns + 1, "another turn")
    for signer in workers:
        new = next(keys)
        known.insert(0, new)
        replace(path, text_of_set(*known))
        token = until(lambda signer=signer, new=new: _signed(signer, new), "the new key")
        for worker in workers:
            assert worker.accepts(token)
            assert not worker.accepts(older)
    assert [worker.rest() for worker in workers] == [[]] * COUNT


def _signed(worker: Any, key: Key) -> str | None:
    """Return a token of a worker if it is by this key."""
    token: str = worker.sign()
    return token if kid_of(token) == key.kid else None


def test_the_tokens_of_a_key_that_left_are_refused_by_all(
    path: Path, keys: Iterator[Key], workers: list[Any]
) -> None:
    tokens = [worker.sign() for worker in workers]
    assert [worker.accepts(token) for worker in workers for token in tokens] == [True] * COUNT**2
    assert [worker.rest() for worker in workers] == [[]] * COUNT
    replace(path, text_of_set(next(keys)))
    for worker in workers:
        for token in tokens:
            until(lambda w=worker, t=token: not w.accepts(t), "the refusal")


def test_a_key_signs_from_its_time_on_in_all_without_a_change_of_the_file(
    path: Path, keys: Iterator[Key], tmp_path: Path
) -> None:
    """The very first token that is signed once the time has come is by the key."""
    old, new, begins = next(keys), next(keys), 1_700_000_060
    replace(path, text_of_set(old, new, **{str(new.kid): begins}))
    board = Board(tmp_path / "board")
    board[0] = begins - 60
    with ExitStack() as stack:
        workers = [
            stack.enter_context(employed(be_told_the_time, path, tmp_path / "board"))
            for _ in range(COUNT)
        ]
        for now, key in ((begins - 1, old), (begins, new), (begins - 1, old), (begins + 9, new)):
            board[0] = now
            tokens = [worker.create(subject="ann").access_token for worker in workers]
            assert [kid_of(token) for token in tokens] == [key.kid] * COUNT
            for worker in workers:
                assert [worker.read(token)["sub"] for token in tokens] == ["ann"] * COUNT


def be_told_the_time(path: Path, board_path: Path, connection: Connection) -> None:
    board = Board(board_path)

    def clock() -> float:
        return float(board[0])

    serve(
        SessionManager(KeyFile(path, clock=clock), issuer="i", audience="a", clock=clock),
        connection,
    )


def test_a_broken_file_disturbs_nobody(path: Path, keys: Iterator[Key], workers: list[Any]) -> None:
    token, *_ = [worker.sign() for worker in workers]  # All have read the file by now.
    for break_it in (
        lambda: replace(path, b""),
        lambda: replace(path, text_of_set(next(keys))[:-9]),
        lambda: path.write_bytes(b"rubbish"),
        path.unlink,
        path.mkdir,
    ):
        break_it()
        turns = [worker.turns() for worker in workers]
        until(
            lambda turns=turns: all(
                worker.turns() > before + 20 for worker, before in zip(workers, turns, strict=True)
            ),
            "more work",
        )
        assert all(worker.accepts(token) for worker in workers)
    path.rmdir()
    new = next(keys)
    replace(path, text_of_set(new))
    for worker in workers:
        until(lambda worker=worker: _signed(worker, new), "the key of the file that is good again")


def test_of_several_writers_the_last_one_counts_everywhere(
    path: Path, keys: Iterator[Key], workers: list[Any]
) -> None:
    oldest = KeyFile(path).signing
    assert oldest is not None
    # No key leaves, or a login that is going on could be by it.
    first, *others = (*(next(keys) for _ in range(4)), oldest)
    replace(path, text_of_set(first, oldest))
    for worker in workers:
        until(lambda worker=worker: _signed(worker, first), "the first key")

    def write(key: Key) -> None:
        for _ in range(50):
            replace(path, text_of_set(key, first, *others))

    threads = [threading.Thread(target=write, args=(key,)) for key in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = next(keys)
    replace(path, text_of_set(last, first, *others))
    for worker in workers:
        until(lambda worker=worker: _signed(worker, last), "the last key")
    assert [worker.rest() for worker in workers] == [[]] * COUNT


@needs_fork
def test_a_child_of_a_fork_amid_a_look_follows_the_file(tmp_path: Path) -> None:
    run_apart(fork_amid_looks, tmp_path / "keys.json")


def fork_amid_looks(path: Path) -> None:
    keys = [Key.generate("ES256") for _ in range(3)]
    replace(path, text_of_set(keys[0]))
    followed = KeyFile(path)
    manager = SessionManager(followed, issuer="i", audience="a")
    over = threading.Event()

    def look() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            replace(path, text_of_set(*keys[: 1 + turn % 2]))
            followed.stats()

    thread = threading.Thread(target=look)
    thread.start()
    children = [forked(manager) for _ in range(12)]
    over.set()
    thread.join()
    replace(path, text_of_set(keys[2]))
    for child, _ in children:
        until(lambda child=child: _kid(child) == keys[2].kid, "the last key")
        token = child.create(subject="ann").access_token
        assert child.read(token)["sub"] == "ann"
        assert manager.read(token)["sub"] == "ann"
    for _, process in children:
        process.kill()
        process.join()


def _kid(child: Any) -> Any:
    return kid_of(child.create(subject="ann").access_token)


def forked(manager: SessionManager) -> tuple[Worker, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(manager, theirs), daemon=True)
    process.start()
    return Worker(ours), process


@needs_fork
def test_a_manager_made_before_the_workers_follows_the_file_in_each(tmp_path: Path) -> None:
    run_apart(fork_workers, tmp_path)


def fork_workers(folder: Path) -> None:
    """As gunicorn does with ``preload_app``, over a database that all share."""
    path, database = folder / "keys.json", folder / "sessions.db"
    old, new = (Key.generate("ES256") for _ in range(2))
    replace(path, text_of_set(old))
    manager = SessionManager(
        KeyFile(path),
        issuer="i",
        audience="a",
        storage=SqliteStorage(database, **OPTIONS),
        storage_key=secret_of("storage"),
        revocations=RevocationList(SqliteFeed(database, **OPTIONS)),
    )
    before = manager.create(subject="ann")
    workers = [forked(manager) for _ in range(3)]
    first, second, third = (worker for worker, _ in workers)
    assert first.read(before.access_token)["sid"] == before.session_id
    replace(path, text_of_set(new, old))
    until(lambda: _kid(first) == new.kid, "the new key")
    during = first.create(subject="ann")
    for worker in (second, third, manager):
        assert worker.read(during.access_token)["sid"] == during.session_id
        assert worker.read(before.access_token)["sid"] == before.session_id
    refreshed = until(lambda: second.update(before.refresh_token), "the refresh")
    second.delete_one("ann", refreshed.session_id)
    for worker in (first, third, manager):
        with pytest.raises(AccessTokenRevoked):
            worker.read(refreshed.access_token)
    replace(path, text_of_set(new))
    for worker in (first, second, third):
        until(lambda worker=worker: _refuses(worker, before.access_token), "the refusal")
        assert worker.read(during.access_token)["sid"] == during.session_id
    for _, process in workers:
        process.kill()
        process.join()


def _refuses(worker: Any, token: str) -> bool:
    """Return True where a token is refused for its key."""
    try:
        worker.read(token)
    except AccessTokenRevoked:
        return False
    except InvalidAccessToken:
        return True
    return False

"""What the tests with several processes share: managers over one file, workers that do as they are told, and memory they all see.

A process is forked only from one that was started for it: pytest's own has threads.
"""

from __future__ import annotations

import mmap
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tokenwheel import AccessTokenRevoked, RevocationList, SessionManager, SqliteFeed, SqliteStorage

SECRET = "a shared secret of at least 32 bytes, made up for these tests"
OPTIONS: dict[str, Any] = {
    "timeout": 60.0,
    "synchronous": "NORMAL",
}  # which loses nothing where a process is killed and the machine has power


def make_manager(path: Path, **options: Any) -> SessionManager:
    """A manager whose sessions and revocations are in one file, for as long as the process lives."""
    return _over(SqliteStorage(path, **{**OPTIONS, **options}), path, options)


@contextmanager
def managed(path: Path, **options: Any) -> Iterator[SessionManager]:
    """The same for a while: as when a service is started anew."""
    storage = SqliteStorage(path, **{**OPTIONS, **options})
    try:
        with _over(storage, path, options) as manager:
            yield manager
    finally:
        storage.close()


def _over(storage: SqliteStorage, path: Path, options: dict[str, Any]) -> SessionManager:
    feed = SqliteFeed(path, **{**OPTIONS, **options})
    try:
        return SessionManager(SECRET, issuer="i", audience="a", storage=storage, revocations=RevocationList(feed))
    except BaseException:
        feed.close()
        raise


def check_file(path: Path) -> None:
    """Every index agrees with its table, and every row is a whole session or revocation."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ids = [session_id for (session_id,) in connection.execute("SELECT id FROM sessions")]
        ends = connection.execute("SELECT session_id, expires_at FROM revocations").fetchall()
    finally:
        connection.close()
    storage = SqliteStorage(path)
    for session_id in ids:
        record = storage.read(session_id, 0)
        assert record is not None
        assert record.id == session_id
        assert len(record.secret_hash) == len(record.family_hash) == 32
    assert all(len(session_id) == 16 and end > 0 for session_id, end in ends)
    storage.close()


def refuses(manager: Any, token: str) -> bool:
    try:
        manager.read(token)
    except AccessTokenRevoked:
        return True
    return False


class Board:
    """Numbers, 0 at first, that every process sees at once."""

    COUNT = 64

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(self.COUNT * 8)
            self._numbers = memoryview(mmap.mmap(file.fileno(), self.COUNT * 8)).cast("q")

    def __getitem__(self, place: int) -> int:
        return self._numbers[place]

    def __setitem__(self, place: int, number: int) -> None:
        self._numbers[place] = number


def run_apart(target: Callable[..., None], *arguments: Any) -> None:
    """Calls it in a fresh process, which may fork, and sees that all went well there."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def run_together(method: str, count: int, target: Callable[..., None], *arguments: Any, give_up: Callable[[], None]) -> None:
    """Runs so many processes, told their number first, until all have ended well; gives up when one has not."""
    context: Any = multiprocessing.get_context(method)
    processes = {process.sentinel: process for process in start(context, count, target, *arguments)}
    failed = []
    while processes:
        for sentinel in wait(list(processes)):
            process = processes.pop(sentinel)  # type: ignore[call-overload]
            process.join()
            if process.exitcode != 0:
                failed.append(process.exitcode)
                give_up()
    assert not failed


def start(context: Any, count: int, target: Callable[..., None], *arguments: Any) -> list[Any]:
    processes = [context.Process(target=target, args=(number, *arguments)) for number in range(count)]
    for process in processes:
        process.start()
    return processes


def serve(manager: SessionManager, connection: Connection) -> None:
    """Calls the manager's methods as told, until the other side hangs up or says so; answers with what each returned or raised."""
    while True:
        try:
            name, arguments, options = connection.recv()
        except EOFError:
            return
        if name == "leave":
            return
        try:
            answer = getattr(manager, name)(*arguments, **options)
            connection.send((dict(answer) if name in ("read", "read_all") else answer, None))
        except Exception as error:
            connection.send((None, type(error)))


class Worker:
    """The other side of :func:`serve`: a manager in another process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._connection.send((name, arguments, options))
            answer, error = self._connection.recv()
            if error is not None:
                raise error(f"raised by {name} in the worker")
            return answer

        return call

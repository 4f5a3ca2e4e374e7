"""What the tests with several processes share.

These are managers over one file or one server, workers that do as they are told, and memory that
all of them see.

A process is forked only from one that was started for it. Pytest's own has a thread, which waits in
C to say where every thread stands when a test hangs, and Python warns of a fork beside it.
"""

from __future__ import annotations

import asyncio
import inspect
import mmap
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self

from tests.servers import LONGEST_WAIT, until
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)

# NORMAL loses nothing where a process is killed and the machine has power.
OPTIONS: dict[str, Any] = {
    "timeout": 60.0,
    "synchronous": "NORMAL",
}


def make_manager(path: Path, **options: Any) -> SessionManager:
    """Return a manager over one file of sessions and revocations, open while the process lives."""
    return _over(SqliteStorage(path, **{**OPTIONS, **options}), path, options)


@contextmanager
def managed(path: Path, **options: Any) -> Iterator[SessionManager]:
    """Make a manager over one file for a while, as when a service is started and stopped."""
    storage = SqliteStorage(path, **{**OPTIONS, **options})
    try:
        with _over(storage, path, options) as manager:
            yield manager
    finally:
        storage.close()


def _over(storage: SqliteStorage, path: Path, options: dict[str, Any]) -> SessionManager:
    feed = SqliteFeed(path, **{**OPTIONS, **options})
    try:
        return SessionManager(
            SECRET, issuer="i", audience="a", storage=storage, revocations=RevocationList(feed)
        )
    except BaseException:
        feed.close()
        raise


def make_server_manager(client: Any, clock: Callable[[], float] = time.time, **options: Any) -> Any:
    """Return a manager whose sessions and revocations are on the client's server.

    The manager is an async one where the client is asyncio's.
    """
    storage, revocations = (
        RedisStorage(client),
        RevocationList(RedisFeed(client, clock=clock), clock=clock),
    )
    kind = AsyncSessionManager if storage.is_async else SessionManager
    return kind(
        SECRET,
        issuer="i",
        audience="a",
        storage=storage,
        revocations=revocations,
        clock=clock,
        **options,
    )


class Service:
    """Managers over one server as its machines would have them, each with a client of its own.

    Over asyncio's clients all live on one loop, and their methods are called like those of others.

    Args:
        connect: makes a client.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._loop = asyncio.new_event_loop()
        self._stack = ExitStack()
        self._stack.callback(self._loop.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def close_later(self, client: Any) -> None:
        """Close the client when all is over."""
        self._stack.callback(lambda: self._wait(getattr(client, "aclose", client.close)()))

    def join(self, **options: Any) -> Any:
        """Return the manager of one more machine."""
        client = self._connect()
        self.close_later(client)
        manager = make_server_manager(client, **options)
        self._stack.callback(lambda: self._wait(manager.close()))
        if isinstance(manager, SessionManager):
            return manager
        self._wait(manager.__aenter__())
        return Driven(manager, self._wait)

    def insist(self, call: Callable[[], Any]) -> Any:
        """Make the call until it succeeds, as its contract allows. Return what it returned."""
        answers: list[Any] = []

        def succeeds() -> bool:
            try:
                answers.append(call())
            except StorageUnavailable:
                return False
            return True

        self.wait_until(succeeds, "the success of a call")
        return answers[0]

    def wait_until(self, holds: Callable[[], Any], what: str) -> Any:
        """As ``until``, with a loop that goes on meanwhile."""
        return until(lambda: self._wait(asyncio.sleep(0)) or holds(), what)

    def _wait(self, answer: Any) -> Any:
        return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer


class Driven:
    """An async manager whose coroutines are run to their end."""

    def __init__(self, manager: AsyncSessionManager, wait: Callable[[Any], Any]) -> None:
        self._manager = manager
        self._wait = wait

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._manager, name)
        return lambda *arguments, **options: self._wait(method(*arguments, **options))


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


def nobody_waits_for_interpreter() -> bool:
    """Return True if no other thread of this process waits for the interpreter's lock. On Linux.

    A fork without Python's hooks hands that lock on as it is. Where a thread waited for it, the
    child may stand still for ever, whatever a library does.
    """
    own = str(threading.get_native_id())
    waits_in = [
        (task / "wchan").read_text()
        for task in Path("/proc/self/task").iterdir()
        if task.name != own
    ]
    return all(place not in ("", "0") and "futex" not in place for place in waits_in)


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
    """Call the target in a fresh process, which may fork, and check that all went well there."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def run_together(
    method: str,
    count: int,
    target: Callable[..., None],
    *arguments: Any,
    give_up: Callable[[], None],
) -> None:
    """Run many processes, each told its number first, until all have ended well.

    Fail when any of them has not.
    """
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
    processes = [
        context.Process(target=target, args=(number, *arguments)) for number in range(count)
    ]
    for process in processes:
        process.start()
    return processes


def serve(manager: SessionManager, connection: Connection) -> None:
    """Call the manager's methods as told. Answer each with what it returned or raised.

    It ends once the other side hangs up or says so.
    """
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
            connection.send((None, (type(error), str(error))))


class Worker:
    """The other side of :func:`serve`: a manager in another process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._connection.send((name, arguments, options))
            assert self._connection.poll(LONGEST_WAIT), f"the worker does not answer to {name}"
            answer, error = self._connection.recv()
            if error is not None:
                kind, reason = error
                raise kind(f"{reason} (raised by {name} in the worker)")
            return answer

        return call


@contextmanager
def employed(target: Callable[..., None], *arguments: Any, method: str = "spawn") -> Iterator[Any]:
    """Run the target in a worker process, whose last argument is the other end of a connection.

    The worker is killed in the end.
    """
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Worker(ours)
    finally:
        process.kill()
        process.join()
        ours.close()

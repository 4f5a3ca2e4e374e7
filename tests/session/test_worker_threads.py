"""An event loop's blocking calls run on a few threads of the manager's own.

The lock of a real file is held by another process. What waits for it holds up nobody else.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import gc
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.processes.support import employed, run_apart
from tests.servers import LONGEST_WAIT, until
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    MemoryStorage,
    RevocationList,
    SessionTokens,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.session import worker_threads
from tokenwheel.session.worker_threads import WorkerThreads

LOGINS = 200


class Gate(MemoryStorage):
    """A storage whose writes wait until the gate is opened, and which counts those that began."""

    waits = True

    def __init__(self, timeout: float | None = None) -> None:
        super().__init__()
        self.timeout = timeout
        self.opened = threading.Event()
        self.begun = 0
        self._counting = threading.Lock()

    def insert(self, *arguments: Any) -> bool:
        with self._counting:
            self.begun += 1
        assert self.opened.wait(LONGEST_WAIT)
        return super().insert(*arguments)


def manager_over(storage: Any, **options: Any) -> AsyncSessionManager:
    return AsyncSessionManager(SECRET, issuer="i", audience="a", storage=storage, **options)


def own_threads() -> list[threading.Thread]:
    return [
        thread for thread in threading.enumerate() if thread.name.startswith("tokenwheel-storage")
    ]


async def until_awaited(holds: Callable[[], Any]) -> None:
    """As ``until``, on an event loop that goes on meanwhile."""
    await asyncio.get_running_loop().run_in_executor(None, until, holds)


def test_logins_that_wait_for_a_lock_leave_the_applications_threads_alone(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    SqliteStorage(path).close()

    async def main(holder: Any) -> None:
        storage = SqliteStorage(path, timeout=float(LONGEST_WAIT), synchronous="NORMAL")
        async with manager_over(storage) as manager:
            logins = [
                asyncio.create_task(manager.create(subject=f"user {number}"))
                for number in range(LOGINS)
            ]
            await asyncio.sleep(0)
            assert own_threads()
            loop = asyncio.get_running_loop()
            for _ in range(20):
                assert await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
                assert await asyncio.to_thread(lambda: "answered") == "answered"
            # The lock is still held, so not one login has got through meanwhile.
            assert not any(login.done() for login in logins)
            assert len(own_threads()) <= worker_threads._THREADS
            holder.release()
            tokens = await asyncio.gather(*logins)
            assert len({each.session_id for each in tokens}) == LOGINS
            assert len(own_threads()) <= worker_threads._THREADS
        assert own_threads() == []

    with employed(hold_write_lock, path) as holder:
        holder.hold()
        asyncio.run(main(holder))


def hold_write_lock(path: Path, orders: Connection) -> None:
    """Take the write lock of the file when told to, and give it back when told so."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("BEGIN IMMEDIATE", "COMMIT"):
        orders.recv()
        connection.execute(statement)
        orders.send((None, None))
    orders.poll(LONGEST_WAIT)


def test_a_call_that_no_thread_takes_in_time_is_refused_before_it_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_threads, "_SHORTEST_PATIENCE", 0.01)
    storage = Gate(timeout=0.02)

    async def main() -> None:
        async with manager_over(storage) as manager:
            waiting = {asyncio.create_task(manager.create(subject="ann")) for _ in range(LOGINS)}
            while len(waiting) > worker_threads._THREADS:
                refused, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for login in refused:
                    with pytest.raises(StorageUnavailable, match="was not begun"):
                        login.result()
            storage.opened.set()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            succeeded = [answer for answer in answers if isinstance(answer, SessionTokens)]
            assert storage.begun == len(storage) == len(succeeded) <= worker_threads._THREADS

    asyncio.run(main())


@pytest.mark.parametrize(
    "timeout, patience", [(None, 30), (0, 5), (0.5, 5), (60, 60), ("soon", 30), (True, 5)]
)
def test_a_call_waits_for_a_thread_as_long_as_its_storage_would_wait(
    timeout: Any, patience: float
) -> None:
    storage = Gate()
    storage.timeout = timeout
    threads = manager_over(storage)._threads
    assert threads is not None
    assert threads._patience == patience


def test_a_cancelled_login_gives_its_thread_back_and_a_queued_one_never_begins() -> None:
    storage = Gate()

    async def main() -> None:
        async with manager_over(storage) as manager:
            logins = [asyncio.create_task(manager.create(subject="ann")) for _ in range(LOGINS)]
            await until_awaited(lambda: storage.begun == worker_threads._THREADS)
            for login in logins:
                login.cancel()
            answers = await asyncio.gather(*logins, return_exceptions=True)
            assert {type(answer) for answer in answers} == {asyncio.CancelledError}
            storage.opened.set()
            for _ in range(2 * worker_threads._THREADS):  # There are threads left for these.
                await manager.create(subject="bob")
            assert storage.begun == 3 * worker_threads._THREADS
            assert len(own_threads()) <= worker_threads._THREADS

    asyncio.run(main())


def test_closing_waits_for_what_runs_and_the_event_loop_goes_on() -> None:
    storage = Gate()

    async def main() -> None:
        manager = manager_over(storage)
        login = asyncio.create_task(manager.create(subject="ann"))
        await until_awaited(lambda: storage.begun == 1)
        closing = asyncio.create_task(manager.close())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not closing.done()
        storage.opened.set()
        await closing
        assert own_threads() == []
        assert (await login).session_id
        with pytest.raises(StorageUnavailable, match="the manager was closed"):
            await manager.create(subject="ann")
        assert own_threads() == []
        await manager.close()

    asyncio.run(main())


def test_a_close_that_is_cancelled_closes_the_storage_all_the_same() -> None:
    closed: list[bool] = []

    class Closing(Gate):
        def close(self) -> None:
            closed.append(True)

    storage = Closing()

    async def main() -> None:
        manager = manager_over(storage)
        login = asyncio.create_task(manager.create(subject="ann"))
        await until_awaited(lambda: storage.begun == 1)
        closing = asyncio.create_task(manager.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert closed == [True]
        storage.opened.set()
        await login

    asyncio.run(main())


def test_calls_see_the_context_variables_of_their_caller() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    seen = []

    class Tracing(MemoryStorage):
        waits = True

        def insert(self, *arguments: Any) -> bool:
            seen.append((request.get(), threading.current_thread() is threading.main_thread()))
            return super().insert(*arguments)

    async def main() -> None:
        async with manager_over(Tracing()) as manager:
            request.set("of ann")
            await manager.create(subject="ann")

    asyncio.run(main())
    assert seen == [("of ann", False)]


def test_the_threads_of_a_manager_that_was_dropped_end() -> None:
    async def main() -> None:
        storage = Gate()
        storage.opened.set()
        await manager_over(storage).create(subject="ann")
        assert own_threads()

    asyncio.run(main())
    gc.collect()
    until(lambda: not own_threads(), "the end of the threads")


def test_managers_that_need_no_thread_have_none() -> None:
    async def main() -> None:
        async with manager_over(MemoryStorage(), revocations=RevocationList()) as manager:
            await manager.create(subject="ann")
            assert threading.active_count() == before

    before = threading.active_count()
    asyncio.run(main())


@pytest.mark.parametrize("runs_hooks", [True, False])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_has_threads_of_its_own(tmp_path: Path, runs_hooks: bool) -> None:
    run_apart(call_in_a_child, runs_hooks)


def call_in_a_child(runs_hooks: bool) -> None:
    threads = WorkerThreads(None)
    loop = asyncio.new_event_loop()
    asked = loop.run_until_complete(threads.call(threading.get_ident))
    fork = os.fork if runs_hooks else ctypes.PyDLL(None).fork
    pid = fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(call_and_close(threads))
            status = 0
        finally:
            os._exit(status)
    # The parent's thread goes on, whatever the child did.
    assert loop.run_until_complete(threads.call(threading.get_ident)) == asked
    loop.run_until_complete(threads.close())
    loop.close()
    assert wait_for(pid) == 0


async def call_and_close(threads: WorkerThreads) -> None:
    assert await threads.call(os.getpid) == os.getpid()
    await threads.close()


def wait_for(pid: int) -> int:
    """Return the exit code of a child, which is killed where it never ends."""
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    return os.waitpid(pid, 0)[1]

"""A connection in one process ends when its session is ended in another one.

The workers hold connections open and read no token once these are.
"""

from __future__ import annotations

import asyncio
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.processes.support import (
    employed,
    make_manager,
    make_server_manager,
    managed,
    serve,
)
from tests.servers import Node, needs_server, until
from tests.support import SECRET
from tests.web.watching import Told
from tokenwheel import (
    AsyncSessionManager,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    new_token,
)
from tokenwheel.web import Gate
from tokenwheel.web.async_watch import AsyncWatch
from tokenwheel.web.watch import Watches


class Threaded:
    """Connections of threads in a worker."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._watches = Watches(manager)
        self._told: list[Told] = []

    def connect(self, access_token: str) -> None:
        self._told.append(Told())
        self._watches.watch(self._manager.read(access_token), self._told[-1])

    def ended(self) -> list[list[str]]:
        return [list(told) for told in self._told]


class OnLoop:
    """Connections of an event loop in a worker, which runs in another thread."""

    def __init__(self, manager: AsyncSessionManager, loop: asyncio.AbstractEventLoop) -> None:
        self._gate = Gate(manager)
        self._loop = loop
        self._closed: list[list[str]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def connect(self, access_token: str) -> None:
        asyncio.run_coroutine_threadsafe(self._connect(access_token), self._loop).result()

    async def _connect(self, access_token: str) -> None:
        closed: list[str] = []
        entered = asyncio.Event()
        self._closed.append(closed)
        claims = self._gate.manager.read(access_token)

        async def close(code: int, reason: str) -> None:
            closed.append(reason)

        async def body() -> None:
            async with AsyncWatch(self._gate.watches, claims, close):
                entered.set()
                await asyncio.Event().wait()

        self._tasks.append(asyncio.create_task(body()))
        await entered.wait()

    def ended(self) -> list[list[str]]:
        return [list(closed) for closed in self._closed]


def hold_over_file(path: Path, connection: Connection) -> None:
    holder: Any = Threaded(make_manager(path))
    serve(holder, connection)


def hold_over_server(port: int, connection: Connection) -> None:
    holder: Any = Threaded(make_server_manager(redis.Redis(port=port)))
    serve(holder, connection)


async def hold_on_loop(manager: AsyncSessionManager, connection: Connection) -> None:
    async with manager:
        holder: Any = OnLoop(manager, asyncio.get_running_loop())
        await asyncio.to_thread(serve, holder, connection)


def hold_on_loop_over_file(path: Path, connection: Connection) -> None:
    revocations = RevocationList(SqliteFeed(path))
    manager = AsyncSessionManager(
        SECRET, issuer="i", audience="a", storage=SqliteStorage(path), revocations=revocations
    )
    asyncio.run(hold_on_loop(manager, connection))


def hold_on_loop_over_server(port: int, connection: Connection) -> None:
    async def main() -> None:
        await hold_on_loop(make_server_manager(redis.asyncio.Redis(port=port)), connection)

    asyncio.run(main())


def check_ends(manager: SessionManager, worker: Any) -> None:
    """Check that connections of a worker end as the manager, which is elsewhere, ends sessions."""
    subject = new_token(16)  # Other tests leave sessions on the server.
    logins = [manager.create(subject=subject) for _ in range(3)]
    for tokens in logins:
        worker.connect(tokens.access_token)
    # Only now, as the worker may have taken its time to begin.
    worker.connect(manager.create(subject=subject, access_ttl=2).access_token)
    manager.delete_one(subject, logins[0].session_id)
    until(
        lambda: worker.ended() == [["revoked"], [], [], ["expired"]],
        "the end of one session and one token",
        interval=0.05,
    )
    manager.update(logins[2].refresh_token)  # A refresh ends nothing.
    manager.restrict_one(manager.read(logins[1].access_token))
    until(
        lambda: worker.ended() == [["revoked"], ["revoked"], [], ["expired"]],
        "the end of a restricted session",
        interval=0.05,
    )
    manager.delete_all(subject)
    until(lambda: worker.ended()[2] == ["revoked"], "the end of all", interval=0.05)
    assert worker.ended() == [["revoked"], ["revoked"], ["revoked"], ["expired"]]


@pytest.mark.parametrize("hold", [hold_over_file, hold_on_loop_over_file])
def test_connections_end_with_sessions_that_another_process_ends_over_a_file(
    tmp_path: Path, hold: Any
) -> None:
    path = tmp_path / "sessions.db"
    with managed(path) as manager, employed(hold, path) as worker:
        check_ends(manager, worker)


@needs_server
@pytest.mark.parametrize("hold", [hold_over_server, hold_on_loop_over_server])
def test_connections_end_with_sessions_that_another_machine_ends_over_a_server(
    server: Node, hold: Any
) -> None:
    with (
        redis.Redis(port=server.port) as client,
        make_server_manager(client) as manager,
        employed(hold, server.port) as worker,
    ):
        check_ends(manager, worker)


def test_both_ends_of_a_watch_are_in_threads_of_their_own(tmp_path: Path) -> None:
    """The one who logs out waits for no connection, and no lookup does."""
    with managed(tmp_path / "sessions.db") as manager:
        tokens, told = manager.create(subject="ann"), Told()
        Watches(manager).watch(manager.read(tokens.access_token), told)
        manager.delete_all("ann")
        until(lambda: told == ["revoked"], "the end")
        assert told.thread is not None
        assert told.thread.name == "tokenwheel-watch"
        assert told.thread is not threading.current_thread()

"""A process that only holds connections open is told of a logout in another one.

None of these workers reads a token. What each is told, it is told by the list's own thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.processes.support import (
    Board,
    employed,
    make_manager,
    make_server_manager,
    managed,
    run_apart,
    serve,
)
from tests.servers import Node, needs_server, proxied, until
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    RedisFeed,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    new_token,
)

FIRST, SECOND = "AAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAC"
has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class Sockets:
    """What a worker with open connections is told, for the test to ask."""

    def __init__(self, revocations: RevocationList) -> None:
        self._told: list[tuple[str, int | None]] = []
        self._revocations = revocations  # Dropped, it would tell nobody.
        revocations.subscribe(self._close)

    def _close(self, session_id: str, before: int | None) -> None:
        self._told.append((session_id, before))

    def told(self) -> list[tuple[str, int | None]]:
        return list(self._told)


def hold_over_file(path: Path, connection: Connection) -> None:
    manager: Any = Sockets(make_manager(path).revocations)
    serve(manager, connection)


def hold_over_server(port: int, connection: Connection) -> None:
    manager: Any = Sockets(make_server_manager(redis.Redis(port=port)).revocations)
    serve(manager, connection)


def hold_on_loop(make: Callable[[Any], AsyncSessionManager], place: Any, other: Connection) -> None:
    """Hold connections on an event loop that does nothing else."""

    async def main() -> None:
        async with make(place) as manager:
            sockets: Any = Sockets(manager.revocations)
            await asyncio.to_thread(serve, sockets, other)

    asyncio.run(main())


def async_over_file(path: Path) -> AsyncSessionManager:
    return AsyncSessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqliteStorage(path),
        revocations=RevocationList(SqliteFeed(path)),
    )


def async_over_server(port: int) -> AsyncSessionManager:
    manager: AsyncSessionManager = make_server_manager(redis.asyncio.Redis(port=port))
    return manager


def check_told(manager: SessionManager, worker: Any) -> None:
    """Check that the worker is told of each way in which the manager refuses tokens."""
    assert worker.told() == []
    subject = new_token(16)  # Other tests leave sessions on the server.
    tokens = manager.create(subject=subject)
    manager.restrict_one(manager.read(tokens.access_token))
    until(lambda: worker.told() == [(tokens.session_id, 1)], "the news of a restriction")
    manager.update(tokens.refresh_token)
    manager.delete_all(subject)
    until(lambda: len(worker.told()) == 2, "the news of a logout")
    assert worker.told() == [(tokens.session_id, 1), (tokens.session_id, 2)]


def test_a_worker_that_never_reads_is_told_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with managed(path) as manager, employed(hold_over_file, path) as worker:
        check_told(manager, worker)


def test_an_idle_event_loop_is_told_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with managed(path) as manager, employed(hold_on_loop, async_over_file, path) as worker:
        check_told(manager, worker)


@needs_server
@pytest.mark.parametrize("is_async", [False, True])
def test_a_worker_that_never_reads_is_told_over_a_server(server: Node, is_async: bool) -> None:
    hold: tuple[Any, ...] = (hold_on_loop, async_over_server) if is_async else (hold_over_server,)
    with (
        server.client() as client,
        make_server_manager(client) as manager,
        employed(*hold, server.port) as worker,
    ):
        check_told(manager, worker)


@needs_server
def test_a_worker_that_was_cut_off_is_told_all_that_it_missed(server: Node) -> None:
    with (
        proxied(server.port) as proxy,
        server.client() as client,
        closing(RevocationList(RedisFeed(client, prefix="cut:"))) as theirs,
        redis.Redis(port=proxy.port) as cut_off,
        closing(RevocationList(RedisFeed(cut_off, prefix="cut:"))) as ours,
    ):
        told: list[tuple[str, int | None]] = []
        ours.subscribe(lambda *raised: told.append(raised))
        theirs.revoke(FIRST, 60)
        until(lambda: told == [(FIRST, None)])
        proxy.sever()
        theirs.revoke(SECOND, 60)
        ours.feed.rewind()  # type: ignore[union-attr]
        proxy.heal()
        until(lambda: told == [(FIRST, None), (SECOND, None)])


@needs_server
def test_an_event_loop_that_never_reads_hears_again_after_its_task_has_ended(
    server: Node,
) -> None:
    async def main() -> None:
        loop, is_told = asyncio.get_running_loop(), asyncio.Event()
        with server.client() as client:
            async with async_over_server(server.port) as manager:
                manager.revocations.subscribe(
                    lambda session_id, before: loop.call_soon_threadsafe(is_told.set)
                )
                for task in asyncio.all_tasks():
                    if task.get_name() == "tokenwheel-revocations":
                        task.cancel()
                with closing(RevocationList(RedisFeed(client))) as theirs:
                    await asyncio.to_thread(theirs.revoke, FIRST, 60)
                await asyncio.wait_for(is_told.wait(), 60)

    asyncio.run(main())


@has_fork
def test_a_child_of_a_fork_is_told_and_so_is_its_parent(tmp_path: Path) -> None:
    run_apart(fork_after_subscribing, tmp_path)


def fork_after_subscribing(folder: Path) -> None:
    path, board = folder / "sessions.db", Board(folder / "board")
    with managed(path) as manager:
        place = [0]

        def count(session_id: str, before: int | None) -> None:
            board[place[0]] += 1

        manager.revocations.subscribe(count)
        pids = []
        for number in (1, 2):
            pid = os.fork()
            if pid == 0:
                place[0] = number
                until(lambda: board[10], interval=0.01)
                os._exit(0 if threading.active_count() == 3 else 1)
            pids.append(pid)
        other = RevocationList(SqliteFeed(path))
        other.revoke(FIRST, 60)
        other.close()
        until(lambda: [board[number] for number in (0, 1, 2)] == [1, 1, 1], "the news everywhere")
        board[10] = 1
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]


@needs_server
@has_fork
def test_over_a_server_a_child_of_a_fork_is_told_and_so_is_its_parent(
    tmp_path: Path, server: Node
) -> None:
    run_apart(fork_over_server, tmp_path, server.port)


def fork_over_server(folder: Path, port: int) -> None:
    board, place = Board(folder / "board"), [0]
    client = redis.Redis(port=port)
    revocations = RevocationList(RedisFeed(client, prefix="forked:"))

    def count(session_id: str, before: int | None) -> None:
        board[place[0]] += 1

    revocations.subscribe(count)
    pid = os.fork()
    if pid == 0:
        place[0] = 1
        until(lambda: board[10], interval=0.01)
        revocations.close()
        os._exit(0 if threading.active_count() == 1 else 1)
    with closing(RevocationList(RedisFeed(client, prefix="forked:"))) as theirs:
        theirs.revoke(FIRST, 60)
    until(lambda: [board[0], board[1]] == [1, 1], "the news in both")
    board[10] = 1
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    revocations.close()
    client.close()
    assert threading.active_count() == 1


@has_fork
def test_a_child_may_close_and_subscribe_by_itself(tmp_path: Path) -> None:
    run_apart(close_in_a_child, tmp_path)


def close_in_a_child(folder: Path) -> None:
    path = folder / "sessions.db"
    told: list[tuple[str, int | None]] = []
    revocations = RevocationList(SqliteFeed(path))
    revocations.subscribe(lambda *raised: told.append(raised))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            revocations.close()
            assert threading.active_count() == 1
            fresh = RevocationList(SqliteFeed(path))
            fresh.subscribe(lambda *raised: told.append(raised))
            fresh.revoke(FIRST, 60)
            until(lambda: told == [(FIRST, None)])
            fresh.close()
            assert threading.active_count() == 1
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    until(lambda: told == [(FIRST, None)])
    revocations.close()
    assert threading.active_count() == 1

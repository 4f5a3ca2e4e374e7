"""Managers over a server that were there before a fork, as with ``gunicorn --preload``.

Parent and children go on, each by itself.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.servers import Node, empty, needs_server, until
from tokenwheel import AsyncSessionManager, SessionManager

from .support import Driven, employed, make_server_manager, refuses, run_apart, serve

CHILDREN = 3

pytestmark = [
    needs_server,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def test_nothing_runs_before_the_first_read_and_then_each_process_follows_by_itself(
    server: Node,
) -> None:
    empty(server)
    run_apart(fork_first, server.port)


def fork_first(port: int) -> None:
    with watching(port) as watch, made(port) as parent, ExitStack() as stack:
        assert parent.threads() == 1
        children = [
            stack.enter_context(employed(serve, parent, method="fork")) for _ in range(CHILDREN)
        ]
        everyone = [parent, *children]
        assert [manager.threads() for manager in everyone] == [1] * len(everyone)
        see_that_all_obey(everyone)
        assert [manager.threads() for manager in everyone] == [2] * len(everyone)
        watch.see_connections(2 * len(everyone) + 1)


def test_a_parent_that_has_read_and_its_children_go_on_after_a_fork(server: Node) -> None:
    empty(server)
    run_apart(read_and_fork, server.port)


def read_and_fork(port: int) -> None:
    with watching(port) as watch, made(port) as parent, ExitStack() as stack:
        ended, theirs, ours = (parent.create(subject="ann") for _ in range(3))
        parent.delete_one("ann", ended.session_id)
        assert [refuses(parent, tokens.access_token) for tokens in (ended, theirs, ours)] == [
            True,
            False,
            False,
        ]
        assert parent.threads() == 2
        children = [
            stack.enter_context(employed(serve, parent, method="fork")) for _ in range(CHILDREN)
        ]
        assert children[0].delete_one("ann", theirs.session_id) is True
        # The first read after the fork takes in what came meanwhile.
        assert refuses(parent, theirs.access_token)
        assert parent.delete_one("ann", ours.session_id) is True
        for child in children[1:]:
            assert all(refuses(child, tokens.access_token) for tokens in (ended, theirs, ours))
        see_that_all_obey([parent, *children])
        watch.see_connections(2 * (1 + CHILDREN) + 1)


def test_a_fork_while_other_threads_read_and_news_comes_in_leaves_a_child_that_works(
    server: Node,
) -> None:
    empty(server)
    run_apart(fork_amid_reads, server.port)


def fork_amid_reads(port: int) -> None:
    """Fork while threads read.

    The threads leave the client alone: redis-py 8.1 has locks of its own that a child may find
    taken, such as that of its events.
    """
    # So many seconds let a fork find a thread anywhere, and not only where it waits.
    sys.setswitchinterval(1e-6)
    stop = threading.Event()
    with made(port, verified_cache_size=4) as parent, employed(end_sessions, parent, method="fork"):
        good = [parent.create(subject="bob").access_token for _ in range(16)]

        def work() -> None:
            while not stop.is_set():
                # Each has to be verified, since four others were remembered in between.
                for token in good:
                    parent.read(token)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            with employed(serve, parent, method="fork") as child:
                see_that_all_obey([child, parent])
        assert all(thread.is_alive() for thread in threads)
        stop.set()
        for thread in threads:
            thread.join()


def end_sessions(manager: Any, _: Connection) -> None:
    while True:
        manager.delete_one("cid", manager.create(subject="cid").session_id)


def test_an_async_manager_made_before_the_fork_serves_on_the_loop_of_each_child(
    server: Node,
) -> None:
    empty(server)
    run_apart(fork_for_loops, server.port)


def fork_for_loops(port: int) -> None:
    manager = make_server_manager(redis.asyncio.Redis(port=port))
    with watching(port) as watch, ExitStack() as stack:
        children = [
            stack.enter_context(employed(serve_on_loop, manager, method="fork"))
            for _ in range(CHILDREN)
        ]
        see_that_all_obey(children)
        watch.see_connections(2 * CHILDREN)


def serve_on_loop(manager: AsyncSessionManager, connection: Connection) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()

        def wait(answer: Any) -> Any:
            return (
                asyncio.run_coroutine_threadsafe(answer, loop).result()
                if inspect.isawaitable(answer)
                else answer
            )

        async with manager:
            await asyncio.to_thread(serve, Driven(manager, wait), connection)

    asyncio.run(run())


def see_that_all_obey(everyone: list[Any]) -> None:
    """Check that each can open a session that all accept, and end it so that none does."""
    for manager in everyone:
        tokens = manager.create(subject="ann")
        for node in everyone:
            assert node.read(tokens.access_token)["sid"] == tokens.session_id
        assert manager.delete_one("ann", tokens.session_id) is True
        assert refuses(manager, tokens.access_token)
        for node in everyone:
            until(lambda: refuses(node, tokens.access_token), "that every process has heard")


class Preloaded:
    """A manager, and how many threads the process has that calls it."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def threads(self) -> int:
        return threading.active_count()


@contextmanager
def made(port: int, **options: Any) -> Iterator[Any]:
    """Make a manager whose client has a connection already."""
    with redis.Redis(port=port) as client:
        client.ping()
        with make_server_manager(client, **options) as manager:
            yield Preloaded(manager)


class Watch:
    """What the server knows of those who came since."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._before = {connection["id"] for connection in client.client_list()}

    def see_connections(self, count: int) -> None:
        """Check that there are so many connections, half of which follow the stream.

        One more is that of the client itself. No process then uses the connection of another.
        """

        def are_so_many() -> bool:
            new = [
                connection
                for connection in self._client.client_list()
                if connection["id"] not in self._before
            ]
            return (len(new), sum(connection["cmd"] == "xread" for connection in new)) == (
                count,
                count // 2,
            )

        until(are_so_many, f"{count} connections, half of which follow the stream")


@contextmanager
def watching(port: int) -> Iterator[Watch]:
    with redis.Redis(port=port) as client:
        yield Watch(client)

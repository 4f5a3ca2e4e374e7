"""Managers over a SQL database that were there before a fork, as with ``gunicorn --preload``.

Parent and children go on, each by itself, and no process uses the connection of another.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.databases import Database, Mariadb, Postgres
from tests.servers import LONGEST_WAIT, until
from tests.sql.nodes import tables_in
from tests.support import SECRET
from tokenwheel import AsyncSessionManager, RevocationList, SessionManager
from tokenwheel.sql import SqlFeed, SqlStorage

from .support import Driven, employed, refuses, run_apart, serve

CHILDREN = 3
DRIVERS = {"psycopg": "postgres", "pymysql": "mariadb"}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(params=DRIVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server: Postgres | Mariadb = request.getfixturevalue(DRIVERS[request.param])
    with tables_in(server) as tables:
        yield tables.url(request.param)


@pytest.fixture
def tables(postgres: Postgres) -> Iterator[Database]:
    with tables_in(postgres) as database:
        yield database


@contextmanager
def made(url: str, poll_interval: float = 0.05) -> Iterator[Any]:
    """Make a manager whose engine has a connection already."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    with manager_on(engine, poll_interval) as manager:
        yield manager
    engine.dispose()


def manager_on(engine: Any, poll_interval: float = 0.05) -> Any:
    feed = SqlFeed(engine, poll_interval=poll_interval)
    kind = AsyncSessionManager if feed.is_async else SessionManager
    return kind(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqlStorage(engine),
        revocations=RevocationList(feed),
    )


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


def test_each_process_follows_by_itself_from_its_first_read_on(url: str) -> None:
    run_apart(fork_first, url)


def fork_first(url: str) -> None:
    with made(url) as parent, ExitStack() as stack:
        assert threading.active_count() == 1
        children = [
            stack.enter_context(employed(serve, parent, method="fork")) for _ in range(CHILDREN)
        ]
        see_that_all_obey([parent, *children])


def test_a_parent_that_has_read_and_its_children_go_on_after_a_fork(url: str) -> None:
    run_apart(read_and_fork, url)


def read_and_fork(url: str) -> None:
    with made(url) as parent, ExitStack() as stack:
        ended, theirs, ours = (parent.create(subject="ann") for _ in range(3))
        parent.delete_one("ann", ended.session_id)
        assert [refuses(parent, tokens.access_token) for tokens in (ended, theirs, ours)] == [
            True,
            False,
            False,
        ]
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


@pytest.mark.skipif(sys.platform != "linux", reason="as on servers")
def test_a_child_of_a_server_that_runs_no_hooks_hears_by_itself(url: str) -> None:
    run_apart(fork_without_hooks, url)


def fork_without_hooks(url: str) -> None:
    with made(url, 0.5) as manager, made(url, 0.5) as elsewhere:
        ended, tokens, later = (elsewhere.create(subject="ann") for _ in range(3))
        assert not refuses(manager, tokens.access_token)
        elsewhere.delete_one("ann", ended.session_id)
        until(lambda: refuses(manager, ended.access_token))
        until(others_rest, "that no thread waits for the interpreter")
        receiving, sending = os.pipe()
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            see_logout(manager, tokens.access_token, sending)
        assert hear_from(pid, receiving) == b"r"  # The child has read, as its parent had.
        elsewhere.delete_one("ann", tokens.session_id)
        until(lambda: refuses(manager, tokens.access_token))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        # The child's end did no harm to the connections of its parent.
        elsewhere.delete_one("ann", later.session_id)
        until(lambda: refuses(manager, later.access_token))
        assert manager._revocations.feed.stats().reconnects == 0


def others_rest() -> bool:
    """Return True if no other thread waits for the interpreter's lock. On Linux.

    A fork without Python's hooks hands that lock on as it is. Where a thread waited for it, the
    child may stand still for ever, whatever a library does. Who waits for it wakes up every few
    milliseconds, or is about to.
    """
    before = rests()
    end = time.monotonic() + 4 * sys.getswitchinterval()
    while time.monotonic() < end:  # It must not be let go of meanwhile, as a sleep would.
        pass
    return "" not in before.values() and before == rests()


def rests() -> dict[str, str]:
    """Return how often each other thread has gone to sleep; an empty text for one that is awake."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(threading.get_native_id()):
            status = (task / "status").read_text()
            count = status.split("\nvoluntary_ctxt_switches:")[1].split()[0]
            found[task.name] = count if "State:\tS" in status else ""
    return found


def hear_from(child: int, receiving: int) -> bytes:
    """Return what a child has written. Where that takes too long, end the child."""
    ready, _, _ = select.select([receiving], [], [], LONGEST_WAIT)
    if not ready:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ready, "the child has not read in time"
    return os.read(receiving, 1)


def see_logout(manager: SessionManager, token: str, ready: int) -> None:
    """Hear of a logout in a child, and end it; with 0 where nothing was raised."""
    try:
        assert not refuses(manager, token)
        os.write(ready, b"r")
        until(lambda: refuses(manager, token))
        manager.close()
    except BaseException as error:
        os.write(2, f"in the child: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg_async"])
def test_an_async_manager_made_before_the_fork_serves_on_the_loop_of_each_child(
    tables: Database, driver: str
) -> None:
    run_apart(fork_for_loops, tables.url(driver))


def fork_for_loops(url: str) -> None:
    manager = manager_on(create_async_engine(url))
    with ExitStack() as stack:
        children = [
            stack.enter_context(employed(serve_on_loop, manager, method="fork"))
            for _ in range(CHILDREN)
        ]
        see_that_all_obey(children)


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

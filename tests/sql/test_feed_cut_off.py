"""A node that is cut off from its database: what it says meanwhile, and that it finds back.

Beside it what keeps a node from hearing though the database is there: a thread that was ended, a
task that was cancelled, an event loop that has gone.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from tests.databases import Database, Mariadb, Pgbouncer, Postgres
from tests.servers import LONGEST_WAIT, free_port, until
from tests.sql.nodes import (
    ASYNC,
    UNPREPARED,
    Nodes,
    engine_on,
    is_accepted,
    refuses,
    stats_of,
    tables_in,
)
from tests.support import SECRET, FakeClock
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    Revocation,
    RevocationList,
    StorageUnavailable,
)
from tokenwheel.sql import SqlFeed, SqlStorage

DRIVERS = ["psycopg", "psycopg_async", "asyncpg", "pymysql"]
FAR = 4_000_000_000.0


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> Iterator[Database]:
    with tables_in(postgres) as database:
        yield database


@pytest.fixture(scope="module")
def tables_of_mariadb(mariadb: Mariadb) -> Iterator[Database]:
    with tables_in(mariadb) as database:
        yield database


@pytest.fixture
def own_tables(driver: str) -> Iterator[Database]:
    """Make tables on a server that a test may stop."""
    server: Any = Mariadb() if "mysql" in driver else Postgres(fsync="on")
    with server, tables_in(server) as database:
        yield database


@pytest.fixture
def shared_tables(request: pytest.FixtureRequest, driver: str) -> Database:
    name = "tables_of_mariadb" if "mysql" in driver else "tables"
    database: Database = request.getfixturevalue(name)
    return database


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_logout_on_a_node_is_refused_on_others(shared_tables: Database, driver: str) -> None:
    with Nodes(shared_tables, driver) as nodes:
        first, *others = [nodes.join(poll_interval=0.05) for _ in range(3)]
        tokens = first.create(subject="ann")
        kept = first.create(subject="ann")
        assert all(is_accepted(node, tokens.access_token) for node in others)
        assert first.delete_one("ann", tokens.session_id) is True
        for node in others:
            nodes.until(lambda: refuses(node, tokens.access_token), "that a node has heard")
            assert is_accepted(node, kept.access_token)
        late = nodes.join()
        assert refuses(late, tokens.access_token)
        assert is_accepted(late, kept.access_token)


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("driver", UNPREPARED)
def test_a_logout_is_heard_through_pgbouncer(
    postgres: Postgres, tables: Database, driver: str, mode: str
) -> None:
    with (
        Pgbouncer(postgres, mode) as pooler,
        Nodes(tables, driver, port=pooler.port, connect_args=UNPREPARED[driver]) as nodes,
    ):
        first, second = nodes.join(), nodes.join()
        for _ in range(3):
            tokens = first.create(subject="ann")
            assert is_accepted(second, tokens.access_token)
            first.delete_one("ann", tokens.session_id)
            nodes.until(lambda: refuses(second, tokens.access_token), "that it is heard")


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_node_that_is_connected_again_has_missed_nothing(
    own_tables: Database, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tokenwheel")
    with Nodes(own_tables, driver) as nodes:
        first, second = nodes.join(), nodes.join()
        ended, kept, later = (first.create(subject="ann") for _ in range(3))
        for node in (first, second):
            assert is_accepted(node, ended.access_token)
        own_tables.server.kill()
        nodes.until(lambda: sum("cut off" in message for message in caplog.messages) == 2)
        with pytest.raises(StorageUnavailable):
            first.delete_one("ann", ended.session_id)
        assert stats_of(second).lag == inf
        own_tables.server.start()
        assert nodes.insist(lambda: first.delete_one("ann", later.session_id)) is True
        nodes.until(lambda: refuses(second, later.access_token))
        nodes.insist(lambda: first.delete_one("ann", ended.session_id))
        nodes.until(lambda: refuses(second, ended.access_token))
        assert all(is_accepted(node, kept.access_token) for node in (first, second))
        nodes.until(lambda: sum("connected again" in message for message in caplog.messages) == 2)
        assert stats_of(second).lag == 0
        assert stats_of(second).reconnects > 0


@pytest.mark.parametrize(
    "driver, fault, when_stale",
    [
        ("psycopg", "freeze", "refuse"),
        ("psycopg", "kill", "refuse"),
        ("psycopg", "freeze", "accept"),
        ("asyncpg", "freeze", "refuse"),
        ("pymysql", "freeze", "refuse"),
    ],
)
def test_past_max_staleness_a_node_goes_on_or_refuses_every_token_as_was_chosen(
    own_tables: Database, driver: str, when_stale: Any, fault: str
) -> None:
    clock, timer = FakeClock(1_700_000_000.0), FakeClock(50.0)
    with Nodes(own_tables, driver) as nodes:
        node = nodes.join(clock, timer=timer, max_staleness=10, when_stale=when_stale)
        tokens = node.create(subject="ann")
        node.read(tokens.access_token)
        getattr(own_tables.server, fault)()
        node.read(tokens.access_token)
        for fake in (clock, timer):
            fake.advance(9.0)
        node.read(tokens.access_token)
        for fake in (clock, timer):
            fake.advance(3.0)
        if when_stale == "accept":
            node.read(tokens.access_token)
        else:
            for _ in range(2):
                with pytest.raises(StorageUnavailable, match="max_staleness"):
                    node.read(tokens.access_token)
        if fault == "kill":
            own_tables.server.start()
        else:
            own_tables.server.thaw()
        nodes.until(lambda: is_accepted(node, tokens.access_token), "that it hears again")


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_server_that_is_not_there_is_said_at_the_start(driver: str, postgres: Postgres) -> None:
    nowhere = Database(postgres, "nowhere")

    with Nodes(nowhere, driver, port=free_port()) as nodes:
        with pytest.raises(
            StorageUnavailable, match="the revocation feed could not be reached"
        ) as caught:
            nodes.join()
        assert caught.value.__cause__ is not None


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_tables_that_are_not_there_are_said_at_the_start(postgres: Postgres, driver: str) -> None:
    with (
        postgres.database() as empty,
        Nodes(empty, driver) as nodes,
        pytest.raises(ConfigurationError, match="create_all"),
    ):
        nodes.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("driver", ["psycopg", "pymysql"])
def test_a_listener_whose_thread_was_ended_is_begun_anew(
    shared_tables: Database, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    to_end: list[threading.Thread] = []

    def timer() -> float:
        if threading.current_thread() in to_end:
            sys.exit()
        return time.monotonic()

    with Nodes(shared_tables, driver) as nodes:
        node = nodes.join(poll_interval=0.05, timer=timer)
        ended, kept = (node.create(subject="ann") for _ in range(2))
        assert is_accepted(node, ended.access_token)
        (listener,) = [
            thread for thread in threading.enumerate() if thread.name == "tokenwheel-revocations"
        ]
        to_end.append(listener)
        listener.join(LONGEST_WAIT)
        assert not listener.is_alive()
        publish_elsewhere(shared_tables, driver, ended.session_id)
        until(lambda: refuses(node, ended.access_token), "that it hears again")
        assert is_accepted(node, kept.access_token)
    assert "its thread has ended or stands still, so it is begun anew" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("driver", ["psycopg", "pymysql"])
def test_a_listener_that_is_ended_before_it_has_read_keeps_nobody_waiting(
    shared_tables: Database, driver: str
) -> None:
    def timer() -> float:
        if threading.current_thread().name == "tokenwheel-revocations":
            sys.exit()
        return time.monotonic()

    with Nodes(shared_tables, driver) as nodes:
        node = nodes.join(timer=timer)
        tokens = node.create(subject="ann")
        assert is_accepted(node, tokens.access_token)
        node.delete_one("ann", tokens.session_id)
        assert refuses(node, tokens.access_token)


def publish_elsewhere(tables: Database, driver: str, session_id: str) -> None:
    engine = engine_on(tables, driver)
    feed = SqlFeed(engine)
    feed.publish([Revocation(session_id, FAR, None)])
    feed.close()
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg_async", "asyncpg"])
def test_a_listener_whose_task_somebody_has_cancelled_is_begun_anew(
    shared_tables: Database, driver: str
) -> None:
    async def cancel_and_listen() -> None:
        engine = engine_on(shared_tables, driver)
        other_engine = engine_on(shared_tables, driver)
        async with manager_on(engine) as manager, manager_on(other_engine) as elsewhere:
            tokens = await manager.create(subject="ann")
            manager.read(tokens.access_token)
            for task in asyncio.all_tasks():
                if task.get_name() == "tokenwheel-revocations":
                    task.cancel()
            await elsewhere.delete_one("ann", tokens.session_id)
            await asyncio.wait_for(hear(manager, tokens.access_token), LONGEST_WAIT)
        await engine.dispose()
        await other_engine.dispose()

    asyncio.run(cancel_and_listen())


async def hear(manager: Any, token: str) -> None:
    while not refuses(manager, token):  # noqa: ASYNC110 -- a test asks as an application does
        await asyncio.sleep(0.001)


def manager_on(engine: Any, **options: Any) -> AsyncSessionManager:
    return AsyncSessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqlStorage(engine),
        revocations=RevocationList(SqlFeed(engine, **options)),
    )


@pytest.mark.parametrize("driver", ["psycopg_async", "asyncpg"])
def test_a_manager_serves_one_event_loop_after_another(
    shared_tables: Database, driver: str
) -> None:
    engine = engine_on(shared_tables, driver)
    manager = manager_on(engine, poll_interval=0.05)

    async def use() -> None:
        other_engine = engine_on(shared_tables, driver)
        async with manager_on(other_engine) as elsewhere:
            tokens = await manager.create(subject="ann")
            manager.read(tokens.access_token)
            await elsewhere.delete_one("ann", tokens.session_id)
            await asyncio.wait_for(hear(manager, tokens.access_token), LONGEST_WAIT)
        await other_engine.dispose()
        await engine.dispose()

    for _ in range(2):
        asyncio.run(use())


@pytest.mark.parametrize("driver", ["psycopg_async", "asyncpg"])
def test_an_event_loop_that_ends_without_a_close_leaves_no_complaint(
    shared_tables: Database, driver: str
) -> None:
    script = f"""
import asyncio, gc, logging
from sqlalchemy.ext.asyncio import create_async_engine
from tokenwheel import AsyncSessionManager, RevocationList
from tokenwheel.sql import SqlFeed
logging.basicConfig()
loop = asyncio.new_event_loop()
engine = create_async_engine({shared_tables.url(driver)!r})
manager = AsyncSessionManager(
    "a-secret-of-at-least-thirty-two-bytes!", issuer="i", audience="a",
    revocations=RevocationList(SqlFeed(engine)),
)
async def use():
    tokens = await manager.create(subject="ann")
    manager.read(tokens.access_token)
    await asyncio.sleep(0.1)
    await engine.dispose()
loop.run_until_complete(use())
loop.close()
del manager, engine
gc.collect()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_feed_that_refuses_when_stale_does_so_still(tables: Database) -> None:
    clock, timer = FakeClock(1_700_000_000.0), FakeClock(50.0)
    with Nodes(tables, "psycopg") as nodes:
        node = nodes.join(clock, timer=timer, max_staleness=10, when_stale="refuse")
        tokens = node.create(subject="ann")
        node.read(tokens.access_token)
        node.close()
        node.read(tokens.access_token)
        for fake in (clock, timer):
            fake.advance(12.0)
        with pytest.raises(StorageUnavailable, match="max_staleness"):
            node.read(tokens.access_token)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_feed_that_was_closed_leaves_no_connection_thread_or_task(
    shared_tables: Database, driver: str
) -> None:
    before = threading.active_count()
    with Nodes(shared_tables, driver) as nodes:
        node = nodes.join()
        node.read(node.create(subject="ann").access_token)
        if driver not in ASYNC:
            assert threading.active_count() > before
        node.close()
        until(lambda: threading.active_count() == before, "the end of its threads")
        nodes.run(see_no_task()) if driver in ASYNC else None


async def see_no_task() -> None:
    for _ in range(LONGEST_WAIT * 100):
        if asyncio.all_tasks() == {asyncio.current_task()}:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(asyncio.all_tasks())

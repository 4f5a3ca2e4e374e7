"""A hundred refreshes of one token at once, from eight processes, on SQL databases.

All get the one successor, for which the token was replaced once.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.database_server import Database
from tests.servers import LONGEST_WAIT
from tests.sql_services import make_engine, make_manager, make_tables, managed

from .support import run_apart, start

REFRESHES = 100
PROCESSES = 8


@pytest.fixture(params=["postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with request.getfixturevalue(request.param).database() as database:
        make_tables(database.url(blocking_driver(database)))
        yield database


def blocking_driver(database: Database) -> str:
    return "psycopg" if database.server.dialect == "postgresql" else "pymysql"


def async_driver(database: Database) -> str:
    return "asyncpg" if database.server.dialect == "postgresql" else "aiomysql"


def hash_of(database: Database, column: str) -> bytes:
    ((kept,),) = database.execute(f"SELECT {column} FROM tokenwheel_sessions")
    return bytes(kept)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_refreshes_from_eight_processes_get_one_successor(
    database: Database, tmp_path: Path
) -> None:
    url = database.url(blocking_driver(database))
    with managed(url) as manager:
        opened = manager.create(subject="ann")
        first = hash_of(database, "secret_hash")
        run_apart(refresh_together, url, opened.refresh_token, tmp_path)
        successors = {
            token
            for number in range(PROCESSES)
            for token in json.loads((tmp_path / str(number)).read_text())
        }
        assert len(successors) == 1
        assert hash_of(database, "previous_hash") == first
        (successor,) = successors
        assert manager.update(successor).session_id == opened.session_id
        assert manager.read_all("ann").keys() == {opened.session_id}


def refresh_together(url: str, token: str, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(REFRESHES, timeout=LONGEST_WAIT)
    processes = start(context, PROCESSES, refresh, url, token, folder, gate)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def refresh(number: int, url: str, token: str, folder: Path, gate: threading.Barrier) -> None:
    """Refresh this process's share of times, each in a thread. Write down what was answered."""
    share = range(number, REFRESHES, PROCESSES)
    with managed(url, timeout=LONGEST_WAIT) as manager:

        def once(_: int) -> str:
            gate.wait()
            refreshed: str = manager.update(token).refresh_token
            return refreshed

        with ThreadPoolExecutor(len(share)) as pool:
            (folder / str(number)).write_text(json.dumps(list(pool.map(once, share))))


def test_refreshes_on_one_event_loop_get_one_successor(database: Database) -> None:
    url = database.url(async_driver(database))

    async def refresh_all() -> Any:
        engine = make_engine(url)
        async with make_manager(engine, timeout=LONGEST_WAIT) as manager:
            opened = await manager.create(subject="ann")
            refreshed = await asyncio.gather(
                *(manager.update(opened.refresh_token) for _ in range(REFRESHES))
            )
        await engine.dispose()
        return opened, {tokens.refresh_token for tokens in refreshed}

    opened, successors = asyncio.run(refresh_all())
    assert len(successors) == 1
    with managed(database.url(blocking_driver(database))) as manager:
        assert manager.update(successors.pop()).session_id == opened.session_id

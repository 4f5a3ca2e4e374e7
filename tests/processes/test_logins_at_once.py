"""A hundred logins of one subject at once, from eight processes.

``max_sessions`` holds, on a Redis server alone, on a cluster, and in SQL databases.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import LONGEST_WAIT, Node, empty, needs_server, until
from tests.sql_services import make_tables, managed
from tokenwheel import SessionManager, SessionTokens, TooManySessions

from .support import make_server_manager, refuses, run_apart, start

LOGINS = 100
PROCESSES = 8
MOST = 3
SUBJECT = "ann 😀 {a}:*"


@pytest.fixture(
    params=[
        pytest.param("alone", marks=needs_server),
        pytest.param("cluster", marks=needs_server),
        "postgres",
        "mariadb",
    ]
)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """Yield of which kind the server is, and a port of it or the URL of a database."""
    kind = request.param
    if kind in {"postgres", "mariadb"}:
        server = request.getfixturevalue(kind)
        with server.database() as database:
            url = database.url("psycopg" if kind == "postgres" else "pymysql")
            make_tables(url)
            yield kind, url
        return
    nodes: Sequence[Node] = (
        [request.getfixturevalue("server")]
        if kind == "alone"
        else request.getfixturevalue("cluster")
    )
    empty(*nodes)
    yield kind, nodes[0].port


def test_of_a_hundred_logins_at_once_three_succeed(place: tuple[str, Any], tmp_path: Path) -> None:
    run_apart(log_in_and_watch, place, "reject", tmp_path)


def test_a_hundred_logins_at_once_leave_the_last_three(
    place: tuple[str, Any], tmp_path: Path
) -> None:
    run_apart(log_in_and_watch, place, "evict_oldest", tmp_path)


def log_in_and_watch(place: tuple[str, Any], when_full: str, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(LOGINS + 1, timeout=LONGEST_WAIT)
    processes = start(context, PROCESSES, log_in, place, when_full, folder, gate)
    with manager_over(place, when_full) as manager:
        assert manager.read_all(SUBJECT) == {}
        gate.wait()
        while any(process.is_alive() for process in processes):
            assert len(manager.read_all(SUBJECT)) <= MOST
        assert [process.exitcode for process in processes] == [0] * PROCESSES
        opened = dict(
            session
            for number in range(PROCESSES)
            for session in json.loads((folder / str(number)).read_text())
        )
        live = manager.read_all(SUBJECT)
        assert len(live) == MOST
        assert live.keys() <= opened.keys()
        assert len(opened) == (MOST if when_full == "reject" else LOGINS)
        for session_id, token in opened.items():
            if session_id in live:
                assert manager.read(token)["sid"] == session_id
            else:
                until(
                    lambda: refuses(manager, token),
                    "that the tokens of an evicted session are refused",
                )


def log_in(
    number: int, place: tuple[str, Any], when_full: str, folder: Path, gate: threading.Barrier
) -> None:
    """Log in this process's share of times, each in a thread. Write what was opened into a file."""
    share = range(number, LOGINS, PROCESSES)
    with manager_over(place, when_full) as manager:

        def once(_: int) -> SessionTokens | None:
            gate.wait()
            try:
                return manager.create(subject=SUBJECT)
            except TooManySessions:
                return None

        with ThreadPoolExecutor(len(share)) as pool:
            opened = [tokens for tokens in pool.map(once, share) if tokens is not None]
        (folder / str(number)).write_text(
            json.dumps([(tokens.session_id, tokens.access_token) for tokens in opened])
        )


@contextmanager
def manager_over(place: tuple[str, Any], when_full: str) -> Iterator[SessionManager]:
    kind, where = place
    options: dict[str, Any] = {"max_sessions": MOST, "when_full": when_full}
    if kind in {"postgres", "mariadb"}:
        with managed(where, timeout=LONGEST_WAIT, **options) as manager:
            yield manager
        return
    client: Any = (
        redis.Redis(port=where)
        if kind == "alone"
        else redis.RedisCluster(host="127.0.0.1", port=where)
    )
    with client, make_server_manager(client, **options) as manager:
        yield manager

"""Writers, or the database's server, are killed while sessions begin, are refreshed and end.

What was answered holds afterwards, as in ``test_kill.py``. A session is never gone while its access
tokens live, since both are ended in one transaction.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.database_server import Database, DatabaseServer
from tests.databases import Mariadb, Postgres
from tests.servers import LONGEST_WAIT, until
from tests.sql_services import make_engine, make_manager, make_tables, managed
from tokenwheel import StorageUnavailable

from .support import employed, refuses, run_apart, serve
from .test_kill import Known, check_one, learn, work_with

WRITERS = 3
LIVES = 4
LONGEST_LIFE = 0.2  # seconds from the first answer
OUTAGES = 2
ANSWERS = 30  # of all writers, before the server is killed
# How many others are connected to the same database.
OTHERS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT count(*) FROM information_schema.processlist "
    "WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """Start a server that writes each commit to the disk, and that a test may kill."""
    durable = (
        Postgres(fsync="on")
        if request.param == "postgres"
        else Mariadb(innodb_flush_log_at_trx_commit="1")
    )
    with durable as server:
        yield server


@pytest.fixture
def database(server: DatabaseServer) -> Iterator[Database]:
    with server.database() as database:
        make_tables(url_of(database))
        yield database


def url_of(database: Database) -> str:
    return database.url("psycopg" if database.server.dialect == "postgresql" else "pymysql")


class Writer:
    """A process that works with sessions, and tells what it was answered."""

    def __init__(self, url: str, seed: float) -> None:
        self._pipe, writing = os.pipe()
        self._lines: list[bytes] = [b""]
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._pipe)
                manager = make_manager(make_engine(url), timeout=LONGEST_WAIT)
                work_with(manager, random.Random(seed), writing, (StorageUnavailable,))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(writing)

    def listen(self, seconds: float) -> int:
        """Take in what it tells within this time. Return how many lines it has told so far."""
        if select.select([self._pipe], [], [], seconds)[0]:
            *lines, rest = (self._lines.pop() + os.read(self._pipe, 2**20)).split(b"\n")
            self._lines += [*lines, rest]
        return len(self._lines) - 1

    def kill(self) -> list[bytes]:
        """Kill it. Return all lines that it has told."""
        os.kill(self._pid, signal.SIGKILL)
        with os.fdopen(self._pipe, "rb") as pipe:
            lines = (self._lines.pop() + pipe.read()).split(b"\n")
        _, status = os.waitpid(self._pid, 0)
        assert os.WIFSIGNALED(status), "the process ended by itself"
        return [*self._lines, *lines[:-1]]


def test_what_was_answered_holds_after_writers_are_killed(database: Database) -> None:
    run_apart(live_and_die, url_of(database), seed_of_test())


def test_what_was_answered_holds_after_the_server_is_killed(
    database: Database, server: DatabaseServer, tmp_path: Path
) -> None:
    answered, killed = tmp_path / "answered", tmp_path / "killed"
    with ThreadPoolExecutor(1) as pool:
        survival = pool.submit(
            run_apart, outlive_server, url_of(database), seed_of_test(), answered, killed
        )
        for outage in range(OUTAGES):
            until(lambda: survival.done() or len(read(answered)) > outage, "answers", 0.01)
            server.kill()
            server.start()
            killed.write_text("x" * (outage + 1))
        survival.result()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def seed_of_test() -> int:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    return seed


def live_and_die(url: str, seed: int) -> None:
    chance = random.Random(seed)
    sessions: dict[str, Known] = {}
    for life in range(LIVES):
        writers = [Writer(url, chance.random()) for _ in range(WRITERS)]
        for writer in writers:
            until(lambda: writer.listen(0.1), "a first answer")
        time.sleep(chance.random() * LONGEST_LIFE)  # The moment is what this test is about.
        check(url, sessions, kill_each(writers, url), f"life {life}")


def kill_each(writers: Sequence[Writer], url: str) -> list[bytes]:
    """Kill writers. Return all lines that they have told.

    The server may still commit what they sent last. Return once it has let go of them.
    """
    lines = [line for writer in writers for line in writer.kill()]
    engine = make_engine(url)
    # PostgreSQL would show one transaction the same picture all along.
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        others = text(OTHERS[connection.dialect.name])
        until(lambda: not connection.execute(others).scalar_one(), "the end of the writers", 0.01)
    engine.dispose()
    return lines


def check(url: str, sessions: dict[str, Known], lines: Sequence[bytes], when: str) -> None:
    """Check what is found by a process that starts afterwards."""
    for line in lines:
        learn(sessions, *json.loads(line))
    with managed(url, timeout=LONGEST_WAIT) as manager:
        for session_id, known in sessions.items():
            check_one(manager, session_id, known, when)


def outlive_server(url: str, seed: int, answered: Path, killed: Path) -> None:
    """Let writers go on while the server is killed. Check what they were answered.

    Args:
        url: where the tables are.
        seed: of what the writers do.
        answered: grows by a byte whenever the server may be killed.
        killed: grows by a byte whenever it has been.
    """
    chance = random.Random(seed)
    writers = [Writer(url, chance.random()) for _ in range(WRITERS)]

    def listen() -> int:
        return sum(writer.listen(0.01) for writer in writers)

    def wait_for_answers() -> None:
        known = listen()
        until(lambda: listen() > known + ANSWERS, "more answers")

    for writer in writers:  # One that starts during an outage could not.
        until(lambda: writer.listen(0.1), "a first answer")
    for outage in range(OUTAGES):
        wait_for_answers()
        answered.write_text("x" * (outage + 1))
        until(lambda: listen() and len(read(killed)) > outage, "the outage")
    wait_for_answers()
    lines = kill_each(writers, url)
    with managed(url, timeout=LONGEST_WAIT) as node:  # It hears of what ends from now on.
        sessions: dict[str, Known] = {}
        check(url, sessions, lines, "afterwards")
        refused = [token for known in sessions.values() for token in known.refused]
        assert refused
        until(lambda: all(refuses(node, token) for token in refused), "what others were told")


# One transaction


@pytest.mark.parametrize("what", ["the writer", "the server"])
def test_a_kill_between_a_deletion_and_its_revocation_leaves_neither(
    database: Database, server: DatabaseServer, what: str
) -> None:
    url = url_of(database)
    with managed(url, timeout=LONGEST_WAIT) as manager, ExitStack() as stack:
        tokens = manager.create(subject="ann")
        locked = stack.enter_context(closing(database.connect()))
        hold_back_revocations(locked, server)
        with employed(work, url) as writer:
            writer._connection.send(("delete_one", ("ann", tokens.session_id), {}))
            until(lambda: waits_for_lock(database), "the deletion", 0.01)
            assert not writer._connection.poll()
            if what == "the server":
                server.kill()
        if what == "the server":
            server.start()
        else:
            stack.close()
        # A deletion that was not undone yet would hold the row back.
        fresh = manager.update(tokens.refresh_token)
        assert manager.read_all("ann").keys() == {tokens.session_id}
        assert not refuses(manager, tokens.access_token)
        assert not refuses(manager, fresh.access_token)
        assert database.execute("SELECT COUNT(*) FROM tokenwheel_revocations") == [(0,)]
        assert manager.delete_one("ann", tokens.session_id) is True
        assert refuses(manager, fresh.access_token)


def work(url: str, connection: Connection) -> None:
    with managed(url, timeout=LONGEST_WAIT) as manager:
        serve(manager, connection)


def hold_back_revocations(connection: Any, server: DatabaseServer) -> None:
    """Let nobody write to the table of revocations while the connection is open."""
    with closing(connection.cursor()) as cursor:
        if server.dialect == "postgresql":
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE tokenwheel_revocations IN SHARE MODE")
        else:
            cursor.execute("LOCK TABLES tokenwheel_revocations READ")


def waits_for_lock(database: Database) -> bool:
    asked = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
        "datname = current_database()"
        if database.server.dialect == "postgresql"
        else "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table%%'"
    )
    return database.execute(asked) != []

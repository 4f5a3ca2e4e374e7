"""What every test runs under: Hypothesis's two profiles, and the servers that many tests share.

All other fixtures belong beside the tests that use them.

``ordinary`` is what a change is tried with. ``long`` (``make test-long``) takes millions of steps
through each state machine. No example has a deadline, and none is too slow: how fast this machine
is at this moment proves nothing.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Sequence
from types import ModuleType

import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, settings

from tests.database_server import Database
from tests.databases import Mariadb, Postgres
from tests.servers import Node, clustered, serving

COMMON = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)

settings.register_profile("ordinary", COMMON, max_examples=100, stateful_step_count=50)
settings.register_profile("long", COMMON, max_examples=3_000, stateful_step_count=200)
settings.load_profile("ordinary")

# A shell starts what runs in the background with this signal ignored. So would every process that
# a test starts begin, and those that it interrupts would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Lines of C are traced by allocating Python objects. That could start a collection inside an
# operation which otherwise allocates none, and which a collector may therefore find half done.
# Collections that a test asks for still run.
TRACED = os.environ.get("TOKENWHEEL_BUILD") == "trace"
if TRACED:
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests with threads in the traced build, whose hooks let threads take turns.

    They could then do so within what the interpreter's lock otherwise makes one step.
    """
    if TRACED:
        for item in items:
            if "thread" in item.name or "threads" in item.path.parts:
                item.add_marker(
                    pytest.mark.skip(
                        reason="the traced build runs Python code where threads could take turns"
                    )
                )


def pytest_collection_finish() -> None:
    """Keep what collecting the tests has made out of their collections of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return one server for all tests that leave it running. What earlier tests put there stays."""
    with serving(tmp_path_factory.mktemp("server")) as node:
        yield node


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Node]]:
    """Return the three nodes of one cluster for all tests that leave it running."""
    with clustered(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return one PostgreSQL server for all tests that leave it running."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """Return one MariaDB server for all tests that leave it running."""
    with Mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_tables(postgres: Postgres) -> Iterator[Database]:
    """Return a database with the tables, which tests share one after another."""
    from tests.sql_services import make_tables

    with postgres.database() as database:
        make_tables(database.url("psycopg"))
        yield database


@pytest.fixture(scope="session")
def mariadb_tables(mariadb: Mariadb) -> Iterator[Database]:
    """Return a database with the tables, which tests share one after another."""
    from tests.sql_services import make_tables

    with mariadb.database() as database:
        make_tables(database.url("pymysql"))
        yield database


@pytest.fixture(params=[redis, redis.asyncio], ids=["blocking", "asyncio"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Return the module whose clients the test uses: redis-py's, which block or are awaited."""
    module: ModuleType = request.param
    return module

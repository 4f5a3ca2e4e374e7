"""A server that hangs or was started anew, and a process that forks: no call is lost or stuck."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases import Mariadb, Postgres
from tests.engines import KINDS, EngineKind, Place
from tests.servers import until
from tokenwheel import SqlStorage, StorageUnavailable
from tokenwheel.seconds import steady_time
from tokenwheel.sql import create_all
from tokenwheel.testing import NOW, following, make_record

SERVERS = {"postgres": Postgres, "mariadb": Mariadb}
PLAIN = {"postgres": "psycopg", "mariadb": "pymysql"}
# Each process says what it found; the parent goes on while its child does.
FORKS = """
import os, sys, threading
from sqlalchemy import create_engine
from tokenwheel import SqlStorage
from tokenwheel.testing import NOW, make_record

engine = create_engine(sys.argv[1])
storage = SqlStorage(engine)
other = SqlStorage(engine)
storage.insert(make_record(0), 5, NOW)
other.read(make_record(0).id, NOW)
children = []
for number in (1, 2, 3):
    child = os.fork()
    if not child:
        for turn in range(20):
            assert storage.insert(make_record(100 * number + turn, subject=str(turn)), 5, NOW)
            assert other.read(make_record(0).id, NOW) == make_record(0)
        os._exit(0)
    children.append(child)
for turn in range(20):
    assert storage.insert(make_record(1000 + turn, subject=str(turn)), 5, NOW)
    assert other.read(make_record(0).id, NOW) == make_record(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
assert storage.count(NOW) == 81
storage.close()
other.close()
engine.dispose()
print("done")
"""


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.server])
def kind(request: pytest.FixtureRequest) -> EngineKind:
    return KINDS[request.param]


@pytest.fixture
def place(kind: EngineKind) -> Iterator[Place]:
    """Return a database on a server of the test's own, which it may freeze or kill."""
    with SERVERS[kind.server]() as server, server.database() as database:
        plain = database.url(PLAIN[kind.server])
        place = Place(kind, database.url(kind.driver), plain, database)
        engine = place.plain_engine()
        create_all(engine)
        engine.dispose()
        yield place


def test_a_call_to_a_server_that_hangs_ends_in_time_and_the_next_go_on_once_it_answers(
    place: Place, wait: Any
) -> None:
    engine = place.engine()
    storage, patient = SqlStorage(engine, timeout=0.5), SqlStorage(engine, timeout=60)
    wait(storage.insert(make_record(), None, NOW))
    place.database.server.freeze()
    for call in (
        lambda: storage.read(make_record().id, NOW),
        lambda: storage.insert(make_record(2), 3, NOW),
        lambda: storage.replace(following(make_record()), NOW),
    ):
        begun_at = steady_time()
        with pytest.raises(StorageUnavailable, match="did not answer within the 0"):
            wait(call())
        assert steady_time() - begun_at >= 0.5
    place.database.server.thaw()
    assert wait(patient.read(make_record().id, NOW)).id == make_record().id
    assert wait(patient.insert(make_record(3), 9, NOW)) is True
    pool = getattr(engine, "sync_engine", engine).pool

    def none_is_lent() -> bool:
        wait(asyncio.sleep(0))  # An event loop has to run for calls to end there.
        return not pool.checkedout()

    until(none_is_lent, "the end of the calls that hung")
    for closed in (storage, patient):
        wait(closed.close())
    wait(engine.dispose())


def test_the_first_call_after_a_restart_of_the_server_is_answered(
    place: Place, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = place.engine()
    storage = SqlStorage(engine, timeout=60)
    for number in range(3):
        wait(storage.insert(make_record(number), None, NOW))
    place.database.server.stop()
    place.database.server.start()
    later = steady_time() + 10  # The connections have been idle for a while.
    monkeypatch.setattr("tokenwheel.sql.database.steady_time", lambda: later)
    assert wait(storage.read(make_record().id, NOW)) == make_record()
    assert wait(storage.replace(following(make_record()), NOW)) is True
    wait(storage.close())
    wait(engine.dispose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("kind", [KINDS["psycopg"], KINDS["pymysql"]], ids=["psycopg", "pymysql"])
def test_a_child_of_a_fork_leaves_the_connections_of_its_parent_alone(place: Place) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKS, place.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")

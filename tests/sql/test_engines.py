"""How the application's engine is used: what is asked of it, and that it is left as it was."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import NullPool, StaticPool, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from tests.engines import KINDS, Place, over_each, pool_of
from tests.servers import free_port, until
from tokenwheel import (
    ConfigurationError,
    SqlStorage,
    StorageUnavailable,
)
from tokenwheel.sql.database import SqlDatabase
from tokenwheel.sql.metadata import values
from tokenwheel.testing import NOW, following, make_record

BLOCKING = [name for name, kind in KINDS.items() if not kind.is_async]
ASYNC = [name for name, kind in KINDS.items() if kind.is_async]
ON_SERVERS = [name for name, kind in KINDS.items() if kind.server]
PASSWORD = "correct-horse"


# What is no engine of a database that works.


@pytest.mark.parametrize(
    "engine",
    [
        f"postgresql://service:{PASSWORD}@localhost/db",
        make_url(f"postgresql://service:{PASSWORD}@localhost/db"),
        sessionmaker(),
        None,
    ],
)
def test_what_is_no_engine_is_refused_by_what_is_needed(engine: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"create_engine\(url\).*AsyncEngine") as refused:
        SqlStorage(engine)
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))


def test_another_kind_of_database_is_refused_by_those_that_work() -> None:
    driver = SimpleNamespace(paramstyle="pyformat", __version__="2.3.0")
    engine = create_engine("mssql+pymssql://localhost/db", module=driver)
    with pytest.raises(
        ConfigurationError, match="mariadb, mysql, postgresql, sqlite, not of mssql"
    ):
        SqlStorage(engine)


@pytest.mark.parametrize("options", [{}, {"poolclass": StaticPool}])
def test_a_database_in_memory_is_refused_by_what_to_write_instead(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="name a file"):
        SqlStorage(create_engine("sqlite://", **options))


@pytest.mark.parametrize("timeout", [0, 0.01, 3601, "5", None, float("nan")])
def test_a_timeout_that_makes_no_sense_is_refused(timeout: Any, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'sessions.db'}")
    with pytest.raises(ConfigurationError, match="timeout must be"):
        SqlStorage(engine, timeout=timeout)


# What is asked of the engine.


@over_each(ON_SERVERS)
def test_nothing_connects_before_the_first_call(place: Place, wait: Any, over: Any) -> None:
    url = make_url(place.url).set(port=free_port())
    storage = over(place.kind.make(url))
    with pytest.raises((OperationalError, OSError)):
        wait(storage.read(make_record().id, NOW))


@over_each([name for name in ON_SERVERS if "mysql" not in name])
@pytest.mark.parametrize("level", ["SERIALIZABLE", "AUTOCOMMIT", "REPEATABLE READ", None])
def test_transactions_are_read_committed_and_the_engine_stays_as_it_was_on_postgres(
    place: Place, make: Any, wait: Any, level: str | None
) -> None:
    engine = make(pool_size=1, max_overflow=0, isolation_level=level)
    before = wait(seen_by_application(engine, "SHOW transaction_isolation"))
    database = SqlDatabase(engine)
    question = "SELECT current_setting('transaction_isolation'), txid_current_if_assigned()"

    def work(statements: Any) -> Any:
        statements.raise_value("number", 1)
        return statements.connection.exec_driver_sql(question).one()

    isolation, transaction = wait(database.run(work))
    assert (isolation, transaction is None) == ("read committed", False)
    wait(database.run(lambda statements: statements.value("number"), alone=True))
    assert wait(seen_by_application(engine, "SHOW transaction_isolation")) == before
    assert pool_of(engine).checkedout() == 0
    wait(database.close())


@over_each(["pymysql", "aiomysql"])
@pytest.mark.parametrize("level", ["SERIALIZABLE", "AUTOCOMMIT", "REPEATABLE READ", None])
def test_transactions_commit_as_one_and_the_engine_stays_as_it_was_on_mariadb(
    place: Place, make: Any, wait: Any, level: str | None
) -> None:
    engine = make(pool_size=1, max_overflow=0, isolation_level=level)
    question = "SELECT CONCAT(@@autocommit, @@tx_isolation)"
    before = wait(seen_by_application(engine, question))
    database = SqlDatabase(engine)

    def fail(statements: Any) -> None:
        statements.raise_value("number", 1)
        raise LookupError

    with pytest.raises(LookupError):
        wait(database.run(fail))
    assert wait(database.run(lambda statements: statements.value("number"), alone=True)) is None

    def work(statements: Any) -> Any:
        before = statements.value("other")
        statements.raise_value("number", 1)
        with place.plain_engine(poolclass=NullPool).begin() as other:
            other.execute(values.insert(), {"name": "other", "number": 2})
        return before, statements.value("other")

    assert wait(database.run(work)) == (None, 2)  # READ COMMITTED
    assert wait(database.run(lambda statements: statements.value("number"), alone=True)) == 1
    assert wait(seen_by_application(engine, question)) == before
    wait(database.close())


def seen_by_application(engine: Any, question: str) -> Any:
    """Return what the application's own connection answers, or an awaitable of it."""

    async def ask() -> Any:
        async with engine.connect() as connection:
            return (await connection.exec_driver_sql(question)).scalar()

    if hasattr(engine, "sync_engine"):
        return ask()
    with engine.connect() as connection:
        return connection.exec_driver_sql(question).scalar()


@over_each(BLOCKING)
def test_a_rollback_of_the_application_undoes_nothing_and_nothing_of_it_is_committed(
    place: Place, make: Any, over: Any
) -> None:
    if not place.kind.server:
        pytest.skip("a SQLite file has one writer at a time")
    engine = make()
    storage = over(engine)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO tokenwheel_values VALUES ('mine', 1)"))
        storage.insert(make_record(), 3, NOW)
        connection.rollback()
    assert storage.read(make_record().id, NOW) == make_record()
    with engine.connect() as connection:
        mine = connection.execute(text("SELECT * FROM tokenwheel_values WHERE name = 'mine'"))
        assert mine.all() == []


@over_each(list(KINDS))
def test_one_connection_is_enough(place: Place, make: Any, over: Any, wait: Any) -> None:
    engine = make(pool_size=1, max_overflow=0)
    storage = over(engine)
    for number in range(5):
        assert wait(storage.insert(make_record(number), 9, NOW)) is True
        assert wait(storage.read(make_record(number).id, NOW)) == make_record(number)
    assert pool_of(engine).checkedout() == 0


@over_each(list(KINDS))
def test_an_engine_without_a_pool_will_do(place: Place, make: Any, over: Any, wait: Any) -> None:
    storage = over(make(poolclass=NullPool))
    assert wait(storage.insert(make_record(), 1, NOW)) is True
    assert wait(storage.insert(make_record(2), 1, NOW)) is False
    assert wait(storage.read(make_record().id, NOW)) == make_record()


# What comes to an end.


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the row of a session, so that nobody can change it."""
    engine = place.plain_engine()
    with engine.connect() as connection:
        if place.kind.server:
            connection.execute(text("SELECT id FROM tokenwheel_sessions FOR UPDATE"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        connection.rollback()
    engine.dispose()


@over_each(list(KINDS))
def test_a_call_that_waits_for_a_lock_ends_in_time_and_gives_its_connection_back(
    place: Place, make: Any, over: Any, wait: Any
) -> None:
    engine = make(pool_size=1, max_overflow=0)
    wait(over(engine).insert(make_record(), None, NOW))
    storage = over(engine, timeout=0.3)
    with locked(place), pytest.raises(StorageUnavailable, match=r"within the 0\.3 seconds"):
        wait(storage.replace(following(make_record()), NOW))
    # Blocking drivers carry it out once the lock is free; the others have broken it off.
    assert wait(over(engine).read(make_record().id, NOW)).version in {1, 2}
    until(lambda: pool_of(engine).checkedout() == 0, "the connection's return")


@over_each(ASYNC)
def test_a_caller_that_is_cancelled_leaves_no_connection_behind(
    place: Place, make: Any, over: Any, wait: Any
) -> None:
    engine = make(pool_size=1, max_overflow=0)
    storage = over(engine)

    async def cancel() -> None:
        await storage.insert(make_record(), None, NOW)
        has_begun = asyncio.Event()
        event.listen(
            engine.sync_engine, "before_cursor_execute", lambda *arguments: has_begun.set()
        )
        with locked(place):
            call = asyncio.ensure_future(storage.replace(following(make_record()), NOW))
            await has_begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert await storage.read(make_record().id, NOW) is not None
        assert pool_of(engine).checkedout() == 0

    wait(cancel())


@over_each(list(KINDS))
def test_a_closed_storage_refuses_and_closing_it_again_does_nothing(
    place: Place, make: Any, over: Any, wait: Any
) -> None:
    storage = over(make())
    wait(storage.read(make_record().id, NOW))
    wait(storage.close())
    wait(storage.close())
    with pytest.raises(StorageUnavailable, match="closed"):
        wait(storage.read(make_record().id, NOW))


@over_each(ASYNC)
def test_a_storage_goes_from_one_event_loop_to_the_next(place: Place) -> None:
    place.empty()
    engine = place.engine(pool_size=1, max_overflow=0)
    storage = SqlStorage(engine)

    async def insert(number: int) -> Any:
        await storage.insert(make_record(number), None, NOW)
        record = await storage.read(make_record(number).id, NOW)
        await engine.dispose()  # as SQLAlchemy asks for at the end of a loop
        return record

    for number in range(3):
        assert asyncio.run(insert(number)) == make_record(number)
    asyncio.run(storage.close())


WITHOUT_GREENLET = """
import sys
from pathlib import Path

sys.modules["greenlet"] = None
from sqlalchemy import create_engine
from tests.support import SECRET
from tokenwheel import RevocationList, SessionManager, SqlFeed, SqlStorage
from tokenwheel.sql import create_all

engine = create_engine(f"sqlite:///{Path('sessions.db').resolve()}")
create_all(engine)
with SessionManager(
    SECRET,
    issuer="tests",
    audience="tests",
    storage=SqlStorage(engine),
    revocations=RevocationList(SqlFeed(engine)),
) as sessions:
    tokens = sessions.create(subject="ann")
    assert sessions.read(tokens.access_token).subject == "ann"
    assert sessions.delete_all("ann") == 1
engine.dispose()
print("nothing was awaited")
"""


def test_who_awaits_nothing_needs_no_greenlet(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_GREENLET],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "nothing was awaited\n"), ran.stderr

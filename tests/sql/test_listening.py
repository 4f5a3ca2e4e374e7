"""The connection of a tail: it hears at once what is told, and keeps nobody waiting for ever."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.databases import Database, Mariadb, Pgbouncer, Postgres
from tests.servers import LONGEST_WAIT, until
from tests.sql.nodes import ASYNC, UNPREPARED, engine_on, tables_in
from tokenwheel import ConfigurationError, StorageUnavailable
from tokenwheel.sql import apart, async_listening, create_all, listening
from tokenwheel.sql.async_listening import AsyncConnection
from tokenwheel.sql.dialects import statements_for
from tokenwheel.sql.listening import BlockingConnection
from tokenwheel.tables.protocol import Wait

POSTGRES = ["psycopg", "psycopg_async", "asyncpg"]
MARIADB = ["pymysql", "aiomysql"]
LONG = Wait(LONGEST_WAIT, LONGEST_WAIT)
SHORT = Wait(0.01, 0.01)
PATIENCE = 1.0  # seconds
LATEST = 8.0  # seconds: a busy machine's share, and much less than anybody would wait for a server


class Tail:
    """A connection of a tail over any driver, whose methods are called without await."""

    def __init__(self, engine: Any, patience: float = LONGEST_WAIT) -> None:
        sync_engine = getattr(engine, "sync_engine", engine)
        kind = BlockingConnection if engine is sync_engine else AsyncConnection
        statements = statements_for(engine.dialect)
        self.connection: Any = kind(sync_engine, statements, patience)
        self._runner = asyncio.Runner()

    def open(self) -> None:
        self.run(self.connection.open())

    def send(self, command: Any) -> Any:
        return self.run(self.connection.send(command))

    def close(self) -> None:
        self.run(self.connection.close())

    def run(self, answer: Any) -> Any:
        return self._runner.run(_await(answer)) if inspect.isawaitable(answer) else answer

    def end(self) -> None:
        self.close()
        self._runner.close()


async def _await(answer: Any) -> Any:
    return await answer


@contextmanager
def tail_over(
    database: Database,
    driver: str,
    *,
    port: int = 0,
    patience: float = LONGEST_WAIT,
    **options: Any,
) -> Iterator[Tail]:
    engine = engine_on(database, driver, port=port, **options)
    tail = Tail(engine, patience)
    try:
        yield tail
    finally:
        tail.end()
        engine.sync_engine.dispose() if driver in ASYNC else engine.dispose()


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> Iterator[Database]:
    with tables_in(postgres) as database:
        yield database


@pytest.fixture(scope="module")
def tables_of_mariadb(mariadb: Mariadb) -> Iterator[Database]:
    with tables_in(mariadb) as database:
        yield database


def tell(database: Database) -> None:
    database.execute("NOTIFY tokenwheel_revocations")


def is_woken(tail: Tail) -> bool:
    return bool(tail.send(SHORT))


@pytest.mark.parametrize("driver", POSTGRES)
def test_many_notifications_wake_who_waits_once_and_none_is_lost_during_a_look(
    tables: Database, driver: str
) -> None:
    with tail_over(tables, driver) as tail:
        tail.open()
        assert tail.send(LONG) is True  # What came before it listened is to be looked for.
        assert is_woken(tail) is False
        for _ in range(20):
            tell(tables)
        assert tail.send(LONG) is True
        until(lambda: not is_woken(tail), "that all of them have come")

        def look(statements: Any) -> int:
            tell(tables)
            return len(statements.log_rows([(0, None)], 0, 10))

        for _ in range(20):
            assert tail.send(look) == 0
            assert tail.send(LONG) is True
        until(lambda: not is_woken(tail), "that all of them have come")


@pytest.mark.parametrize("driver", POSTGRES)
def test_who_waits_already_is_woken(tables: Database, driver: str) -> None:
    with tail_over(tables, driver) as tail:
        tail.open()
        tail.send(LONG)
        timer = threading.Timer(0.1, tell, (tables,))
        timer.start()
        assert tail.send(LONG) is True
        timer.join()


def test_other_databases_wake_nobody(tables_of_mariadb: Database, tmp_path: Path) -> None:
    for driver in MARIADB:
        with tail_over(tables_of_mariadb, driver) as tail:
            tail.open()
            assert tail.send(LONG) is True
            assert tail.send(Wait(LONGEST_WAIT, 0.01)) is False
    with file_of_sqlite(tmp_path) as tail:
        tail.open()
        assert tail.send(LONG) is True
        assert tail.send(Wait(LONGEST_WAIT, 0.01)) is False
        assert tail.send(lambda statements: statements.log_rows([(0, None)], 0, 10)) == []


@contextmanager
def file_of_sqlite(folder: Path) -> Iterator[Tail]:
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{folder}/sessions.db")
    create_all(engine)
    tail = Tail(engine)
    yield tail
    tail.end()
    engine.dispose()


@pytest.mark.parametrize("driver", POSTGRES)
def test_it_takes_no_place_in_the_pool_and_connects_as_the_application_does(
    tables: Database, driver: str
) -> None:
    engine = engine_on(tables, driver, pool_size=1, max_overflow=0, pool_timeout=1)
    sync_engine = getattr(engine, "sync_engine", engine)

    @event.listens_for(sync_engine, "connect")
    def name(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SET application_name = 'shop'")
        cursor.close()
        connection.commit()

    tail = Tail(engine)
    lent = tail.run(engine.connect())
    tail.open()
    shown = tail.send(
        lambda statements: statements.connection.exec_driver_sql(
            "SELECT current_setting('application_name')"
        ).scalar()
    )
    assert shown == "shop"
    assert sync_engine.pool.checkedout() == 1
    tail.run(lent.close())
    tail.run(engine.dispose())
    tail.end()


@pytest.mark.parametrize("driver", [*POSTGRES, *MARIADB])
def test_nothing_is_left_on_the_server_once_it_is_closed(
    request: pytest.FixtureRequest, driver: str
) -> None:
    tables = request.getfixturevalue("tables" if driver in POSTGRES else "tables_of_mariadb")
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        if driver in POSTGRES
        else "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
    )
    with tail_over(tables, driver) as tail:
        for _ in range(3):
            tail.open()
            tail.send(LONG)
            tail.close()
            until(lambda: tables.execute(count) == [(1,)], "that its connection is gone")
        tail.close()
        with pytest.raises(StorageUnavailable, match="was closed"):
            tail.send(SHORT)


@pytest.mark.parametrize("driver", [*POSTGRES, *MARIADB])
def test_a_server_that_hangs_keeps_nobody_waiting_and_the_next_connection_works(
    driver: str,
) -> None:
    server: Any = Postgres() if driver in POSTGRES else Mariadb()
    sleep = "SELECT pg_sleep(%d)" if driver in POSTGRES else "SELECT sleep(%d)"
    with (
        server,
        tables_in(server) as tables,
        tail_over(tables, driver, patience=PATIENCE) as tail,
        tail_over(tables, driver, patience=PATIENCE) as late,
    ):
        tail.open()
        tail.send(SHORT)
        server.freeze()
        for call in (lambda: tail.send(look), late.open):
            gives_up(call)
        for each in (tail, late):
            ends_in_time(each.close)
        server.thaw()
        for each in (tail, late):
            each.open()
            assert each.send(look) == []
        # An answer may also come late from a server that is alive.
        gives_up(
            lambda: tail.send(
                lambda statements: statements.connection.exec_driver_sql(sleep % LONGEST_WAIT).all()
            )
        )
        tail.close()
        assert late.send(look) == []


def look(statements: Any) -> Any:
    return statements.log_rows([(0, None)], 0, 10)


def gives_up(call: Callable[[], Any]) -> None:
    def fails() -> None:
        with pytest.raises(StorageUnavailable, match="did not answer within"):
            call()

    ends_in_time(fails)


def ends_in_time(call: Callable[[], Any]) -> None:
    before = time.monotonic()
    call()
    assert time.monotonic() - before < LATEST


@pytest.mark.parametrize(
    "driver, command",
    [
        ("psycopg", "wait"),
        ("psycopg", "work"),
        ("pymysql", "wait"),
        ("pymysql", "work"),
        ("sqlite", "wait"),  # A statement of SQLite's waits for no server.
    ],
)
def test_closing_it_from_another_thread_ends_what_waits_on_it(
    request: pytest.FixtureRequest, driver: str, command: str, tmp_path: Path
) -> None:
    if driver == "sqlite":
        context = file_of_sqlite(tmp_path)
    else:
        name = "tables" if driver == "psycopg" else "tables_of_mariadb"
        context = tail_over(request.getfixturevalue(name), driver)
    sleep = "SELECT pg_sleep(600)" if driver == "psycopg" else "SELECT sleep(600)"
    errors: list[Exception] = []
    with context as tail:

        def wait() -> None:
            tail.open()
            try:
                tail.send(SHORT)
                ready.set()
                if command == "wait":
                    tail.send(LONG)
                tail.send(lambda statements: statements.connection.exec_driver_sql(sleep).all())
            except Exception as error:
                errors.append(error)
            finally:
                tail.close()

        ready = threading.Event()
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert ready.wait(LONGEST_WAIT)
        time.sleep(0.1)  # It may or may not wait by now: both must end.
        before = time.monotonic()
        tail.close()
        thread.join(LONGEST_WAIT)
        assert time.monotonic() - before < LATEST
        assert not thread.is_alive()
        assert len(errors) == 1


@pytest.mark.parametrize("driver", POSTGRES)
def test_a_server_that_takes_no_writes_is_refused(tables: Database, driver: str) -> None:
    with tail_over(tables, driver) as tail:
        tables.execute(f"ALTER DATABASE {tables.name} SET default_transaction_read_only = on")
        try:
            with pytest.raises(StorageUnavailable, match="takes no writes"):
                tail.open()
            tail.close()
        finally:
            with closing(tables.connect()) as connection:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(
                    f"ALTER DATABASE {tables.name} RESET default_transaction_read_only"
                )
        tail.open()


@pytest.mark.parametrize("driver", MARIADB)
def test_a_server_that_takes_no_writes_any_more_is_left(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (listening, async_listening):
        monkeypatch.setattr(module, "ASKED_EVERY", 0.0)
    with Mariadb() as server, tables_in(server) as tables, tail_over(tables, driver) as tail:
        tail.open()
        for _ in range(2):
            tail.send(SHORT)
        tables.execute("SET GLOBAL read_only = 1")
        with pytest.raises(StorageUnavailable, match="takes no writes"):
            tail.send(SHORT)
        tail.close()
        with pytest.raises(StorageUnavailable, match="takes no writes"):
            tail.open()
        tail.close()
        tables.execute("SET GLOBAL read_only = 0")
        tail.open()


@pytest.mark.parametrize("driver", [*POSTGRES, *MARIADB])
def test_a_database_without_the_tables_is_said_to_have_none(
    postgres: Postgres, mariadb: Mariadb, driver: str
) -> None:
    server: Any = postgres if driver in POSTGRES else mariadb
    with server.database() as empty, tail_over(empty, driver) as tail:
        with pytest.raises(ConfigurationError, match="create_all"):
            tail.open()
        tail.close()


@pytest.mark.parametrize("driver", POSTGRES)
def test_through_pgbouncer_it_listens_where_the_session_is_its_own(
    postgres: Postgres, tables: Database, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Pgbouncer(postgres, "session") as pooler,
        tail_over(tables, driver, port=pooler.port) as tail,
    ):
        tail.open()
        tail.send(LONG)
        tell(tables)
        assert tail.send(LONG) is True
    assert caplog.messages == []


@pytest.mark.parametrize("driver", POSTGRES)
def test_through_pgbouncer_that_shares_sessions_it_polls_and_says_so_once(
    postgres: Postgres,
    tables: Database,
    driver: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.WARNING, "tokenwheel")
    monkeypatch.setattr(apart, "_have_told", set())
    with Pgbouncer(postgres, "transaction") as pooler:
        for _ in range(2):
            with tail_over(
                tables, driver, port=pooler.port, connect_args=UNPREPARED[driver]
            ) as tail:
                tail.open()
                assert tail.send(LONG) is True
                tell(tables)
                assert tail.send(Wait(LONGEST_WAIT, 0.01)) is False
                for _ in range(20):  # as often as a driver prepares a statement, and more
                    assert tail.send(look) == []
    assert len(caplog.messages) == 1
    assert "looked at every poll_interval" in caplog.text

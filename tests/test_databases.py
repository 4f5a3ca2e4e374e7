"""The database servers of the tests keep what was committed, through a kill as through a stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.databases import Mariadb, Pgbouncer, Postgres


@pytest.fixture(params=[Postgres, Mariadb])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param() as server:
        yield server


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_committed_is_there_after_a_start(server: Any, end: str) -> None:
    with server.database() as database:
        database.execute("CREATE TABLE names (name VARCHAR(10))")
        database.execute("INSERT INTO names VALUES (%s)", "A")
        with closing(database.connect()):  # Left open, as an application's would be.
            getattr(server, end)()
            server.start()
        assert database.execute("SELECT name FROM names") == [("A",)]


def test_a_frozen_server_answers_once_it_is_thawed(server: Any) -> None:
    with server.database() as database, closing(database.connect()) as connection:
        server.freeze()
        server.thaw()
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT 1")
            assert list(cursor.fetchall()) == [(1,)]


def test_a_server_with_a_password_refuses_another() -> None:
    import psycopg

    with Postgres(password="A") as server, server.database() as database:
        assert ":A@" in database.url("psycopg")
        server.password = "B"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            database.execute("SELECT 1")
        server.password = "A"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pool_leads_to_the_server(postgres: Postgres, mode: str) -> None:
    with postgres.database() as database, Pgbouncer(postgres, mode) as pool:
        assert pool.on(database).execute("SELECT current_database()") == [(database.name,)]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg", "pymysql", "aiomysql"])
def test_sqlalchemy_reaches_a_database(driver: str, request: pytest.FixtureRequest) -> None:
    import asyncio

    import sqlalchemy
    from sqlalchemy.ext.asyncio import create_async_engine

    async def ask() -> Any:
        engine = create_async_engine(database.url(driver))
        async with engine.connect() as connection:
            answer = await connection.scalar(sqlalchemy.text("SELECT 1"))
        await engine.dispose()
        return answer

    server = request.getfixturevalue("mariadb" if "mysql" in driver else "postgres")
    with server.database() as database:
        if driver in {"asyncpg", "aiomysql"}:
            assert asyncio.run(ask()) == 1
        else:
            engine = sqlalchemy.create_engine(database.url(driver))
            with engine.connect() as connection:
                assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
            engine.dispose()


def test_no_process_is_left_by_a_server() -> None:
    import psutil

    with Postgres() as server:
        pid, folder = server.pid, server.folder
    assert not psutil.pid_exists(pid)
    assert not folder.exists()

"""Every kind of SQLAlchemy's engine that a service may bring, over a database with its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from tokenwheel.sql import create_all, metadata


class EngineKind(NamedTuple):
    """Which driver reaches which server; the server is a fixture's name, or "" for a file."""

    driver: str
    server: str
    is_async: bool = False

    def make(self, url: str, **options: Any) -> Any:
        """Return an engine."""
        return (create_async_engine if self.is_async else create_engine)(url, **options)


KINDS = {
    "psycopg": EngineKind("psycopg", "postgres"),
    "psycopg-asyncio": EngineKind("psycopg", "postgres", is_async=True),
    "asyncpg": EngineKind("asyncpg", "postgres", is_async=True),
    "pymysql": EngineKind("pymysql", "mariadb"),
    "aiomysql": EngineKind("aiomysql", "mariadb", is_async=True),
    "sqlite": EngineKind("pysqlite", ""),
}
PLAIN_DRIVERS = {"postgres": "psycopg", "mariadb": "pymysql", "": "pysqlite"}


class Place(NamedTuple):
    """A database with the tables, and a kind of engine for it."""

    kind: EngineKind
    url: str
    plain_url: str
    """Reaches the database by a blocking driver."""
    database: Any
    """What a server's ``database()`` gave; None for a file."""

    def engine(self, **options: Any) -> Any:
        """Return a new engine."""
        return self.kind.make(self.url, **options)

    def plain_engine(self, **options: Any) -> Any:
        """Return a new blocking engine."""
        return create_engine(self.plain_url, **options)

    def empty(self) -> None:
        """Remove all rows of all tables."""
        engine = self.plain_engine()
        with engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        engine.dispose()


@contextmanager
def place_for(
    kind: EngineKind, request: pytest.FixtureRequest, folder: Path, *, tables: bool = True
) -> Iterator[Place]:
    """Make a database for a kind of engine, with the tables if any, and drop it in the end."""
    if find_spec(kind.driver.replace("pysqlite", "sqlite3")) is None:
        pytest.skip(f"{kind.driver} has no wheel for this system")
    if kind.is_async and find_spec("greenlet") is None:
        pytest.skip("greenlet, with which SQLAlchemy awaits, has no wheel for this system")
    if not kind.server:
        url = f"sqlite+{kind.driver}:///{folder / 'sessions.db'}"
        yield _with_tables(Place(kind, url, url, None), tables)
        return
    with request.getfixturevalue(kind.server).database() as database:
        plain = database.url(PLAIN_DRIVERS[kind.server])
        yield _with_tables(Place(kind, database.url(kind.driver), plain, database), tables)


def _with_tables(place: Place, tables: bool) -> Place:
    if tables:
        engine = place.plain_engine()
        create_all(engine)
        engine.dispose()
    return place


class OverEachEngine:
    """Runs the tests of a contract's class over every kind of engine.

    It is mixed into that class, before the contract.
    """

    wait: Callable[[Any], Any]
    place: Place

    @pytest.fixture(autouse=True, scope="class", params=KINDS)
    @classmethod
    def choose_place(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[None]:
        folder = tmp_path_factory.mktemp("database")
        with place_for(KINDS[request.param], request, folder) as place:
            cls.place = place
            yield

    def make_engine(self) -> Any:
        return self.place.engine()

    def dispose_engine(self, engine: Any) -> None:
        self.wait(engine.dispose())


def over_each(names: Any) -> Any:
    """Return a mark by which a test runs over these kinds of engine alone."""
    return pytest.mark.parametrize("place", names, indirect=True, scope="module")


def pool_of(engine: Any) -> Any:
    """Return the pool of an engine, also where that is awaited."""
    return getattr(engine, "sync_engine", engine).pool

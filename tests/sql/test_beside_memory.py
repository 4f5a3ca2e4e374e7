"""SqlStorage beside MemoryStorage, step by step, on each kind of server."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import settings

from tests.database_server import Database
from tests.servers import LONGEST_WAIT
from tests.sql_services import empty, make_engine
from tests.storage.twice import Twice
from tokenwheel import SqlStorage


class TwiceOverDatabase(Twice):
    url: ClassVar[str]

    def __init__(self) -> None:
        empty(self.url)
        self.engines: dict[SqlStorage, Any] = {}
        super().__init__()

    def open(self) -> SqlStorage:
        engine = make_engine(self.url)
        storage = SqlStorage(engine, timeout=LONGEST_WAIT)
        self.engines[storage] = engine
        return storage

    def close(self, storage: SqlStorage) -> None:
        super().close(storage)
        self.engines.pop(storage).dispose()


class TwiceOverPostgres(TwiceOverDatabase):
    pass


class TwiceOverMariadb(TwiceOverDatabase):
    pass


def part(of: int) -> settings:
    """Return settings for a part of the usual examples: each step asks a server a dozen times."""
    return settings(max_examples=settings().max_examples // of, stateful_step_count=30)


class TestOnPostgres(TwiceOverPostgres.TestCase):  # type: ignore[misc]
    settings = part(4)

    @pytest.fixture(autouse=True)
    def find(self, postgres_tables: Database) -> None:
        TwiceOverPostgres.url = postgres_tables.url("psycopg")


class TestOnMariadb(TwiceOverMariadb.TestCase):  # type: ignore[misc]
    settings = part(10)

    @pytest.fixture(autouse=True)
    def find(self, mariadb_tables: Database) -> None:
        TwiceOverMariadb.url = mariadb_tables.url("pymysql")

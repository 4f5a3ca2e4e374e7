"""The tables: how they are made, by whom and how often, and what their version says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from tests.engines import KINDS, Place, place_for
from tokenwheel import ConfigurationError, SqlStorage
from tokenwheel.sql import create_all, metadata
from tokenwheel.sql.metadata import sessions, values
from tokenwheel.tables.names import SCHEMA_VERSION
from tokenwheel.testing import NOW, make_record

BLOCKING = [name for name, kind in KINDS.items() if not kind.is_async]
CREATOR = """
import sys
from sqlalchemy import create_engine
from tokenwheel.sql import create_all

engine = create_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
create_all(engine)
"""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Return a database without tables."""
    with place_for(KINDS[request.param], request, tmp_path, tables=False) as place:
        yield place


@pytest.fixture
def engine(place: Place) -> Iterator[Any]:
    engine = place.plain_engine()
    yield engine
    engine.dispose()


def over_each(names: Any) -> Any:
    return pytest.mark.parametrize("place", names, indirect=True)


def version_in(engine: Any) -> int | None:
    statement = select(values.c.number).where(values.c.name == "schema_version")
    with engine.connect() as connection:
        number: int | None = connection.scalar(statement)
    return number


def keep_version(engine: Any, version: int) -> None:
    with engine.begin() as connection:
        connection.execute(values.delete())
        connection.execute(values.insert(), {"name": "schema_version", "number": version})


@over_each(BLOCKING)
def test_alembic_finds_no_difference_once_the_tables_are_made(place: Place, engine: Any) -> None:
    create_all(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


@over_each(BLOCKING)
def test_eight_processes_may_make_the_tables_at_once(place: Place, engine: Any) -> None:
    creators = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, place.plain_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for creator in creators:
        assert creator.stdout is not None
        assert creator.stdout.readline() == "ready\n"
    for creator in creators:
        assert creator.stdin is not None
        creator.stdin.write("\n")
        creator.stdin.flush()
    for creator in creators:
        _, errors = creator.communicate(timeout=60)
        assert (creator.returncode, errors) == (0, "")
    assert version_in(engine) == SCHEMA_VERSION


@over_each(list(KINDS))
def test_making_the_tables_again_changes_nothing(place: Place, engine: Any) -> None:
    create_all(engine)
    storage = SqlStorage(engine)
    storage.insert(make_record(), None, NOW)
    mine = place.engine()
    if place.kind.is_async:

        async def create() -> None:
            await create_all(mine)
            await mine.dispose()

        asyncio.run(create())
    else:
        assert create_all(mine) is None
        mine.dispose()
    assert storage.read(make_record().id, NOW) == make_record()
    storage.close()


@over_each(BLOCKING)
def test_an_index_that_is_missing_is_made(place: Place, engine: Any) -> None:
    create_all(engine)
    (index,) = [index for index in sessions.indexes if index.name == "tokenwheel_sessions_end"]
    index.drop(engine)
    create_all(engine)
    names = {index["name"] for index in inspect(engine).get_indexes("tokenwheel_sessions")}
    assert names == {index.name for index in sessions.indexes}


@over_each(list(KINDS))
def test_a_storage_without_tables_says_how_they_are_made(place: Place) -> None:
    with pytest.raises(ConfigurationError, match=r"tokenwheel\.sql\.create_all\(engine\).*Alembic"):
        read(place)


@over_each(list(KINDS))
def test_a_storage_refuses_tables_of_a_later_version(place: Place) -> None:
    plain = place.plain_engine()
    create_all(plain)
    keep_version(plain, SCHEMA_VERSION + 1)
    plain.dispose()
    with pytest.raises(ConfigurationError, match=f"of version {SCHEMA_VERSION + 1}"):
        read(place)


@over_each(BLOCKING)
def test_tables_of_a_later_version_are_not_made_older(place: Place, engine: Any) -> None:
    create_all(engine)
    keep_version(engine, SCHEMA_VERSION + 1)
    with pytest.raises(ConfigurationError, match=f"of version {SCHEMA_VERSION + 1}"):
        create_all(engine)
    assert version_in(engine) == SCHEMA_VERSION + 1


@over_each(list(KINDS))
def test_tables_that_a_migration_made_get_their_version_from_their_first_user(
    place: Place,
) -> None:
    plain = place.plain_engine()
    metadata.create_all(plain)
    assert version_in(plain) is None
    assert read(place) is None
    assert version_in(plain) == SCHEMA_VERSION
    plain.dispose()


@over_each(["psycopg"])
def test_the_tables_may_lie_in_a_schema_that_the_engine_names(place: Place, engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA accounts"))
    mine = engine.execution_options(schema_translate_map={None: "accounts"})
    create_all(mine)
    storage = SqlStorage(mine)
    storage.insert(make_record(), 3, NOW)
    assert storage.read(make_record().id, NOW) == make_record()
    storage.close()
    assert inspect(engine).get_table_names() == []


def read(place: Place) -> Any:
    """Return what a new storage finds under an id, and leave nothing open."""
    engine = place.engine()
    storage = SqlStorage(engine)
    if place.kind.is_async:
        return asyncio.run(_read(storage, engine))
    try:
        return storage.read(make_record().id, NOW)
    finally:
        storage.close()
        engine.dispose()


async def _read(storage: SqlStorage, engine: Any) -> Any:
    try:
        return await storage.read(make_record().id, NOW)
    finally:
        await storage.close()
        await engine.dispose()

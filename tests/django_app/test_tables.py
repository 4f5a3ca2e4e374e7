"""The tables that the migrations make: their form, their version, and who can share them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from django.core.management import call_command
from django.db import connections
from sqlalchemy import Engine, create_engine

from tests.django_app.support import DATABASES, added, entry_of, migrated
from tokenwheel import ConfigurationError, DjangoStorage, SqlStorage
from tokenwheel.sql import create_all, metadata
from tokenwheel.testing import NOW, following, make_record

# What columns are in Django, and in SQLAlchemy.
HARMLESS: dict[str, set[tuple[str, str]]] = {
    "postgresql": set(),
    "sqlite": {("REAL", "Double")},  # SQLite has but one type for both, of eight bytes.
    # Django's have room for more than is ever put there.
    "mysql": {("LONGTEXT", "Text"), ("LONGBLOB", "LargeBinary")},
}


def is_ours(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or str(name).startswith("tokenwheel")


@pytest.fixture(params=DATABASES)
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """An entry of ``DATABASES`` for a database without tables."""
    with entry_of(request.param, request, tmp_path) as entry:
        yield entry


@pytest.fixture
def engine(entry: dict[str, Any]) -> Iterator[Engine]:
    """An engine of SQLAlchemy for the same database."""
    kind = entry["ENGINE"].rpartition(".")[2]
    if kind == "sqlite3":
        engine = create_engine(f"sqlite:///{entry['NAME']}")
    else:
        driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[kind]
        place = f"{entry['USER']}@{entry['HOST']}:{entry['PORT']}/{entry['NAME']}"
        engine = create_engine(f"{driver}://{place}")
    yield engine
    engine.dispose()


def set_version(alias: str, number: int | None) -> None:
    from tokenwheel.django.models import Value

    Value.objects.using(alias).filter(name="schema_version").delete()
    if number is not None:
        Value.objects.using(alias).create(name="schema_version", number=number)


def refusal_of(alias: str) -> str:
    storage = DjangoStorage(alias)
    with pytest.raises(ConfigurationError) as caught:
        storage.read(make_record().id, NOW)
    storage.close()
    return str(caught.value)


def test_the_migrations_lack_nothing_that_the_models_have() -> None:
    said = StringIO()
    call_command("makemigrations", "tokenwheel", check=True, dry_run=True, stdout=said)
    assert "No changes" in said.getvalue()


def test_they_are_the_tables_of_sqlalchemy(entry: dict[str, Any], engine: Engine) -> None:
    with migrated(entry), engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        found = [
            difference
            for differences in compare_metadata(context, metadata)
            for difference in (differences if isinstance(differences, list) else [differences])
        ]
    assert {difference[0] for difference in found} <= {"modify_type"}
    types = {(str(difference[5]), type(difference[6]).__name__) for difference in found}
    assert types == HARMLESS[engine.dialect.name]


def test_services_of_both_kinds_share_them(entry: dict[str, Any], engine: Engine) -> None:
    with migrated(entry) as alias:
        django, sql = DjangoStorage(alias, timeout=30), SqlStorage(engine, timeout=30)
        record = make_record()
        assert django.insert(record, None, NOW)
        assert sql.read(record.id, NOW) == record
        assert sql.replace(following(record), NOW)
        assert django.read_all(record.subject, NOW) == [following(record)]
        assert django.delete([following(record)], NOW) == [record.id]
        assert sql.keep_access_lifetime("i", 300) == 300
        assert django.keep_access_lifetime("i", 200) == 300

        def log_in(number: int) -> bool:
            storage: Any = (django, sql)[number % 2]
            added: bool = storage.insert(make_record(number, subject="ann"), 3, NOW)
            return added

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(log_in, range(24))) == 3
        django.close()
        sql.close()


def test_a_site_takes_over_tables_that_sqlalchemy_made(
    entry: dict[str, Any], engine: Engine
) -> None:
    create_all(engine)
    with added(entry) as alias:
        call_command("migrate", "tokenwheel", database=alias, fake_initial=True, verbosity=0)
        storage = DjangoStorage(alias)
        record = make_record()
        assert storage.insert(record, 1, NOW)
        assert storage.read(record.id, NOW) == record
        storage.close()


def test_who_has_not_migrated_is_told_how(entry: dict[str, Any]) -> None:
    with added(entry) as alias:
        assert f"manage.py migrate --database {alias}" in refusal_of(alias)


def test_tables_of_a_later_version_are_refused(alias: str) -> None:
    set_version(alias, 2)
    assert "of version 2, and this tokenwheel knows none above 1" in refusal_of(alias)


def test_a_version_that_is_missing_is_written(alias: str) -> None:
    set_version(alias, None)
    storage = DjangoStorage(alias)
    assert storage.insert(make_record(), None, NOW)
    storage.close()
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT number FROM tokenwheel_values WHERE name = 'schema_version'")
        assert cursor.fetchone() == (1,)


def test_postgresql_has_no_index_that_nobody_uses(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with (
        entry_of("postgres", request, tmp_path) as entry,
        migrated(entry) as alias,
        connections[alias].cursor() as cursor,
    ):
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename LIKE 'tokenwheel%%' ORDER BY 1"
        )
        names = [name for (name,) in cursor.fetchall()]
    assert names == [
        "tokenwheel_revocations_end",
        "tokenwheel_revocations_pkey",
        "tokenwheel_sessions_end",
        "tokenwheel_sessions_pkey",
        "tokenwheel_sessions_subject",
        "tokenwheel_values_pkey",
    ]

"""A call to the storage and the application's transactions: neither takes part in the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import AsyncClient, Client, override_settings

from tests.django_app import addresses
from tests.django_app.support import entry_of, migrated
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    DjangoFeed,
    DjangoStorage,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.testing import NOW, following, make_record

SERIALIZABLE = {
    "postgres": lambda: {"isolation_level": _psycopg_levels().SERIALIZABLE},
    "mariadb": lambda: {"isolation_level": "serializable"},
}


def _psycopg_levels() -> Any:
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    return IsolationLevel


def manager_over(alias: str, kind: Any = SessionManager) -> Any:
    return kind(
        SECRET,
        issuer="i",
        audience="a",
        storage=DjangoStorage(alias),
        revocations=RevocationList(DjangoFeed(alias, poll_interval=0.05)),
    )


@pytest.fixture
def manager(alias: str) -> Iterator[SessionManager]:
    manager = manager_over(alias)
    yield manager
    manager.close()


@pytest.fixture
def requests_are_transactions(alias: str, manager: Any) -> Iterator[None]:
    connections.settings[alias]["ATOMIC_REQUESTS"] = True
    addresses.alias, addresses.manager = alias, manager
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF="tests.django_app.addresses"):
        yield


def values(alias: str) -> list[str]:
    from tokenwheel.django.models import Value

    names = Value.objects.using(alias).values_list("name", flat=True)
    return [name for name in names if name == "of the request"]


@pytest.mark.usefixtures("requests_are_transactions")
def test_a_logout_holds_though_its_request_fails(alias: str, manager: Any) -> None:
    token = manager.create({}, subject="ann").access_token
    other = manager_over(alias)
    assert other.read(token)
    is_sqlite = connections[alias].vendor == "sqlite"
    if is_sqlite:  # in which nobody may write beside who has read, but for this
        connections[alias].cursor().execute("PRAGMA journal_mode=WAL")
    client = Client(raise_request_exception=False)
    response = client.get("/fail" if is_sqlite else "/fail?write")
    assert response.status_code == 500
    assert values(alias) == []
    with pytest.raises(AccessTokenRevoked):
        manager.read(token)
    assert manager.read_all("ann") == {}
    other.close()
    late = manager_over(alias)
    with pytest.raises(AccessTokenRevoked):
        late.read(token)
    late.close()


def test_a_logout_holds_though_a_transaction_is_rolled_back(alias: str, manager: Any) -> None:
    manager.create({}, subject="ann")
    with transaction.atomic(alias):
        assert manager.delete_all("ann") == 1
        assert manager.read_all("ann") == {}
        transaction.set_rollback(True, alias)
    assert manager.read_all("ann") == {}


def test_a_refused_call_leaves_an_open_transaction_as_it_was(alias: str) -> None:
    storage = DjangoStorage(alias)
    record = make_record()
    storage.insert(record, None, NOW)
    with transaction.atomic(alias):
        assert values(alias) == []
        with pytest.raises(Exception, match="refused values"):
            storage.insert(record, None, NOW)
        assert values(alias) == []
    storage.close()


@pytest.mark.parametrize("alias", ["sqlite"], indirect=True)
def test_on_sqlite_who_has_read_or_written_is_told_that_nobody_else_can_write(alias: str) -> None:
    storage, patient = DjangoStorage(alias, timeout=0.2), DjangoStorage(alias, timeout=30)
    with transaction.atomic(alias):
        assert values(alias) == []
        with pytest.raises(StorageUnavailable, match="a transaction of the application is open"):
            storage.insert(make_record(), None, NOW)
    # The first may still take effect, now that nobody keeps it out.
    assert patient.insert(make_record(2), None, NOW)
    storage.close()
    patient.close()


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
@pytest.mark.usefixtures("requests_are_transactions")
def test_async_views_take_managers_of_both_colours(alias: str, kind: Any) -> None:
    connections.settings[alias]["ATOMIC_REQUESTS"] = False  # Django has none in async views.

    async def view() -> None:
        addresses.manager = manager = manager_over(alias, kind)
        tokens = manager.create({}, subject="ann")
        if kind is AsyncSessionManager:
            tokens = await tokens
        response = await AsyncClient().get("/async")
        assert response.content == b"1"
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        if kind is AsyncSessionManager:
            await manager.close()
        else:
            manager.close()

    asyncio.run(view())


@pytest.mark.parametrize("kind", SERIALIZABLE)
def test_transactions_are_read_committed_whatever_the_options_say(
    kind: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    with entry_of(kind, request, tmp_path) as entry, migrated(entry) as alias:
        given = connections.settings[alias]
        given |= {"OPTIONS": given["OPTIONS"] | SERIALIZABLE[kind](), "AUTOCOMMIT": False}
        storage = DjangoStorage(alias)
        record = make_record()
        assert storage.insert(record, 3, NOW)
        assert storage.replace(following(record), NOW)
        assert storage._database.run(_level).lower().replace("-", " ") == "read committed"
        storage.close()
        late = DjangoStorage(alias)
        assert late.read(record.id, NOW) == following(record)
        late.close()


def _level(statements: Any) -> str:
    is_postgresql = statements.connection.vendor == "postgresql"
    statement = "SHOW transaction_isolation" if is_postgresql else "SELECT @@tx_isolation"
    with statements.connection.cursor() as cursor:
        cursor.execute(statement)
        level: str = cursor.fetchone()[0]
        return level

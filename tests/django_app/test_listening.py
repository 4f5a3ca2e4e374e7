"""The connection over which a feed waits for news: who wakes it, and that nothing holds it up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from sqlalchemy import create_engine

from tests.databases import Mariadb, Pgbouncer, Postgres
from tests.django_app.support import added, entry_of, migrated
from tests.servers import until
from tokenwheel import DjangoFeed, DjangoStorage, Revocation, SqlFeed, StorageUnavailable
from tokenwheel.django.database import DjangoDatabase
from tokenwheel.tables.protocol import Wait
from tokenwheel.testing import NOW, make_record

LONG = 50.0  # seconds: less than a test may take, and more than news do
NEWS = Revocation("A" * 16, 4_000_000_000.0, None)


@pytest.fixture
def postgres_alias(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as database, migrated(database.django) as alias:
        yield alias


@contextmanager
def opened(alias: str) -> Iterator[Any]:
    database = DjangoDatabase(alias, 30)
    listener = database.connect(2 * LONG)
    listener.open()
    try:
        yield listener
    finally:
        listener.close()
        database.close()


@contextmanager
def followed(alias: str, **options: Any) -> Iterator[tuple[DjangoFeed, list[Any]]]:
    """Yield a feed that reads the log, and what it hears."""
    feed = DjangoFeed(alias, **options)
    heard: list[Any] = []
    feed.start(heard.extend)
    feed.poll()
    try:
        yield feed, heard
    finally:
        feed.close()


def publish(alias: str, revocation: Revocation = NEWS) -> None:
    feed = DjangoFeed(alias)
    feed.publish([revocation])
    feed.close()


def test_postgresql_wakes_who_waits(postgres_alias: str) -> None:
    with opened(postgres_alias) as listener, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.send, Wait(LONG, LONG))
        publish(postgres_alias)
        waiting.result(LONG / 2)


def test_news_that_came_before_the_wait_end_it(postgres_alias: str) -> None:
    with opened(postgres_alias) as listener, ThreadPoolExecutor(1) as pool:
        publish(postgres_alias)
        pool.submit(listener.send, Wait(LONG, LONG)).result(LONG / 2)


def test_a_service_on_sqlalchemy_wakes_it_too(postgres: Postgres) -> None:
    with (
        postgres.database() as database,
        migrated(database.django) as alias,
        opened(alias) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        engine = create_engine(database.url("psycopg"))
        waiting = pool.submit(listener.send, Wait(LONG, LONG))
        feed = SqlFeed(engine)
        feed.publish([NEWS])
        waiting.result(LONG / 2)
        (row,) = listener.send(lambda statements: statements.log_rows([(0, None)], 0, 9))
        assert row.revocation == NEWS
        feed.close()
        engine.dispose()


def test_a_transaction_wakes_nobody_before_it_commits(postgres_alias: str) -> None:
    from tokenwheel.django.dialects import statements_on

    with opened(postgres_alias) as listener:
        with transaction.atomic(postgres_alias):
            statements_on(connections[postgres_alias]).append([NEWS], NOW)
            assert listener.send(lambda statements: statements.log_rows([(0, None)], 0, 9)) == []
            listener.send(Wait(0.05, 0.05))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(listener.send, Wait(LONG, LONG)).result(LONG / 2)
        (row,) = listener.send(lambda statements: statements.log_rows([(0, None)], 0, 9))
        assert row.revocation == NEWS


def test_closing_it_ends_a_wait(alias: str) -> None:
    with opened(alias) as listener, ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(listener.send, Wait(LONG, LONG))
        pool.submit(listener.close).result(LONG / 2)
        # Where it was closed before the wait began, that is refused.
        assert isinstance(waiting.exception(LONG / 2), StorageUnavailable | None)


@pytest.mark.parametrize("alias", ["sqlite"], indirect=True)
def test_on_sqlite_the_log_is_read_beside_a_transaction_that_writes(alias: str) -> None:
    from tokenwheel.django.dialects import statements_on

    with opened(alias) as listener, transaction.atomic(alias):
        statements_on(connections[alias]).append([NEWS], NOW)
        assert listener.send(lambda statements: statements.log_rows([(0, None)], 0, 9)) == []


def test_a_feed_hears_what_another_publishes(alias: str) -> None:
    with followed(alias, poll_interval=0.05) as (_, heard):
        publish(alias)
        until(lambda: NEWS in heard)


@pytest.mark.parametrize("kind", [Postgres, Mariadb])
def test_a_feed_goes_on_once_its_server_is_back(kind: Any, caplog: Any) -> None:
    with (
        kind() as server,
        server.database() as database,
        migrated(database.django) as alias,
        followed(alias, poll_interval=0.05) as (feed, heard),
    ):
        server.kill()
        until(lambda: feed.stats().reconnects)
        server.start()
        connections[alias].close()
        until(lambda: feed.stats().lag == 0)
        publish(alias)
        until(lambda: NEWS in heard)
    assert "connected again" in caplog.text


@pytest.mark.parametrize("kind", [Postgres, Mariadb])
def test_a_server_that_hangs_holds_up_no_close(kind: Any) -> None:
    with (
        kind() as server,
        server.database() as database,
        migrated(database.django) as alias,
        followed(alias, poll_interval=0.05) as (feed, _),
    ):
        before = threading.active_count()
        server.freeze()
        try:
            feed.close()
        finally:
            server.thaw()
        until(lambda: threading.active_count() < before)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_log_of_a_server_that_takes_no_writes_is_not_read(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "mariadb":
        with (
            Mariadb() as server,
            server.database() as database,
            migrated(database.django) as alias,
        ):
            database.execute("SET GLOBAL read_only = 1")
            _is_refused(alias)
        return
    with entry_of(kind, request, tmp_path) as entry, migrated(entry) as alias:
        with connections[alias].cursor() as cursor:
            name = entry["NAME"]
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        _is_refused(alias)


def _is_refused(alias: str) -> None:
    database = DjangoDatabase(alias, 30)
    listener = database.connect(LONG)
    with pytest.raises(StorageUnavailable, match="takes no writes"):
        listener.open()
    listener.close()
    database.close()
    feed = DjangoFeed(alias)
    feed.start(lambda _: None)
    with pytest.raises(StorageUnavailable, match="have not been taken in"):
        feed.poll()
    feed.close()


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_behind_a_proxy_that_keeps_news_back_a_feed_polls_and_says_so_once(
    postgres: Postgres, mode: str, caplog: Any
) -> None:
    with (
        postgres.database() as database,
        Pgbouncer(postgres, mode) as proxy,
        migrated(database.django),
        added(proxy.on(database).django) as alias,
        followed(alias, poll_interval=0.05) as (feed, heard),
        caplog.at_level(logging.WARNING, "tokenwheel"),
    ):
        until(lambda: feed.stats().lag == 0)
        publish(alias)
        until(lambda: NEWS in heard)
        for number in range(1, 30):
            publish(alias, NEWS._replace(before=number))
        until(lambda: NEWS._replace(before=29) in heard)
        if mode == "transaction":
            until(lambda: "keeps its news back" in caplog.text)
    assert caplog.text.count("keeps its news back") == (1 if mode == "transaction" else 0)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_gap_can_be_filled_as_long_as_a_transaction_is_open_that_began_before(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from tokenwheel.django.dialects import statements_on

    with entry_of(kind, request, tmp_path) as entry, migrated(entry) as alias:
        publish(alias)
        with opened(alias) as listener:
            with transaction.atomic(alias):
                statements_on(connections[alias]).append([NEWS], NOW)
                publish(alias)
                writers = listener.send(lambda statements: statements.writers())
                rows = listener.send(lambda statements: statements.log_rows([(0, None)], 0, 9))
                first, last = rows[0].position + 1, rows[1].position - 1
                assert first == last

                def have_ended(statements: Any) -> bool:
                    ended: bool = statements.have_ended(writers, first, last)
                    return ended

                assert not listener.send(have_ended)
            until(lambda: listener.send(have_ended))


def test_a_storage_publishes_to_a_feed_of_its_alias_and_to_no_other(
    alias: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with (
        entry_of("sqlite", request, tmp_path / "..") as entry,
        migrated(entry | {"NAME": str(tmp_path / "other.sqlite3")}) as another,
    ):
        storage = DjangoStorage(alias)
        feed, elsewhere = DjangoFeed(alias), DjangoFeed(another)
        assert storage.publishes_to(feed)
        assert not storage.publishes_to(elsewhere)
        record = make_record()
        storage.insert(record, None, NOW)
        revocation = Revocation(record.id, 4_000_000_000.0, None)
        with followed(alias, poll_interval=0.05) as (_, heard):
            assert storage.delete([record], NOW, feed, [revocation]) == [record.id]
            assert storage.delete([record], NOW, feed, [revocation]) == []
            until(lambda: heard == [revocation])
        for part in (storage, feed, elsewhere):
            part.close()

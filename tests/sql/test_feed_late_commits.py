"""A position is given out before its row is committed: no row is missed that commits late."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from tests.databases import Database, Mariadb, Postgres
from tests.servers import until
from tests.sql.nodes import engine_on, tables_in
from tokenwheel import Revocation, RevocationList
from tokenwheel.sql import SqlFeed

FAR = 4_000_000_000.0
WRITERS = 4
INSERT = (
    "INSERT INTO tokenwheel_revocations (mark, session_id, expires_at, published_at)"
    " VALUES (%s, %s, %s, %s)"
)
DRIVERS = {"postgres": "psycopg", "mariadb": "pymysql"}


@pytest.fixture(scope="module", params=DRIVERS)
def tables(request: pytest.FixtureRequest) -> Iterator[Database]:
    server: Postgres | Mariadb = request.getfixturevalue(request.param)
    with tables_in(server) as database:
        yield database


def driver_of(tables: Database) -> str:
    return "psycopg" if isinstance(tables.server, Postgres) else "pymysql"


@contextmanager
def reader_of(tables: Database) -> Iterator[RevocationList]:
    """Make a list that follows the table, with an engine of its own."""
    engine = engine_on(tables, driver_of(tables))
    revocations = RevocationList(SqlFeed(engine, poll_interval=0.05))
    try:
        revocations.is_revoked(new_id())
        yield revocations
    finally:
        revocations.close()
        engine.dispose()


class Transaction:
    """A transaction that adds rows to the log, and is held open for as long as a test wants."""

    def __init__(self, tables: Database) -> None:
        self._connection = tables.connect()
        self._cursor = self._connection.cursor()
        self._cursor.execute("BEGIN")

    def revoke(self, session_id: str) -> None:
        self._cursor.execute(INSERT, (secrets.token_hex(8), session_id, FAR, time.time()))

    def commit(self) -> None:
        self._cursor.execute("COMMIT")
        self._connection.close()

    def roll_back(self) -> None:
        self._cursor.execute("ROLLBACK")
        self._connection.close()


def new_id() -> str:
    return secrets.token_urlsafe(12)


def test_a_transaction_that_is_open_while_others_commit_is_heard_by_all_who_read_meanwhile(
    tables: Database,
) -> None:
    """Readers that were there before, and such as begin in between."""
    with ExitStack() as stack:
        readers = [stack.enter_context(reader_of(tables))]
        early, lost = Transaction(tables), Transaction(tables)
        first, gone = new_id(), new_id()
        early.revoke(first)
        lost.revoke(gone)
        for _ in range(3):
            later = new_id()
            publisher = readers[0]
            publisher.revoke(later, 3600)
            for reader in readers:
                until(lambda: reader.is_revoked(later), "that what was committed is heard")
                assert not reader.is_revoked(first)
            readers.append(stack.enter_context(reader_of(tables)))
        lost.roll_back()
        early.commit()
        for reader in readers:
            until(lambda: reader.is_revoked(first), "that what was committed late is heard")
            assert not reader.is_revoked(gone)


def test_of_some_hundred_late_commits_none_is_missed(tables: Database) -> None:
    commit_late(tables, 400)


@pytest.mark.long
def test_of_ten_thousand_late_commits_none_is_missed(tables: Database) -> None:
    commit_late(tables, 10_000)


def commit_late(tables: Database, tries: int) -> None:
    """Hold transactions open across the commits of others, from several writers at once.

    Each try takes a position, lets another transaction take and commit the next, and commits then,
    or, every so often, takes it back.
    """
    committed: list[str] = []
    undone: list[str] = []
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        try:
            with (
                closing(tables.connect()) as held,
                closing(held.cursor()) as slow,
                closing(tables.connect()) as other,
                closing(other.cursor()) as fast,
            ):
                for _ in range(tries // WRITERS):
                    late, soon = new_id(), new_id()
                    slow.execute("BEGIN")
                    slow.execute(INSERT, (secrets.token_hex(8), late, FAR, time.time()))
                    fast.execute(INSERT, (secrets.token_hex(8), soon, FAR, time.time()))
                    committed.append(soon)
                    is_undone = chance.random() < 0.1
                    slow.execute("ROLLBACK" if is_undone else "COMMIT")
                    (undone if is_undone else committed).append(late)
                    if isinstance(tables.server, Postgres):
                        fast.execute("NOTIFY tokenwheel_revocations")
        except BaseException as error:
            failures.append(error)

    with ExitStack() as stack:
        readers = [stack.enter_context(reader_of(tables)) for _ in range(2)]
        threads = [threading.Thread(target=write, args=(seed,)) for seed in range(WRITERS)]
        for thread in threads:
            thread.start()
        # One begins amid all this.
        until(lambda: len(committed) > tries // 2 or failures, "half of the tries")
        readers.append(stack.enter_context(reader_of(tables)))
        for thread in threads:
            thread.join()
        assert failures == []
        for reader in readers:
            until(lambda: missing(reader, committed) == 0, "that all commits are heard")
            assert not any(map(reader.is_revoked, undone))
            assert feed_of(reader).stats().replays == 0
        with reader_of(tables) as late:
            assert missing(late, committed) == 0


def missing(reader: RevocationList, ids: list[str]) -> int:
    return sum(not reader.is_revoked(session_id) for session_id in ids)


def feed_of(reader: RevocationList) -> Any:
    return reader.feed


def test_what_is_published_beside_a_transaction_held_open_is_heard_at_once(
    tables: Database,
) -> None:
    engine = engine_on(tables, driver_of(tables))
    held = Transaction(tables)
    held.revoke(new_id())
    publisher = SqlFeed(engine)
    with reader_of(tables) as reader:
        for _ in range(20):
            session_id = new_id()
            publisher.publish([Revocation(session_id, FAR, None)])
            until(lambda: reader.is_revoked(session_id), "that it is heard")
    held.roll_back()
    publisher.close()
    engine.dispose()

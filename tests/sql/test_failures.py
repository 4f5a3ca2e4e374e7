"""What is carried out again where the database fails, and what its errors say to nobody."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from tests.engines import KINDS, Place, over_each
from tests.servers import free_port
from tests.support import SECRET
from tokenwheel import SessionManager, SqlStorage, StorageUnavailable
from tokenwheel.seconds import steady_time
from tokenwheel.sql import create_all, metadata
from tokenwheel.sql.database import SqlDatabase
from tokenwheel.tables.rows import subject_hash
from tokenwheel.testing import NOW, following, make_record

PASSWORD = "correct-horse"


# What is begun again.


@over_each(["psycopg", "asyncpg", "pymysql", "aiomysql"])
def test_a_transaction_whose_connection_breaks_is_carried_out_again(
    place: Place, make: Any, wait: Any
) -> None:
    database = SqlDatabase(make())
    attempts: list[int] = []

    def work(statements: Any) -> Any:
        statements.raise_value("number", 7)
        attempts.append(1)
        if len(attempts) == 1:
            break_connection(place, statements.connection)
        return statements.value("number")

    assert wait(database.run(work)) == 7
    assert len(attempts) == 2
    wait(database.close())


def break_connection(place: Place, connection: Any) -> None:
    """Have the server end a connection, as it does when it is shut down."""
    engine = place.plain_engine()
    with engine.connect() as other:
        if place.kind.server == "postgres":
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        else:
            pid = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
            other.exec_driver_sql(f"KILL {pid}")
    engine.dispose()


@over_each(["psycopg", "psycopg-asyncio", "asyncpg", "pymysql", "aiomysql"])
def test_connections_that_broke_while_nobody_used_them_cost_no_call(
    place: Place, make: Any, over: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()
    storage, database = over(engine), SqlDatabase(engine)
    wait(storage.insert(make_record(), None, NOW))
    kill = {
        "postgres": "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "mariadb": None,
    }[place.kind.server]
    plain = place.plain_engine()
    with plain.connect() as connection:
        if kill is not None:
            connection.exec_driver_sql(kill).all()
        else:
            mine = "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
            for (number,) in connection.exec_driver_sql(mine + " AND id <> CONNECTION_ID()"):
                connection.exec_driver_sql(f"KILL {number}")
    plain.dispose()
    later = steady_time() + 10
    monkeypatch.setattr("tokenwheel.sql.database.steady_time", lambda: later)
    assert wait(storage.read(make_record().id, NOW)) == make_record()
    wait(database.close())


@over_each(["psycopg", "pymysql"])
def test_a_transaction_that_deadlocked_is_carried_out_again(place: Place, make: Any) -> None:
    engine = make()
    database = SqlDatabase(engine)
    database.run(lambda statements: statements.raise_value("a", 1))
    database.run(lambda statements: statements.raise_value("b", 1))
    gate = threading.Barrier(2)
    attempts: list[str] = []

    def work(first: str, second: str) -> Callable[[Any], None]:
        def raise_both(statements: Any) -> None:
            attempts.append(first)
            statements.raise_value(first, len(attempts) + 1)
            if len(attempts) <= 2:
                gate.wait()
            statements.raise_value(second, len(attempts) + 5)

        return raise_both

    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(database.run, work("a", "b")),
            pool.submit(database.run, work("b", "a")),
        ]
        for call in calls:
            call.result()
    assert len(attempts) > 2
    database.close()


# What nobody is told.


@over_each(list(KINDS))
def test_no_error_and_no_log_line_has_a_hash_or_an_id(
    place: Place, make: Any, over: Any, wait: Any, caplog: pytest.LogCaptureFixture
) -> None:
    record = make_record(secret_hash=b"s" * 32, family_hash=b"f" * 32, subject="subject-of-alice")
    caplog.set_level(logging.DEBUG)
    engine = make(echo=True)
    storage = over(engine)
    wait(storage.insert(record, None, NOW))
    texts = [error_of(wait, storage.insert, record, None, NOW)]  # The id is taken.
    texts.append(error_of(wait, storage.insert, record._replace(generation=None), 3, NOW))
    plain = place.plain_engine()
    metadata.drop_all(plain)
    texts.append(error_of(wait, storage.insert, record, 3, NOW))
    texts.append(error_of(wait, storage.replace, following(record), NOW))
    create_all(plain)
    plain.dispose()
    texts += [line.getMessage() for line in caplog.records]
    secrets = [record.id, record.subject, "ssssssss", "ffffffff", "7373737373", "6666666666"]
    secrets.append(subject_hash(record.subject))
    for secret in secrets:
        assert [text for text in texts if secret in text] == []


def error_of(wait: Any, call: Any, *arguments: Any) -> str:
    """Return the traceback of the error, with the values of local variables below the caller's."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        wait(call(*arguments))
    said = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    # The frames of this test and of the storage's methods hold what they were given.
    for part in iter_chain(said):
        part.stack = traceback.StackSummary.from_list(
            [frame for frame in part.stack if "sqlalchemy" in frame.filename]
        )
    return "".join(said.format())


def iter_chain(said: Any) -> Iterator[Any]:
    while said is not None:
        yield said
        said = said.__cause__ or said.__context__


def test_a_manager_says_what_is_wrong_and_no_more(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://service:{PASSWORD}@127.0.0.1:{free_port()}/db"
    manager = SessionManager(
        SECRET, issuer="i", audience="a", storage=SqlStorage(create_engine(url))
    )
    with pytest.raises(StorageUnavailable) as refused:
        manager.create(subject="alice")
    assert "alice" not in str(refused.value)
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))
    assert isinstance(refused.value.__cause__, OperationalError)
    manager.close()

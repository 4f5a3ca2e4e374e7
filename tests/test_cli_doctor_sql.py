"""``tokenwheel doctor`` on a database: what it says of PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.database_server import Database
from tests.databases import Pgbouncer, Postgres
from tests.sql_services import names_of_tables
from tests.support import SECRET
from tokenwheel import RevocationList, SessionManager
from tokenwheel.cli import main

sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")


def examine(capsys: pytest.CaptureFixture[str], url: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and each finding of the database as its state and its text."""
    status = main(["doctor", "--json", "--database", url])
    findings = json.loads(capsys.readouterr().out)["database"]
    return status, {each["name"]: (each["state"], each["text"]) for each in findings}


@contextmanager
def used(url: str) -> Iterator[None]:
    """Make the tables, and put a session of "ann" and a revocation into them."""
    from tokenwheel import SqlFeed, SqlStorage
    from tokenwheel.sql import create_all

    engine = sqlalchemy.create_engine(url)
    create_all(engine)
    with SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqlStorage(engine),
        storage_key=SECRET,
        revocations=RevocationList(SqlFeed(engine)),
    ) as sessions:
        sessions.create(subject="ann")
        sessions.delete_all("ann")
        sessions.create(subject="ann")
        yield
    engine.dispose()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    with postgres.database() as database:
        yield database


def test_postgresql_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        Postgres(fsync="on") as server,
        server.database() as database,
        used(database.url("psycopg")),
    ):
        status, found = examine(capsys, database.url("psycopg"))
    assert (status, {state for state, _ in found.values()}) == (0, {"good"})
    assert re.fullmatch(r"it answers; a round trip took [\d.]+ ms", found["server"][1])
    assert re.fullmatch(r"PostgreSQL [\d.]+", found["release"][1])
    assert found["role"][1] == "it takes writes"
    assert found["tables"][1] == "version 1"
    assert (found["sessions"][1], found["revocations kept"][1]) == ("1", "1")
    assert found["rights"][1] == "this user may read and write the tables"
    assert found["listening"][1].startswith("a notification gets through")


def test_a_server_that_may_lose_what_was_written_is_told(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with used(database.url("psycopg")):
        status, found = examine(capsys, database.url("psycopg"))
    assert (status, found["durability"]) == (
        1,
        ("wrong", "a crash can destroy the database: set fsync on"),
    )


def test_mariadb_is_described(mariadb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with mariadb.database() as database, used(database.url("pymysql")):
        status, found = examine(capsys, database.url("pymysql"))
    assert status == 0
    assert re.fullmatch(r"MariaDB [\d.]+", found["release"][1])
    assert found["durability"] == ("note", "a crash loses what was written last")
    assert (found["sessions"][1], found["revocations kept"][1]) == ("1", "1")


def test_a_file_of_sqlite_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'service.db'}"
    with used(url):
        status, found = examine(capsys, url)
    assert (status, {state for state, _ in found.values()}) == (0, {"good"})
    assert found["sessions"][1] == "1"


def test_tables_that_are_missing_are_named_and_not_made(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = examine(capsys, database.url("psycopg"))
    assert (status, found["tables"][0]) == (1, "wrong")
    assert "tokenwheel.sql.create_all" in found["tables"][1]
    assert "manage.py migrate" in found["tables"][1]
    assert names_of_tables(database) == []


def test_tables_of_a_later_version_are_wrong(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with used(database.url("psycopg")):
        pass
    database.execute("UPDATE tokenwheel_values SET number = 7 WHERE name = 'schema_version'")
    state, text = examine(capsys, database.url("psycopg"))[1]["tables"]
    assert (state, text) == ("wrong", "version 7, and this release knows up to 1")


def test_tables_that_a_migration_made_and_nobody_has_used_are_good(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with used(database.url("psycopg")):
        pass
    database.execute("DELETE FROM tokenwheel_values")
    found = examine(capsys, database.url("psycopg"))[1]
    assert found["tables"] == ("good", "made, and not used yet")
    assert database.execute("SELECT * FROM tokenwheel_values") == []


def test_no_notification_comes_through_a_pool_of_transactions(
    postgres: Postgres, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with used(database.url("psycopg")), Pgbouncer(postgres, "transaction") as pool:
        found = examine(capsys, pool.on(database).url("psycopg"))[1]
    assert found["listening"][0] == "note"
    assert "PgBouncer in transaction mode" in found["listening"][1]
    assert found["sessions"] == ("good", "1")


def test_a_user_who_may_not_write_is_told_which_rights_are_missing(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with used(database.url("psycopg")):
        pass
    reader = f"reader_of_{database.name}"
    database.execute(f"CREATE ROLE {reader} LOGIN")
    try:
        database.execute(f"GRANT SELECT ON tokenwheel_sessions TO {reader}")
        url = database.url("psycopg").replace("tests@", f"{reader}@")
        status, found = examine(capsys, url)
    finally:
        database.execute(f"DROP OWNED BY {reader}")
        database.execute(f"DROP ROLE {reader}")
    assert status == 1
    assert found["rights"][0] == found["tables"][0] == found["revocations kept"][0] == "wrong"
    assert "DELETE on tokenwheel_sessions" in found["rights"][1]
    assert "SELECT on tokenwheel_sessions" not in found["rights"][1]
    assert "USAGE on the sequence of tokenwheel_revocations" in found["rights"][1]
    assert found["sessions"] == ("good", "1")
    assert reader not in str(found)


def test_a_standby_is_wrong_since_it_takes_no_writes(capsys: pytest.CaptureFixture[str]) -> None:
    with Postgres() as server, server.database() as database:
        with used(database.url("psycopg")):
            pass
        server.stop()
        (server.folder / "data" / "standby.signal").touch()
        server.start()
        status, found = examine(capsys, database.url("psycopg"))
        server.kill()  # It would drop no database.
    assert (status, found["role"][0]) == (1, "wrong")
    assert "give the primary" in found["role"][1]


def test_a_database_whose_transactions_are_read_only_is_wrong(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with used(database.url("psycopg")):
        pass
    database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    status, found = examine(capsys, database.url("psycopg"))
    assert (status, found["role"][0]) == (1, "wrong")
    assert "read-only" in found["role"][1]


def test_a_server_that_hangs_is_told_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with Postgres() as server, server.database() as database:
        with used(database.url("psycopg")):
            pass
        server.freeze()
        try:
            status, found = examine(capsys, database.url("psycopg"))
        finally:
            server.thaw()
    assert (status, {state for state, _ in found.values()}) == (1, {"wrong"})


def test_a_database_that_is_away_is_wrong_and_its_address_stays_unsaid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("psycopg")
    assert main(["doctor", "--database", "postgresql://ann@127.0.0.1:1/name"]) == 1
    shown = capsys.readouterr()
    assert "WRONG  server  the database could not be reached" in shown.out
    for secret in ("127.0.0.1", "ann", "/name"):
        assert secret not in shown.out.partition("database\n")[2] + shown.err

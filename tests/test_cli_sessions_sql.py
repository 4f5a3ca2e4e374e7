"""``tokenwheel sessions`` on a database, named by its URL, while the service runs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.database_server import Database
from tests.databases import Postgres
from tests.servers import free_port, until
from tests.sql_services import names_of_tables
from tests.support import SECRET
from tokenwheel import AccessTokenRevoked, RevocationList, SessionContext, SessionManager
from tokenwheel.cli import main

sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")

PLAIN = {"postgresql": "psycopg", "mysql": "pymysql"}


def plain_url(database: Database) -> str:
    """Return the URL of a database as psql or mysql would have it, without a driver."""
    dialect = database.server.dialect
    return database.url(PLAIN[dialect]).replace(f"+{PLAIN[dialect]}", "")


@contextmanager
def made(database: Database) -> Iterator[Any]:
    """Make the tables, and yield an engine."""
    from tokenwheel.sql import create_all

    engine = sqlalchemy.create_engine(database.url(PLAIN[database.server.dialect]))
    create_all(engine)
    yield engine
    engine.dispose()


@contextmanager
def serving_sessions(engine: Any) -> Iterator[SessionManager]:
    from tokenwheel import SqlFeed, SqlStorage

    with SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqlStorage(engine),
        storage_key=SECRET,
        revocations=RevocationList(SqlFeed(engine)),
    ) as manager:
        yield manager


@pytest.fixture(params=["postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with request.getfixturevalue(request.param).database() as database:
        yield database


@pytest.fixture
def service(database: Database) -> Iterator[SessionManager]:
    with made(database) as engine, serving_sessions(engine) as manager:
        yield manager


@pytest.fixture
def on_postgres(postgres: Postgres) -> Iterator[Database]:
    with postgres.database() as database:
        yield database


def run(url: str, *arguments: str) -> int:
    return main(["sessions", *arguments, "--database", url])


def is_refused(service: SessionManager, token: str) -> bool:
    try:
        service.read(token)
    except AccessTokenRevoked:
        return True
    return False


def test_the_sessions_of_a_running_service_are_listed_ended_and_counted(
    service: SessionManager, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    url = plain_url(database)
    hostile = "ann'; DROP TABLE tokenwheel_sessions; --"
    first, second = (
        service.create(subject=hostile, context=SessionContext("203.0.113.7")) for _ in range(2)
    )
    other = service.create(subject="bob")
    assert run(url, "list", hostile, "--json") == 0
    assert {session["id"] for session in json.loads(capsys.readouterr().out)} == {
        first.session_id,
        second.session_id,
    }
    assert run(url, "count") == 0
    assert capsys.readouterr() == ("sessions: 3\nrevocations: 0\n", "")

    assert run(url, "end", "bob", first.session_id) == 1
    assert run(url, "end", hostile, first.session_id) == 0
    until(lambda: is_refused(service, first.access_token))
    service.read(second.access_token)
    assert run(url, "end", hostile, "--all") == 0
    until(lambda: is_refused(service, second.access_token))
    service.read(other.access_token)
    capsys.readouterr()
    assert run(url, "count", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"sessions": 1, "revocations": 2}
    assert service.read_all(hostile) == {}


def test_a_refresh_token_on_standard_input_ends_its_session(
    service: SessionManager,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import io

    tokens = service.create(subject="ann")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(tokens.refresh_token.encode())))
    assert run(plain_url(database), "end", "--refresh-token") == 0
    until(lambda: is_refused(service, tokens.access_token))
    shown = capsys.readouterr()
    assert tokens.refresh_token not in shown.out + shown.err


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"]
)
def test_any_form_of_a_url_will_do(
    on_postgres: Database, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with made(on_postgres):
        url = plain_url(on_postgres).replace("postgresql", scheme, 1)
        assert run(url, "count") == 0
        assert capsys.readouterr() == ("sessions: 0\nrevocations: 0\n", "")


def test_a_feed_in_another_database_is_told_of_what_ended(
    postgres: Postgres, on_postgres: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenwheel import SqlFeed, SqlStorage

    with (
        postgres.database() as elsewhere,
        made(on_postgres) as engine,
        made(elsewhere) as engine_of_feed,
        SessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=SqlStorage(engine),
            storage_key=SECRET,
            revocations=RevocationList(SqlFeed(engine_of_feed)),
        ) as service,
    ):
        tokens = service.create(subject="ann")
        places = plain_url(on_postgres), "--feed", plain_url(elsewhere)
        assert main(["sessions", "end", "ann", "--all", "--database", *places]) == 0
        until(lambda: is_refused(service, tokens.access_token))
    capsys.readouterr()


def test_no_command_makes_a_table(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    url = plain_url(database)
    for arguments in (["list", "ann"], ["end", "ann", "--all"], ["count"]):
        assert run(url, *arguments) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "create_all" in shown.err
    assert names_of_tables(database) == []


def test_a_database_that_is_not_there_is_said_and_nothing_seems_to_have_worked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("psycopg")
    pytest.importorskip("pymysql")
    for scheme in ("postgresql", "mysql"):
        for arguments in (["list", "ann"], ["end", "ann", "--all"], ["count"]):
            assert run(f"{scheme}://app@127.0.0.1:{free_port()}/name", *arguments) == 1
            shown = capsys.readouterr()
            assert shown.out == ""
            assert "could not be reached" in shown.err
            assert "127.0.0.1" not in shown.err


def test_a_password_comes_from_the_environment_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    password = "correct-horse"
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with Postgres(password=password) as server, server.database() as database, made(database):
        url = re.sub(r":[^:@/]*@", "@", plain_url(database))
        assert password not in url
        assert run(url, "count") == 1
        monkeypatch.setenv("PGPASSWORD", password)
        assert run(url, "count") == 0
        monkeypatch.setenv("PGPASSWORD", "wrong-horse")
        assert run(url, "count") == 1
        assert run(plain_url(database), "count") == 0
    shown = capsys.readouterr()
    assert shown.out == "sessions: 0\nrevocations: 0\n" * 2
    assert "refused this user or password" in shown.err
    assert "PGPASSWORD keeps it out of sight" in shown.err
    assert "horse" not in shown.out + shown.err


def test_of_mysql_the_password_is_in_mysql_pwd(
    mariadb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mariadb.database() as database, made(database):
        database.execute("CREATE USER operator IDENTIFIED BY 'correct-horse'")
        try:
            database.execute(f"GRANT ALL ON {database.name}.* TO operator")
            url = plain_url(database).replace("root@", "operator@")
            monkeypatch.setenv("MYSQL_PWD", "correct-horse")
            assert run(url, "count") == 0
            monkeypatch.setenv("MYSQL_PWD", "wrong-horse")
            assert run(url, "count") == 1
        finally:
            database.execute("DROP USER operator")
    shown = capsys.readouterr()
    assert shown.out == "sessions: 0\nrevocations: 0\n"
    assert "horse" not in shown.err


@pytest.mark.parametrize(
    "url, said",
    [
        ("postgresql://app:secret@host:port/name", "not the URL of a database"),
        ("oracle://app@host/name", "must begin with one of redis://"),
        ("postgresql+made_up://app@host/name", "driver of the database is not installed"),
        ("postgresql+asyncpg://app@host/name?ssl=require", "postgresql+psycopg://"),
        ("sqlite://", "in memory"),
        ("sqlite:///missing.db", "there is no such database file"),
    ],
)
def test_a_url_that_leads_nowhere_says_what_to_do(
    url: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(url, "count") == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert "secret" not in shown.err


@pytest.mark.parametrize(
    "missing, url, cure",
    [
        ("sqlalchemy", "postgresql://app@host/name", "pip install 'tokenwheel[sql]'"),
        ("psycopg", "postgresql://app@host/name", "pip install 'psycopg[binary]'"),
        ("pymysql", "mysql://app@host/name", "pip install pymysql"),
    ],
)
def test_what_has_to_be_installed_is_named(
    missing: str,
    url: str,
    cure: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(url, "count") == 1
    assert cure in capsys.readouterr().err


def test_a_sqlite_file_of_a_service_under_test_is_reached_by_its_url(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenwheel.sql import create_all

    url = f"sqlite:///{tmp_path / 'service.db'}"
    engine = sqlalchemy.create_engine(url)
    create_all(engine)
    with serving_sessions(engine) as service:
        tokens = service.create(subject="ann")
        assert run(url, "end", "ann", "--all") == 0
        until(lambda: is_refused(service, tokens.access_token))
    engine.dispose()
    assert run(url, "count") == 0
    assert capsys.readouterr().out.endswith("sessions: 0\nrevocations: 1\n")

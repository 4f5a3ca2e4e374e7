"""docs/howto/databases.md, followed to the letter over a real PostgreSQL, which is then stopped."""

from __future__ import annotations

import inspect
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.database_server import Database
from tests.databases import Postgres
from tests.docs.howto_blocks import block, blocks, run_shell, serving_the_page, table, write_files
from tests.servers import free_port, until
from tests.support import SECRET

pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell")

SHOWN = "app@localhost:5432/app"


def in_place(text: str, database: Database) -> str:
    """Return a text of the page with the address of a database that is there."""
    assert SHOWN in text
    server = database.server
    return text.replace(SHOWN, f"{server.login}@127.0.0.1:{server.port}/{database.name}")


def follow(database: Database, folder: Path) -> None:
    """Do the first steps of the page: the keys, the tables and the application."""
    for needed in ("fastapi", "uvicorn", "greenlet"):
        pytest.importorskip(needed)
    assert write_files("databases", folder) == ["make_tables.py", "app.py"]
    for name in ("make_tables.py", "app.py"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(in_place(text, database), encoding="utf-8")
    run_shell(block("databases", "sh", "keys new").partition("\n")[2], folder)
    for _ in range(2):  # To run it again does no harm.
        made = run_shell(block("databases", "sh", "make_tables.py"), folder)
        assert made.returncode == 0, made.stderr


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    with postgres.database() as database:
        yield database


def log_in(port: int) -> str:
    login = urllib.request.Request(
        f"http://127.0.0.1:{port}/login",
        data=b'{"name": "ann", "password": "correct horse"}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(login) as answer:
        token: str = json.loads(answer.read())["access_token"]
        return token


def asking(token: str, folder: Path) -> Callable[..., str]:
    asked = f"curl -s -o answer -w '%{{http_code}}' -H 'Authorization: Bearer {token}' "

    def status(port: int, path: str = "/me", more: str = "") -> str:
        return run_shell(f"{asked} {more} http://127.0.0.1:{port}{path}", folder).stdout

    return status


def test_the_application_of_the_page_obeys_a_logout_on_both_of_two_machines(
    database: Database, tmp_path: Path
) -> None:
    follow(database, tmp_path)
    ports = free_port(), free_port()
    with (
        serving_the_page("databases", "uvicorn app:app", tmp_path, ports[0]),
        serving_the_page("databases", "uvicorn app:app", tmp_path, ports[1]),
    ):
        status = asking(log_in(ports[0]), tmp_path)
        assert [status(port) for port in ports] == ["200", "200"]
        assert status(ports[0], "/session/logout", "-X POST") == "204"
        until(lambda: [status(port) for port in ports * 3] == ["401"] * 6, interval=0.05)

        log_in(ports[1])
        doctor, count, listed, end = (
            run_shell(in_place(line, database), tmp_path)
            for line in block("databases", "sh", "sessions count").splitlines()
        )
    assert "a notification gets through" in doctor.stdout
    assert count.stdout.splitlines() == ["sessions: 1", "revocations: 1"]
    assert listed.stdout.startswith("SESSION")
    assert end.stdout.startswith("sessions ended: 1;")


def test_requests_go_on_and_logins_are_answered_503_while_the_database_is_down(
    tmp_path: Path,
) -> None:
    with Postgres() as server, server.database() as database:
        follow(database, tmp_path)
        port = free_port()
        log = tmp_path / "log"
        login = (
            f"curl -s -o tokens.json -w '%{{http_code}}' http://127.0.0.1:{port}/login "
            """--json '{"name": "ann", "password": "correct horse"}'"""
        )
        with serving_the_page("databases", "uvicorn app:app", tmp_path, port):
            status = asking(log_in(port), tmp_path)
            server.kill()
            until(lambda: "the feed of revocations is cut off" in log.read_text())
            assert run_shell(login, tmp_path).stdout == "503"
            assert status(port) == "200"
            server.start()
            until(lambda: "the feed of revocations is connected again" in log.read_text())
            until(lambda: run_shell(login, tmp_path).stdout == "200", interval=0.05)


def test_a_user_with_the_rights_of_the_page_can_do_all_that_a_service_does(
    database: Database, tmp_path: Path
) -> None:
    import sqlalchemy

    from tokenwheel import Key, KeySet, RevocationList, SessionManager, SqlFeed, SqlStorage
    from tokenwheel.sql import create_all

    owner = sqlalchemy.create_engine(database.url("psycopg"))
    create_all(owner)
    owner.dispose()
    user = f"app_of_{database.name}"
    database.execute(f"CREATE ROLE {user} LOGIN")
    try:
        for statement in block("databases", "sql", "GRANT").split(";")[:-1]:
            database.execute(statement.replace("TO app", f"TO {user}"))
        url = database.url("psycopg").replace(f"{database.server.user}@", f"{user}@")
        assert (
            "this user may read and write the tables"
            in run_shell(f"tokenwheel doctor --database {url}; true", tmp_path).stdout
        )
        engine = sqlalchemy.create_engine(url)
        now = 1_900_000_000.0
        clocks: dict[str, Any] = {"clock": lambda: now, "timer": lambda: now}
        with SessionManager(
            KeySet(Key.generate("ES256")),
            issuer="auth.example",
            audience="api.example",
            storage=SqlStorage(engine),
            storage_key=SECRET,
            revocations=RevocationList(SqlFeed(engine, **clocks), **clocks),
            max_sessions=2,
            when_full="evict_oldest",
            refresh_ttl=100,
            clock=lambda: now,
        ) as sessions:
            for _ in range(3):
                tokens = sessions.create(subject="ann")
            sessions.update(tokens.refresh_token)
            assert sessions.delete_all("ann") == 2
            now += 10_000.0  # so that rows are over, and are removed beside the next writes
            sessions.create(subject="ann")
            assert sessions.delete_all("ann") == 1
        engine.dispose()
        counted = database.execute("SELECT count(*) FROM tokenwheel_sessions")
        assert counted == [(0,)]
        assert database.execute("SELECT count(*) FROM tokenwheel_revocations") == [(1,)]
    finally:
        database.execute(f"DROP OWNED BY {user}")
        database.execute(f"DROP ROLE {user}")


def test_alembic_makes_the_tables_and_a_service_uses_them(
    database: Database, tmp_path: Path
) -> None:
    for needed in ("alembic", "greenlet"):
        pytest.importorskip(needed)
    run_shell("python -m alembic init migrations", tmp_path)
    settings = tmp_path / "alembic.ini"
    url = database.url("psycopg")
    settings.write_text(
        settings.read_text().replace("driver://user:pass@localhost/dbname", url), encoding="utf-8"
    )
    env = tmp_path / "migrations" / "env.py"
    shown = block("databases", "python", "target_metadata")
    env.write_text(
        env.read_text().replace("target_metadata = None", shown.strip()), encoding="utf-8"
    )
    commands = next(text for text in blocks("databases", "") if "autogenerate" in text)
    for line in commands.splitlines():
        ran = run_shell(f"python -m {line}", tmp_path)
        assert ran.returncode == 0, ran.stderr
    again = run_shell("python -m alembic check", tmp_path)
    assert "No new upgrade operations detected" in again.stdout, again.stderr
    counted = run_shell(f"tokenwheel sessions count --database {url}", tmp_path)
    assert counted.stdout.splitlines() == ["sessions: 0", "revocations: 0"], counted.stderr


def test_each_default_of_the_page_is_that_of_the_code() -> None:
    from tokenwheel import SqlFeed, SqlStorage

    said = {row[0]: row[1] for row in table("databases", "## Options")}

    def default(of: type, name: str) -> object:
        return inspect.signature(of).parameters[name].default

    assert said == {
        "`SqlStorage(engine, timeout=)`": f"{default(SqlStorage, 'timeout'):g} seconds",
        "`SqlFeed(engine, timeout=)`": f"{default(SqlFeed, 'timeout'):g} seconds",
        "`SqlFeed(engine, poll_interval=)`": f"{default(SqlFeed, 'poll_interval'):g} seconds",
        "`SqlFeed(engine, max_staleness=)`": f"{default(SqlFeed, 'max_staleness'):g} seconds",
        "`SqlFeed(engine, when_stale=)`": f'`"{default(SqlFeed, "when_stale")}"`',
    }

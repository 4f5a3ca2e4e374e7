"""The table is put back to an older state while nodes run: they put back what it lacks then."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Database, Mariadb, Postgres
from tests.servers import LONGEST_WAIT
from tests.sql.nodes import Nodes, is_accepted, refuses, stats_of, tables_in

COLUMNS = "position, mark, session_id, expires_at, `before`, published_at"
DRIVERS = {"psycopg": "postgres", "asyncpg": "postgres", "pymysql": "mariadb"}


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def tables(request: pytest.FixtureRequest, driver: str) -> Iterator[Database]:
    server: Postgres | Mariadb = request.getfixturevalue(DRIVERS[driver])
    with tables_in(server) as database:
        yield database


def test_what_an_older_copy_of_the_table_lacks_is_put_back(tables: Database, driver: str) -> None:
    def restore(rows: Any) -> None:
        with closing(tables.connect()) as connection, closing(connection.cursor()) as cursor:
            if driver == "pymysql":
                cursor.execute("TRUNCATE tokenwheel_revocations")
            else:
                cursor.execute("TRUNCATE tokenwheel_revocations RESTART IDENTITY")
            for row in rows:
                cursor.execute(in_words_of(driver, INSERT), row)
            if driver != "pymysql":
                cursor.execute(
                    "SELECT setval(pg_get_serial_sequence('tokenwheel_revocations', 'position'),"
                    " (SELECT max(position) FROM tokenwheel_revocations))"
                )

    log_out_and_restore(
        tables, driver, lambda: tables.execute(in_words_of(driver, SELECT)), restore
    )


SELECT = f"SELECT {COLUMNS} FROM tokenwheel_revocations"
INSERT = (
    f"INSERT INTO tokenwheel_revocations ({COLUMNS}) OVERRIDING SYSTEM VALUE"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)


def in_words_of(driver: str, statement: str) -> str:
    if driver == "pymysql":
        return statement.replace("OVERRIDING SYSTEM VALUE", "")
    return statement.replace("`", '"')


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_what_a_restored_dump_lacks_is_put_back(
    tables: Database, driver: str, tmp_path: Path
) -> None:
    def run(program: str, *arguments: str) -> None:
        server = tables.server
        assert isinstance(server, Postgres)
        subprocess.run(
            [
                str(server.binary(program)),
                *("--host=127.0.0.1", f"--port={server.port}", f"--username={server.user}"),
                *arguments,
            ],
            check=True,
            capture_output=True,
            timeout=LONGEST_WAIT,
        )

    def dump() -> str:
        file = str(tmp_path / "dump")
        run("pg_dump", "--format=custom", f"--file={file}", tables.name)
        return file

    def restore(file: str) -> None:
        run(
            "pg_restore",
            "--clean",
            "--if-exists",
            "--exit-on-error",
            f"--dbname={tables.name}",
            file,
        )

    log_out_and_restore(tables, driver, dump, restore)


def log_out_and_restore(
    tables: Database, driver: str, back_up: Callable[[], Any], restore: Callable[[Any], None]
) -> None:
    with Nodes(tables, driver) as nodes:
        first, second = nodes.join(poll_interval=0.05), nodes.join(poll_interval=0.05)
        before, lost, reused, after = (first.create(subject="ann") for _ in range(4))
        kept = first.create(subject="bob")
        first.delete_one("ann", before.session_id)
        nodes.until(lambda: refuses(second, before.access_token))
        copy = back_up()
        for tokens in (lost, reused):
            first.delete_one("ann", tokens.session_id)
            nodes.until(lambda: refuses(second, tokens.access_token), "that both have heard")
        replays = stats_of(second).replays
        restore(copy)
        # Where its position was given out before, its mark tells it from the row that was there.
        nodes.insist(lambda: second.delete_one("ann", after.session_id))
        refused = [tokens.access_token for tokens in (before, lost, reused, after)]
        for node in (first, second):
            nodes.until(
                lambda: all(refuses(node, token) for token in refused), "that all have heard"
            )
            nodes.until(lambda: is_accepted(node, kept.access_token), "that it accepts the others")
        nodes.until(lambda: stats_of(second).replays > replays, "that it was read anew")
        nodes.until(
            lambda: all(lives_in(tables, tokens.session_id) for tokens in (before, lost, reused)),
            "that they put back what they know",
        )
        late = nodes.join()
        assert all(refuses(late, token) for token in refused)
        nodes.until(lambda: is_accepted(late, kept.access_token))


def lives_in(tables: Database, session_id: str) -> bool:
    return bool(
        tables.execute(
            "SELECT 1 FROM tokenwheel_revocations WHERE session_id = %s LIMIT 1", session_id
        )
    )

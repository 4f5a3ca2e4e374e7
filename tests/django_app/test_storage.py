"""What DjangoStorage is to an application: its connections, and what it keeps quiet."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, connections
from django.db.models.signals import post_save, pre_delete, pre_save
from django.test import override_settings

from tests.databases import Mariadb, Postgres
from tests.django_app.support import added, entry_of, migrated
from tests.servers import LONGEST_WAIT, until
from tokenwheel import ConfigurationError, DjangoFeed, DjangoStorage, StorageUnavailable
from tokenwheel.django import database as own
from tokenwheel.testing import NOW, following, make_record


@pytest.fixture
def postgres_alias(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as database, migrated(database.django) as alias:
        yield alias


def run(program: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | environment,
        check=True,
        timeout=LONGEST_WAIT,
    )


def terminate_others(alias: str) -> None:
    """End all connections to a database of PostgreSQL but the application's."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def connected(alias: str) -> int:
    """Return how many connections there are to a database of PostgreSQL, without this one."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
        return count


def test_the_names_can_be_imported_without_django_and_its_settings() -> None:
    run(
        "import sys\n"
        "import tokenwheel.django\n"
        "from tokenwheel import DjangoFeed, DjangoStorage\n"
        "assert not {name for name in sys.modules if name.startswith('django')}\n"
    )


@pytest.mark.parametrize(
    "before, said",
    [
        ("sys.modules['django'] = None", "install tokenwheel\\[django\\]"),
        ("", "models are not loaded yet"),
        ("settings.configure(INSTALLED_APPS=[])\ndjango.setup()", "INSTALLED_APPS lacks"),
    ],
)
@pytest.mark.parametrize("name", ["DjangoStorage", "DjangoFeed"])
def test_who_has_not_installed_it_is_told_what_to_do(before: str, said: str, name: str) -> None:
    setup = "import django\nfrom django.conf import settings\n" if "django." in before else ""
    run(
        f"import re, sys\n{setup}{before}\n"
        "import tokenwheel\n"
        "try:\n"
        f"    tokenwheel.{name}()\n"
        "except tokenwheel.ConfigurationError as error:\n"
        f"    assert re.search({said!r}, str(error)), error\n"
        "else:\n"
        "    sys.exit('not refused')\n"
    )


@pytest.mark.parametrize(
    "using, timeout, said",
    [
        ("nowhere", 5, "DATABASES has no database of that name"),
        (None, 5, "using must be an alias"),
        ("default", 0, "timeout must be a number of seconds from 0.1 to 3600"),
    ],
)
@pytest.mark.parametrize("kind", [DjangoStorage, DjangoFeed])
def test_options_that_make_no_sense_are_refused(
    kind: Any, using: Any, timeout: float, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        kind(using, timeout=timeout)


def test_no_connection_is_made_before_the_first_call() -> None:
    unreachable = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": 1,
        "NAME": "nowhere",
    }
    with added(unreachable) as alias:
        storage, feed = DjangoStorage(alias), DjangoFeed(alias)
        feed.start(lambda _: None)
        with pytest.raises(Exception, match="refused"):
            storage.read(make_record().id, NOW)
        with pytest.raises(StorageUnavailable, match="have not been taken in yet"):
            feed.poll()
        storage.close()
        feed.close()


def test_calls_after_close_are_refused(alias: str) -> None:
    storage = DjangoStorage(alias)
    assert storage.read(make_record().id, NOW) is None
    storage.close()
    storage.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        storage.read(make_record().id, NOW)


def test_connections_are_kept_for_the_next_call_and_end_with_close(postgres_alias: str) -> None:
    assert connections.settings[postgres_alias]["CONN_MAX_AGE"] == 0
    storage = DjangoStorage(postgres_alias)
    numbers = {storage._database.run(_backend, alone=True) for _ in range(3)}
    assert len(numbers) == connected(postgres_alias) == 1
    storage.close()
    until(lambda: connected(postgres_alias) == 0)  # The server takes a moment.


def _backend(statements: Any) -> int:
    with statements.connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        number: int = cursor.fetchone()[0]
        return number


def test_a_connection_that_the_server_has_ended_fails_no_call(
    postgres_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "_SURELY_THERE", 0)
    storage = DjangoStorage(postgres_alias)
    storage.read(make_record().id, NOW)
    terminate_others(postgres_alias)
    assert storage.insert(make_record(), None, NOW)
    storage.close()


def test_a_connection_that_ended_a_moment_ago_fails_one_call(postgres_alias: str) -> None:
    storage = DjangoStorage(postgres_alias)
    storage.read(make_record().id, NOW)
    terminate_others(postgres_alias)
    with suppress(OperationalError, InterfaceError):
        storage.read(make_record().id, NOW)
    assert storage.insert(make_record(), None, NOW)
    storage.close()


@pytest.mark.parametrize("kind", [Postgres, Mariadb])
def test_a_server_that_hangs_holds_a_call_up_for_the_timeout_alone(kind: Any) -> None:
    with kind() as server, server.database() as database, migrated(database.django) as alias:
        storage = DjangoStorage(alias, timeout=0.5)
        patient = DjangoStorage(alias, timeout=LONGEST_WAIT)
        record = make_record()
        patient.insert(record, None, NOW)
        server.freeze()
        try:
            with pytest.raises(StorageUnavailable, match="did not answer"):
                storage.read(record.id, NOW)
        finally:
            server.thaw()
        assert patient.read(record.id, NOW) == record
        storage.close()
        patient.close()


def test_a_database_that_takes_the_place_of_another_is_used_from_then_on(tmp_path: Path) -> None:
    """As a test database does, which Django names in ``DATABASES`` when tests begin."""
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "first.sqlite3")}
    with migrated(entry) as alias, migrated(entry | {"NAME": str(tmp_path / "other")}) as other:
        storage = DjangoStorage(alias)
        assert storage.insert(make_record(), None, NOW)
        connections.settings[alias]["NAME"] = connections.settings[other]["NAME"]
        assert storage.read(make_record().id, NOW) is None
        storage.close()


def test_database_routers_are_not_asked(alias: str) -> None:
    with override_settings(DATABASE_ROUTERS=["tests.django_app.test_storage.Router"]):
        storage = DjangoStorage(alias)
        record = make_record()
        assert storage.insert(record, 1, NOW)
        assert storage.replace(following(record), NOW)
        assert storage.delete(storage.read_all(record.subject, NOW), NOW) == [record.id]
        storage.close()


class Router:
    """A router that must not be asked."""

    def db_for_read(self, *_: Any, **__: Any) -> str:
        raise AssertionError("asked where to read")

    db_for_write = db_for_read


def test_an_application_s_signals_see_no_session(alias: str) -> None:
    def hear(**_: Any) -> None:
        raise AssertionError("heard of a session")

    storage = DjangoStorage(alias)
    record = make_record()
    for signal in (pre_save, post_save, pre_delete):
        signal.connect(hear)
    try:
        storage.insert(record, None, NOW)
        storage.replace(following(record), NOW)
        storage.delete([following(record)], NOW)
    finally:
        for signal in (pre_save, post_save, pre_delete):
            signal.disconnect(hear)
    storage.close()


def test_with_debug_neither_logs_nor_django_hold_what_is_stored(alias: str, caplog: Any) -> None:
    with (
        override_settings(DEBUG=True),
        caplog.at_level(logging.DEBUG),
    ):
        storage = DjangoStorage(alias)
        record = make_record(subject="a subject of the test")
        storage.insert(record, None, NOW)
        queries = storage._database.run(lambda statements: list(statements.connection.queries_log))
        storage.close()
    for text in (caplog.text, repr(queries)):
        assert record.subject not in text
        assert record.id not in text


def test_an_error_shows_no_value(alias: str) -> None:
    storage = DjangoStorage(alias)
    record = make_record(subject="a subject of the test")
    storage.insert(record, None, NOW)
    with pytest.raises(IntegrityError) as caught:
        storage.insert(record, None, NOW)
    text = "".join(traceback.format_exception(caught.value))
    assert record.id not in text
    assert record.subject not in text
    assert caught.value.__context__ is None
    storage.close()


def test_a_child_of_a_fork_leaves_its_parent_s_connections_alone(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with entry_of("postgres", request, tmp_path) as entry, migrated(entry):
        run(FORK, FORK_DATABASE=repr(entry))
    with entry_of("mariadb", request, tmp_path) as entry, migrated(entry):
        run(FORK, FORK_DATABASE=repr(entry))


FORK = """
import ast, os, sys
sys.path.insert(0, os.getcwd())
from tests.django_app.mysql import take_pymysql
entry = ast.literal_eval(os.environ["FORK_DATABASE"])
if entry["ENGINE"].endswith("mysql"):
    take_pymysql()
import django
from django.conf import settings
settings.configure(DATABASES={"default": entry}, INSTALLED_APPS=["tokenwheel.django"])
django.setup()
from tokenwheel import DjangoFeed, DjangoStorage, Revocation
from tokenwheel.testing import NOW, make_record
storage, feed = DjangoStorage(), DjangoFeed()
heard = []
feed.start(heard.extend)
feed.poll()
record = make_record(1)
storage.insert(record, None, NOW)

def connection_number():
    def work(statements):
        with statements.connection.cursor() as cursor:
            is_mysql = statements.connection.vendor == "mysql"
            cursor.execute("SELECT CONNECTION_ID()" if is_mysql else "SELECT pg_backend_pid()")
            return cursor.fetchone()[0]
    return storage._database.run(work)

before = connection_number()
child = os.fork()
if not child:
    assert storage.read(record.id, NOW) == record
    assert connection_number() != before
    feed.poll()
    feed.publish([Revocation("A" * 16, 4_000_000_000.0, None)])
    storage.close()
    feed.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert connection_number() == before
feed.poll()
while not heard:
    feed.poll()
storage.close()
feed.close()
"""

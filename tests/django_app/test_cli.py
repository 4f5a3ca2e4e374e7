"""The commands of ``tokenwheel`` reach the tables that Django's migrations have made."""

from __future__ import annotations

import json

import pytest

from tests.databases import Postgres
from tests.django_app.support import migrated
from tests.servers import until
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    DjangoFeed,
    DjangoStorage,
    RevocationList,
    SessionManager,
)
from tokenwheel.cli import main


def test_the_sessions_of_a_site_are_ended_by_the_url_of_its_database(
    postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    with postgres.database() as database, migrated(database.django) as alias:
        url = database.url("psycopg")
        with SessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=DjangoStorage(alias),
            storage_key=SECRET,
            revocations=RevocationList(DjangoFeed(alias)),
        ) as site:
            token = site.create(subject="ann").access_token

            def is_refused() -> bool:
                try:
                    site.read(token)
                except AccessTokenRevoked:
                    return True
                return False

            assert not is_refused()
            assert main(["sessions", "end", "ann", "--all", "--database", url]) == 0
            until(is_refused)
            capsys.readouterr()
            main(["doctor", "--json", "--database", url])
        found = {
            finding["name"]: finding["state"]
            for finding in json.loads(capsys.readouterr().out)["database"]
        }
    assert {found[name] for name in ("tables", "rights", "listening", "sessions")} == {"good"}


def test_traces_name_the_kind_of_database(postgres: Postgres) -> None:
    with postgres.database() as database, migrated(database.django) as alias:
        storage, feed = DjangoStorage(alias), DjangoFeed(alias)
        assert storage.db_system == feed.db_system == "postgresql"
        feed.close()
        storage.close()

"""Databases of a Django project for the tests, each under an alias of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Mariadb, Postgres
from tests.django_app.mysql import take_pymysql
from tests.web import django_project

django_project.configure()

_numbers = count(1)

DATABASES = ["sqlite", "postgres", "mariadb"]


@contextmanager
def migrated(entry: dict[str, Any]) -> Iterator[str]:
    """Add a database to the project, with the tables in it. Yields its alias."""
    from django.core.management import call_command

    with added(entry) as alias:
        call_command("migrate", "tokenwheel", database=alias, verbosity=0)
        yield alias


@contextmanager
def added(entry: dict[str, Any]) -> Iterator[str]:
    """Add an entry to ``DATABASES`` until the block ends. Yields its alias."""
    from django.db import connections

    if entry["ENGINE"] == "django.db.backends.mysql":
        take_pymysql()
    alias = f"database{next(_numbers)}"
    connections.settings.update(
        {
            name: settings
            for name, settings in connections.configure_settings(
                {"default": {"ENGINE": "django.db.backends.sqlite3"}, alias: entry}
            ).items()
            if name == alias
        }
    )
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@contextmanager
def entry_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield an entry of ``DATABASES`` for a new database of this kind."""
    if kind == "sqlite":
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}
        return
    server: Postgres | Mariadb = request.getfixturevalue(kind)
    with server.database() as database:
        yield database.django

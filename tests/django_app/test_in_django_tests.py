"""A Django project's own tests, run by Django, while it keeps sessions in its database.

Each test of ``shop/cases.py`` is one of the promises.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.databases import Mariadb, Postgres
from tests.servers import LONGEST_WAIT

ROOT = Path(__file__).parents[2]
PROJECT = "tests.django_app.shop"
IN_MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


def run_tests(database: dict[str, Any], *options: str) -> str:
    """Run the project's tests, with all warnings as errors. Return what was said."""
    program = "import sys\nfrom django.core.management import execute_from_command_line as run\n"
    if database["ENGINE"].endswith("mysql"):
        program += "from tests.django_app.mysql import take_pymysql\ntake_pymysql()\n"
    program += "run(sys.argv)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "test", f"{PROJECT}.cases", *options],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
            "PYTHONPATH": str(ROOT),
            "SHOP_DATABASE": json.dumps(database),
        },
        capture_output=True,
        text=True,
        timeout=2 * LONGEST_WAIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_they_pass_on_sqlite_in_memory() -> None:
    assert "\nOK\n" in run_tests(IN_MEMORY)


def test_they_pass_on_postgresql_which_drops_the_database_then(postgres: Postgres) -> None:
    with postgres.database() as database:
        assert "\nOK\n" in run_tests(database.django)
        names = [name for (name,) in database.execute("SELECT datname FROM pg_database")]
        assert f"test_{database.name}" not in names


def test_they_pass_on_postgresql_in_parallel(postgres: Postgres) -> None:
    with postgres.database() as database:
        assert "\nOK\n" in run_tests(database.django, "--parallel", "2")


def test_they_pass_on_mariadb(mariadb: Mariadb) -> None:
    with mariadb.database() as database:
        assert "\nOK\n" in run_tests(database.django)

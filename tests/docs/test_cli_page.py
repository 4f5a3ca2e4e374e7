"""docs/reference/cli.md names each command and each option, and its commands run."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import SECRET
from tokenwheel import RevocationList, SessionManager, SqliteFeed, SqliteStorage
from tokenwheel.cli import _parser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason="a wheel is tested without the pages beside it"
)


def commands(
    parser: argparse.ArgumentParser, *path: str
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield each command that has none below it, as the words that call it."""
    groups = [group for group in parser._actions if isinstance(group, argparse._SubParsersAction)]
    if not groups:
        yield path, parser
    for group in groups:
        for name, command in group.choices.items():
            yield from commands(command, *path, name)


def section(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"\n## tokenwheel {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    "path, command", [pytest.param(*each, id=" ".join(each[0])) for each in commands(_parser())]
)
def test_the_page_names_each_command_and_each_option(
    path: tuple[str, ...], command: argparse.ArgumentParser
) -> None:
    about = section(path[0])
    assert about
    assert " ".join(("tokenwheel", *path)) in about or len(path) == 1
    options = [action for action in command._actions if action.option_strings]
    named = set(re.findall(r"^\| `(--[a-z-]+)", about, re.MULTILINE))
    wanted = {option.option_strings[-1] for option in options} - {"--help"}
    assert wanted <= named
    for option in options:
        row = re.search(rf"^\| `{option.option_strings[-1]}\b.*$", about, re.MULTILINE)
        if row and isinstance(option.default, str):
            assert f"`{option.default}`" in row[0]


def test_the_page_names_no_option_that_is_not_there() -> None:
    known = {
        option
        for _, command in commands(_parser())
        for action in command._actions
        for option in action.option_strings
    }
    named = set(re.findall(r"`(--[a-z-]+)", PAGE.read_text(encoding="utf-8")))
    assert sorted(named - known) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a database, a refresh token in a file, and an access token in another.

    The token is signed by the key that the page makes.
    """
    path = tmp_path / "sessions.db"
    with SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqliteStorage(path),
        storage_key=SECRET,
        revocations=RevocationList(SqliteFeed(path)),
    ) as manager:
        (tmp_path / "refresh-token.txt").write_text(manager.create(subject="bob").refresh_token)
        (tmp_path / "token.txt").write_text(manager.create(subject="ann").access_token)
    return tmp_path


def test_the_commands_of_the_page_run(folder: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).splitlines()
    assert len(lines) == 12
    for line in lines:
        words, _, file = line.partition(" < ")
        given = (folder / file).read_bytes() if file else b""
        command = [sys.executable, "-m", "tokenwheel", *words.split()[1:]]
        ran = subprocess.run(command, input=given, capture_output=True, cwd=folder, check=False)
        # This token is of another key than the page's.
        assert ran.returncode == (1 if "inspect --key" in words else 0), (line, ran.stderr)

"""docs/howto/workers.md, followed to the letter: real servers, curl, a backup and a restore."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.docs.howto_blocks import block, blocks, run_shell, serving_the_page, write_files
from tests.servers import free_port

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("curl") is None, reason="the commands are for a shell"
)


@pytest.mark.parametrize("program", ["uvicorn", "gunicorn"])
def test_the_commands_of_the_page_give_what_it_says(program: str, tmp_path: Path) -> None:
    for needed in (program, "fastapi"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert write_files("workers", tmp_path) == ["app.py"]
    made = block("workers", "sh", "keys new").partition("\n")[2]  # after pip install
    assert run_shell(made, tmp_path).returncode == 0
    port = free_port()
    with serving_the_page("workers", f"{program} app:app", tmp_path, port):
        tried = run_shell(block("workers", "sh", "curl").replace("8000", str(port)), tmp_path)
        assert [line[-3:] for line in tried.stdout.splitlines()] == ["200", "204", "401"], tried
        login = block("workers", "sh", "curl").partition(" > ")[0].replace('"ann"', '"bob"')
        assert run_shell(login.replace("8000", str(port)), tmp_path).returncode == 0
        backup, restore = (block("workers", "sh", part) for part in ("VACUUM INTO", ".backup("))
        for commands in (backup, restore):
            ran = run_shell(commands, tmp_path)
            assert (ran.returncode, ran.stderr) == (0, "")
        with sqlite3.connect(tmp_path / "backup" / "sessions.db") as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copy.close()
        again = run_shell(
            "TOKEN=$(python -c 'import json; "
            """print(json.load(open("tokens.json"))["access_token"])')\n"""
            f"curl -s -w '%{{http_code}}' http://127.0.0.1:{port}/me "
            '-H "Authorization: Bearer $TOKEN"',
            tmp_path,
        )
        assert again.stdout.endswith("401")
        counted = run_shell("tokenwheel sessions count --database sessions.db", tmp_path)
        assert counted.stdout.splitlines()[0] == "sessions: 1"


def test_each_shell_block_of_the_page_is_one_of_those_that_are_run() -> None:
    known = ("keys new", "uvicorn app:app", "gunicorn app:app", "curl", "VACUUM INTO", ".backup(")
    assert all(any(part in text for part in known) for text in blocks("workers", "sh"))

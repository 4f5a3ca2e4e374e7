"""docs/howto/operating.md: its table names all that the library logs, and its commands run."""

from __future__ import annotations

import ast
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.howto_blocks import blocks, run_shell, table, text_of
from tokenwheel import Key, KeySet, RevocationList, SessionManager, SqliteFeed, SqliteStorage

ROOT = Path(__file__).resolve().parents[2]
LOGGING = {"warning", "error", "exception", "critical"}


def messages() -> Iterator[str]:
    """Yield each message of at least the level WARNING that a file of src logs, with its gaps."""
    for path in (ROOT / "src" / "tokenwheel").rglob("*.py"):
        if "cli" in path.parts:  # It prints, and logs nothing.
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            at = place_of_message(node)
            if at is None or not isinstance(node.args[at], ast.Constant):
                continue
            template = str(node.args[at].value)
            yield re.sub(r"%(?:\.?\d*)[a-z]", "…", template)


def place_of_message(call: ast.Call) -> int | None:
    """Return which argument of a call is the message, or None where it logs nothing."""
    if isinstance(call.func, ast.Name) and call.func.id == "_warn":  # of file_modes.py
        return 1
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        return None
    if call.func.value.id != "logger":
        return None
    return 1 if call.func.attr == "log" else 0 if call.func.attr in LOGGING else None


def named() -> list[str]:
    return [row[0].strip("`") for row in table("operating", "## What the log says")]


def test_the_table_names_each_warning_that_the_library_logs_and_no_other() -> None:
    logged = {message.replace("`", "") for message in messages()}
    beginnings = named()
    assert len(logged) > 30
    assert sorted(m for m in logged if not any(m.startswith(b) for b in beginnings)) == []
    assert sorted(b for b in beginnings if not any(m.startswith(b) for m in logged)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell")
def test_the_commands_of_the_page_run_and_say_what_it_says(tmp_path: Path) -> None:
    at = tmp_path / "sessions.db"
    with SessionManager(
        KeySet(Key.generate("ES256")),
        issuer="auth.example",
        audience="api.example",
        storage=SqliteStorage(at),
        storage_key=secrets.token_bytes(32),
        revocations=RevocationList(SqliteFeed(at)),
    ) as sessions:
        for _ in range(2):
            sessions.create(subject="ann")
        looked, ended = blocks("operating", "sh")
        for line in looked.splitlines():
            assert run_shell(line, tmp_path).returncode == 0, line
        said = run_shell(ended, tmp_path).stdout.strip()
        assert said
        assert f"`{said}`" in text_of("operating").replace("\n", " ")
        rows = table("operating", "## End sessions")
        for row in rows:
            session = sessions.create(subject="ann")
            (tmp_path / "token.txt").write_text(session.refresh_token)
            command = row[0].strip("`").replace("SESSION", session.session_id)
            assert run_shell(command, tmp_path).returncode == 0, command
            assert sessions.read_all("ann") == {}


def test_the_bytes_of_the_page_are_those_of_the_report_and_the_design() -> None:
    room = {row[0]: row[1] for row in table("operating", "## Room")}
    report = (ROOT / "benchmarks" / "report" / "README.md").read_text(encoding="utf-8")
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").replace("\n", " ")
    in_sqlite, remembered = (
        room["a session in SQLite"],
        room["a remembered token of 300 characters in the memory of each process"],
    )
    assert f"| {in_sqlite} | - |" in report
    assert f"| {room['a revocation in SQLite']} | `make bench CASES='replay[" in report
    assert f"a token: {remembered} bytes" in report
    of_revocation = room["a revocation on a server"]
    assert f"| {of_revocation} | `make bench CASES='replay[redis_fed]'` |" in report
    assert f"takes {room['a revocation in the memory of each process']} bytes" in design

"""``tokenwheel doctor``: what it says of an installation, of a file and of a server."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Node, empty, needs_server
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    __version__,
    implementation,
)
from tokenwheel.cli import installation, main


def examine(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and each finding as its state and its text, by section and name."""
    status = main(["doctor", "--json", *arguments])
    report = json.loads(capsys.readouterr().out)
    assert report.pop("well") is (status == 0)
    return status, {
        section: {each["name"]: (each["state"], each["text"]) for each in findings}
        for section, findings in report.items()
    }


def test_a_bare_tokenwheel_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("usage: tokenwheel ")
    assert all(name in shown.out for name in ("demo", "keys", "inspect", "sessions", "doctor"))
    assert shown.err == ""


def test_the_report_names_what_runs_and_says_that_nothing_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    kind = "compiled" if implementation == "native" else "pure Python"
    assert re.search(rf"^  ok     version +{re.escape(__version__)}$", shown, re.MULTILINE)
    assert re.search(rf"^  (ok|note)   +implementation +{kind}", shown, re.MULTILINE)
    assert len(re.findall("OpenSSL [0-9]", shown)) == 2
    assert re.search(r"a session in memory +opened, read, ended and refused$", shown, re.MULTILINE)
    assert re.search(r"^  ok     PyJWT +\d", shown, re.MULTILINE)
    assert shown.endswith("\nNothing is wrong.\n")


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tokenwheel", "doctor"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "dependencies\n" in ran.stdout


def test_a_dependency_that_is_missing_or_too_old_is_named_with_its_cure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["absent>=1.0", "pytest>=999.1", 'unknown-extra>=2; extra == "redis"', "pytest>=1.0.0"]
    monkeypatch.setattr(installation, "requires", lambda name: lines[:3])
    status, report = examine(capsys)
    assert status == 1
    assert report["dependencies"]["absent"] == ("wrong", "not installed: pip install 'absent>=1.0'")
    state, text = report["dependencies"]["pytest"]
    assert state == "wrong"
    assert text.endswith("is too old: pip install 'pytest>=999.1'")
    assert report["dependencies"]["unknown-extra"] == (
        "good",
        "not installed, optional: pip install 'tokenwheel[redis]'",
    )
    monkeypatch.setattr(installation, "requires", lambda name: lines[3:])
    assert examine(capsys)[0] == 0


@pytest.mark.parametrize(
    "older, newer", [("1.9", "1.10"), ("2.0", "2.0.1"), ("5.0.1", "5.1"), ("3.0rc1", "3.1")]
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert installation._release(older) < installation._release(newer)
    assert installation._release(f"{newer}.0") == installation._release(newer)


def test_a_session_that_would_not_be_refused_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionManager, "delete_all", lambda self, subject: 1)
    status, report = examine(capsys)
    assert (status, report["tokenwheel"]["a session in memory"][0]) == (1, "wrong")

    def fail(self: SessionManager, subject: str) -> int:
        raise AccessTokenRevoked("not for a report")

    monkeypatch.setattr(SessionManager, "delete_all", fail)
    state, text = examine(capsys)[1]["tokenwheel"]["a session in memory"]
    assert (state, text) == ("wrong", "it raised AccessTokenRevoked")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a file with a session of "ann", and one revocation."""
    path = tmp_path / "sessions of ann.db"
    manager = SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqliteStorage(path),
        storage_key=SECRET,
        revocations=RevocationList(SqliteFeed(path)),
    )
    with manager:
        manager.create(subject="ann")
        manager.delete_all("ann")
        manager.create(subject="ann")
    return path


def test_a_file_is_described_and_left_as_it_is(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = database.read_bytes()
    status, report = examine(capsys, "--database", str(database))
    found = report["database"]
    assert (status, {state for state, _ in found.values()}) == (0, {"good"})
    assert (found["sessions"][1], found["revocations kept"][1]) == ("1", "1")
    assert found["journal"][1] == "WAL"
    assert database.read_bytes() == before


def test_a_file_is_described_while_a_service_uses_it(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SessionManager(
        SECRET, issuer="i", audience="a", storage=SqliteStorage(database), storage_key=SECRET
    ) as manager:
        manager.create(subject="bob")
        assert examine(capsys, "--database", str(database))[1]["database"]["sessions"][1] == "2"


def test_a_mistyped_name_is_wrong_and_makes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = examine(capsys, "--database", str(tmp_path / "no.db"))
    assert (status, report["database"]) == (1, {"file": ("wrong", "there is no such file")})
    assert list(tmp_path.iterdir()) == []


def test_another_file_than_a_service_s_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    status, report = examine(capsys, "--database", str(other))
    assert (status, report["database"]["contents"]) == (
        1,
        ("wrong", "the database file belongs to another application; it was left as it is"),
    )
    text = tmp_path / "text.db"
    text.write_text("no database " * 100, encoding="utf-8")
    assert examine(capsys, "--database", str(text))[1]["database"]["contents"] == (
        "wrong",
        "SQLite can't read it (SQLITE_NOTADB)",
    )


@pytest.mark.skipif(os.name != "posix", reason="hard links as POSIX has them")
def test_a_second_name_of_the_file_is_wrong(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database.with_name("second.db").hardlink_to(database)
    assert examine(capsys, "--database", str(database))[1]["database"]["links"][0] == "wrong"


@needs_server
def test_a_server_is_described(server: Node, capsys: pytest.CaptureFixture[str]) -> None:
    empty(server)
    status, report = examine(capsys, "--database", server.url)
    found = report["database"]
    assert status == 0
    assert re.fullmatch(r"Valkey [\d.]+", found["release"][1])
    assert found["clock"][0] == "good"
    assert found["eviction"] == ("good", "none (maxmemory-policy noeviction)")
    assert re.fullmatch(r"it answers; a round trip took [\d.]+ ms", found["server"][1])


@needs_server
def test_a_server_that_evicts_is_wrong(server: Node, capsys: pytest.CaptureFixture[str]) -> None:
    import redis

    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            status, report = examine(capsys, "--database", server.url)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert (status, report["database"]["eviction"]) == (
        1,
        ("wrong", "maxmemory-policy allkeys-lru loses sessions: set noeviction"),
    )


@needs_server
def test_each_primary_of_a_cluster_is_described(
    cluster: list[Node], capsys: pytest.CaptureFixture[str]
) -> None:
    _, report = examine(capsys, "--database", cluster[0].url)
    assert "server 1 of 3" in report["database"]


@needs_server
def test_what_a_user_may_not_ask_is_said_and_the_rest_is_there(
    server: Node, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    empty(server)
    with redis.Redis.from_url(server.url) as client:
        rules = ["on", ">secret-of-ann", "~*", "resetchannels", "-@all", "+eval", "+time"]
        client.execute_command("ACL", "SETUSER", "doctor", *rules, "+evalsha")
        monkeypatch.setenv("REDISCLI_AUTH", "secret-of-ann")
        try:
            url = server.url.replace("redis://", "redis://doctor@")
            status, report = examine(capsys, "--database", url)
        finally:
            client.execute_command("ACL", "DELUSER", "doctor")
    assert status == 0
    assert report["database"]["settings"][0] == "note"
    assert report["database"]["clock"][0] == "good"
    assert "secret-of-ann" not in str(report)


def test_a_server_that_is_away_is_wrong_and_its_address_stays_unsaid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--database", "redis://127.0.0.1:1/0"]) == 1
    shown = capsys.readouterr()
    assert "WRONG  server  the server could not be reached" in shown.out
    assert shown.out.endswith("\n1 thing is wrong: see WRONG above.\n")
    assert "127.0.0.1" not in shown.out + shown.err


def test_the_report_has_no_path_name_or_subject(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--database", str(database)])
    shown = capsys.readouterr().out
    assert "ann" not in shown
    assert str(Path.home()) not in shown
    assert str(Path(sys.prefix)) not in shown

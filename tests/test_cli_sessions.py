"""``tokenwheel sessions``: an operator looks after the sessions of a running service.

It needs none of the service's keys.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import SECRET, secret_of
from tokenwheel import (
    AccessTokenRevoked,
    Device,
    RevocationList,
    SessionContext,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.cli import main
from tokenwheel.testing import make_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def service(path: Path) -> Iterator[SessionManager]:
    """Run a worker of the service all the time."""
    storage = SqliteStorage(path)
    with SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=storage,
        revocations=RevocationList(SqliteFeed(path)),
        leeway=500,
    ) as manager:
        yield manager
    storage.close()


def run(path: Path, *arguments: str) -> int:
    return main(["sessions", *arguments, "--database", str(path)])


def test_list_shows_the_sessions_of_one_subject_the_oldest_first(
    service: SessionManager, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = SessionContext("203.0.113.7", Device("Pixel", "phone"), "Chișinău")
    first, second = service.create(subject="ann", context=context), service.create(subject="ann")
    service.create(subject="ann ")
    assert run(path, "list", "ann") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "SESSION"
    assert [line.split()[0] for line in lines] == [first.session_id, second.session_id]
    assert "203.0.113.7" in lines[0]
    assert "Pixel (phone)" in lines[0]
    assert run(path, "list", "ann", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [session["id"] for session in listed] == [first.session_id, second.session_id]
    assert listed[0]["device"] == {"name": "Pixel", "type": "phone", "extra": {}}
    assert listed[0]["location"] == "Chișinău"
    assert run(path, "list", "nobody") == 0
    assert capsys.readouterr().out == "the subject has no session\n"


def test_what_a_client_called_itself_reaches_no_terminal_as_a_command(
    service: SessionManager, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.create(
        subject="ann", context=SessionContext("\x1b[2J", Device("\x1b]0;owned\x07\n", "\u202e"))
    )
    for form in ([], ["--json"]):
        assert run(path, "list", "ann", *form) == 0
        shown = capsys.readouterr().out
        assert shown.isascii()
        assert all(character.isprintable() or character == "\n" for character in shown)


def test_end_ends_one_session_and_the_running_service_obeys_at_once(
    service: SessionManager, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, kept = service.create(subject="ann"), service.create(subject="ann")
    for tokens in (ended, kept):
        service.read(tokens.access_token)
    assert run(path, "end", "bob", ended.session_id) == 1
    service.read(ended.access_token)
    capsys.readouterr()
    assert run(path, "end", "ann", ended.session_id) == 0
    assert capsys.readouterr() == (
        "sessions ended: 1; every worker refuses their tokens from now on\n",
        "",
    )
    with pytest.raises(AccessTokenRevoked):
        service.read(ended.access_token)
    service.read(kept.access_token)
    assert list(service.read_all("ann")) == [kept.session_id]
    assert run(path, "end", "ann", ended.session_id) == 1
    assert capsys.readouterr().out == "the subject has no session of this id\n"


def test_an_id_that_begins_with_a_dash_is_no_option(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = SqliteStorage(path)
    for session_id in ("-AAAAAAAAAAAAAAA", "--all-AAAAAAAAAA", "----------------"):
        storage.insert(
            make_record(subject="ann", ends_at=4_000_000_000)._replace(id=session_id), None, 0
        )
        assert run(path, "end", "ann", session_id) == 0
        assert "sessions ended: 1" in capsys.readouterr().out
    storage.close()


def test_end_all_ends_every_session_of_the_subject_from_another_process(
    service: SessionManager, path: Path
) -> None:
    opened = [service.create(subject="ann") for _ in range(3)]
    other = service.create(subject="bob")
    command = [
        sys.executable,
        "-m",
        "tokenwheel",
        "sessions",
        "end",
        "ann",
        "--all",
        "--json",
        "--database",
        str(path),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, json.loads(ran.stdout), ran.stderr) == (0, {"ended": 3}, "")
    for tokens in opened:
        with pytest.raises(AccessTokenRevoked):
            service.read(tokens.access_token)
    service.read(other.access_token)
    assert run(path, "end", "ann", "--all") == 0


def test_a_revocation_outlasts_whatever_leeway_the_service_has(
    service: SessionManager, path: Path
) -> None:
    tokens = service.create(subject="ann")
    assert run(path, "end", "ann", tokens.session_id) == 0
    heard: list[Any] = []
    feed = SqliteFeed(path)
    feed.start(heard.extend)
    feed.close()
    assert heard[-1][1] >= tokens.access_expires_at + 500


def test_count_tells_what_lives(
    service: SessionManager, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        tokens = service.create(subject="ann")
    service.delete_one("ann", tokens.session_id)
    assert run(path, "count") == 0
    assert capsys.readouterr() == ("sessions: 2\nrevocations: 1\n", "")
    assert run(path, "count", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"sessions": 2, "revocations": 1}


def test_the_feed_may_have_a_file_of_its_own(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apart = path.with_name("revocations.db")
    storage = SqliteStorage(path)
    with SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=storage,
        revocations=RevocationList(SqliteFeed(apart)),
    ) as service:
        tokens = service.create(subject="ann")
        assert run(path, "end", "ann", tokens.session_id, "--feed", str(apart)) == 0
        assert capsys.readouterr().err == ""
        with pytest.raises(AccessTokenRevoked):
            service.read(tokens.access_token)
        service.create(subject="ann")
        assert run(path, "end", "ann", "--all") == 0  # in the wrong file, and it says so
        assert "no service has listened" in capsys.readouterr().err
    storage.close()


def test_a_name_mistyped_makes_no_file_and_no_success(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["list", "ann"], ["end", "ann", "--all"], ["count"]):
        assert run(path, *arguments) == 1
        assert "no such database file" in capsys.readouterr().err
    assert list(path.parent.iterdir()) == []


def test_a_file_of_another_kind_is_refused_and_left_as_it_is(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("precious, and no database\n" * 99)
    assert run(path, "end", "ann", "--all") == 1
    assert "tokenwheel: " in capsys.readouterr().err
    assert path.read_text() == "precious, and no database\n" * 99


def test_a_refresh_token_is_not_taken_where_every_user_of_the_machine_can_see_it(
    service: SessionManager, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = service.create(subject="ann")
    for token in (tokens.refresh_token, "-" + tokens.refresh_token[1:]):
        assert run(path, "end", "ann", token) == 2
        shown = capsys.readouterr()
        assert token not in shown.out + shown.err
    service.read(tokens.access_token)
    for arguments in (["end", "ann"], ["end", "ann", tokens.session_id, "--all"]):
        with pytest.raises(SystemExit, match="2"):
            run(path, *arguments)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], None]:
    """Return what puts a text or bytes on standard input."""

    def put(content: str | bytes) -> None:
        raw = content if isinstance(content, bytes) else content.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    return put


Give = Callable[[str | bytes], None]


def test_a_refresh_token_on_standard_input_ends_its_session_whoever_s_it_is(
    service: SessionManager, path: Path, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, kept = service.create(subject="ann"), service.create(subject="ann")
    current = service.update(ended.refresh_token)
    give(f"\r\n  {current.refresh_token}\t\n\n")
    assert run(path, "end", "--refresh-token") == 0
    assert capsys.readouterr() == (
        "sessions ended: 1; every worker refuses their tokens from now on\n",
        "",
    )
    for tokens in (ended, current):
        with pytest.raises(AccessTokenRevoked):
            service.read(tokens.access_token)
    service.read(kept.access_token)
    give(current.refresh_token)
    assert run(path, "end", "--refresh-token") == 1
    assert capsys.readouterr() == ("no session has this refresh token\n", "")
    give(kept.refresh_token)
    assert run(path, "end", "--refresh-token", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ended": 1}
    give(kept.refresh_token)
    assert run(path, "end", "--refresh-token", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"ended": 0}


def test_a_refresh_token_that_was_replaced_ends_the_session_and_one_made_up_ends_none(
    service: SessionManager, path: Path, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = service.create(subject="ann")
    replaced = tokens.refresh_token
    service.update(replaced)
    made_up = replaced[:16] + secret_of("made up", 56)
    for guess in (made_up, replaced[:-1], replaced[:-4], f"{replaced}AAAA"):
        give(guess)
        assert run(path, "end", "--refresh-token") in (1, 2)
        assert guess[16:] not in "".join(capsys.readouterr())
        service.read(tokens.access_token)
    give(replaced)
    assert run(path, "end", "--refresh-token") == 0
    assert service.read_all("ann") == {}


def test_a_refresh_token_ends_a_session_that_is_sealed_without_the_storage_key(
    service: SessionManager, path: Path, give: Give
) -> None:
    with SessionManager(
        SECRET,
        issuer="forum",
        audience="a",
        storage=service.storage,
        storage_key=secret_of("storage"),
        revocations=service.revocations,
    ) as sealed:
        tokens = sealed.create(subject="ann")
        give(tokens.refresh_token)
        assert run(path, "end", "--refresh-token", "--issuer", "i") == 1
        sealed.read(tokens.access_token)
        give(tokens.refresh_token)
        assert run(path, "end", "--refresh-token") == 0
        assert sealed.read_all("ann") == {}
        with pytest.raises(AccessTokenRevoked):
            sealed.read(tokens.access_token)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "standard input is empty"),
        (b" \n\n", "standard input is empty"),
        (b"%s\n%s", "it holds several words or lines"),
        (b"Bearer %s", "it holds several words or lines"),
        (b'"%s"', "is no refresh token"),
        (b"short", "is no refresh token"),
        (b"%s.%s.%s", "is no refresh token"),
        (b"%s\x00", "is no refresh token"),
        (b"%s\xff\xfe", "holds no text"),
        (os.urandom(100) + b"\xff", "holds no text"),
        (b"A" * 100_000, "standard input holds more than 8192 bytes"),
    ],
)
def test_what_is_no_refresh_token_on_standard_input_is_refused_and_never_shown(
    content: bytes,
    reason: str,
    service: SessionManager,
    path: Path,
    give: Give,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens = service.create(subject="ann")
    give(content.replace(b"%s", tokens.refresh_token.encode()))
    assert run(path, "end", "--refresh-token") == 2
    shown = capsys.readouterr()
    assert reason in shown.err
    assert shown.out == ""
    assert tokens.refresh_token[16:] not in shown.err
    service.read(tokens.access_token)


def test_a_refresh_token_behind_its_option_is_refused_and_not_shown(
    service: SessionManager, path: Path, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = service.create(subject="ann")
    give(tokens.refresh_token)
    assert run(path, "end", "--refresh-token", tokens.refresh_token) == 2
    assert "takes no value and no SUBJECT" in capsys.readouterr().err
    for arguments in (
        [f"--refresh-token={tokens.refresh_token}"],
        ["ann", tokens.session_id, "--refresh-token"],
        ["--all", "--refresh-token"],
        [],
    ):
        with pytest.raises(SystemExit, match="2"):
            run(path, "end", *arguments)
        assert tokens.refresh_token not in "".join(capsys.readouterr())
    assert run(path, "end", "--all") == 2
    assert "SUBJECT must be given, or --refresh-token" in capsys.readouterr().err
    service.read(tokens.access_token)


def test_without_any_standard_input_it_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(path, "end", "--refresh-token") == 2
    assert "there is no standard input" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_a_refresh_token_typed_at_a_terminal_is_not_echoed(
    service: SessionManager, path: Path
) -> None:
    tokens = service.create(subject="ann")
    terminal, its_side = os.openpty()
    command = [sys.executable, "-m", "tokenwheel", "sessions", "end", "--refresh-token"]
    try:
        with subprocess.Popen(
            [*command, "--database", str(path)],
            stdin=its_side,
            stdout=subprocess.PIPE,
            stderr=its_side,
            start_new_session=True,
        ) as process:
            shown = b""
            while b"Refresh token: " not in shown:
                shown += os.read(terminal, 1000)
            os.write(terminal, f"{tokens.refresh_token}\n".encode())
            assert process.stdout is not None
            assert b"sessions ended: 1" in process.stdout.read()
        shown += os.read(terminal, 1000)
    finally:
        os.close(terminal)
        os.close(its_side)
    assert process.returncode == 0
    assert tokens.refresh_token.encode() not in shown
    assert service.read_all("ann") == {}


def test_of_several_services_on_one_file_an_operator_reaches_all_or_the_one_he_names(
    service: SessionManager, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    neighbour = SessionManager(
        SECRET,
        issuer="forum",
        audience="a",
        storage=service.storage,
        storage_key=secret_of("storage"),
        revocations=service.revocations,
    )
    here = service.create(subject="ann")
    there = [neighbour.create(subject="ann") for _ in range(3)]
    assert run(path, "list", "ann", "--json") == 0
    listed = {session["id"] for session in json.loads(capsys.readouterr().out)}
    assert listed == {here.session_id, *(tokens.session_id for tokens in there)}
    assert run(path, "list", "ann", "--issuer", "i", "--json") == 0
    assert [session["id"] for session in json.loads(capsys.readouterr().out)] == [here.session_id]
    assert run(path, "end", "ann", there[0].session_id, "--issuer", "i") == 1
    assert run(path, "end", "ann", there[0].session_id) == 0
    assert set(neighbour.read_all("ann")) == {tokens.session_id for tokens in there[1:]}
    assert run(path, "end", "ann", "--all", "--issuer", "i") == 0
    assert len(neighbour.read_all("ann")) == 2
    service.create(subject="ann")
    assert run(path, "end", "ann", "--all") == 0
    assert service.read_all("ann") == neighbour.read_all("ann") == {}
    with pytest.raises(AccessTokenRevoked):
        neighbour.read(there[1].access_token)
    assert capsys.readouterr().err == ""

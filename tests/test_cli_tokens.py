"""A command that fails repeats no token, wherever in the command line one was put by mistake."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import SECRET
from tokenwheel import Key, SessionManager, SqliteStorage
from tokenwheel.cli import main

TOKENS = SessionManager(SECRET, issuer="i", audience="a").create(
    {"role": "user"}, subject="a subject that nobody reads"
)
ACCESS, REFRESH = TOKENS.access_token, TOKENS.refresh_token
HEADER, CLAIMS, SIGNATURE = ACCESS.split(".")
SECRETS = (ACCESS, HEADER, CLAIMS, SIGNATURE, REFRESH, f"{HEADER}.{CLAIMS}", ACCESS[:-7])

COMMANDS = [
    ["inspect"],
    ["inspect", "--key", "FILE"],
    ["inspect", "--key", "FILE", "--algorithm", "ES256"],
    ["keys"],
    ["keys", "new", "--algorithm", "ES256", "--format", "pem", "--kid", "a", "--out", "FILE"],
    ["keys", "new", "--format", "jwk"],
    ["keys", "convert", "FILE", "--algorithm", "ES256", "--out", "FILE"],
    ["keys", "list", "FILE", "--access-ttl", "15m", "--json"],
    ["keys", "rotate", "FILE", "--after", "1h", "--kid", "a", "--mode", "640"],
    ["keys", "retire", "FILE", "--access-ttl", "15m", "--leeway", "60", "--dry-run"],
    ["keys", "remove", "FILE", "--kid", "a", "--force"],
    ["keys", "publish", "FILE", "--out", "FILE"],
    ["sessions"],
    ["sessions", "list", "ann", "--database", "FILE"],
    ["sessions", "list", "ann", "--database", "redis://127.0.0.1:1/0", "--prefix", "a"],
    ["sessions", "end", "ann", "A" * 16, "--database", "FILE", "--feed", "FILE"],
    ["sessions", "end", "ann", "--all", "--json", "--database", "FILE"],
    ["sessions", "count", "--database", "FILE", "--feed", "FILE"],
    ["doctor"],
    ["doctor", "--json", "--database", "FILE", "--prefix", "a"],
    ["doctor", "--database", "redis://127.0.0.1:1/0"],
    ["--version"],
    ["demo"],
    [],
]


def spoilt(command: list[str], token: str) -> Iterator[list[str]]:
    """Yield the command with the token in each place, in each way in which it can get there."""
    words = (token, f"-{token}", f"--{token}", f"--key={token}", f"--json={token}", f"--v={token}")
    for place in range(len(command) + 1):
        for word in words:
            yield [*command[:place], word, *command[place:]]
        if place < len(command):
            for word in (*words, f"{command[place]}={token}", f"redis://{token}", f"x://[{token}"):
                yield [*command[:place], word, *command[place + 1 :]]


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_token_in_the_wrong_place_of_a_command_is_in_none_of_its_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    secret: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tokenwheel.demo.run", lambda: 0)
    storage = SqliteStorage(tmp_path / "sessions.db")
    storage.close()
    for arguments in spoilt(
        [word if word != "FILE" else str(tmp_path / "sessions.db") for word in command], secret
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ACCESS.encode())))
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        shown = capsys.readouterr()
        if status != 0:
            said = shown.out + shown.err
            assert not {piece for piece in pieces(secret) if piece in said}, arguments
            assert "Traceback" not in said


def pieces(secret: str) -> set[str]:
    """Return what must not be seen: any 12 characters of the token."""
    return {"".join(run) for run in zip(*(secret[start:] for start in range(12)), strict=False)}


@pytest.mark.parametrize("secret", [ACCESS, HEADER, CLAIMS], ids=["token", "header", "claims"])
def test_a_token_as_an_argument_is_refused_and_the_right_way_is_named(
    secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["inspect", secret], ["keys", "new", "--out", secret], [f"--x={secret}"]):
        assert main(arguments) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "`tokenwheel inspect` reads it from standard input" in shown.err


def test_a_token_that_cannot_be_read_is_in_no_error_of_inspect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (
        f"{ACCESS}.{SIGNATURE}",
        f"{HEADER}.{SIGNATURE}.{CLAIMS}",
        f"{HEADER}.{CLAIMS}",
        ACCESS * 30,
        f"Bearer {ACCESS}",
        REFRESH,
        "\udc80" + ACCESS,
    ):
        octets = io.BytesIO(text.encode("utf-8", "surrogateescape"))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(octets))
        assert main(["inspect"]) == 2
        shown = capsys.readouterr()
        assert not {piece for piece in pieces(ACCESS) if piece in shown.out + shown.err}
    # The file of the key holds the token, and standard input is whatever.
    path = tmp_path / "key"
    for content in (
        ACCESS,
        json.dumps({"keys": [ACCESS]}),
        json.dumps({"kty": ACCESS}),
        "{" + ACCESS,
    ):
        path.write_text(content)
        for options in ([], ["--algorithm", "ES256"], ["--algorithm", "HS256"]):
            assert main(["inspect", "--key", str(path), *options]) == 1
            shown = capsys.readouterr()
            assert not {piece for piece in pieces(ACCESS) if piece in shown.out + shown.err}


def test_the_program_itself_repeats_no_token() -> None:
    for arguments in (["inspect", SIGNATURE], ["inspect", "--key", REFRESH], [f"--{SIGNATURE}"]):
        ran = subprocess.run(
            [sys.executable, "-m", "tokenwheel", *arguments],
            input=ACCESS,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode in (1, 2)
        assert arguments[-1].lstrip("-") not in ran.stdout + ran.stderr
        assert "tokenwheel" in ran.stderr


def test_an_option_that_is_mistyped_is_still_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, reason in (
        (["keys", "new"], "the following arguments are required: --algorithm"),
        (["inspect", "--key"], "argument --key: expected one argument"),
        (["inspect", "--algorithm", "ES1"], "argument --algorithm: it is none of the choices"),
        (["inspct"], "argument COMMAND: it is none of the choices"),
        (["inspect", "--kye", "a"], "there is an argument that this command doesn't have"),
        (["sessions", "end", "ann", "--all=yes"], "argument --all: it takes no value"),
        (
            ["sessions", "end", "ann", "--database", "a"],
            "one of the arguments SESSION --all --refresh-token is required",
        ),
        (
            ["sessions", "end", "ann", "A" * 16, "--all", "--database", "a"],
            "not allowed with argument",
        ),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        said = capsys.readouterr().err
        assert reason in said
        assert said.startswith("usage: tokenwheel")


def test_a_file_that_is_missing_or_taken_is_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--key", str(tmp_path / "missing")]) == 1
    assert "the file given for --key cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "taken").touch()
    assert main(["keys", "new", "--algorithm", "ES256", "--out", str(tmp_path / "taken")]) == 1
    assert "the file for the private key cannot be made: File exists" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has modes of files")
def test_a_key_file_that_others_can_read_or_write_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Key.generate("ES256")
    path = tmp_path / "key"
    for mode, is_private in itertools.product((0o600, 0o400, 0o640, 0o644, 0o660, 0o666), (0, 1)):
        path.write_text(json.dumps(key.to_jwk(private=bool(is_private))))
        path.chmod(mode)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ACCESS.encode())))
        assert main(["inspect", "--key", str(path)]) == 1
        said = capsys.readouterr().err
        assert ("others can write the file given for --key" in said) == bool(mode & 0o022)
        assert ("others can read the private key" in said) == bool(is_private and mode & 0o044)
        assert (f"(mode {mode:04o})" in said) == bool(said)
        path.chmod(0o600)

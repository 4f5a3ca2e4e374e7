"""The command line: what it writes, what it shows, and what it must never show."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.support import SECRET
from tokenwheel import Key, KeySet, SessionManager, __version__
from tokenwheel.cli import main


def inspect(monkeypatch: pytest.MonkeyPatch, token: str | bytes, *arguments: str) -> int:
    data = token.encode() if isinstance(token, str) else token
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    return main(["inspect", *arguments])


def part(value: Any) -> str:
    return jwt.utils.base64url_encode(json.dumps(value).encode()).decode()


def sign(key: Key, claims: Any, alg: str | None = None) -> str:
    signed = f"{part({'alg': alg or key.algorithm})}.{part(claims)}"
    return f"{signed}.{jwt.utils.base64url_encode(key.sign(signed.encode())).decode()}"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA", "ES256K"])
@pytest.mark.parametrize("form", ["jwk", "pem"])
def test_keys_new_writes_the_private_key_for_its_owner_alone_and_prints_the_public_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], algorithm: str, form: str
) -> None:
    path = tmp_path / "key"
    assert (
        main(["keys", "new", "--algorithm", algorithm, "--format", form, "--out", str(path)]) == 0
    )
    shown = capsys.readouterr()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    private = (
        Key.from_jwk(path.read_text())
        if form == "jwk"
        else Key.from_pem(path.read_bytes(), algorithm)
    )
    public = Key.from_jwk(shown.out) if form == "jwk" else Key.from_pem(shown.out, algorithm)
    assert private.can_sign
    assert not public.can_sign
    assert public.verify(b"message", private.sign(b"message"))
    assert str(path) in shown.err


def test_keys_new_shows_nothing_of_a_shared_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key"
    assert main(["keys", "new", "--algorithm", "HS256", "--kid", "one", "--out", str(path)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert json.loads(path.read_text())["k"] not in shown.err
    assert KeySet.from_jwk(path.read_text()).signing.kid == "one"  # type: ignore[union-attr]
    assert (
        main(
            [
                "keys",
                "new",
                "--algorithm",
                "HS256",
                "--format",
                "pem",
                "--out",
                str(tmp_path / "other"),
            ]
        )
        == 2
    )
    assert "--format" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_keys_new_never_overwrites_nor_follows_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken, link = tmp_path / "taken", tmp_path / "link"
    taken.write_text("precious")
    paths = [taken]
    if os.name == "posix":
        link.symlink_to(tmp_path / "elsewhere")
        paths.append(link)
    for path in paths:
        assert main(["keys", "new", "--algorithm", "ES256", "--out", str(path)]) == 1
    assert taken.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()
    assert capsys.readouterr().out == ""


def test_keys_new_chooses_a_name_and_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keys", "new", "--algorithm", "ES256"]) == 0
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("es256-")
    assert path.name in capsys.readouterr().err


def test_a_key_that_cannot_be_written_whole_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["keys", "new", "--algorithm", "ES256", "--out", str(tmp_path / "key")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_inspect_shows_a_token_in_words_and_says_that_nothing_was_verified(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1_700_000_000
    monkeypatch.setattr(time, "time", lambda: now)
    token = jwt.encode(
        {"sub": "uid1", "iat": now - 3 * 86_400, "exp": now + 14 * 60, "nbf": now + 1}, SECRET
    )
    assert inspect(monkeypatch, token + "\n") == 0
    shown = capsys.readouterr().out
    assert 'sub: "uid1"' in shown
    assert f"exp: {now + 840}  (2023-11-14 22:27:20 UTC, in 14 minutes)" in shown
    assert "3 days ago)" in shown
    assert "in 1 second)" in shown
    assert "NOTHING WAS VERIFIED" in shown
    assert token not in shown
    assert token.rsplit(".", 1)[1] not in shown


@pytest.mark.parametrize("form", ["pem", "jwk", "jwks"])
def test_inspect_with_a_key_judges_the_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    key = Key.generate("ES256")
    path = tmp_path / "key"
    path.write_text(
        {
            "pem": key.to_pem().decode(),
            "jwk": json.dumps(key.to_jwk()),
            "jwks": json.dumps(KeySet(key).jwks()),
        }[form]
    )
    options = ["--key", str(path)] + (["--algorithm", "ES256"] if form == "pem" else [])
    token = (
        SessionManager(KeySet(key), issuer="i", audience="a").create(subject="uid1").access_token
    )
    assert inspect(monkeypatch, token, *options) == 0
    assert "The signature is good" in capsys.readouterr().out
    other = (
        SessionManager(KeySet(Key.generate("ES256", kid=key.kid)), issuer="i", audience="a")
        .create(subject="uid1")
        .access_token
    )
    for bad in (
        other,
        sign(key, {}, alg="ES384"),
        sign(key, {}, alg="none"),
        token[:-2],
        token + "!",
        jwt.encode({"a": 1}, SECRET),
    ):
        assert inspect(monkeypatch, bad, *options) == 1
        assert "THE SIGNATURE IS NOT GOOD" in capsys.readouterr().out
    for claims, verdict in (
        ({"exp": 5}, "EXPIRED"),
        ({}, "NO TIME"),
        ({"exp": True}, "NO TIME"),
        ({"exp": "soon"}, "NO TIME"),
    ):
        judged = sign(key, claims)
        assert inspect(monkeypatch, judged, *options) == 1
        shown = capsys.readouterr().out
        assert "The signature is good" in shown
        assert verdict in shown


def test_a_good_signature_is_called_good_whatever_the_key_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Key.generate("ES256", kid="2026-a")
    path = tmp_path / "key"
    path.write_bytes(key.to_pem())
    token = (
        SessionManager(KeySet(key), issuer="i", audience="a").create(subject="uid1").access_token
    )
    assert inspect(monkeypatch, token, "--key", str(path), "--algorithm", "ES256") == 0
    assert "The token has not expired" in capsys.readouterr().out


def test_inspect_of_a_pem_key_needs_the_algorithm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key"
    path.write_bytes(Key.generate("ES256").to_pem())
    assert inspect(monkeypatch, "a.b.c", "--key", str(path)) == 1
    assert "--algorithm" in capsys.readouterr().err
    assert inspect(monkeypatch, "a.b.c", "--key", str(tmp_path / "missing")) == 1


def test_a_token_cannot_give_the_terminal_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\x7f\n"
    assert (
        inspect(
            monkeypatch,
            jwt.encode({evil: evil, "deep": [{evil: evil}]}, SECRET, headers={evil: evil}),
        )
        == 0
    )
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert all(character.isprintable() or character == "\n" for character in shown)


@pytest.mark.parametrize("date", [1e300, -1e300, "soon", None, [], float("nan"), True])
def test_a_date_that_is_none_is_called_so_or_shown_without_a_crash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], date: Any
) -> None:
    header, signature = jwt.encode({}, SECRET).split(".")[::2]
    assert inspect(monkeypatch, f"{header}.{part({'exp': date})}.{signature}") == 0
    assert "not a date" in capsys.readouterr().out


@pytest.mark.parametrize("depth", [500, 900, 950, 980, 1000, 2000, 3000])
def test_claims_nested_without_end_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], depth: int
) -> None:
    payload = jwt.utils.base64url_encode(b'{"a":' + b"[" * depth + b"]" * depth + b"}").decode()
    assert inspect(monkeypatch, f"e30.{payload}.c") in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_claims_that_cannot_be_shown_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_deep(*_: object, **__: object) -> str:
        raise RecursionError("said by interpreters with a lower limit")

    monkeypatch.setattr(json, "dumps", too_deep)
    assert inspect(monkeypatch, "e30.eyJhIjoxfQ.c") == 2
    assert "nested too deeply" in capsys.readouterr().err


def test_claims_in_another_encoding_than_utf_8_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = jwt.utils.base64url_encode('{"sub":"a"}'.encode("utf-16")).decode()
    assert inspect(monkeypatch, f"e30.{payload}.c") == 2
    assert "malformed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "é.é.é",
        b"\xff\xfe",
        "x" * 9000,
        "W10.W10.c",
        "[" * 5000 + ".e30.c",
        "e30.e30." + "A" * 8185,
        "e30.e30.",
    ],
)
def test_what_is_no_token_is_refused_clearly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str | bytes
) -> None:
    status = inspect(monkeypatch, text)
    shown = capsys.readouterr()
    assert (status, shown.err.startswith("tokenwheel: ")) in [(2, True), (0, False)]
    assert (status == 0) == (text == "e30.e30.")


def test_the_module_runs_as_a_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tokenwheel", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"tokenwheel {__version__}\n"
    ran = subprocess.run(
        [sys.executable, "-m", "tokenwheel", "unknown"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2

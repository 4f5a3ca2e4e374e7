"""``tokenwheel keys``: what each command makes of a file, says and refuses."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import secret_of
from tokenwheel import Key, KeyFile, KeySet
from tokenwheel.cli import main
from tokenwheel.keys.file.file_text import read_key_text

NOW = 1_800_000_000  # 2027-01-15 08:00:00 UTC


class Clock:
    """The clock that the commands read."""

    def __init__(self) -> None:
        self.now: float = NOW


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: clock.now)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with one private key, called `first`."""
    path = tmp_path / "keys.json"
    key = Key.generate("ES256", kid="first")
    path.write_text(json.dumps({"keys": [key.to_jwk(private=True)]}))
    path.chmod(0o600)
    return path


def run(*arguments: str | Path) -> int:
    try:
        return main(["keys", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)


def entries(path: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a file by their kids."""
    return {entry["kid"]: entry for entry in json.loads(path.read_text())["keys"]}


def secrets_of(path: Path) -> list[str]:
    return [entry[name] for entry in entries(path).values() for name in ("d", "k") if name in entry]


def test_rotate_adds_a_key_that_signs_an_hour_later_and_says_what_to_do_next(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("rotate", path, "--kid", "second") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "tokenwheel: the new ES256 key second signs from 2027-01-15 09:00:00 UTC, and first until "
        f"then. Processes that follow {path} take it over within a second\n"
        "tokenwheel: until then every resource server must have seen it: `tokenwheel keys publish "
        f"{path}` prints the set for those that don't fetch it\n"
        f"tokenwheel: next: after 2027-01-15 09:17:00 UTC, `tokenwheel keys retire {path} "
        "--access-ttl 15m` removes first, where no token lives longer than 15m\n"
    )
    keys = read_key_text(path.read_bytes())
    assert keys.updated_at == NOW
    assert [(listed.key.kid, *listed[1:]) for listed in keys.keys] == [
        ("first", None, None),
        ("second", NOW, NOW + 3600),
    ]
    assert keys.keys[1].key.can_sign
    assert not [secret for secret in secrets_of(path) if secret in said.err]


def test_what_rotate_says_of_retire_is_so(
    path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    run("rotate", path, "--kid", "second")
    clock.now = NOW + 3600 + 17 * 60  # what it said
    before = path.read_bytes()
    assert run("retire", path, "--access-ttl", "15m") == 0
    assert path.read_bytes() == before
    said = capsys.readouterr()
    assert said.out == (
        "stays: first, it may go after 2027-01-15 09:17:00 UTC\nstays: second, it signs\n"
    )
    assert said.err.endswith(f"nothing can go yet: {path} was left as it is\n")
    clock.now += 1
    assert run("retire", path, "--access-ttl", "15m", "--dry-run") == 0
    assert path.read_bytes() == before
    assert capsys.readouterr().out == "would be removed: first\nstays: second, it signs\n"
    assert run("retire", path, "--access-ttl", "15m") == 0
    said = capsys.readouterr()
    assert said.out == "removed: first\nstays: second, it signs\n"
    assert "refuse the tokens of what was removed within a second" in said.err
    assert [*entries(path)] == ["second"]
    assert read_key_text(path.read_bytes()).updated_at == clock.now


def test_retire_waits_longer_where_tokens_live_longer_or_are_read_with_more_leeway(
    path: Path, clock: Clock
) -> None:
    run("rotate", path, "--kid", "second", "--after", "0")
    for options, lifetime in (
        (["--access-ttl", "2h"], 7200 + 60 + 60),
        (["--access-ttl", "15m", "--leeway", "1h"], 900 + 3600 + 60),
    ):
        clock.now = NOW + lifetime
        assert run("retire", path, *options) == 0
        assert "first" in entries(path)
    clock.now += 1
    assert run("retire", path, *options) == 0
    assert "first" not in entries(path)


def test_a_second_rotation_in_a_row_is_refused_unless_forced(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("rotate", path, "--kid", "second")
    before = path.read_bytes()
    capsys.readouterr()
    assert run("rotate", path, "--kid", "third") == 1
    said = capsys.readouterr().err
    assert "second is waiting already, and signs from 2027-01-15 09:00:00 UTC" in said
    assert "--force" in said
    assert path.read_bytes() == before
    assert run("rotate", path, "--kid", "third", "--force", "--after", "0") == 0
    said = capsys.readouterr().err
    assert "third signs from 2027-01-15 08:00:00 UTC, and first until then" in said
    assert "second was waiting already, and signs from 2027-01-15 09:00:00 UTC" in said
    assert [*entries(path)] == ["first", "second", "third"]


@pytest.mark.parametrize("after", ["0", "299s", "4m"])
def test_to_sign_before_resource_servers_refresh_is_done_with_a_warning(
    path: Path, capsys: pytest.CaptureFixture[str], after: str
) -> None:
    assert run("rotate", path, "--after", after) == 0
    said = capsys.readouterr().err
    assert "WARNING" in said
    assert "Those that don't know the new one refuse its tokens until they do" in said


@pytest.mark.parametrize(
    "given, seconds", [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800)]
)
def test_a_duration_may_be_said_in_each_unit(path: Path, given: str, seconds: int) -> None:
    assert run("rotate", path, "--after", given, "--kid", "second") == 0
    assert entries(path)["second"]["tokenwheel_signs_from"] == NOW + seconds


@pytest.mark.parametrize(
    "given", ["", "1.5h", "1 h", "h", "1w", "1H", "-1", "+1", "٣m", "1h30m", "3651d", "9" * 5000]
)
def test_what_is_no_duration_is_not_understood(
    path: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    before = path.read_bytes()
    for command in (
        ["rotate", path, f"--after={given}"],
        ["retire", path, f"--access-ttl={given}"],
        ["list", path, f"--leeway={given}"],
    ):
        assert run(*command) == 2
        said = capsys.readouterr().err
        assert "must be a duration of" in said
        assert "as 90, 90s, 15m, 1h or 7d" in said
    assert path.read_bytes() == before


def test_a_lifetime_of_nothing_retires_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("retire", path, "--access-ttl", "0") == 2
    assert "--access-ttl must be a duration of 1 seconds" in capsys.readouterr().err


def test_retire_asks_how_long_tokens_live(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("retire", path) == 2
    assert "required: --access-ttl" in capsys.readouterr().err


def test_a_single_jwk_becomes_a_set_and_keeps_what_it_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key.jwk"
    run("new", "--algorithm", "EdDSA", "--kid", "first", "--out", path)
    single = json.loads(path.read_text())
    assert single["iat"] == NOW
    assert json.loads(capsys.readouterr().out)["iat"] == NOW
    assert run("rotate", path, "--kid", "second") == 0
    assert f"{path} was a single JWK and is a JWK Set now" in capsys.readouterr().err
    del single["tokenwheel_updated_at"]  # which is the set's now
    assert entries(path)["first"] == single
    assert entries(path)["second"]["alg"] == "EdDSA"
    keys = read_key_text(path.read_bytes())
    assert keys.signing_at(NOW + 3599) == keys.keys[0]
    assert keys.signing_at(NOW + 3600) == keys.keys[1]


@pytest.mark.parametrize("is_converted", [False, True], ids=["new", "convert"])
def test_a_file_that_was_never_changed_is_told_from_what_comes_after_it(
    tmp_path: Path, is_converted: bool
) -> None:
    """Its key may be stolen, and must be gone as soon as a resource server has fetched again."""
    path, pem = tmp_path / "keys.json", tmp_path / "key.pem"
    if is_converted:
        run("new", "--algorithm", "ES256", "--format", "pem", "--out", pem)
        run("convert", pem, "--out", path)
    else:
        run("new", "--algorithm", "ES256", "--out", path)
    times = [KeyFile(path).jwks()["tokenwheel_updated_at"]]
    (stolen,) = KeyFile(path).jwks()["keys"]
    for command in (["rotate", path, "--after", "0s"], ["remove", path, f"--kid={stolen['kid']}"]):
        assert run(*command, "--force") == 0
        times.append(KeyFile(path).jwks()["tokenwheel_updated_at"])
    assert times == [NOW, NOW + 1, NOW + 2]


def test_a_pem_file_is_never_made_json_and_convert_makes_a_set_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, made = tmp_path / "key.pem", tmp_path / "keys.json"
    run("new", "--algorithm", "ES256", "--format", "pem", "--out", path)
    before = path.read_bytes()
    for command in (["rotate", path], ["retire", path, "--access-ttl", "1h"]):
        capsys.readouterr()
        assert run(*command) == 1
        assert "is in PEM form" in (said := capsys.readouterr().err)
        assert "`tokenwheel keys convert FILE --out NEW`" in said
    assert run("convert", path, "--out", made) == 0
    assert path.read_bytes() == before
    assert run("convert", path, "--out", made) == 1
    kid = KeySet.from_pem(before, "ES256").signing.kid  # type: ignore[union-attr]
    assert run("rotate", made, "--kid", "second") == 0
    assert [*entries(made)] == [kid, "second"]


def test_convert_keeps_the_kid_that_a_service_gave_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, made = (tmp_path / name for name in ("one.pem", "two.pem", "made.json"))
    for path in (one, two):
        run("new", "--algorithm", "ES256", "--format", "pem", "--out", path)
    capsys.readouterr()
    assert run("convert", one, "--kid", "2026", "--out", made) == 0
    assert "Tokens must name them as it does (2026;" in capsys.readouterr().err
    assert [*entries(made)] == ["2026"]
    two.write_bytes(one.read_bytes() + two.read_bytes())
    assert run("convert", two, "--kid", "2026", "--out", tmp_path / "other") == 2
    assert run("convert", two, "--kid", "\n", "--out", tmp_path / "other") == 2
    assert run("convert", one, "--kid", "\n", "--out", tmp_path / "other") == 1
    assert not (tmp_path / "other").exists()
    assert run("convert", two, "--out", tmp_path / "other") == 0
    assert len(entries(tmp_path / "other")) == 2


@pytest.mark.parametrize("algorithm", ["Ed25519", "Ed448"])
def test_the_names_of_rfc_9864_are_made_and_rotated_to(path: Path, algorithm: str) -> None:
    made = path.with_name("made")
    assert run("new", "--algorithm", algorithm, "--out", made) == 0
    assert run("rotate", made, "--kid", "second") == 0
    assert entries(made)["second"]["alg"] == algorithm
    assert run("rotate", path, "--algorithm", algorithm, "--kid", "second") == 0
    assert [entry["alg"] for entry in entries(path).values()] == ["ES256", algorithm]


def test_what_is_not_understood_in_a_file_stays_as_it_is(path: Path, clock: Clock) -> None:
    first = entries(path)["first"] | {"x5t": "kept", "vendor": {"a": [1, None, 1.5, "\ud800"]}}
    foreign: list[Any] = [
        {"kty": "RSA", "use": "enc", "kid": "for encryption", "n": "AQAB", "e": "AQAB"},
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "post-quantum", "pub": "AA"},
        Key.generate("ES256", kid="other").to_jwk() | {"issuer": "elsewhere"},
        "no key at all",
        None,
    ]
    members = {"comment": ["of the operator"], "keys": [*foreign, first], "next": None}
    path.write_text(json.dumps(members))
    assert run("rotate", path, "--kid", "second") == 0
    rotated = json.loads(path.read_text())
    assert rotated["keys"][:-1] == members["keys"]
    assert [*rotated] == ["comment", "keys", "next", "tokenwheel_updated_at"]
    clock.now += 10_000
    assert run("retire", path, "--access-ttl", "15m") == 0
    retired = json.loads(path.read_text())
    assert retired == rotated | {
        "keys": [*foreign, rotated["keys"][-1]],
        "tokenwheel_updated_at": clock.now,
    }


def test_both_entries_of_a_key_go_with_it_and_none_comes_alive(path: Path, clock: Clock) -> None:
    first = entries(path)["first"]
    public = Key.from_jwk(first).to_jwk()
    path.write_text(json.dumps({"keys": [public, first, first]}))
    run("rotate", path, "--kid", "second")
    assert len(json.loads(path.read_text())["keys"]) == 4
    clock.now += 10_000
    assert run("retire", path, "--access-ttl", "15m") == 0
    assert [*entries(path)] == ["second"]


def test_a_key_that_another_of_its_kid_hides_is_not_let_out_by_retire(
    path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = Key.generate("ES256", kid="first").to_jwk(private=True)
    path.write_text(json.dumps({"keys": [entries(path)["first"], hidden]}))
    run("rotate", path, "--kid", "second")
    clock.now += 10_000
    before = path.read_bytes()
    assert run("retire", path, "--access-ttl", "15m") == 1
    assert "Give each key a kid of its own first" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"{}", "jwk"),
        (b'{"keys": []}', "no key"),
        (b'{"keys": 5}', "array"),
        (b'{"keys": [{"kty": "EC"}]}', "no key"),
        (b"\x00\xff", ""),
        (b"[" * 100_000, ""),
        (b" " * 1_048_577, "at most 1048576 bytes"),
    ],
    ids=range(8),
)
def test_what_is_no_key_file_is_refused_and_left_alone(
    path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    path.write_bytes(content)
    for command in (
        ["list", path],
        ["rotate", path],
        ["retire", path, "--access-ttl", "1h"],
        ["publish", path],
    ):
        assert run(*command) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("tokenwheel: ")
        assert reason in said.err
        assert "Traceback" not in said.err
        assert str(path) not in said.err
    assert path.read_bytes() == content


def test_a_name_twice_in_one_object_is_not_edited_away(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = path.read_text().replace('{"keys"', '{"note": 1, "note": 2, "keys"', 1)
    path.write_text(content)
    assert run("rotate", path) == 1
    assert "one name twice" in capsys.readouterr().err
    assert path.read_text() == content


def test_a_byte_order_mark_does_no_harm(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run("rotate", path, "--kid", "second") == 0
    assert [*entries(path)] == ["first", "second"]


def test_a_file_of_public_keys_is_not_rotated(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(json.dumps({"keys": [Key.generate("ES256").to_jwk()]}))
    before = path.read_bytes()
    assert run("rotate", path, "--force") == 1
    assert "rotated where the private key is" in capsys.readouterr().err
    assert run("retire", path, "--access-ttl", "1s") == 0
    assert "of another signer" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_new_key_has_the_algorithm_and_the_kid_that_it_is_given(path: Path) -> None:
    assert run("rotate", path, "--algorithm", "ES384", "--kid", "second") == 0
    assert entries(path)["second"]["alg"] == "ES384"
    assert run("rotate", path, "--kid", "first", "--force") == 1
    assert [*entries(path)] == ["first", "second"]


def test_shared_secrets_are_rotated_under_a_kid_and_published_to_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secret.json"
    run("new", "--algorithm", "HS256", "--out", path)
    assert run("rotate", path) == 0
    said = capsys.readouterr().err
    assert "a shared secret is published to nobody" in said
    keys = read_key_text(path.read_bytes())
    assert [bool(listed.key.kid) for listed in keys.keys] == [False, True]
    for options in ([], ["--out", tmp_path / "public.json"]):
        assert run("publish", path, *options) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "shared secrets alone, which must not be published" in shown.err
    assert not (tmp_path / "public.json").exists()
    material = [entry["k"] for entry in json.loads(path.read_text())["keys"]]
    assert not [secret for secret in material if secret in said]


def test_list_shows_each_key_in_a_line_and_nothing_secret(
    path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = Key.from_secret(secret_of("shared"), kid="shared").to_jwk(private=True)
    foreign = [
        Key.generate("ES384", kid="other").to_jwk(),
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "\x1b[2J", "pub": "AA"},
    ]
    path.write_text(json.dumps({"keys": [secret, entries(path)["first"], *foreign]}))
    run("rotate", path, "--kid", "second", "--algorithm", "ES256")
    clock.now += 600
    capsys.readouterr()
    assert run("list", path) == 0
    shown = capsys.readouterr().out
    rows = [line.split("  ") for line in shown.splitlines()]
    table = [[cell.strip() for cell in row if cell.strip()] for row in rows[:5]]
    assert table == [
        ["KID", "ALGORITHM", "KIND", "MADE", "SIGNS", "MAY GO"],
        [
            *("shared", "HS256", "secret", "not said"),
            *("now, until 2027-01-15 09:00:00 UTC", "after 2027-01-15 09:17:00 UTC"),
        ],
        ["first", "ES256", "private", "not said", "no", "after 2027-01-15 09:17:00 UTC"],
        ["other", "ES384", "public", "not said", "no", "no: it is a public key, of another signer"],
        [
            *("second", "ES256", "private", "2027-01-15 08:00:00 UTC, 10 minutes ago"),
            *("from 2027-01-15 09:00:00 UTC", "no: it is still to sign"),
        ],
    ]
    assert "passed over: " in shown
    material = secrets_of(path)
    clock.now += 3600
    assert run("list", path) == 0
    signed = "no, it did until 2027-01-15 09:00:00 UTC  after 2027-01-15 09:17:00 UTC"
    assert capsys.readouterr().out.count(signed) == 2
    clock.now -= 3600
    assert run("list", path, "--json") == 0
    as_json = capsys.readouterr().out
    listed = json.loads(as_json)
    assert listed["updated_at"] == NOW
    assert [key["kid"] for key in listed["keys"]] == ["shared", "first", "other", "second"]
    assert [key["role"] for key in listed["keys"]] == ["signs", "verifies", "public", "will sign"]
    assert listed["keys"][0]["may_go_at"] == NOW + 3600 + 900 + 120
    assert len(listed["passed_over"]) == 1
    for text in (shown, as_json):
        assert not [secret for secret in material if secret in text]
        assert all(character.isprintable() or character == "\n" for character in text)


def test_a_file_name_reaches_no_terminal_as_a_command(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = path.with_name("a b\x1b[2J" if os.name == "posix" else "a b")
    path.rename(odd)
    assert run("rotate", odd) == 0
    assert run("publish", odd, "--out", odd.with_name("public\u202e")) == 0
    said = capsys.readouterr().err
    assert all(character.isprintable() or character == "\n" for character in said)


def test_publish_shows_the_public_keys_with_their_times(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("rotate", path, "--kid", "second")
    capsys.readouterr()
    assert run("publish", path) == 0
    published = json.loads(capsys.readouterr().out)
    assert published["tokenwheel_updated_at"] == NOW
    assert [entry["kid"] for entry in published["keys"]] == ["first", "second"]
    assert published["keys"][1]["tokenwheel_signs_from"] == NOW + 3600
    assert not [entry for entry in published["keys"] if "d" in entry]
    out = tmp_path / "public.json"
    assert run("publish", path, "--out", out) == 0
    assert json.loads(out.read_text()) == published
    assert run("publish", path, "--out", out) == 0


def test_publish_writes_over_nothing_that_would_be_lost(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "public.json"
    old = path.read_bytes()
    run("rotate", path)
    assert run("publish", path, "--out", out) == 0
    selves = [path]
    if os.name == "posix":
        selves.append(tmp_path / "link")
        selves[1].symlink_to(path)
    other = tmp_path / "notes.txt"
    other.write_text("precious")
    capsys.readouterr()
    private = tmp_path / "private.json"
    private.write_bytes(path.read_bytes())
    for target in (private, other, tmp_path):
        assert run("publish", path, "--out", target) == 1
        assert "--out names something that holds no public keys" in capsys.readouterr().err
    for target in selves:
        assert run("publish", path, "--out", target) == 1
        assert "--out names the key file itself" in capsys.readouterr().err
    assert run("publish", out, "--out", out) == 1
    assert private.read_bytes() == path.read_bytes()
    assert other.read_text() == "precious"
    newer, new = out.read_bytes(), path.read_bytes()
    path.write_bytes(old)
    assert run("publish", path, "--out", out) == 1
    assert "the key file is an old copy" in capsys.readouterr().err
    assert out.read_bytes() == newer
    path.write_bytes(new)
    assert run("publish", path, "--out", out) == 0


def test_a_leaked_key_is_replaced_and_removed_at_once(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("remove", path, "--kid", "first", "--force") == 1
    assert "the key signs: rotate first, with --after 0" in capsys.readouterr().err
    assert run("rotate", path, "--after", "0", "--kid", "second") == 0
    capsys.readouterr()
    assert run("remove", path, "--kid", "first") == 1
    assert "give --force, or leave it to `tokenwheel keys retire`" in capsys.readouterr().err
    assert run("remove", path, "--kid", "first", "--force") == 0
    assert "refuse what it signed within a second" in capsys.readouterr().err
    assert [*entries(path)] == ["second"]


def test_a_leaked_secret_without_kid_is_removed_as_well(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    run("new", "--algorithm", "HS256", "--out", path)
    run("rotate", path, "--after", "0", "--kid", "second")
    assert run("remove", path, "--kid", "", "--force") == 0
    assert [*entries(path)] == ["second"]


def test_a_rotation_is_taken_back_before_the_new_key_signs(path: Path) -> None:
    before = entries(path)
    run("rotate", path, "--kid", "second")
    assert run("remove", path, "--kid", "second") == 0
    assert entries(path) == before
    assert run("rotate", path, "--kid", "third") == 0


def test_a_kid_that_begins_with_a_dash_is_no_option(path: Path) -> None:
    kid = "-AAAAAAAAAAAAAAAAAAAA"
    assert run("rotate", path, "--kid", kid) == 0
    assert [*entries(path)] == ["first", kid]
    assert run("remove", path, "--kid", kid) == 0
    assert [*entries(path)] == ["first"]


COMMANDS = ["new", "convert", "list", "rotate", "retire", "remove", "publish"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_what_each_command_does(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run("--help") == 0
    assert f"\n    {command} " in capsys.readouterr().out
    assert run(command, "--help") == 0
    assert f"usage: tokenwheel keys {command} " in capsys.readouterr().out


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_an_encrypted_key_is_told_how_to_open_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.pem"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            getattr(serialization.PrivateFormat, form),
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    new = tmp_path / "new"
    for command in (["list", path], ["publish", path], ["convert", path, "--out", new]):
        assert run(*command) == 1
        assert "`openssl pkey -in FILE -out PLAIN` asks for it" in capsys.readouterr().err
    assert not new.exists()

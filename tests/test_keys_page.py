"""What docs/keys.md tells is so: commands, defaults, tables and times.

Its pieces of Python run as pasted in ``test_readme``. What is tried at length beside the modules
that do it is tried here once for each row of the page's tables.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import (
    ConfigurationError,
    InvalidAccessToken,
    Key,
    KeyFile,
    KeySet,
    RemoteKeySet,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.cli import main
from tokenwheel.keys import ALGORITHMS, KeyResponse

PAGE = Path(__file__).resolve().parent.parent / "docs" / "keys.md"
NAMES = {"issuer": "auth.example", "audience": "api.example"}
URL = "https://auth.example/.well-known/jwks.json"
LONG = 10_000_000  # seconds: no token of these tests expires

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is tested without the pages")


def section(title: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"# {title}\n")[2].partition("\n#")[0]


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def commands(title: str) -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    return [line.split()[1:] for block in blocks for line in block.splitlines()]


def with_kid(command: list[str], kid: str | None) -> list[str]:
    """Return a command of the page with this kid in the place of KID."""
    assert "--kid=KID" in command
    return [word.replace("KID", kid or "") for word in command]


class Moment:
    """A clock and a timer that the test moves."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Moment:
    """The time of the commands, which write into a folder of the test's."""
    moment = Moment()
    monkeypatch.setattr(time, "time", moment)
    monkeypatch.chdir(tmp_path)
    return moment


class TestKeyFiles:
    def test_the_commands_of_a_rotation_do_what_the_page_tells(
        self, moment: Moment, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (new,) = commands("Making keys")
        rotate, show, retire = commands("Rotation, step by step")
        assert main(new) == 0
        old = json.loads(Path("keys.json").read_text())["kid"]
        keys = KeyFile("keys.json", clock=moment, timer=moment)
        assert main(rotate) == 0
        (fresh,) = {key["kid"] for key in json.loads(Path("keys.json").read_text())["keys"]} - {old}
        assert "signs from" in (said := capsys.readouterr().err)
        assert fresh in said
        assert main(show) == 0
        head = next(
            line for line in section("Rotation, step by step").splitlines() if "KID" in line
        )
        assert capsys.readouterr().out.splitlines()[0].split() == head.split()

        moment.now += 1  # within a second every process has both, and goes on signing as before
        assert signing_kid(keys) == old
        assert fresh in keys
        assert main(retire) == 0
        assert f"stays: {old}" in capsys.readouterr().out
        moment.now += 3_600
        assert signing_kid(keys) == fresh
        moment.now += 15 * 60 + 60 + 60
        assert main(retire) == 0
        assert f"removed: {old}" in capsys.readouterr().out
        moment.now += 1
        assert [key.kid for key in keys] == [fresh]

    def test_a_stolen_key_is_gone_within_a_second_and_its_sessions_go_on(
        self, moment: Moment
    ) -> None:
        assert main(commands("Making keys")[0]) == 0
        keys = KeyFile("keys.json", clock=moment, timer=moment)
        sessions = SessionManager(keys, **NAMES, access_ttl=LONG, clock=moment)
        assert main(commands("Rotation, step by step")[0]) == 0  # One more waits, and was read.
        stolen = sessions.create({}, subject="ann")
        moment.now += 1
        stolen_kids = [key.kid for key in keys]
        rotate, remove = commands("A key was stolen")
        assert main(rotate) == 0
        for kid in stolen_kids:
            assert main(with_kid(remove, kid)) == 0
        moment.now += 1
        with pytest.raises(InvalidAccessToken) as refused:
            sessions.read(stolen.access_token)
        assert refused.value.code == "access_token_invalid"
        fresh = sessions.update(stolen.refresh_token, {})
        assert sessions.read(fresh.access_token).subject == "ann"
        moment.now += LONG
        assert len(stolen_kids) == 2
        assert signing_kid(keys) not in stolen_kids

    def test_a_removal_is_told_to_resource_servers_by_the_time_of_the_set(
        self, moment: Moment
    ) -> None:
        assert main(commands("Making keys")[0]) == 0
        rotate, remove = commands("A key was stolen")
        assert main(rotate) == 0
        before = json.loads(Path("keys.json").read_text())
        assert main(with_kid(remove, before["keys"][0]["kid"])) == 0
        after = json.loads(Path("keys.json").read_text())
        assert after["tokenwheel_updated_at"] > before["tokenwheel_updated_at"]
        assert after["keys"] == before["keys"][1:]

    def test_the_key_that_signs_is_the_one_that_began_last(self, moment: Moment) -> None:
        def write(*starts: int | None) -> None:
            jwks = []
            for place, start in enumerate(starts):
                jwk = Key.generate("ES256", kid=str(place)).to_jwk(private=True)
                said = {} if start is None else {"tokenwheel_signs_from": int(moment.now) + start}
                jwks.append(jwk | said)
            Path("beside").write_text(json.dumps({"keys": jwks}))
            Path("beside").replace("keys.json")
            moment.now += 1

        write(None, None)
        keys = KeyFile("keys.json", clock=moment, timer=moment)
        assert signing_kid(keys) == "0"
        for starts, kid in (
            ([-10, -5, 60], "1"),
            ([None, -5], "1"),
            ([60, 30], "1"),
            ([None, 60], "0"),
        ):
            write(*starts)
            keys.look()
            assert signing_kid(keys) == kid, starts

    @pytest.mark.parametrize("content", [None, "", "{", "no key", '{"keys": []}'])
    def test_a_file_that_cannot_be_used_is_kept_out_and_said_once(
        self, moment: Moment, content: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "tokenwheel")
        assert main(commands("Making keys")[0]) == 0
        good = Path("keys.json").read_text()
        keys = KeyFile("keys.json", clock=moment, timer=moment)
        sessions = SessionManager(keys, **NAMES, clock=moment)
        tokens = sessions.create({}, subject="ann")
        caplog.clear()
        if content is None:
            Path("keys.json").unlink()
        else:
            Path("keys.json").write_text(content)
        for _ in range(5):
            moment.now += 1
            assert sessions.read(tokens.access_token).subject == "ann"
            sessions.create({}, subject="bob")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        stats = keys.stats()
        assert (stats.failures, stats.last_error is None) == (1, False)
        Path("keys.json").write_text(good)
        moment.now += 1
        sessions.create({}, subject="bob")
        assert "can be used again" in caplog.text
        assert keys.stats().last_error is None

    @pytest.mark.parametrize("content", [None, "{"])
    def test_a_file_that_cannot_be_used_makes_no_key_file(
        self, moment: Moment, content: str | None
    ) -> None:
        if content is not None:
            Path("keys.json").write_text(content)
        with pytest.raises(ConfigurationError):
            KeyFile("keys.json")


def signing_kid(keys: KeySet) -> str | None:
    assert keys.signing is not None
    return keys.signing.kid


class Site:
    """A URL's side, whose answers the test sets."""

    def __init__(self, *keys: Key) -> None:
        self.moment = Moment()
        self.answer: Callable[[], KeyResponse] = self.of(*keys)
        self.asked = 0

    def of(self, *keys: Key, updated_at: int | None = None) -> Callable[[], KeyResponse]:
        members: dict[str, Any] = {"keys": [key.public().to_jwk() for key in keys]}
        if updated_at is not None:
            members["tokenwheel_updated_at"] = updated_at
        return body(json.dumps(members).encode())

    def fetch(self, url: str, *, headers: Mapping[str, str]) -> KeyResponse:
        assert url == URL
        self.asked += 1
        return self.answer()

    def keys(self, **options: Any) -> RemoteKeySet:
        return RemoteKeySet(URL, fetch=self.fetch, timer=self.moment, clock=self.moment, **options)

    def manager(self, keys: KeySet) -> SessionManager:
        return SessionManager(keys, **NAMES, clock=self.moment, access_ttl=LONG)


def body(content: bytes, status: int = 200) -> Callable[[], KeyResponse]:
    return lambda: KeyResponse(status, {}, content)


def unreachable() -> KeyResponse:
    raise ConnectionRefusedError


OLD, NEW = Key.generate("ES256"), Key.generate("ES256")
OF_NO_USE = {
    "can't be reached": unreachable,
    "404": body(b"", 404),
    "500": body(b"", 500),
    "HTML": body(b"<!doctype html><title>Login</title>"),
    "more than 256 KiB": body(b'{"keys": [' + b" " * 262_144 + b"]}"),
    "half a body": body(json.dumps({"keys": [OLD.public().to_jwk()]}).encode()[:100]),
    "an empty set": body(b'{"keys": []}'),
    "no key can be used": body(b'{"keys": [{"kty": "RSA", "use": "enc"}]}'),
}


class TestRemoteKeys:
    @pytest.mark.parametrize("befalls", OF_NO_USE)
    def test_whatever_befalls_the_url_read_goes_on_for_max_age(self, befalls: str) -> None:
        site = Site(OLD)
        keys = site.keys()
        with site.manager(KeySet(OLD)) as login, site.manager(keys) as sessions:
            token = login.create({}, subject="ann").access_token
            assert sessions.read(token).subject == "ann"
            site.answer = OF_NO_USE[befalls]
            for _ in range(3):
                site.moment.now += 86_400 / 4
                with pytest.raises(StorageUnavailable):
                    keys.refresh()
                assert sessions.read(token).subject == "ann"
            assert keys.stats().failures >= 3
            assert keys.stats().last_error is not None
            site.moment.now += 86_400 / 4
            with pytest.raises(StorageUnavailable, match="too old"):
                sessions.read(token)
            site.answer = site.of(OLD)
            keys.refresh()
            assert sessions.read(token).subject == "ann"

    @pytest.mark.parametrize("befalls", OF_NO_USE)
    def test_without_any_good_answer_a_manager_is_made_and_read_raises(self, befalls: str) -> None:
        site = Site(OLD)
        site.answer = OF_NO_USE[befalls]
        keys = site.keys()
        with site.manager(KeySet(OLD)) as login, site.manager(keys) as sessions:
            token = login.create({}, subject="ann").access_token
            with pytest.raises(StorageUnavailable, match="have not been fetched yet"):
                sessions.read(token)
            with pytest.raises(StorageUnavailable, match="could not be fetched"):
                keys.refresh()

    def test_an_old_copy_of_a_set_takes_nothing_away(self) -> None:
        site = Site()
        now = int(site.moment.now)
        site.answer = site.of(OLD, NEW, updated_at=now)
        keys = site.keys()
        with site.manager(KeySet(NEW)) as login, site.manager(keys) as sessions:
            token = login.create({}, subject="ann").access_token
            site.answer = site.of(OLD, updated_at=now - 1)
            with pytest.raises(StorageUnavailable, match="old copy"):
                keys.refresh()
            site.moment.now += 3_600
            assert sessions.read(token).subject == "ann"

    def test_a_restored_key_file_is_taken_once_a_key_was_added_to_it(self, moment: Moment) -> None:
        assert main(commands("Making keys")[0]) == 0
        restored = Path("keys.json").read_bytes()
        (kid,) = [key.kid for key in KeyFile("keys.json")]
        assert main(["keys", "rotate", "keys.json", "--after", "0s"]) == 0
        assert main(["keys", "remove", "keys.json", f"--kid={kid}", "--force"]) == 0
        site = Site()
        site.moment = moment
        published = KeyFile("keys.json").jwks
        site.answer = lambda: KeyResponse(200, {}, json.dumps(published()).encode())
        keys = site.keys()
        with site.manager(keys):
            assert kid not in keys
            Path("keys.json").write_bytes(restored)
            with pytest.raises(StorageUnavailable, match="old copy"):
                keys.refresh()
            moment.now += 60
            (rotate,) = commands("An old key file was restored")
            assert main(rotate) == 0
            keys.refresh()
            assert kid in keys
            assert len(keys) == 2

    def test_a_key_that_a_newer_set_lacks_is_gone_at_the_next_fetch(self) -> None:
        site = Site()
        now = int(site.moment.now)
        site.answer = site.of(OLD, NEW, updated_at=now)
        keys = site.keys()
        with site.manager(KeySet(OLD)) as login, site.manager(keys) as sessions:
            token = login.create({}, subject="ann").access_token
            assert sessions.read(token).subject == "ann"
            site.answer = site.of(NEW, updated_at=now + 1)
            keys.refresh()
            site.moment.now += 1
            with pytest.raises(InvalidAccessToken, match="names no key"):
                sessions.read(token)

    def test_a_key_that_is_missing_in_a_set_of_unknown_age_stays_for_keep_missing(self) -> None:
        site = Site(OLD, NEW)
        keys = site.keys()
        with site.manager(KeySet(OLD)) as login, site.manager(keys) as sessions:
            token = login.create({}, subject="ann").access_token
            site.answer = site.of(NEW)
            keys.refresh()
            site.moment.now += 299
            assert sessions.read(token).subject == "ann"
            site.moment.now += 2
            with pytest.raises(InvalidAccessToken, match="names no key"):
                sessions.read(token)

    def test_what_anybody_could_read_verifies_nothing(self) -> None:
        site = Site()
        jwks = {"keys": [OLD.to_jwk(private=True), NEW.public().to_jwk()]}
        site.answer = body(json.dumps(jwks).encode())
        with site.manager(KeySet(OLD)) as thief, site.manager(site.keys()) as sessions:
            forged = thief.create({}, subject="ann").access_token
            with pytest.raises(InvalidAccessToken, match="names no key"):
                sessions.read(forged)

    def test_a_manager_over_it_creates_nothing(self) -> None:
        site = Site(OLD)
        with (
            site.manager(site.keys()) as sessions,
            pytest.raises(ConfigurationError, match="cannot issue tokens"),
        ):
            sessions.create({}, subject="ann")


def refusal_of(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        call()
    return str(refused.value)


PEM = NEW.to_pem().decode()
REFUSED: dict[str, Callable[[], object]] = {
    "a path instead": lambda: Key.from_pem("/etc/keys/key.pem", "ES256"),
    r"`\n` as two": lambda: Key.from_pem(PEM.replace("\n", "\\n"), "ES256"),
    "a PEM text on one": lambda: Key.from_pem(PEM.replace("\n", " "), "ES256"),
    "a public key of OpenSSH": lambda: Key.from_pem("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "EdDSA"),
    "a JWK Set as": lambda: Key.from_jwk(KeySet(NEW).jwks()),
    "a JWK as": lambda: Key.from_pem(json.dumps(NEW.public().to_jwk()), "ES256"),
    "a PEM text as": lambda: Key.from_jwk(PEM),
    "several keys": lambda: Key.from_pem(PEM + OLD.to_pem().decode(), "ES256"),
    "a URL instead": lambda: Key.from_pem(URL, "ES256"),
    "a path as": lambda: Key.from_secret("/run/secrets/the_signing_secret_of_2026"),
    "a URL as": lambda: Key.from_secret(URL),
    "`${SECRET}` as": lambda: Key.from_secret("${SECRET}"),
    "nothing": lambda: Key.from_pem("", "ES256"),
}


@pytest.mark.parametrize("handed_in", REFUSED)
def test_a_refusal_says_what_the_page_tells(handed_in: str) -> None:
    (told,) = (
        said for given, said in rows("Refusals") if re.match(rf"{re.escape(handed_in)}\b", given)
    )
    assert told.strip("`") in refusal_of(REFUSED[handed_in])


def test_each_refusal_of_the_page_is_tried() -> None:
    assert len(rows("Refusals")) == len(REFUSED)


def test_every_algorithm_is_on_the_page() -> None:
    named = {name for names, _ in rows("Algorithms and their names") for name in names.split(", ")}
    assert named == set(ALGORITHMS)


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "RSA", "use": "enc"},
        {"kty": "RSA", "key_ops": ["encrypt"]},
        {"kty": "RSA", "alg": "RSA-OAEP"},
        {"kty": "AKP", "alg": "ML-DSA-44"},
        {"kty": "EC", "crv": "P-224"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": "c2hvcnQ"},
        "no object",
    ],
    ids=json.dumps,
)
def test_what_is_of_no_use_in_a_set_is_passed_over_and_logged(
    jwk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tokenwheel")
    keys = KeySet.from_jwks({"keys": [jwk, NEW.public().to_jwk()]})
    assert [key.kid for key in keys] == [NEW.kid]
    assert len(caplog.records) == 1
    with pytest.raises(ConfigurationError, match="has no key that can be used here"):
        KeySet.from_jwks({"keys": [jwk]})

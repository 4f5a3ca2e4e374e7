"""Keys that are not made anew: where a key is added to a file, nobody waits for the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import ConfigurationError, Key
from tokenwheel.cli import main
from tokenwheel.keys.forms.known_keys import KnownKeys

from .key_files import Follower, kid_of, replace, text_of_set

OLD = Key.generate("ES256", kid="old")
NEW = Key.generate("ES256", kid="new")
THIRD = Key.generate("ES256", kid="third")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Return the kids of the keys that are made of JWKs from now on."""
    kids: list[str | None] = []
    from_jwk = Key.from_jwk

    def noted(*arguments: Any) -> Key:
        key = from_jwk(*arguments)
        kids.append(key.kid)
        return key

    monkeypatch.setattr(Key, "from_jwk", noted)
    return kids


def test_a_rotation_makes_the_new_key_alone(tmp_path: Path, made: list[str | None]) -> None:
    path = tmp_path / "keys.json"
    replace(path, text_of_set(OLD, NEW))
    follower = Follower(path)
    assert made == ["old", "new"]
    replace(path, text_of_set(NEW, OLD, THIRD, third=1))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "third"
    assert made == ["old", "new", "third"]


def test_a_broken_file_makes_no_key_be_made_anew(tmp_path: Path, made: list[str | None]) -> None:
    path = tmp_path / "keys.json"
    replace(path, text_of_set(OLD, NEW))
    follower = Follower(path)
    for text in (b'{"keys": [', b"", text_of_set(OLD, NEW, old=1)):
        replace(path, text)
        follower.pass_a_second()
        assert len(follower.keys) == 2
    assert follower.keys.stats().last_error is None
    assert made == ["old", "new"]


def test_a_jwk_that_becomes_a_set_is_made_once(tmp_path: Path, made: list[str | None]) -> None:
    path = tmp_path / "keys.json"
    assert main(["keys", "new", "--algorithm", "ES256", "--kid", "old", "--out", str(path)]) == 0
    follower = Follower(path)
    assert main(["keys", "rotate", str(path), "--kid", "new"]) == 0
    made.clear()
    follower.pass_a_second()
    assert len(follower.keys) == 2
    assert made == ["new"]


def test_a_command_makes_each_key_once(tmp_path: Path, made: list[str | None]) -> None:
    path = tmp_path / "keys.json"
    replace(path, text_of_set(OLD, NEW))
    assert main(["keys", "rotate", str(path), "--kid", "third"]) == 0
    assert sorted(map(str, made)) == ["new", "old", "third"]


def test_other_members_make_another_key() -> None:
    known = KnownKeys()
    jwk = OLD.to_jwk(private=True)
    key = known.made_of(jwk, None)
    assert known.made_of(jwk | {"iat": 5}, None) is key
    known.forget_unused()
    assert known.made_of(json.loads(json.dumps(jwk)), "ES256") is key
    assert known.made_of(OLD.to_jwk(), None).can_sign is False
    assert known.made_of(jwk | {"kid": "other"}, None).kid == "other"
    with pytest.raises(ConfigurationError, match="malformed"):
        known.made_of(jwk | {"x": NEW.to_jwk()["x"]}, None)
    with pytest.raises(ConfigurationError):
        known.made_of(jwk, "HS256")


def test_a_key_that_left_is_forgotten() -> None:
    known = KnownKeys()
    key = known.made_of(OLD.to_jwk(), None)
    known.forget_unused()
    known.forget_unused()
    again = known.made_of(OLD.to_jwk(), None)
    assert again is not key

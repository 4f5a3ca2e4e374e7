"""Which key of a file signs, and from when: each process finds out by its clock alone."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tokenwheel import Key, SessionManager
from tokenwheel.keys import KeyFile

from .key_files import Follower, kid_of, replace, text_of_set, token_by

OLD, NEW, LATER = (Key.generate("ES256", kid=kid) for kid in ("old", "new", "later"))
NOW = 1_700_000_000
"""What the clock of a new ``Follower`` tells."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    replace(path, text_of_set(OLD, NEW, new=NOW + 60))
    return path


def test_a_key_signs_from_its_time_on_and_verifies_before(path: Path) -> None:
    follower = Follower(path)
    early_token = token_by(NEW, follower.clock)
    assert follower.reads(early_token)
    follower.clock.now = NOW + 59.999
    assert kid_of(follower.create()) == "old"
    follower.clock.now = NOW + 60
    assert kid_of(follower.create()) == "new"
    assert follower.reads(token_by(OLD, follower.clock))


def test_the_time_comes_between_two_looks_at_the_file(path: Path) -> None:
    """The timer stands still, so the file is not looked at again."""
    replace(path, text_of_set(OLD, NEW, LATER, new=NOW + 60, later=NOW + 61))
    follower = Follower(path)
    for moment, kid in ((0, "old"), (60, "new"), (61, "later"), (10**9, "later")):
        follower.clock.now = NOW + moment
        assert kid_of(follower.create()) == kid


def test_a_refreshed_session_is_signed_by_the_key_that_is_due(path: Path) -> None:
    follower = Follower(path)
    refresh_token = follower.manager.create(subject="ann").refresh_token
    follower.clock.now = NOW + 60
    assert kid_of(follower.manager.update(refresh_token).access_token) == "new"


def test_a_clock_that_is_put_back_has_the_older_key_sign_again(path: Path) -> None:
    follower = Follower(path)
    for moment, kid in ((60, "new"), (0, "old"), (-NOW, "old"), (60, "new")):
        follower.clock.now = NOW + moment
        token = follower.create()
        assert kid_of(token) == kid
        assert follower.reads(token)


def test_another_key_that_signs_lets_no_remembered_token_be_forgotten(path: Path) -> None:
    follower = Follower(path)
    token = follower.create()
    claims = follower.manager.read(token)
    follower.clock.now = NOW + 60
    assert kid_of(follower.create()) == "new"
    assert follower.manager.read(token) is claims


def test_a_file_that_says_the_same_lets_no_remembered_token_be_forgotten(path: Path) -> None:
    follower = Follower(path)
    token = follower.create()
    claims = follower.manager.read(token)
    replace(path, text_of_set(OLD, NEW, new=NOW + 120) + b"\n")
    follower.pass_a_second()
    assert follower.manager.read(token) is claims
    follower.clock.now = NOW + 119
    assert kid_of(follower.create()) == "old"
    follower.clock.now = NOW + 120
    assert kid_of(follower.create()) == "new"


def test_where_none_may_sign_yet_the_first_that_will_does_and_that_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replace(path, text_of_set(LATER, NEW, later=NOW + 90, new=NOW + 60))
    follower = Follower(path)
    for _ in range(3):
        assert kid_of(follower.create()) == "new"
        follower.pass_a_second()
    follower.clock.now = NOW + 60
    follower.create()
    follower.clock.now = NOW + 50
    assert kid_of(follower.create()) == "new"
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1
    assert said[0].startswith(
        f"no key of the key file {str(path)!r} may sign yet: the key 'new' does"
    )
    assert said[0].endswith(f"'tokenwheel_signs_from' is {NOW + 60}")


def test_the_next_change_is_told(path: Path) -> None:
    replace(path, text_of_set(OLD, NEW, LATER.public(), new=NOW + 60, later=NOW + 90))
    follower = Follower(path)
    assert follower.keys.stats() == (NOW, 0, None, NOW + 60)
    follower.clock.now = NOW + 60
    assert follower.keys.stats() == (NOW, 0, None, None)
    follower.clock.now = NOW
    replace(path, text_of_set(LATER, NEW, later=NOW + 60, new=NOW + 90))
    assert follower.keys.stats().next_signing_change == NOW + 90


def test_the_key_that_is_due_signs_where_the_set_is_used_without_a_manager(path: Path) -> None:
    follower = Follower(path)
    keys = follower.keys
    assert keys.signing is not None
    assert keys.signing.kid == "old"
    follower.clock.now = NOW + 60
    assert keys.signing.kid == "new"


def test_a_manager_that_is_made_later_signs_with_the_key_that_is_due(path: Path) -> None:
    follower = Follower(path)
    follower.clock.now = NOW + 60
    manager = SessionManager(follower.keys, issuer="i", audience="a", clock=follower.clock)
    assert kid_of(manager.create(subject="ann").access_token) == "new"


def test_a_jwk_by_itself_signs_though_its_time_has_not_come(path: Path) -> None:
    text = text_of_set(NEW, new=NOW + 60)
    replace(path, text[len(b'{"keys": [') : -len(b"]}")])
    assert KeyFile(path, clock=lambda: NOW).signing is not None

"""A key set that follows a file: what is taken over, and what is kept out."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.doors.guises import HOSTILE, hostile
from tests.support import FakeClock, secret_of
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    InvalidAccessToken,
    InvalidArgument,
    Key,
    SessionManager,
    TokenwheelError,
)
from tokenwheel.keys import KeyFile

from .key_files import Follower, kid_of, replace, text_of_set, token_by, write_in_place

OLD = Key.generate("ES256", kid="old")
NEW = Key.generate("ES256", kid="new")
SHARED = Key.from_secret(secret_of("shared"), kid="shared")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX has such files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    replace(path, text_of_set(OLD))
    return path


@pytest.fixture
def follower(path: Path) -> Follower:
    return Follower(path)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Yield what returns the warnings since it was last asked; check that none shows a key."""
    caplog.set_level(logging.INFO, "tokenwheel")
    everything: list[str] = []

    def warnings() -> list[str]:
        said = [(record.levelno, record.getMessage()) for record in caplog.records]
        everything.extend(caplog.text.splitlines())
        caplog.clear()
        return [text for level, text in said if level >= logging.WARNING]

    yield warnings
    warnings()
    for key in (OLD, NEW, SHARED):
        jwk = key.to_jwk(private=True)
        assert not [line for line in everything if jwk.get("d", jwk.get("k")) in line]


@pytest.mark.parametrize("put", [replace, write_in_place])
def test_a_changed_file_is_taken_over_at_the_next_look(
    path: Path, follower: Follower, put: Callable[[Path, bytes], None]
) -> None:
    old_token = follower.create()
    put(path, text_of_set(NEW, OLD))
    new_token = token_by(NEW, follower.clock)
    follower.pass_a_second()
    assert follower.reads(old_token)
    assert follower.reads(new_token)
    assert kid_of(follower.create()) == "new"


def test_the_tokens_of_a_key_that_left_are_refused_within_a_second(
    path: Path, follower: Follower
) -> None:
    token = follower.create()
    assert follower.reads(token)
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert not follower.reads(token)


def test_a_key_that_just_came_is_known_when_its_first_token_comes(
    path: Path, follower: Follower
) -> None:
    assert follower.reads(follower.create())
    replace(path, text_of_set(OLD, NEW))
    assert follower.reads(token_by(NEW, follower.clock))


def test_whatever_attackers_send_the_file_is_looked_at_a_hundred_times_a_second(
    path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    stat = Path.stat

    def counting(self: Path, **options: Any) -> os.stat_result:
        nonlocal looks
        looks += self == path
        return stat(self, **options)

    follower.pass_a_second()
    token = token_by(Key.generate("ES256", kid="invented"), follower.clock)
    monkeypatch.setattr(Path, "stat", counting)
    for _ in range(1000):
        assert not follower.reads(token)
        follower.timer.advance(0.001)
    assert 90 <= looks <= 101


def test_a_thousand_logins_a_second_look_at_the_file_twenty_times(
    path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower.timer.advance(10)  # beyond the time in which a changed file is read again
    follower.create()
    reads = 0
    looked = follower.keys._file.read_if_changed

    class Counting:
        mode = 0

        def read_if_changed(self, now: float) -> bytes | None:
            nonlocal reads
            reads += 1
            return looked(now)

    monkeypatch.setattr(follower.keys, "_file", Counting())
    for _ in range(1000):
        follower.create()
        follower.timer.advance(0.001)
    assert 18 <= reads <= 21


@pytest.mark.parametrize("shift", [-86_400, 86_400])
def test_a_clock_that_is_put_right_stops_no_look(
    path: Path, follower: Follower, shift: float
) -> None:
    follower.reads(follower.create())
    follower.clock.advance(shift)
    follower.create()
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


def test_a_timer_that_runs_back_stops_no_look(path: Path, follower: Follower) -> None:
    follower.create()
    follower.timer.advance(-40)
    replace(path, text_of_set(NEW))
    assert kid_of(follower.create()) == "new"


@needs_posix
def test_links_are_followed_wherever_they_lead_later(tmp_path: Path) -> None:
    """As Kubernetes swaps a mounted secret: ``..data`` is a link that is replaced."""
    for folder, key in (("..1", OLD), ("..2", NEW)):
        (tmp_path / folder).mkdir()
        replace(tmp_path / folder / "keys.json", text_of_set(key))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    follower = Follower(tmp_path / "keys.json")
    assert kid_of(follower.create()) == "old"
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    (tmp_path / "..1" / "keys.json").unlink()
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


def test_a_file_that_is_written_twice_in_one_tick_is_read_again(
    path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_stamp = path.stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: same_stamp)
    follower.pass_a_second()
    follower.create()
    path.write_bytes(text_of_set(NEW))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


def test_a_relative_path_is_that_of_the_folder_at_the_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    follower = Follower(Path(path.name))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


@needs_posix
def test_a_working_directory_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigurationError, match="the working directory is not there"):
        KeyFile("keys.json")


def _remove(path: Path) -> None:
    path.unlink()


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _make_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _lead_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "removed": (_remove, "is not there"),
    "a link to nothing": (_lead_nowhere, "is not there"),
    "a folder": (_make_folder, "is a folder"),
    "a pipe": (_make_pipe, "is no regular file"),
    "a socket": (_make_socket, "is no regular file"),
    "a loop of links": (_make_loop, "cannot be read: Too many levels of symbolic links"),
    "empty": (lambda path: replace(path, b""), "the key file is empty"),
    "half": (lambda path: replace(path, text_of_set(NEW)[:-20]), "JSON"),
    "half, in place": (lambda path: write_in_place(path, text_of_set(NEW)[:-20]), "JSON"),
    "another thing": (lambda path: replace(path, b"<html></html>"), "HTML"),
    "no keys": (lambda path: replace(path, b'{"keys": []}'), "key"),
    "deeply nested": (lambda path: replace(path, b'{"keys":' + b"[" * 100_000), "JSON"),
    "too large": (lambda path: replace(path, b" " * 2**20 + text_of_set(NEW)), "1048576 bytes"),
}


@pytest.mark.parametrize("how", BROKEN)
@needs_posix
def test_what_cannot_be_used_is_kept_out_and_said_once(
    path: Path, follower: Follower, log: Callable[[], list[str]], how: str
) -> None:
    break_it, reason = BROKEN[how]
    token = follower.create()
    break_it(path)
    for _ in range(5):
        follower.pass_a_second()
        assert follower.reads(token)
        assert kid_of(follower.create()) == "old"
        follower.keys.miss()
    (warning,) = log()
    assert warning.startswith(f"the key file {str(path)!r} ")
    assert reason in warning
    assert warning.endswith("; the keys that it had stay in use")
    stats = follower.keys.stats()
    assert stats.failures == 1
    assert stats.last_error is not None
    assert stats.last_error in warning
    if path.is_dir():
        path.rmdir()
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert not follower.reads(token)
    assert kid_of(follower.create()) == "new"
    assert follower.keys.stats().last_error is None


@pytest.mark.parametrize("how", BROKEN)
@needs_posix
def test_what_cannot_be_used_makes_no_set(path: Path, how: str) -> None:
    break_it, reason = BROKEN[how]
    break_it(path)
    with pytest.raises(ConfigurationError) as caught:
        KeyFile(path)
    assert reason in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@needs_posix
def test_a_file_that_comes_back_as_it_was_is_good_again(
    path: Path, follower: Follower, log: Callable[[], list[str]]
) -> None:
    aside = path.with_name("aside")
    path.rename(aside)
    follower.pass_a_second()
    follower.create()
    assert len(log()) == 1
    aside.rename(path)
    follower.pass_a_second()
    follower.create()
    assert log() == [f"the key file {str(path)!r} can be used again"]
    assert follower.keys.stats()[1:3] == (1, None)


def test_each_change_of_what_is_wrong_is_said(
    path: Path, follower: Follower, log: Callable[[], list[str]]
) -> None:
    for text in (b"", b"no key", b"", text_of_set(OLD), b"no key"):
        replace(path, text)
        follower.pass_a_second()
        follower.create()
    assert [("used again" in said) for said in log()] == [False, False, False, True, False]
    assert follower.keys.stats().failures == 4


@needs_posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_kept_out(
    path: Path, follower: Follower, log: Callable[[], list[str]]
) -> None:
    path.chmod(0)
    follower.pass_a_second()
    assert kid_of(follower.create()) == "old"
    (warning,) = log()
    assert "cannot be read: Permission denied" in warning
    path.chmod(0o600)
    follower.pass_a_second()
    follower.create()
    assert follower.keys.stats().last_error is None


def test_a_read_that_fails_is_tried_again_though_the_file_is_the_same(
    path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        assert kid_of(follower.create()) == "old"
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


def test_a_file_that_changes_while_it_is_read_is_read_again(
    path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.read
    writes = 0

    def write_meanwhile(descriptor: int, count: int) -> bytes:
        nonlocal writes
        content = read(descriptor, count)
        if writes < 2:
            writes += 1
            with path.open("ab") as file:
                file.write(b" ")
        return content

    monkeypatch.setattr(os, "read", write_meanwhile)
    write_in_place(path, text_of_set(NEW))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


def test_a_file_that_never_stands_still_is_kept_out(
    path: Path,
    follower: Follower,
    monkeypatch: pytest.MonkeyPatch,
    log: Callable[[], list[str]],
) -> None:
    read = os.read

    def write_meanwhile(descriptor: int, count: int) -> bytes:
        content = read(descriptor, count)
        with path.open("ab") as file:
            file.write(b" ")
        return content

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", write_meanwhile)
        write_in_place(path, text_of_set(NEW))
        follower.pass_a_second()
        assert kid_of(follower.create()) == "old"
    assert "is being written" in log()[0]
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"


def test_public_keys_make_a_manager_that_reads(path: Path) -> None:
    replace(path, text_of_set(OLD.public()))
    follower = Follower(path)
    assert follower.reads(token_by(OLD, follower.clock))
    with pytest.raises(ConfigurationError, match="only public keys"):
        follower.create()
    replace(path, text_of_set(OLD))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "old"


def test_a_file_that_loses_its_private_keys_is_taken_over_and_said(
    path: Path, follower: Follower, log: Callable[[], list[str]]
) -> None:
    token = follower.create()
    replace(path, text_of_set(OLD.public()))
    follower.pass_a_second()
    assert follower.reads(token)
    with pytest.raises(ConfigurationError, match="only public keys"):
        follower.create()
    (warning,) = log()
    assert "has only public keys now" in warning


def test_a_file_that_loses_the_key_that_signs_is_taken_over_and_said(
    path: Path, follower: Follower, log: Callable[[], list[str]]
) -> None:
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"
    (warning,) = log()
    assert "the key 'old', which signed, has left" in warning
    assert "'new' signs now" in warning


@needs_posix
@pytest.mark.parametrize(
    "mode, key, said",
    [
        (0o644, OLD, "mode 0644, so every user of this machine can read it"),
        (0o640, SHARED, "mode 0640, so its group can read it"),
        (0o666, OLD.public(), "mode 0666, so every user of this machine can write it"),
        (0o644, OLD.public(), None),
        (0o600, OLD, None),
    ],
)
def test_a_file_that_others_can_read_or_write_is_warned_of_once(
    path: Path, log: Callable[[], list[str]], mode: int, key: Key, said: str | None
) -> None:
    replace(path, text_of_set(key))
    path.chmod(mode)
    follower = Follower(path)
    for _ in range(3):
        path.chmod(mode)
        follower.pass_a_second()
        assert len(follower.keys) == 1
    warnings = log()
    assert len(warnings) == (said is not None)
    assert said is None or said in warnings[0]


def test_the_set_is_that_of_the_file_without_a_manager_too(path: Path) -> None:
    keys = KeyFile(path)
    replace(path, text_of_set(NEW, SHARED))
    assert len(keys) == 2
    replace(path, text_of_set(NEW))
    assert [key.kid for key in keys] == ["new"]
    replace(path, text_of_set(OLD))
    assert "old" in keys
    replace(path, text_of_set(NEW))
    assert keys.signing is not None
    assert keys.signing.kid == "new"
    replace(path, text_of_set(OLD))
    assert [jwk["kid"] for jwk in keys.jwks()["keys"]] == ["old"]


def test_the_published_set_says_what_the_file_says(path: Path) -> None:
    replace(path, text_of_set(OLD, NEW, SHARED, new=1_700_003_600))
    published = KeyFile(path).jwks()
    assert [jwk["kid"] for jwk in published["keys"]] == ["old", "new"]
    assert published["keys"][1]["tokenwheel_signs_from"] == 1_700_003_600
    assert not [jwk for jwk in published["keys"] if "d" in jwk]


def test_the_file_alone_changes_the_set(path: Path) -> None:
    keys = KeyFile(path)
    for change in (
        lambda: keys.add(NEW),
        lambda: keys.sign_with("old"),
        lambda: keys.remove("old"),
    ):
        with pytest.raises(InvalidArgument, match="follows a file: change that instead"):
            change()


def test_a_key_file_shows_its_name_and_is_never_copied(path: Path) -> None:
    keys = KeyFile(path, password=None)
    assert repr(keys) == f"<KeyFile {str(path)!r} of 1 keys>"
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            spread(keys)


def test_an_async_manager_follows_the_file_too(path: Path) -> None:
    async def follow() -> None:
        clock, timer = FakeClock(1_700_000_000.0), FakeClock()
        keys = KeyFile(path, clock=clock, timer=timer)
        async with AsyncSessionManager(keys, issuer="i", audience="a", clock=clock) as manager:
            older = (await manager.create(subject="ann")).access_token
            replace(path, text_of_set(NEW))
            clock.advance(1)
            timer.advance(1)
            with pytest.raises(InvalidAccessToken):
                manager.read(older)
            assert kid_of((await manager.create(subject="ann")).access_token) == "new"

    asyncio.run(follow())


def test_several_managers_share_a_key_file_and_may_be_dropped(path: Path) -> None:
    follower = Follower(path)
    other = SessionManager(follower.keys, issuer="i", audience="a", clock=follower.clock)
    token = other.create(subject="ann").access_token
    follower.manager.close()
    follower.manager = other
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert not follower.reads(token)
    other.close()
    follower.pass_a_second()
    assert len(follower.keys) == 1


def test_a_subscriber_that_raises_keeps_nobody_from_reading(
    path: Path, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("of the application's own")

    follower.keys.subscribe(fail)
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    assert kid_of(follower.create()) == "new"
    assert "a subscriber of the key file" in caplog.text
    caplog.clear()  # The traceback is the application's own.


def test_a_look_that_is_interrupted_is_made_up_for_by_the_next(
    path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a child of a fork that another thread of the parent had half told."""

    def interrupt(_: KeyFile) -> None:
        raise KeyboardInterrupt

    token = follower.create()
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    with monkeypatch.context() as patch:
        patch.setattr(KeyFile, "_announce", interrupt)
        with pytest.raises(KeyboardInterrupt):
            follower.create()
    assert kid_of(follower.create()) == "new"
    assert not follower.reads(token)


def test_another_key_under_an_old_kid_is_taken_over_within_a_second(
    path: Path, follower: Follower
) -> None:
    """No token tells that it is another key. So each key should have a kid of its own."""
    old_token = follower.create()
    other = Key.generate("ES256", kid="old")
    replace(path, text_of_set(other))
    follower.pass_a_second()
    assert not follower.reads(old_token)
    assert follower.reads(token_by(other, follower.clock))


def test_an_encrypted_pem_is_followed_by_its_password(tmp_path: Path) -> None:
    password = secret_of("password", 12)
    path = tmp_path / "key.pem"

    def encrypted(key: Key) -> bytes:
        pem: bytes = key._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
        return pem

    replace(path, encrypted(OLD))
    follower = Follower(path, password=password)
    assert follower.reads(follower.create())
    replace(path, encrypted(NEW) + encrypted(OLD))
    follower.pass_a_second()
    new_token = follower.create()
    assert len(follower.keys) == 2
    assert follower.reads(new_token)
    signing = follower.keys.signing
    assert signing is not None
    assert signing.to_pem() == NEW.to_pem()
    assert password not in repr([getattr(follower.keys, name) for name in KeyFile.__slots__])


def test_a_subscriber_that_looks_again_does_not_wait_for_itself(
    path: Path, follower: Follower
) -> None:
    seen: list[Any] = []

    def look() -> None:
        follower.keys.miss()
        seen.append([key.kid for key in follower.keys])

    follower.keys.subscribe(look)
    replace(path, text_of_set(NEW))
    follower.pass_a_second()
    follower.create()
    assert seen == [["new"]]


MISTAKES: dict[str, tuple[Any, str]] = {
    "a PEM text": (OLD.to_pem(private=True).decode(), "not the text of a key"),
    "a JWK text": (text_of_set(OLD).decode(), "not the text of a key"),
    "a URL": ("https://example.com/jwks.json", "RemoteKeySet"),
    "bytes": (b"keys.json", "os.fsdecode"),
    "a number": (7, "a str or an os.PathLike, not int"),
    "a class": (Path, "must be an instance"),
    "a secret": (secret_of("given as a path"), "is not there"),
    "nothing": ("", "without NUL"),
    "a NUL": ("keys\0.json", "without NUL"),
    "a lone surrogate": ("\ud800", "without NUL"),
}


@pytest.mark.parametrize("option", ["path", "algorithm", "password", "clock", "timer"])
@pytest.mark.parametrize("name", [*HOSTILE])
def test_a_hostile_argument_is_refused_or_taken_for_what_it_is(
    path: Path, option: str, name: str
) -> None:
    arguments: dict[str, Any] = {"path": path} | {option: hostile(name)}
    with suppress(TokenwheelError):
        assert [key.kid for key in KeyFile(**arguments)] == ["old"]


@pytest.mark.parametrize("what", MISTAKES)
def test_what_is_no_path_is_refused_and_not_shown(what: str) -> None:
    given, reason = MISTAKES[what]
    with pytest.raises(ConfigurationError) as caught:
        KeyFile(given)
    assert reason in str(caught.value)
    assert type(given) is not str or len(given) < 9 or given not in str(caught.value)


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"algorithm": "none"}, "algorithm must be one of"),
        ({"password": 7}, "password must be str or bytes, not int"),
        ({"password": "p"}, "password"),
        ({"clock": 7}, "clock must be a callable"),
        ({"timer": lambda now: now}, "timer must take no argument"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        KeyFile(path, **options)

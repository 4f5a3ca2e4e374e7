"""SqliteFeed: the contract of every feed, and what is its own.

That is the doorbell that is never trusted, the replay, and rows that go.
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import sqlite3
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import InvalidArgument, Revocation, RevocationList, SqliteFeed, StorageUnavailable
from tokenwheel.testing import FeedContract

from .conftest import NOW, Lists

ONE, OTHER = "A" * 16, "B" * 16


class TestContract(FeedContract):
    def make_feeds(self) -> tuple[SqliteFeed, SqliteFeed]:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "sessions.db")
        return SqliteFeed(path), SqliteFeed(path)

    def teardown_method(self) -> None:
        super().teardown_method()
        self.folder.cleanup()


class TestContractWithoutMapping(TestContract):
    """Where files cannot be mapped, each poll asks SQLite."""

    @pytest.fixture(autouse=True)
    def _no_mapping(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tokenwheel.sqlite.doorbell.mmap.mmap", refuse_to_map)


def refuse_to_map(*arguments: Any) -> mmap.mmap:
    # ENODEV is what a file system answers that has no shared mappings.
    raise OSError(19, "No such device")


def test_a_lookup_fetches_only_where_the_bell_rang(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = lists(), lists()
    fetched: list[int] = []
    reader: Any = second.feed._reader  # type: ignore[union-attr]
    catch_up = reader.catch_up
    monkeypatch.setattr(reader, "catch_up", lambda: (fetched.append(1), catch_up())[1])
    assert not second.is_revoked(ONE)
    fetched.clear()
    for _ in range(1000):
        assert not second.is_revoked(ONE)
    assert fetched == []
    first.revoke(ONE, 60)
    assert second.is_revoked(ONE)
    assert len(fetched) == 1


def test_a_generation_travels_with_its_revocation(lists: Lists) -> None:
    first, second = lists(), lists()
    first.revoke(ONE, 60, before=3)
    assert [second.is_revoked(ONE, generation) for generation in (2, 3)] == [True, False]
    first.revoke(ONE, 60)
    assert second.is_revoked(ONE, 4_000_000_000)


def test_a_new_process_knows_all_that_lives_before_its_first_lookup(
    lists: Lists, clock: FakeClock
) -> None:
    publisher = lists()
    ids = [f"{number:016d}" for number in range(2_500)]  # more than are fetched at once
    publisher.publish([Revocation(session_id, NOW + 60, None) for session_id in ids], NOW)
    publisher.close()
    anew = lists()
    assert len(anew) == 2_500
    clock.now += 60
    assert not anew.is_revoked(ids[0])


def test_the_table_is_looked_at_once_a_second_whatever_the_bell_says(
    lists: Lists, path: Path, clock: FakeClock
) -> None:
    first, second = lists(), lists()
    assert not second.is_revoked(ONE)
    with bell(path).open("r+b") as file:
        before = file.read()
        first.revoke(ONE, 60)
        file.seek(0)
        file.write(before)  # Somebody put back the number that the other has heard.
        file.flush()
    clock.now += 1
    assert second.is_revoked(ONE)


def bell(path: Path) -> Path:
    return path.with_name(f"{path.name}-doorbell")


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    replace(file, b"")


def cut(file: Path) -> None:
    replace(file, file.read_bytes()[:23])


def foreign(file: Path) -> None:
    replace(file, b"what somebody else wrote")  # as long as ours


def longer(file: Path) -> None:
    replace(file, file.read_bytes() * 2)


def older(file: Path) -> None:
    replace(file, file.read_bytes())  # a copy, as from a backup, that nobody has mapped


def replace(file: Path, content: bytes) -> None:
    made = file.with_name("made")
    made.write_bytes(content)
    made.replace(file)


@pytest.mark.skipif(
    sys.platform == "win32",
    reason="there, a file that is mapped can be neither deleted nor replaced",
)
@pytest.mark.parametrize("spoil", [remove, empty, cut, foreign, longer, older])
def test_a_doorbell_is_never_trusted(
    lists: Lists, path: Path, clock: FakeClock, spoil: Callable[[Path], None]
) -> None:
    """Whatever became of the file, who publishes has told everybody once it returns.

    The others look again each second of their time.
    """
    first, second = lists(), lists()
    assert not second.is_revoked(ONE)
    spoil(bell(path))
    first.revoke(ONE, 60)
    clock.now += 1.1  # which publish has waited out
    assert second.is_revoked(ONE)
    second.revoke(OTHER, 60)
    assert first.is_revoked(OTHER)
    assert bell(path).stat().st_size == 24
    assert lists().is_revoked(OTHER)


@pytest.mark.skipif(
    sys.platform == "win32",
    reason="there, a file that is mapped can be neither deleted nor replaced",
)
def test_who_publishes_waits_while_somebody_may_listen_to_a_doorbell_that_is_gone(
    lists: Lists, path: Path
) -> None:
    publisher, _ = lists(), lists()
    bell(path).unlink()
    start = time.monotonic()
    publisher.revoke(ONE, 60)
    assert time.monotonic() - start >= 1.0
    # And a process that found the new one there already waits as well.
    late = lists()
    bell(path).unlink()
    publisher.is_revoked(ONE)
    lists()
    start = time.monotonic()
    late.revoke(OTHER, 60)
    assert time.monotonic() - start >= 1.0


def test_without_mapping_each_lookup_asks_and_the_log_says_so_once(
    lists: Lists, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = lists()
    monkeypatch.setattr("tokenwheel.sqlite.doorbell.mmap.mmap", refuse_to_map)
    with caplog.at_level(logging.WARNING, logger="tokenwheel"):
        other = lists()
        for number in range(5):
            session_id = f"{number:016d}"
            assert not other.is_revoked(session_id)
            publisher.revoke(session_id, 60)
            assert other.is_revoked(session_id)
            other.revoke(session_id[::-1], 60)
            assert publisher.is_revoked(session_id[::-1])
    (record,) = caplog.records
    assert "each read asks SQLite" in record.getMessage()


def test_rows_that_are_over_go_as_others_come(lists: Lists, path: Path, clock: FakeClock) -> None:
    publisher = lists()
    for number in range(500):
        publisher.revoke(f"{number:016d}", 10)
        clock.now += 36.1  # which makes an hour and ten seconds in a hundred turns
    connection = sqlite3.connect(path)
    (rows,) = connection.execute("SELECT count(*) FROM revocations").fetchone()
    connection.close()
    assert rows <= 110
    assert len(lists()) == len(publisher)


def test_positions_are_never_given_twice(lists: Lists, path: Path, clock: FakeClock) -> None:
    """A process that has seen the old row would otherwise take the new row for it.

    That holds also where all rows had gone in between.
    """
    first, second = lists(), lists()
    first.revoke(ONE, 5)
    assert second.is_revoked(ONE)
    clock.now += 10
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM revocations")
    connection.commit()
    connection.close()
    first.revoke(OTHER, 60)
    assert second.is_revoked(OTHER)


@pytest.mark.parametrize(
    "bad, reason",
    [
        (Revocation("short", NOW, None), "session_id must be"),
        (Revocation(ONE, float("nan"), None), "expires_at must be"),
        (Revocation(ONE, NOW, 0), "before must be"),
        (Revocation("ä" * 16, NOW, None), "session_id must be"),
    ],
    ids=repr,
)
def test_a_revocation_that_no_list_could_take_is_not_published(
    path: Path, bad: Revocation, reason: str
) -> None:
    feed = SqliteFeed(path)
    heard: list[Revocation] = []
    feed.start(heard.extend)
    with pytest.raises(InvalidArgument, match=reason):
        feed.publish([Revocation(OTHER, NOW, None), bad])
    feed.poll()
    assert heard == []
    feed.close()


def test_a_row_that_nobody_can_have_made_is_said_to_be_damage(lists: Lists, path: Path) -> None:
    lists()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO revocations (session_id, expires_at, before) "
        "VALUES ('0123456789abcd??', 4e9, NULL)"
    )
    connection.commit()
    connection.close()
    feed = SqliteFeed(path)
    with pytest.raises(StorageUnavailable, match="damaged"):
        RevocationList(feed)
    feed.close()


def test_after_close_lookups_go_by_what_was_known(lists: Lists) -> None:
    first, second = lists(), lists()
    first.revoke(ONE, 60)
    assert second.is_revoked(ONE)
    second.close()
    second.close()
    first.revoke(OTHER, 60)
    assert second.is_revoked(ONE)
    assert not second.is_revoked(OTHER)
    with pytest.raises(StorageUnavailable, match="the database file was closed"):
        second.revoke(ONE, 60)


def test_threads_that_publish_and_look_up_lose_nothing(lists: Lists) -> None:
    first, second = lists(timeout=60), lists(timeout=60)
    wrong: list[str] = []

    def work(publisher: RevocationList, listener: RevocationList, letter: str) -> None:
        for number in range(100):
            session_id = f"{letter}{number:015d}"
            publisher.revoke(session_id, 60)
            if not listener.is_revoked(session_id):
                wrong.append(session_id)

    pairs = [(first, second, "a"), (second, first, "b"), (first, first, "c"), (second, second, "d")]
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for listener in (first, second):
        assert not listener.is_revoked("x" * 16)  # which takes in whatever is new
        assert len(listener) == 400


def test_a_list_and_its_feed_that_nobody_uses_any_more_are_collected(path: Path) -> None:
    feed = SqliteFeed(path)
    revocations = RevocationList(feed)
    revocations.close()
    gone = weakref.ref(revocations), weakref.ref(feed)
    del revocations, feed
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_its_repr_shows_the_file_and_no_session(path: Path) -> None:
    feed = SqliteFeed(path)
    assert repr(feed) == f"<SqliteFeed {os.fspath(path)!r}>"
    feed.close()

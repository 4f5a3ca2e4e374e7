"""The file cannot be read for a while: what lookups do, what is said of it, and what is counted."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import (
    ConfigurationError,
    Revocation,
    RevocationList,
    SqliteFeed,
    StorageUnavailable,
)
from tokenwheel.sqlite import FeedStats

from .conftest import Lists

ONE, OTHER = "A" * 16, "B" * 16

# Keeps every reader of the write-ahead log out, as a process that recovers it does.
HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 5, 123)
    print("held", flush=True)
    sys.stdin.read()
"""


def of(revocations: RevocationList) -> Any:
    return revocations.feed


@contextmanager
def away(path: Path) -> Iterator[None]:
    """Give the file another name for a while."""
    path.rename(path.with_name("away.db"))
    try:
        yield
    finally:
        path.with_name("away.db").rename(path)


@contextmanager
def nobody_can_read(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD, f"{path}-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.communicate()


needs_posix = pytest.mark.skipif(
    sys.platform == "win32", reason="there, a file in use cannot be renamed"
)


@needs_posix
def test_by_default_lookups_are_refused_while_the_file_cannot_be_read(
    lists: Lists, path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = lists(), lists()
    first.revoke(ONE, 60)
    with away(path):
        clock.advance(1)
        for _ in range(3):
            with pytest.raises(StorageUnavailable, match="No such file"):
                second.is_revoked(ONE)
    assert second.is_revoked(ONE)
    first.revoke(OTHER, 60)
    assert second.is_revoked(OTHER)
    assert of(second).stats().reconnects == 1
    cut_off, back = [record.getMessage() for record in caplog.records]
    assert cut_off.startswith(
        "the file of revocations cannot be read, so every access token is refused: "
    )
    assert "No such file" in cut_off
    assert back == "the file of revocations can be read again"


@needs_posix
@pytest.mark.parametrize("has_bell", [True, False])
def test_who_accepts_goes_on_with_what_is_known_and_looks_again_once_a_second(
    lists: Lists,
    path: Path,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    has_bell: bool,
) -> None:
    first, second = lists(), lists(when_stale="accept")
    first.revoke(ONE, 600)
    assert second.is_revoked(ONE)
    if not has_bell:
        path.with_name(f"{path.name}-doorbell").unlink()
    looked = count_looks(second, monkeypatch)
    with away(path):
        for _ in range(10):
            clock.advance(1)
            for _ in range(100):
                assert second.is_revoked(ONE)
                assert not second.is_revoked(OTHER)
        assert 5 <= looked() <= 11
        assert of(second).stats().staleness >= 10
    first.revoke(OTHER, 600)
    clock.advance(1)
    assert second.is_revoked(OTHER)
    assert of(second).stats()[1:3] == (0, 1)  # staleness and reconnects
    cut_off, back = [record.getMessage() for record in caplog.records]
    assert cut_off.startswith(
        "the file of revocations cannot be read, so access tokens are judged by what is known: "
    )
    assert back == "the file of revocations can be read again"


def count_looks(revocations: RevocationList, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return what tells how often the list has tried to read the file since."""
    count = 0
    catch_up = of(revocations)._catch_up

    def counted() -> None:
        nonlocal count
        count += 1
        catch_up()

    monkeypatch.setattr(of(revocations), "_catch_up", counted)
    return lambda: count


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the locks of SQLite are held by their number")
def test_a_file_that_makes_readers_wait_does_not_make_every_lookup_wait(
    lists: Lists, path: Path, clock: FakeClock
) -> None:
    """SQLite itself tries for ten seconds to read such a file."""
    first, second = lists(), lists(when_stale="accept", timeout=600)
    first.revoke(ONE, 600)
    assert second.is_revoked(ONE)
    path.with_name(f"{path.name}-doorbell").unlink()
    clock.advance(1)
    started = time.monotonic()
    with nobody_can_read(path):
        for _ in range(1000):
            assert second.is_revoked(ONE)
    assert time.monotonic() - started < 120
    first.revoke(OTHER, 600)
    clock.advance(1)
    assert second.is_revoked(OTHER)


def test_who_accepts_does_not_wait_for_another_thread_whose_look_hangs(lists: Lists) -> None:
    revocations = lists(when_stale="accept")
    revocations.revoke(ONE, 600)
    with of(revocations)._lock:
        assert revocations.is_revoked(ONE)
        assert not revocations.is_revoked(OTHER)


def test_stats_tell_what_was_taken_in_and_when(lists: Lists, clock: FakeClock) -> None:
    first, second = lists(), lists()
    feed = of(second)
    assert feed.stats() == FeedStats(0, 0.0, 0, 0, 0, 0, "0")
    first.revoke(ONE, 60)
    first.revoke(OTHER, 60)
    clock.advance(0.5)
    assert feed.stats() == FeedStats(0, 0.5, 0, 0, 0, 0, "0")
    assert second.is_revoked(ONE)
    assert feed.stats() == FeedStats(0, 0.0, 0, 2, 0, 0, "2")
    feed.rewind()
    feed.poll()
    assert feed.stats() == FeedStats(0, 0.0, 0, 4, 0, 1, "2")


def test_before_it_has_started_a_feed_is_not_fresh(path: Path) -> None:
    feed = SqliteFeed(path)
    assert feed.stats() == FeedStats(0, math.inf, 0, 0, 0, 0, "0")
    feed.close()


def test_rows_that_a_list_could_not_take_in_are_its_lag(path: Path) -> None:
    publisher = SqliteFeed(path)
    publisher.publish([Revocation(ONE, 4e9, None), Revocation(OTHER, 4e9, None)])
    feed = SqliteFeed(path)

    def is_full(_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        feed.start(is_full)
    assert feed.stats().lag == 2
    heard: list[Any] = []
    feed.start(heard.extend)
    assert (feed.stats().lag, len(heard)) == (0, 2)
    for closed in (publisher, feed):
        closed.close()


def test_a_feed_serves_one_list(path: Path) -> None:
    feed = SqliteFeed(path)
    RevocationList(feed)
    with pytest.raises(ConfigurationError, match="make another feed"):
        RevocationList(feed)
    feed.close()


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"when_stale": "ignore"}, "when_stale must be 'accept' or 'refuse'"),
        ({"when_stale": None}, "when_stale must be 'accept' or 'refuse'"),
        ({"timer": 3}, "timer must be a callable"),
        ({"clock": None}, "clock must be a callable"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        SqliteFeed(path, **options)
    assert not path.exists()


def test_a_row_that_is_gone_since_it_was_over_is_no_reason_to_warn(
    lists: Lists, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = lists(), lists()
    first.revoke(ONE, 10)
    assert second.is_revoked(ONE)
    clock.advance(7200)
    for number in range(20):
        first.revoke(f"{number:016d}", 10)
    with caplog.at_level(logging.WARNING, logger="tokenwheel"):
        assert second.is_revoked(f"{19:016d}")
    assert of(second).stats().replays == 1
    assert caplog.records == []

"""A lookup never waits for a process that holds the write lock, whatever became of the doorbell."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import FakeClock
from tokenwheel import StorageUnavailable

from .conftest import Lists

TIMEOUT = 60.0  # seconds: what a lookup would wait that wrote
MUCH_LESS = 20.0  # seconds

pytestmark = pytest.mark.skipif(
    sys.platform == "win32",
    reason="there, a file that is mapped can be neither deleted nor replaced",
)


@contextmanager
def write_lock(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def bell(path: Path) -> Path:
    return path.with_name(f"{path.name}-doorbell")


def revoke_silently(path: Path, session_id: str) -> None:
    """Commit a revocation as a process would that is killed before it rings."""
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO revocations (session_id, expires_at, before) VALUES (?, 4e9, NULL)",
        (session_id,),
    )
    connection.commit()
    connection.close()


def test_without_a_doorbell_lookups_hear_at_once_while_another_process_writes(
    lists: Lists, path: Path, clock: FakeClock
) -> None:
    listener = lists(timeout=TIMEOUT)
    assert not listener.is_revoked("A" * 16)
    bell(path).unlink()
    clock.advance(1)
    started = time.monotonic()
    for number in range(10):
        revoke_silently(path, f"{number:016d}")
        with write_lock(path):
            assert listener.is_revoked(f"{number:016d}")
    assert time.monotonic() - started < MUCH_LESS
    assert not bell(path).exists()


def test_a_process_starts_while_another_writes_and_there_is_no_doorbell(
    lists: Lists, path: Path
) -> None:
    lists().revoke("A" * 16, 60)
    bell(path).unlink()
    started = time.monotonic()
    with write_lock(path):
        assert lists(timeout=TIMEOUT).is_revoked("A" * 16)
    assert time.monotonic() - started < MUCH_LESS


def test_who_publishes_makes_the_doorbell_that_was_missing(
    lists: Lists, path: Path, clock: FakeClock
) -> None:
    publisher, listener = lists(), lists()
    bell(path).unlink()
    clock.advance(1.1)
    assert not listener.is_revoked("A" * 16)
    assert listener.feed is not None
    assert listener.feed.doorbell is None  # type: ignore[attr-defined]
    publisher.revoke("A" * 16, 60)
    assert bell(path).exists()
    assert listener.is_revoked("A" * 16)
    assert listener.feed.doorbell is not None  # type: ignore[attr-defined]


def test_a_publication_that_fails_since_another_process_writes_was_not_made(
    lists: Lists, path: Path, clock: FakeClock
) -> None:
    publisher, listener = lists(timeout=0.01), lists()
    with write_lock(path), pytest.raises(StorageUnavailable, match="SQLITE_BUSY"):
        publisher.revoke("A" * 16, 60)
    clock.advance(1.1)
    assert publisher.is_revoked("A" * 16)
    assert not listener.is_revoked("A" * 16)
    # Nor is it waited for, to be put back.
    assert publisher.feed._reader._sent == set()  # type: ignore[union-attr]


def test_what_a_restored_log_lacks_is_put_back_once_nobody_writes(
    lists: Lists, path: Path, clock: FakeClock
) -> None:
    listener = lists(timeout=TIMEOUT)
    backup = sqlite3.connect(path.with_name("backup.db"))
    connection = sqlite3.connect(path)
    connection.backup(backup)
    listener.revoke("A" * 16, 3600)
    backup.backup(connection)
    backup.close()
    connection.close()
    clock.advance(1.1)
    started = time.monotonic()
    with write_lock(path) as holder:
        for _ in range(10):
            assert listener.is_revoked("A" * 16)
            clock.advance(1.1)
        assert holder.execute("SELECT count(*) FROM revocations").fetchone() == (0,)
    assert time.monotonic() - started < MUCH_LESS
    assert listener.is_revoked("A" * 16)
    assert lists().is_revoked("A" * 16)

"""What a log that was rolled back lacks is put back by who knows it, and once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import Revocation, RevocationList, SqliteFeed
from tokenwheel.sqlite.log import put_back

from .conftest import Lists

ONE, OTHER = "A" * 16, "B" * 16


@pytest.fixture
def restore(lists: Lists, path: Path) -> Iterator[Callable[[], None]]:
    """Return what restores the file as it was before any logout."""
    lists()
    with closing(sqlite3.connect(":memory:")) as backup, closing(sqlite3.connect(path)) as used:
        used.backup(backup)
        yield lambda: backup.backup(used)


def test_what_is_wiped_out_as_it_is_published_is_put_back_by_who_published_it(
    lists: Lists, restore: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = lists()
    keeper: Any = publisher.feed._keeper  # type: ignore[union-attr]
    ring = keeper.ring
    once = [restore]
    monkeypatch.setattr(keeper, "ring", lambda: (once and once.pop()(), ring())[1])
    publisher.revoke(ONE, 60)
    monkeypatch.undo()
    assert lists().is_revoked(ONE)


def test_what_is_over_is_not_put_back(
    lists: Lists, restore: Callable[[], None], clock: FakeClock, path: Path
) -> None:
    publisher, listener = lists(), lists()
    publisher.revoke(ONE, 5)
    publisher.revoke(OTHER, 60)
    assert listener.is_revoked(ONE)
    clock.advance(10)
    restore()
    assert listener.is_revoked(OTHER)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT session_id FROM revocations").fetchall()
    assert rows == [(OTHER,)]


def test_a_revocation_that_another_process_has_put_back_is_not_put_back_again(
    lists: Lists, path: Path
) -> None:
    lists()
    revocations = [Revocation(ONE, 4e9, None), Revocation(ONE, 4e9, 3), Revocation(OTHER, 4e9, 3)]
    with closing(sqlite3.connect(path)) as connection:
        assert put_back(connection, revocations[:2]) == 2
        assert put_back(connection, revocations) == 1
        assert put_back(connection, revocations) == 0


def test_a_file_that_was_emptied_is_filled_with_what_is_known(path: Path) -> None:
    feed = SqliteFeed(path)
    revocations = RevocationList(feed)
    revocations.revoke(ONE, 60)
    with closing(sqlite3.connect(":memory:")) as empty, closing(sqlite3.connect(path)) as used:
        empty.backup(used)
    feed.poll()
    feed.poll()
    late = RevocationList(SqliteFeed(path))
    assert late.is_revoked(ONE)
    revocations.close()
    late.close()

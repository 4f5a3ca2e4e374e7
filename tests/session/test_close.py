"""A manager closes what it uses, unless another manager of this process still uses it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes.support import run_apart
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    MemoryStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)

Make = Callable[..., Any]


class Closing(MemoryStorage):
    """Takes note of the threads that close it, and says that it equals every other."""

    waits = True

    def __init__(self) -> None:
        super().__init__()
        self.closed_by: list[str] = []

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)


class ClosingAwaited(MemoryStorage):
    """A storage whose ``close`` is awaited."""

    is_closed = False

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.is_closed = True


class Feed:
    """A feed of one process, which counts how often it is closed, and can refuse to be."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = 0
        self._error = error

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Any) -> None: ...

    def poll(self) -> None: ...

    def close(self) -> None:
        self.closed += 1
        if self._error is not None:
            raise self._error


def over_file(path: Path) -> dict[str, Any]:
    return {"storage": SqliteStorage(path), "revocations": RevocationList(SqliteFeed(path))}


def test_the_file_of_a_closed_manager_is_let_go_of(make: Make, tmp_path: Path) -> None:
    parts = over_file(tmp_path / "sessions.db")
    manager = make(**parts)
    manager.create(subject="ann")
    manager.close()
    with pytest.raises(StorageUnavailable, match="the database file was closed"):
        parts["storage"].read_all("ann", 0)
    with pytest.raises(StorageUnavailable, match="closed"):
        manager.create(subject="ann")


def test_a_manager_over_a_storage_that_was_closed_before_says_so(
    make: Make, tmp_path: Path
) -> None:
    parts = over_file(tmp_path / "sessions.db")
    make(**parts).close()
    with pytest.raises(StorageUnavailable, match="the database file was closed"):
        make(**parts).create(subject="ann")


def test_the_last_of_the_managers_that_share_them_closes_storage_and_feed(make: Make) -> None:
    storage, feed = Closing(), Feed()
    revocations = RevocationList(feed)
    first, second = (make(storage=storage, revocations=revocations) for _ in range(2))
    first.close()
    first.close()  # It counts once.
    assert (storage.closed_by, feed.closed) == ([], 0)
    second.create(subject="ann")
    second.close()
    assert (len(storage.closed_by), feed.closed) == (1, 1)
    second.close()
    assert (len(storage.closed_by), feed.closed) == (1, 1)


def test_managers_of_both_kinds_may_share_a_storage() -> None:
    storage = Closing()
    blocking = SessionManager(SECRET, issuer="i", audience="a", storage=storage)
    awaited = AsyncSessionManager(SECRET, issuer="i", audience="a", storage=storage)
    blocking.close()
    assert storage.closed_by == []
    asyncio.run(awaited.close())
    assert len(storage.closed_by) == 1


def test_storage_and_feed_are_counted_each_for_itself(make: Make) -> None:
    storage, first_feed, second_feed = Closing(), Feed(), Feed()
    first = make(storage=storage, revocations=RevocationList(first_feed))
    second = make(storage=storage, revocations=RevocationList(second_feed))
    first.close()
    assert (storage.closed_by, first_feed.closed, second_feed.closed) == ([], 1, 0)
    second.close()
    assert (len(storage.closed_by), first_feed.closed, second_feed.closed) == (1, 1, 1)


def test_storages_that_call_each_other_equal_are_two(make: Make) -> None:
    first, second = Closing(), Closing()
    manager, other = make(storage=first), make(storage=second)
    manager.close()
    assert (len(first.closed_by), len(second.closed_by)) == (1, 0)
    other.close()
    assert (len(first.closed_by), len(second.closed_by)) == (1, 1)


def test_a_manager_that_was_dropped_or_never_came_about_counts_no_more(make: Make) -> None:
    storage = Closing()
    manager = make(storage=storage)
    dropped = make(storage=storage)
    dropped.create(subject="ann")
    del dropped
    assert storage.closed_by == []
    with pytest.raises(ConfigurationError, match="access_ttl"):
        make(storage=storage, access_ttl=-1)
    manager.close()
    assert len(storage.closed_by) == 1


def test_where_the_feed_cannot_be_stopped_the_storage_is_closed_and_the_caller_hears_of_it(
    make: Make,
) -> None:
    storage = Closing()
    manager = make(storage=storage, revocations=RevocationList(Feed(OSError("no answer"))))
    with pytest.raises(OSError, match="no answer"):
        manager.close()
    assert len(storage.closed_by) == 1
    manager.close()
    assert len(storage.closed_by) == 1


def test_a_storage_that_holds_nothing_open_is_left_alone(make: Make) -> None:
    manager = make()
    manager.create(subject="ann")
    manager.close()
    manager.close()
    assert len(manager.read_all("ann")) == 1


def test_a_close_that_takes_an_argument_is_told_when_the_manager_is_made(make: Make) -> None:
    class Demanding(MemoryStorage):
        def close(self, reason: str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"storage\.close must take no argument"):
        make(storage=Demanding())


def test_a_close_that_is_awaited_is_for_an_async_manager() -> None:
    storage = ClosingAwaited()
    with pytest.raises(ConfigurationError, match="storage must not be async in a SessionManager"):
        SessionManager(SECRET, issuer="i", audience="a", storage=storage)

    async def main() -> None:
        async with AsyncSessionManager(SECRET, issuer="i", audience="a", storage=storage):
            assert not storage.is_closed

    asyncio.run(main())
    assert storage.is_closed


def test_an_event_loop_has_a_storage_that_waits_closed_by_a_worker_thread() -> None:
    storage = Closing()

    async def main() -> None:
        async with AsyncSessionManager(SECRET, issuer="i", audience="a", storage=storage):
            pass

    asyncio.run(main())
    (thread,) = storage.closed_by
    assert thread != threading.current_thread().name


def test_of_managers_that_close_at_once_exactly_the_last_closes_the_storage() -> None:
    for _ in range(20):
        storage = Closing()
        managers = [
            SessionManager(SECRET, issuer="i", audience="a", storage=storage) for _ in range(8)
        ]
        threads = [threading.Thread(target=manager.close) for manager in managers * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(storage.closed_by) == 1


def test_a_manager_shows_what_it_uses_and_lets_nobody_change_it(make: Make) -> None:
    storage, revocations = MemoryStorage(), RevocationList()
    manager = make(storage=storage, revocations=revocations)
    assert manager.storage is storage
    assert manager.revocations is revocations
    assert manager.revocations.stats().entries == 0
    manager = getattr(manager, "manager", manager)
    for name in ("storage", "revocations"):
        with pytest.raises(AttributeError):
            setattr(manager, name, None)


def test_a_manager_shows_what_it_was_not_given(make: Make) -> None:
    assert isinstance(make().storage, MemoryStorage)
    assert make().revocations.feed is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_a_child_of_a_fork_closes_stays_open_in_its_parent(tmp_path: Path) -> None:
    run_apart(close_in_a_child, tmp_path / "sessions.db")


def close_in_a_child(path: Path) -> None:
    storage = SqliteStorage(path)
    manager, other = (
        SessionManager(SECRET, issuer="i", audience="a", storage=storage) for _ in range(2)
    )
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            manager.close()
            other.create(subject="ann")
            other.close()
            with pytest.raises(StorageUnavailable, match="the database file was closed"):
                other.create(subject="ann")
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(manager.read_all("ann")) == 1
    other.close()
    manager.create(subject="ann")
    manager.close()

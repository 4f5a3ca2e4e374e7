"""A storage that publishes, and calls that may wait: who is told what, and from which thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    MemoryStorage,
    Revocation,
    RevocationList,
    SessionContext,
    SessionManager,
    SessionNotFound,
    StorageUnavailable,
    TooManySessions,
)
from tokenwheel._impl import decode

OPTIONS: dict[str, Any] = {"issuer": "i", "audience": "a"}


class Feed:
    """Writes down who was asked to do what on which thread, and brings no news."""

    waits = True

    def __init__(self) -> None:
        self.published: list[Revocation] = []
        self.calls: list[tuple[str, bool]] = []

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Sequence[Revocation]) -> None:
        self.note("publish")
        self.published += revocations

    def poll(self) -> None: ...

    def close(self) -> None:
        self.note("close")

    def note(self, call: str) -> None:
        self.calls.append((call, threading.current_thread() is threading.main_thread()))


class WaitingStorage:
    """A storage in memory whose calls may wait; each says whether
    it was made on the main thread.
    """

    waits = True

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self.calls: list[tuple[str, bool]] = []

    def note(self, call: str) -> None:
        self.calls.append((call, threading.current_thread() is threading.main_thread()))

    def insert(self, record: Any, limit: int | None, now: float) -> Any:
        self.note("insert")
        return self._storage.insert(record, limit, now)

    def read(self, session_id: str, now: float) -> Any:
        self.note("read")
        return self._storage.read(session_id, now)

    def read_all(self, subject: str, now: float) -> Any:
        self.note("read_all")
        return self._storage.read_all(subject, now)

    def replace(self, record: Any, now: float) -> Any:
        self.note("replace")
        return self._storage.replace(record, now)

    def delete(self, records: Any, now: float) -> Any:
        self.note("delete")
        return self._storage.delete(records, now)


class PublishingStorage(WaitingStorage):
    """Publishes to one feed in the same step as it changes a session, and places each session by
    its subject.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed
        self.at_once: list[Revocation] = []

    def publishes_to(self, feed: Any) -> bool:
        return feed is self._feed

    def session_id_prefix(self, subject: str) -> bytes:
        return subject.encode()[:2]

    def replace(self, record: Any, now: float, feed: Any = None, revocations: Any = ()) -> Any:
        self.publish(feed, revocations)
        return super().replace(record, now)

    def delete(self, records: Any, now: float, feed: Any = None, revocations: Any = ()) -> Any:
        self.publish(feed, revocations)
        return super().delete(records, now)

    def publish(self, feed: Any, revocations: Sequence[Revocation]) -> None:
        assert feed is (self._feed if revocations else None)
        self.at_once += revocations


def refuses(manager: Any, token: str) -> bool:
    try:
        manager.read(token)
    except AccessTokenRevoked:
        return True
    return False


def test_a_storage_that_publishes_is_given_the_feed_and_the_session_is_refused_here_too() -> None:
    feed = Feed()
    storage = PublishingStorage(feed)
    manager = SessionManager(SECRET, storage=storage, revocations=RevocationList(feed), **OPTIONS)
    tokens = manager.create(subject="ann")
    manager.restrict_all("ann")
    assert refuses(manager, tokens.access_token)
    fresh = manager.update(tokens.refresh_token)
    assert not refuses(manager, fresh.access_token)
    assert manager.delete_one("ann", tokens.session_id)
    assert refuses(manager, fresh.access_token)
    assert [(one.session_id, one.before) for one in storage.at_once] == [
        (tokens.session_id, 1),
        (tokens.session_id, 2),
    ]
    assert feed.published == []


def test_an_event_loop_has_a_storage_that_publishes_called_from_worker_threads() -> None:
    feed = Feed()
    storage = PublishingStorage(feed)

    async def main() -> None:
        revocations = RevocationList(feed)
        async with AsyncSessionManager(
            SECRET, storage=storage, revocations=revocations, **OPTIONS
        ) as manager:
            tokens = await manager.create(subject="ann")
            await manager.restrict_all("ann")
            assert refuses(manager, tokens.access_token)
            fresh = await manager.update(tokens.refresh_token)
            assert await manager.delete_one("ann", tokens.session_id)
            assert refuses(manager, fresh.access_token)

    asyncio.run(main())
    assert [one.before for one in storage.at_once] == [1, 2]
    assert feed.published == []
    calls = ["insert", "read_all", "replace", "read", "replace", "read", "delete"]
    assert storage.calls == [(call, False) for call in calls]
    assert feed.calls == [("close", False)]


def test_an_event_loop_has_a_feed_that_waits_called_from_worker_threads() -> None:
    feed, storage = Feed(), WaitingStorage()

    async def main() -> None:
        manager = AsyncSessionManager(
            SECRET, storage=storage, revocations=RevocationList(feed), max_sessions=1, **OPTIONS
        )
        tokens = await manager.create(subject="ann")
        with pytest.raises(TooManySessions):
            await manager.create(subject="ann")
        assert await manager.delete_all("ann") == 1
        assert refuses(manager, tokens.access_token)
        with pytest.raises(SessionNotFound, match="no session is open"):
            await manager.update(tokens.refresh_token)
        await manager.close()

    asyncio.run(main())
    assert [one.before for one in feed.published] == [1]
    assert feed.calls == [("publish", False), ("close", False)]
    assert storage.calls == [
        (call, False) for call in ("insert", "insert", "read_all", "delete", "read")
    ]


def test_a_session_id_begins_with_the_prefix_that_the_storage_gives_its_subject() -> None:
    manager = SessionManager(SECRET, storage=PublishingStorage(Feed()), **OPTIONS)
    tokens = [manager.create(subject=subject) for subject in ("ann", "ann", "bob")]
    assert [decode(one.session_id)[:2] for one in tokens] == [b"an", b"an", b"bo"]
    assert {len(decode(one.session_id)) for one in tokens} == {12}
    assert len({one.session_id for one in tokens}) == 3
    for one in tokens:
        assert manager.update(one.refresh_token).session_id == one.session_id


class ReplayedFeed(Feed):
    """Has to be awaited before what lives is known."""

    waits = False

    def __init__(self, live: Sequence[Revocation] = (), error: Exception | None = None) -> None:
        super().__init__()
        self.live, self.error, self.apply = live, error, None

    def start(self, apply: Any) -> None:
        self.apply = apply

    async def replay(self) -> None:
        if self.error is not None:
            raise self.error
        assert self.apply is not None
        self.apply(self.live)


@pytest.mark.parametrize("way", ["enter", "call"])
def test_what_lives_is_awaited_before_anything_else(way: str) -> None:
    async def main() -> None:
        storage = MemoryStorage()
        login = AsyncSessionManager(SECRET, storage=storage, **OPTIONS)
        tokens = await login.create(subject="ann", context=SessionContext(ip="1"))
        live = [Revocation(tokens.session_id, 4_000_000_000.0, None)]
        manager = AsyncSessionManager(
            SECRET, storage=storage, revocations=RevocationList(ReplayedFeed(live)), **OPTIONS
        )
        assert not refuses(manager, tokens.access_token)
        await (manager.__aenter__() if way == "enter" else manager.read_all("ann"))
        assert refuses(manager, tokens.access_token)

    asyncio.run(main())


@pytest.mark.parametrize(
    "error, reason",
    [
        (ConnectionError("no route to host"), "the revocation feed could not be reached"),
        (StorageUnavailable("the feed is behind"), "the feed is behind"),
    ],
)
def test_where_what_lives_cannot_be_had_nothing_is_done(error: Exception, reason: str) -> None:
    async def main() -> None:
        storage = MemoryStorage()
        revocations = RevocationList(ReplayedFeed(error=error))
        manager = AsyncSessionManager(SECRET, storage=storage, revocations=revocations, **OPTIONS)
        with pytest.raises(StorageUnavailable, match=reason):
            await manager.create(subject="ann")
        assert len(storage) == 0

    asyncio.run(main())

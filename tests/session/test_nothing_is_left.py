"""After ``close`` no thread, task, file or socket is left of a manager, whatever it was made of."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.servers import Node, needs_server, until
from tests.support import secret_of
from tokenwheel import (
    AsyncSessionManager,
    KeySet,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)

SECRET = secret_of("nothing is left")
OPTIONS: dict[str, Any] = {"issuer": "i", "audience": "a"}
DESCRIPTORS = Path("/proc/self/fd")


class Places:
    """A file and a server, and clients of the server that the test has made and closes itself."""

    def __init__(self, folder: Path, node: Node) -> None:
        self.path = folder / "sessions.db"
        self.blocking = redis.Redis(port=node.port)
        self.awaited = redis.asyncio.Redis(port=node.port)

    async def close(self) -> None:
        self.blocking.close()
        await self.awaited.aclose()

    def parts(self, storage: str, feed: str) -> dict[str, Any]:
        return {**STORAGES[storage](self), **FEEDS[feed](self)}


STORAGES: dict[str, Callable[[Places], dict[str, Any]]] = {
    "no storage": lambda places: {},
    "memory": lambda places: {"storage": MemoryStorage()},
    "file": lambda places: {"storage": SqliteStorage(places.path)},
    "server": lambda places: {"storage": RedisStorage(places.blocking)},
    "awaited server": lambda places: {"storage": RedisStorage(places.awaited)},
}
FEEDS: dict[str, Callable[[Places], dict[str, Any]]] = {
    "no feed": lambda places: {},
    "file": lambda places: {"revocations": RevocationList(SqliteFeed(places.path))},
    "server": lambda places: {"revocations": RevocationList(RedisFeed(places.blocking))},
    "awaited server": lambda places: {"revocations": RevocationList(RedisFeed(places.awaited))},
}
blocking_storage = pytest.mark.parametrize("storage", [*STORAGES][:-1])
blocking_feed = pytest.mark.parametrize("feed", [*FEEDS][:-1])


@pytest.fixture
def places(tmp_path: Path, server: Node) -> Places:
    return Places(tmp_path, server)


def standing() -> Counter[str]:
    """Return what this process has open and what runs in it. Memory that is mapped is open."""
    gc.collect()
    names = [f"thread {thread.name}" for thread in threading.enumerate()]
    if DESCRIPTORS.exists():
        for descriptor in DESCRIPTORS.iterdir():
            try:
                names.append(f"file {descriptor.readlink()}")
            except OSError:
                continue
        maps = Path("/proc/self/maps").read_text().splitlines()
        names += [f"map {line.split()[-1]}" for line in maps if line.endswith("-doorbell")]
    return Counter(names)


def left_since(before: Counter[str]) -> Counter[str]:
    """Return what stands now and did not before. What is another's, as trio's threads, may go."""
    return standing() - before


def use(manager: SessionManager) -> None:
    manager.revocations.subscribe(lambda session_id, before: None)
    tokens = manager.create(subject="ann")
    manager.read(tokens.access_token)
    manager.update(tokens.refresh_token)
    manager.delete_all("ann")


async def use_awaited(manager: AsyncSessionManager) -> None:
    manager.revocations.subscribe(lambda session_id, before: None)
    tokens = await manager.create(subject="ann")
    manager.read(tokens.access_token)
    await asyncio.gather(*(manager.read_all("ann") for _ in range(4)))
    await manager.update(tokens.refresh_token)
    await manager.delete_all("ann")


@needs_server
@blocking_feed
@blocking_storage
@pytest.mark.parametrize("fails", [False, True], ids=["", "fails"])
def test_nothing_is_left_of_a_closed_manager(
    places: Places, storage: str, feed: str, fails: bool
) -> None:
    places.blocking.ping()
    before = standing()
    manager = SessionManager(SECRET, **OPTIONS, **places.parts(storage, feed))
    try:
        with manager:
            use(manager)
            if fails:
                raise LookupError
    except LookupError:
        assert fails
    manager.close()
    assert not left_since(before)
    asyncio.run(places.close())


@needs_server
@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("storage", STORAGES)
def test_nothing_is_left_of_a_closed_async_manager(places: Places, storage: str, feed: str) -> None:
    async def main() -> None:
        # The client's own connections are the test's, however many are used at once.
        await asyncio.gather(*(places.awaited.ping() for _ in range(8)))
        places.blocking.ping()
        before, tasks = standing(), asyncio.all_tasks()
        async with AsyncSessionManager(SECRET, **OPTIONS, **places.parts(storage, feed)) as manager:
            await use_awaited(manager)
        await manager.close()
        assert asyncio.all_tasks() == tasks
        assert not left_since(before)
        await places.close()

    asyncio.run(main())


@needs_server
@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("storage", ["no storage", "file", "server"])
def test_nothing_is_left_of_a_manager_whose_event_loop_has_ended(
    places: Places, storage: str, feed: str
) -> None:
    async def use_and_leave() -> AsyncSessionManager:
        manager = AsyncSessionManager(SECRET, **OPTIONS, **places.parts(storage, feed))
        await use_awaited(manager)
        await places.awaited.aclose()
        return manager

    places.blocking.ping()
    before = standing()
    asyncio.run(asyncio.run(use_and_leave()).close())
    assert not left_since(before)
    places.blocking.close()


@needs_server
@blocking_feed
@blocking_storage
def test_what_the_user_closed_before_may_be_closed_again(
    places: Places, storage: str, feed: str
) -> None:
    before = standing()
    with SessionManager(SECRET, **OPTIONS, **places.parts(storage, feed)) as manager:
        use(manager)
        for part in (manager.storage, manager.revocations.feed, manager.revocations):
            if hasattr(part, "close"):
                part.close()
    places.blocking.close()
    assert not left_since(before)


@needs_server
@pytest.mark.parametrize("storage, feed", [("file", "file"), ("server", "server")])
def test_calls_amid_a_close_succeed_or_are_told_that_it_was_closed(
    places: Places, storage: str, feed: str
) -> None:
    before = standing()
    for attempt in range(10):
        manager = SessionManager(SECRET, **OPTIONS, **places.parts(storage, feed))
        errors: list[BaseException] = []

        def call(subject: str) -> None:
            try:
                for _ in range(5):
                    manager.create(subject=subject)
                    manager.delete_all(subject)
            except BaseException as error:
                errors.append(error)

        callers = [threading.Thread(target=call, args=(f"ann{place}",)) for place in range(4)]
        closers = [threading.Thread(target=manager.close) for _ in range(2)]
        for thread in callers:
            thread.start()
        time.sleep(attempt / 1000)
        for thread in closers:
            thread.start()
        for thread in callers + closers:
            thread.join()
        assert all(type(error) is StorageUnavailable for error in errors), errors
        assert all("closed" in str(error) for error in errors), errors
        manager.storage.close()  # type: ignore[union-attr]  # It may have connected anew.
    places.blocking.close()
    assert not left_since(before)


@needs_server
@pytest.mark.parametrize(
    "storage, feed",
    [("file", "file"), ("server", "server"), ("awaited server", "awaited server")],
)
def test_awaited_calls_amid_a_close_succeed_or_are_told_that_it_was_closed(
    places: Places, storage: str, feed: str
) -> None:
    async def attempt(pause: float) -> None:
        manager = AsyncSessionManager(SECRET, **OPTIONS, **places.parts(storage, feed))

        async def call(subject: str) -> None:
            await manager.create(subject=subject)
            await manager.delete_all(subject)

        calls = [asyncio.ensure_future(call(f"ann{place}")) for place in range(4)]
        await asyncio.sleep(pause)
        await asyncio.gather(manager.close(), manager.close())
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            assert answer is None or type(answer) is StorageUnavailable, repr(answer)
            assert answer is None or "closed" in str(answer)

    async def main() -> None:
        for number in range(15):
            await attempt(number / 1000)
        await places.close()

    asyncio.run(main())


@needs_server
@blocking_feed
def test_a_manager_may_be_closed_from_a_callback(places: Places, feed: str) -> None:
    before = standing()
    manager = SessionManager(SECRET, **OPTIONS, **places.parts("file", feed))
    closed = threading.Event()

    def close(session_id: str, before: int | None) -> None:
        manager.close()
        closed.set()

    manager.revocations.subscribe(close)
    tokens = manager.create(subject="ann")
    with suppress(StorageUnavailable):  # Without a feed the session has yet to be deleted.
        manager.delete_one("ann", tokens.session_id)
    assert closed.wait(60)
    places.blocking.close()
    until(lambda: not left_since(before))


def test_a_key_set_forgets_the_managers_that_were_dropped() -> None:
    keys = KeySet.from_secret(SECRET)
    for _ in range(50):
        SessionManager(keys, **OPTIONS).close()
    gc.collect()
    SessionManager(keys, **OPTIONS).close()
    assert len(keys._subscribers) == 1

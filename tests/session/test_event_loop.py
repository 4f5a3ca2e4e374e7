"""AsyncSessionManager where no event loop of asyncio runs: under trio, or driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import trio

from tests.support import secret_of
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)

SECRET = secret_of("event loops")
Options = Callable[[Path], dict[str, Any]]


class Trios(MemoryStorage):
    """A user's storage that awaits trio."""

    async def read(self, session_id: str, now: float) -> Any:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        return super().read(session_id, now)


def file_storage(folder: Path) -> dict[str, Any]:
    return {"storage": SqliteStorage(folder / "sessions.db")}


def file_feed(folder: Path) -> dict[str, Any]:
    return {"revocations": RevocationList(SqliteFeed(folder / "sessions.db"))}


def server_storage(folder: Path) -> dict[str, Any]:
    return {"storage": RedisStorage(redis.asyncio.Redis())}


def server_feed(folder: Path) -> dict[str, Any]:
    return {"revocations": RevocationList(RedisFeed(redis.asyncio.Redis()))}


needs_asyncio = pytest.mark.parametrize(
    "options", [file_storage, file_feed, server_storage, server_feed]
)


def made(options: dict[str, Any]) -> AsyncSessionManager:
    return AsyncSessionManager(SECRET, issuer="i", audience="a", **options)


def by_hand(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Drive a coroutine that awaits nothing, without any loop."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def under_trio(call: Callable[[], Awaitable[Any]]) -> Any:
    return trio.run(call)


def without_loop(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return by_hand(call())


everywhere = pytest.mark.parametrize("run", [under_trio, without_loop])


@everywhere
@needs_asyncio
def test_each_call_says_that_it_needs_asyncio_and_what_to_use_instead(
    run: Callable[[Any], Any], options: Options, tmp_path: Path
) -> None:
    manager = made(options(tmp_path))
    for call in (
        lambda: manager.create(subject="ann"),
        lambda: manager.delete_all("ann"),
        lambda: manager.restrict_all("ann"),
    ):
        with pytest.raises(
            ConfigurationError,
            match=r"needs a running asyncio event loop .* under trio.*SessionManager.*to_thread",
        ):
            run(call)
    run(manager.close)


@everywhere
def test_what_is_refused_without_asyncio_is_not_half_done(
    run: Callable[[Any], Any], tmp_path: Path
) -> None:
    manager = made(file_feed(tmp_path))

    async def open_session() -> Any:
        return await manager.create(subject="ann")

    tokens = asyncio.run(open_session())
    with pytest.raises(ConfigurationError, match="asyncio"):
        run(lambda: manager.delete_all("ann"))
    assert manager.read(tokens.access_token).subject == "ann"
    run(manager.close)


@everywhere
def test_what_was_opened_is_closed_without_asyncio(
    run: Callable[[Any], Any], tmp_path: Path
) -> None:
    options = file_storage(tmp_path)
    run(made(options).close)
    with pytest.raises(Exception, match="the database file was closed"):
        options["storage"].read_all("ann", 0)


@everywhere
def test_in_memory_an_async_manager_needs_no_loop_of_a_kind(run: Callable[[Any], Any]) -> None:
    async def live() -> int:
        async with made({}) as manager:
            manager.revocations.subscribe(lambda session_id, before: told.append(session_id))
            tokens = await manager.create(subject="ann")
            assert manager.read(tokens.access_token).subject == "ann"
            await manager.update(tokens.refresh_token)
            return await manager.delete_all("ann")

    told: list[str] = []
    assert run(live) == 1
    assert len(told) == 1


def test_a_user_s_storage_may_await_trio() -> None:
    async def live() -> bool:
        async with made({"storage": Trios()}) as manager:
            tokens = await manager.create(subject="ann")
            await manager.update(tokens.refresh_token)
            return await manager.delete_one("ann", tokens.session_id)

    assert trio.run(live) is True


def test_a_blocking_manager_serves_trio_from_its_threads(tmp_path: Path) -> None:
    async def live() -> int:
        with SessionManager(SECRET, issuer="i", audience="a", **file_storage(tmp_path)) as manager:
            await trio.to_thread.run_sync(lambda: manager.create(subject="ann"))
            return await trio.to_thread.run_sync(manager.delete_all, "ann")

    assert trio.run(live) == 1

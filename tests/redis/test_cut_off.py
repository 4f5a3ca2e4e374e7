"""A node that is cut off from its stream: how long it goes on, what it says, that it finds back.

Besides, asyncio's side of a feed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.servers import Node, empty, free_port, needs_server, serving, until
from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    ConfigurationError,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)

pytestmark = needs_server

ONE = "A" * 16


@pytest.fixture
def node(tmp_path: Any) -> Iterator[Node]:
    """Start a server that a test may stop."""
    with serving(tmp_path) as node:
        yield node


def manager_over(client: Any, clock: FakeClock, timer: FakeClock, **options: Any) -> SessionManager:
    feed = RedisFeed(client, max_staleness=10, timer=timer, **options)
    return SessionManager(
        SECRET, issuer="i", audience="a", revocations=RevocationList(feed, clock=clock), clock=clock
    )


@pytest.mark.parametrize("when_stale", ["accept", "refuse"])
@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_past_max_staleness_a_node_goes_on_or_refuses_every_token_as_was_chosen(
    node: Node, when_stale: Any, fault: str
) -> None:
    clock, timer = FakeClock(1_700_000_000.0), FakeClock(50.0)
    with (
        node.client() as client,
        manager_over(client, clock, timer, when_stale=when_stale) as manager,
    ):
        tokens = manager.create(subject="ann")
        manager.read(tokens.access_token)
        getattr(node, fault)()
        manager.read(tokens.access_token)
        for fake in (clock, timer):
            fake.advance(9.0)
        manager.read(tokens.access_token)
        for fake in (clock, timer):
            fake.advance(3.0)
        if when_stale == "accept":
            manager.read(tokens.access_token)
        else:
            for _ in range(2):
                with pytest.raises(StorageUnavailable, match="max_staleness"):
                    manager.read(tokens.access_token)
        if fault == "kill":
            node.start()
        else:
            node.thaw()
        until(lambda: is_accepted(manager, tokens.access_token))


def is_accepted(manager: SessionManager, token: str) -> bool:
    try:
        manager.read(token)
    except StorageUnavailable:
        return False
    return True


def test_a_node_that_is_connected_again_has_missed_nothing(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tokenwheel")
    with node.client(retry=None) as client:
        first, second = (RevocationList(RedisFeed(client)) for _ in range(2))
        for revocations in (first, second):
            assert not revocations.is_revoked(ONE)
        node.stop()
        until(lambda: sum("cut off" in message for message in caplog.messages) == 2)
        with pytest.raises(StorageUnavailable, match="the revocation feed could not be reached"):
            first.revoke(ONE, 900)
        assert first.is_revoked(ONE)
        assert not second.is_revoked(ONE)
        node.start()
        first.revoke(ONE, 900)
        until(lambda: second.is_revoked(ONE))
        until(lambda: sum("connected again" in message for message in caplog.messages) == 2)
        for revocations in (first, second):
            revocations.close()
    assert sum("cut off" in message for message in caplog.messages) == 2


def test_a_closed_feed_that_refuses_when_stale_does_so_still(node: Node) -> None:
    clock, timer = FakeClock(1_700_000_000.0), FakeClock(50.0)
    with node.client() as client:
        manager = manager_over(client, clock, timer, when_stale="refuse")
        tokens = manager.create(subject="ann")
        manager.read(tokens.access_token)
        manager.close()
        manager.read(tokens.access_token)
        for fake in (clock, timer):
            fake.advance(12.0)
        with pytest.raises(StorageUnavailable, match="max_staleness"):
            manager.read(tokens.access_token)


def test_a_server_that_is_not_there_is_said_when_the_list_is_made() -> None:
    with (
        redis.Redis(port=free_port(), retry=None) as client,
        pytest.raises(
            StorageUnavailable, match="the revocation feed could not be reached"
        ) as caught,
    ):
        RevocationList(RedisFeed(client))
    assert isinstance(caught.value.__cause__, redis.exceptions.ConnectionError)


@pytest.mark.parametrize(
    "options",
    [
        {"max_staleness": 0.5},
        {"max_staleness": True},
        {"max_staleness": None},
        {"max_staleness": float("nan")},
        {"max_staleness": 90_000},
        {"when_stale": "maybe"},
        {"clock": 5},
        {"timer": None},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        RedisFeed(redis.Redis(), **options)


def async_manager(client: Any, **options: Any) -> AsyncSessionManager:
    return AsyncSessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client),
        revocations=RevocationList(RedisFeed(client, **options)),
    )


async def reading_refuses(manager: AsyncSessionManager, token: str) -> None:
    """Wait until the manager refuses the token. The loop runs meanwhile."""
    while True:
        try:
            manager.read(token)
        except AccessTokenRevoked:
            return
        await asyncio.sleep(0.001)


def test_an_async_node_answers_no_read_before_it_has_taken_in_what_lives(server: Node) -> None:
    empty(server)

    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            first, second, late = (async_manager(client) for _ in range(3))
            async with first:
                tokens = await first.create(subject="ann")
                await second.read_all("ann")
                second.read(tokens.access_token)
                await first.delete_one("ann", tokens.session_id)
                with pytest.raises(AccessTokenRevoked):
                    first.read(tokens.access_token)
                await reading_refuses(second, tokens.access_token)
                with pytest.raises(StorageUnavailable, match="async with"):
                    late.read(tokens.access_token)
                async with late:
                    with pytest.raises(AccessTokenRevoked):
                        late.read(tokens.access_token)
            await second.close()
            await second.close()
            assert [task for task in asyncio.all_tasks() if "tokenwheel" in task.get_name()] == []
            with pytest.raises(AccessTokenRevoked):
                second.read(tokens.access_token)

    asyncio.run(main())
    with server.client() as client:
        until(lambda: len(client.client_list()) == 1)


def test_a_read_that_came_too_early_begins_what_it_waits_for(server: Node) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            first, reader = async_manager(client), async_manager(client)
            async with first:
                tokens = await first.create(subject="ann")
                with pytest.raises(StorageUnavailable, match="have not been taken in yet"):
                    reader.read(tokens.access_token)
                while True:
                    try:
                        reader.read(tokens.access_token)
                    except StorageUnavailable:
                        await asyncio.sleep(0.001)
                    else:
                        break
                await reader.close()

    asyncio.run(main())


def test_a_manager_serves_one_event_loop_after_another(server: Node) -> None:
    client = redis.asyncio.Redis(port=server.port)
    manager = async_manager(client)

    async def main() -> None:
        tokens = await manager.create(subject="ann")
        manager.read(tokens.access_token)
        await manager.delete_all("ann")
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        await client.aclose()

    for _ in range(2):
        asyncio.run(main())


def test_an_async_manager_says_so_where_the_server_is_not_there() -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=free_port(), retry=None) as client:
            for call in (
                lambda: async_manager(client).__aenter__(),
                lambda: async_manager(client).create(subject="ann"),
            ):
                with pytest.raises(
                    StorageUnavailable, match="the revocation feed could not be reached"
                ):
                    await call()

    asyncio.run(main())


def test_an_async_node_that_is_cut_off_finds_back(node: Node) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=node.port) as client:
            first, second = (
                async_manager(client, max_staleness=1),
                async_manager(client, when_stale="refuse", max_staleness=1),
            )
            async with first, second:
                tokens = await first.create(subject="ann")
                second.read(tokens.access_token)
                node.freeze()
                while True:  # a second passes
                    try:
                        second.read(tokens.access_token)
                    except StorageUnavailable:
                        break
                    await asyncio.sleep(0.01)
                first.read(tokens.access_token)
                node.thaw()
                await first.delete_one("ann", tokens.session_id)
                await reading_refuses_again(second, tokens.access_token)

    async def reading_refuses_again(manager: AsyncSessionManager, token: str) -> None:
        while True:
            try:
                await reading_refuses(manager, token)
            except StorageUnavailable:
                await asyncio.sleep(0.001)
            else:
                return

    asyncio.run(main())


def test_an_async_manager_takes_a_blocking_client_too(server: Node) -> None:
    async def main() -> None:
        with redis.Redis(port=server.port) as client:
            async with async_manager(client) as first, async_manager(client) as second:
                tokens = await first.create(subject="ann")
                second.read(tokens.access_token)
                fresh = await second.update(tokens.refresh_token)
                await first.delete_one("ann", tokens.session_id)
                await reading_refuses(second, fresh.access_token)

    asyncio.run(main())

"""More calls at once than connections: those that come late wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio

from tests.servers import Node, empty, needs_server, serving
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    RedisFeed,
    RedisStorage,
    RevocationList,
    StorageUnavailable,
)
from tokenwheel.testing import NOW, make_record

pytestmark = needs_server

LOGINS = 500
FEW = 3  # connections
LONG = 60.0  # seconds, so that a busy machine proves nothing
SHORT = 1.0  # seconds


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with serving(tmp_path) as node:
        yield node


def manager_over(client: Any, timeout: float) -> AsyncSessionManager:
    return AsyncSessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client, timeout=timeout),
        revocations=RevocationList(RedisFeed(client, timeout=timeout)),
    )


async def log_in(manager: AsyncSessionManager) -> list[Any]:
    """Return what came of each of many logins at once."""
    return await asyncio.gather(
        *(manager.create(subject=f"user{number}") for number in range(LOGINS)),
        return_exceptions=True,
    )


@pytest.mark.parametrize("options", [{}, {"max_connections": FEW}], ids=["readme", "few"])
@pytest.mark.parametrize("kind", [redis.asyncio.Redis, valkey.asyncio.Valkey])
def test_of_many_logins_at_once_all_succeed(server: Node, kind: Any, options: Any) -> None:
    empty(server)

    async def main() -> None:
        client = kind.from_url(server.url, **options)
        async with manager_over(client, LONG) as manager:
            opened = await log_in(manager)
            assert [answer for answer in opened if isinstance(answer, Exception)] == []
            updated = await asyncio.gather(
                *(manager.update(tokens.refresh_token) for tokens in opened)
            )
            assert len({tokens.session_id for tokens in updated}) == LOGINS
        await client.aclose()

    asyncio.run(main())


def test_of_many_logins_at_once_all_succeed_over_few_connections_of_a_cluster(
    cluster: Any,
) -> None:
    empty(*cluster)

    async def main() -> None:
        async with redis.asyncio.RedisCluster(
            host="127.0.0.1", port=cluster[0].port, max_connections=FEW
        ) as client:
            async with manager_over(client, LONG) as manager:
                opened = await log_in(manager)
            assert [answer for answer in opened if isinstance(answer, Exception)] == []

    asyncio.run(main())


@pytest.mark.parametrize("options", [{}, {"max_connections": FEW}], ids=["readme", "few"])
def test_a_server_that_hangs_fails_all_waiting_in_time_and_serves_them_later(
    node: Node, options: Any
) -> None:
    async def main() -> None:
        client = redis.asyncio.Redis.from_url(node.url, **options)
        manager = manager_over(client, SHORT)
        assert (await manager.create(subject="ann")).session_id
        node.freeze()
        failed = await asyncio.wait_for(log_in(manager), LONG)
        assert [type(error) for error in failed] == [StorageUnavailable] * LOGINS
        assert "within the 1 seconds of timeout" in str(failed[-1])
        node.thaw()
        later = manager_over(client, LONG)
        opened = await log_in(later)
        assert [answer for answer in opened if isinstance(answer, Exception)] == []
        assert len(await later.read_all("user7")) <= 2
        for each in (manager, later):
            await each.close()
        await client.aclose()

    asyncio.run(main())


def test_connections_that_the_application_has_lent_elsewhere_are_waited_for(node: Node) -> None:
    async def main() -> None:
        client = redis.asyncio.Redis.from_url(node.url, max_connections=1)
        storage = RedisStorage(client, timeout=LONG)
        # Before 5.3 a command had to be named, which is deprecated since.
        named = () if tuple(map(int, redis.__version__.split(".")[:2])) >= (5, 3) else ("PING",)
        lent = await client.connection_pool.get_connection(*named)
        call = asyncio.ensure_future(storage.insert(make_record(), None, NOW))
        for _ in range(3):
            await asyncio.sleep(0.02)  # in which the call is refused, and asks again
            with pytest.raises(redis.ConnectionError, match="Too many"):
                await client.ping()
        assert not call.done()
        await client.connection_pool.release(lent)
        assert await call is True
        await client.aclose()

    asyncio.run(main())


def test_an_asyncio_client_serves_one_event_loop_after_another(node: Node) -> None:
    async def main(client: Any) -> None:
        manager = manager_over(client, LONG)
        opened = await log_in(manager)
        assert [answer for answer in opened if isinstance(answer, Exception)] == []
        await client.aclose()

    client = redis.asyncio.Redis.from_url(node.url, max_connections=FEW)
    for _ in range(2):
        asyncio.run(main(client))


@pytest.mark.parametrize("kind", [redis.Redis, valkey.Valkey])
def test_threads_wait_for_a_connection_and_a_hanging_server_fails_them_in_time(
    node: Node, kind: Any
) -> None:
    records = [make_record(number) for number in range(50)]
    with (
        kind(port=node.port, max_connections=FEW) as client,
        ThreadPoolExecutor(len(records)) as threads,
    ):
        storage = RedisStorage(client, timeout=LONG)
        assert all(threads.map(lambda record: storage.insert(record, None, NOW), records))
        assert len(client.client_list()) == FEW + 1

        hasty = RedisStorage(client, timeout=SHORT)

        def fails(record: Any) -> bool:
            with pytest.raises(StorageUnavailable, match="within the 1 seconds"):
                hasty.read(record.id, NOW)
            return True

        node.freeze()
        assert all(threads.map(fails, records))
        node.thaw()
        assert list(threads.map(lambda record: storage.read(record.id, NOW), records)) == records
        for each in (storage, hasty):
            each.close()

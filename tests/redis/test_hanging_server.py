"""A server that hangs: each call ends in time, and goes right once the server goes on."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.sentinel
import valkey

from tests.clients import KINDS
from tests.servers import Node, empty, needs_server, proxied, replicated, serving, until
from tests.support import SECRET
from tokenwheel import (
    ConfigurationError,
    RedisFeed,
    RedisStorage,
    Revocation,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.cli import main
from tokenwheel.testing import NOW, following, make_record

pytestmark = needs_server

TIMEOUT = 1.0  # seconds
# As much again for a busy machine, many times less than what the clients themselves would wait.
LATEST = 4.0
SAYS = r"the server did not answer within the 1(\.1)? seconds of timeout"

BLOCKING: dict[str, Callable[[Node], Any]] = {
    "redis": lambda node: redis.Redis(port=node.port),
    "decoding": lambda node: redis.Redis(port=node.port, decode_responses=True, protocol=3),
    "single": lambda node: redis.Redis(port=node.port, single_connection_client=True),
    "unix": lambda node: redis.Redis(unix_socket_path=str(node.folder / "socket")),
    "blocking-pool": lambda node: redis.Redis(
        connection_pool=redis.BlockingConnectionPool(port=node.port, timeout=None)
    ),
    "database": lambda node: redis.Redis.from_url(f"redis://127.0.0.1:{node.port}/3"),
    "valkey": lambda node: valkey.Valkey(port=node.port),
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with serving(tmp_path, "--unixsocket", str(tmp_path / "socket")) as node:
        yield node


@contextmanager
def frozen(*nodes: Node) -> Iterator[None]:
    for node in nodes:
        node.freeze()
    try:
        yield
    finally:
        for node in nodes:
            node.thaw()


def gives_up(call: Callable[[], Any], kind: type[Exception] = StorageUnavailable) -> Exception:
    """Check that the call ends in time. Return its error."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - began < LATEST
    return caught.value


def answers(storage: RedisStorage) -> bool:
    try:
        return bool(storage.read(make_record().id, NOW) == make_record())
    except (StorageUnavailable, redis.ConnectionError, valkey.ConnectionError):
        return False


@pytest.mark.parametrize("kind", BLOCKING)
def test_a_blocking_call_ends_in_time_and_is_answered_rightly_later(node: Node, kind: str) -> None:
    with BLOCKING[kind](node) as client:
        # What differs in its timeout has connections of its own, and has to connect first.
        storage, fresh = RedisStorage(client, timeout=TIMEOUT), RedisStorage(client, timeout=1.1)
        first, second = make_record(1), make_record(2)
        for record in (first, second):
            storage.insert(record, None, NOW)
        with frozen(node):
            for call in (
                lambda: storage.read(first.id, NOW),
                lambda: storage.read_all("uid1", NOW),
                lambda: storage.replace(following(first), NOW),
                lambda: fresh.delete([second], NOW),
            ):
                error = gives_up(call)
                assert re.search(SAYS, str(error))
                assert error.__cause__ is not None
        for _ in range(20):
            assert storage.read(second.id, NOW) in (second, None)
            assert storage.read(first.id, NOW) in (first, following(first))
            assert {record.id for record in storage.read_all("uid1", NOW)} <= {first.id, second.id}
        for each in (storage, fresh):
            each.close()


@pytest.mark.parametrize("kind", ["redis-asyncio", "valkey-asyncio"])
def test_an_asyncio_call_ends_in_time_and_is_answered_rightly_later(node: Node, kind: str) -> None:
    async def main() -> None:
        client = KINDS[kind].make(node.port)
        storage = RedisStorage(client, timeout=TIMEOUT)
        records = [make_record(number) for number in range(8)]
        for record in records:
            await storage.insert(record, None, NOW)
        with frozen(node):
            began = time.monotonic()
            answers = await asyncio.gather(
                # More than the connections that there are, so that some have to connect.
                *(storage.read(record.id, NOW) for record in 4 * records),
                storage.read_all("uid1", NOW),
                return_exceptions=True,
            )
            assert time.monotonic() - began < LATEST
            assert all(isinstance(answer, StorageUnavailable) for answer in answers)
            assert re.search(SAYS, str(answers[0]))
        for _ in range(20):
            assert records == await asyncio.gather(
                *(storage.read(record.id, NOW) for record in records)
            )
        await storage.close()
        await storage.close()
        await client.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_call_over_a_cluster_ends_in_time(cluster: Sequence[Node], kind: str) -> None:
    empty(*cluster)
    make: Any = redis.RedisCluster if kind == "redis" else valkey.ValkeyCluster
    client = make(host="127.0.0.1", port=cluster[0].port)
    storage, fresh = RedisStorage(client, timeout=TIMEOUT), RedisStorage(client, timeout=1.1)
    assert storage.read_all("ann", NOW) == []
    with frozen(*cluster):
        assert re.search(SAYS, str(gives_up(lambda: storage.read_all("ann", NOW))))
        gives_up(lambda: fresh.read_all("ann", NOW))
    assert storage.read_all("ann", NOW) == fresh.read_all("ann", NOW) == []
    for each in (storage, fresh):
        each.close()
    client.close()


def test_an_asyncio_call_over_a_cluster_ends_in_time(cluster: Sequence[Node]) -> None:
    empty(*cluster)

    async def main() -> None:
        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster[0].port) as client:
            storage = RedisStorage(client, timeout=TIMEOUT)
            assert await storage.read_all("ann", NOW) == []
            with frozen(*cluster):
                began = time.monotonic()
                with pytest.raises(StorageUnavailable, match=SAYS):
                    await storage.read_all("ann", NOW)
                assert time.monotonic() - began < LATEST
            assert await storage.read_all("ann", NOW) == []

    asyncio.run(main())


@pytest.mark.parametrize("library", [redis, valkey], ids=["redis", "valkey"])
def test_neither_a_primary_nor_a_sentinel_that_hangs_holds_up_a_call(
    library: Any, tmp_path: Path
) -> None:
    with replicated(tmp_path) as (primary, _, sentinel):
        asked = library.sentinel.Sentinel([("127.0.0.1", sentinel.port)], socket_timeout=None)
        with asked.master_for("service", socket_timeout=None) as client:
            storage = RedisStorage(client, timeout=TIMEOUT)
            fresh = RedisStorage(client, timeout=1.1)
            storage.insert(make_record(), None, NOW)
            with frozen(sentinel):
                assert storage.read(make_record().id, NOW) == make_record()
                # Another sentinel would be asked within the time.
                gives_up(lambda: fresh.read(make_record().id, NOW), library.ConnectionError)
            # It takes the primary for dead until that has answered it.
            until(lambda: answers(fresh))
            primary.freeze()
            assert re.search(SAYS, str(gives_up(lambda: storage.read(make_record().id, NOW))))
            primary.thaw()
            for each in (storage, fresh):
                each.close()
        for watcher in asked.sentinels:
            watcher.close()


def test_all_steps_of_a_call_together_end_in_time(node: Node) -> None:
    with (
        proxied(node.port) as proxy,
        redis.Redis(port=proxy.port, db=1, client_name="app") as client,
    ):
        storage = RedisStorage(client, timeout=TIMEOUT)
        proxy.delay(0.45)  # each way, for each of five steps, none of which takes too long alone
        gives_up(lambda: storage.read(make_record().id, NOW))
        proxy.heal()
        assert storage.read(make_record().id, NOW) is None
        storage.close()


def test_a_connection_that_broke_while_idle_costs_no_call(node: Node) -> None:
    with proxied(node.port) as proxy, redis.Redis(port=proxy.port, retry=None) as client:
        storage = RedisStorage(client, timeout=TIMEOUT)
        for _ in range(3):
            assert storage.insert(make_record(), None, NOW) is True
            proxy.sever()
            proxy.heal()
        storage.close()


def test_a_connection_that_breaks_under_the_first_call_after_a_rest_costs_no_call(
    node: Node,
) -> None:
    class Breaking(redis.Connection):
        breaks = 0

        def read_response(self, *arguments: Any, **options: Any) -> Any:
            if Breaking.breaks:
                Breaking.breaks -= 1
                self.disconnect()
                raise redis.ConnectionError
            return super().read_response(*arguments, **options)

    pool = redis.ConnectionPool(connection_class=Breaking, port=node.port)
    with redis.Redis(connection_pool=pool) as client:
        storage = RedisStorage(client, timeout=TIMEOUT)
        storage.insert(make_record(), None, NOW)
        Breaking.breaks = 1
        assert storage.read(make_record().id, NOW) == make_record()
        Breaking.breaks = 2
        with pytest.raises(redis.ConnectionError):
            storage.read(make_record().id, NOW)
        assert Breaking.breaks == 0
        storage.close()
    pool.disconnect()


def test_a_call_that_was_broken_off_leaves_no_answer_for_the_next(node: Node) -> None:
    class Interrupted(redis.Connection):
        is_interrupted = False

        def read_response(self, *arguments: Any, **options: Any) -> Any:
            if self.is_interrupted:
                raise KeyboardInterrupt  # as by Ctrl-C, before anything was read
            return super().read_response(*arguments, **options)

    pool = redis.ConnectionPool(connection_class=Interrupted, port=node.port)
    with redis.Redis(connection_pool=pool) as client:
        storage = RedisStorage(client, timeout=TIMEOUT)
        first, second = make_record(1), make_record(2, subject="uid2")
        for record in (first, second):
            storage.insert(record, None, NOW)
        Interrupted.is_interrupted = True
        node.freeze()
        with pytest.raises(KeyboardInterrupt):
            storage.read(first.id, NOW)
        Interrupted.is_interrupted = False
        # What comes first, then, is the answer to the call before.
        going_on = threading.Timer(0.3, node.thaw)
        going_on.start()
        assert storage.read(second.id, NOW) == second
        going_on.join()
        storage.close()
    pool.disconnect()


def test_the_manager_says_within_which_time_nothing_was_answered(node: Node) -> None:
    with redis.Redis(port=node.port) as client:
        manager = SessionManager(
            SECRET, issuer="i", audience="a", storage=RedisStorage(client, timeout=TIMEOUT)
        )
        tokens = manager.create(subject="ann")
        with frozen(node):
            for call in (
                lambda: manager.create(subject="ann"),
                lambda: manager.update(tokens.refresh_token),
                lambda: manager.delete_all("ann"),
            ):
                assert re.search(SAYS, str(gives_up(call)))
        assert tokens.session_id in manager.read_all("ann")
        manager.delete_all("ann")
        manager.close()


def test_publishing_ends_in_time(node: Node) -> None:
    revocation = Revocation("A" * 16, time.time() + 900, None)
    with redis.Redis(port=node.port) as client:
        feed = RedisFeed(client, timeout=TIMEOUT)
        feed.publish([revocation])
        with frozen(node):
            assert re.search(SAYS, str(gives_up(lambda: feed.publish([revocation]))))
        feed.publish([revocation])
        feed.close()


def test_what_a_storage_opens_its_close_closes_and_the_client_stays_open(node: Node) -> None:
    with redis.Redis(port=node.port) as client:
        storage = RedisStorage(client, timeout=TIMEOUT)
        assert client.ping()
        before = len(client.client_list())
        storage.read(make_record().id, NOW)
        assert len(client.client_list()) == before + 1
        storage.close()
        storage.close()
        assert len(client.client_list()) == before
        assert storage.read(make_record().id, NOW) is None
        storage.close()


@pytest.mark.parametrize("make", [RedisStorage, RedisFeed])
@pytest.mark.parametrize("timeout", [0, 0.05, -1, 3_601, None, True, "5", float("nan")])
def test_a_timeout_that_makes_no_sense_is_refused(make: Any, timeout: Any) -> None:
    with (
        redis.Redis() as client,
        pytest.raises(ConfigurationError, match=r"timeout must be .* from 0\.1 to 3600"),
    ):
        make(client, timeout=timeout)


def test_operators_are_told_in_time(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    with frozen(node):
        began = time.monotonic()
        assert main(["sessions", "list", "ann", "--database", node.url]) == 1
        assert time.monotonic() - began < 20  # of the 5 seconds that it waits
    assert "did not answer within the 5 seconds" in capsys.readouterr().err

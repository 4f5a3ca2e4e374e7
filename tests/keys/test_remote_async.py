"""The keys of a URL on event loops: awaited, by a thread or by a client that is awaited itself."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.keys.key_servers import KeyServer, jwks
from tests.servers import LONGEST_WAIT
from tests.support import FakeClock
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    InvalidAccessToken,
    Key,
    KeySet,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.keys import KeyResponse, RemoteKeySet

URL = "https://login.example/jwks.json?secret=of-the-query"
KEYS = KeySet(Key.generate("ES256", kid="old"))
NEW = Key.generate("ES256", kid="new")
LOGIN = SessionManager(KEYS, issuer="i", audience="a")


class Client:
    """A client that is awaited. Its ``get`` is a fetch."""

    def __init__(self, keys: KeySet = KEYS) -> None:
        self.keys = keys
        self.calls = 0
        self.hold: asyncio.Event | None = None
        self.error: BaseException | None = None
        self.threads: set[str] = set()

    async def get(self, url: str, *, headers: dict[str, str]) -> KeyResponse:
        assert url == URL
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return KeyResponse(200, {}, json.dumps(self.keys.jwks()).encode())


@pytest.fixture
def token() -> str:
    return LOGIN.create(subject="ann").access_token


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer(jwks(KEYS)) as made:
        yield made


def manager_of(keys: RemoteKeySet) -> AsyncSessionManager:
    return AsyncSessionManager(keys, issuer="i", audience="a")


async def until(holds: Callable[[], Any]) -> None:
    """Let the loop run until this is true."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def test_an_async_client_is_awaited_before_the_first_read(token: str) -> None:
    client = Client()

    async def serve() -> None:
        keys = RemoteKeySet(URL, fetch=client.get)
        manager = manager_of(keys)
        with pytest.raises(StorageUnavailable, match="enter the manager with 'async with'"):
            manager.read(token)
        async with manager:
            assert manager.read(token)["sub"] == "ann"
            client.keys = KeySet(*KEYS, NEW)
            await keys.refresh_async()
            assert "new" in keys
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(serve())
    assert client.calls == 2
    assert client.threads == {"MainThread"}


def test_nothing_waits_on_the_loop_while_a_client_is_awaited(token: str) -> None:
    async def serve() -> None:
        client = Client()
        keys = RemoteKeySet(URL, fetch=client.get)
        async with manager_of(keys) as manager:
            client.hold = asyncio.Event()
            client.keys = KeySet(NEW, *KEYS)
            signed = SessionManager(KeySet(NEW), issuer="i", audience="a")
            other = signed.create(subject="bob").access_token
            with pytest.raises(InvalidAccessToken, match="names no key of this service"):
                manager.read(other)
            await until(lambda: client.calls == 2)
            assert manager.read(token)["sub"] == "ann"
            client.hold.set()
            await until(lambda: "new" in keys)
            assert manager.read(other)["sub"] == "bob"

    asyncio.run(serve())


def test_the_loop_goes_on_while_the_first_answer_is_held_back(
    server: KeyServer, token: str
) -> None:
    answering = threading.Event()

    def hold(connection: Any, request: str) -> None:
        answering.wait(LONGEST_WAIT)
        jwks(KEYS)(connection, request)

    server.answer = hold

    async def serve() -> None:
        manager = manager_of(RemoteKeySet(server.url, timeout=LONGEST_WAIT))
        entering = [asyncio.ensure_future(manager.__aenter__()) for _ in range(3)]
        await until(lambda: len(server.requests) == 1)
        entering[0].cancel()  # which harms none of the others
        await asyncio.gather(entering[0], return_exceptions=True)
        assert entering[0].cancelled()
        assert not any(each.done() for each in entering[1:])
        answering.set()
        await asyncio.gather(*entering[1:])
        assert manager.read(token)["sub"] == "ann"
        await manager.close()

    asyncio.run(serve())
    assert len(server.requests) == 1


def test_a_token_with_a_new_key_that_a_thread_reads_wakes_the_task(token: str) -> None:
    async def serve() -> None:
        client = Client()
        keys = RemoteKeySet(URL, fetch=client.get)
        async with manager_of(keys) as manager:
            client.keys = KeySet(NEW, *KEYS)
            await asyncio.to_thread(keys.miss)
            await until(lambda: "new" in keys)
            assert await asyncio.to_thread(manager.read, token)

    asyncio.run(serve())


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "standing still"])
def test_another_task_is_begun_where_the_loop_of_the_first_has_ended(
    is_closed: bool, token: str
) -> None:
    client, timer = Client(), FakeClock(1000.0)
    keys = RemoteKeySet(URL, fetch=client.get, timer=timer)
    manager = manager_of(keys)
    first = asyncio.new_event_loop()
    first.run_until_complete(manager.__aenter__())
    if is_closed:
        first.close()
    timer.advance(300.0)

    async def serve() -> None:
        assert manager.read(token)["sub"] == "ann"
        await until(lambda: client.calls == 2 and keys.stats().next_try > 0)
        assert manager.read(token)["sub"] == "ann"
        await manager.close()

    asyncio.run(serve())
    if not is_closed:
        first.run_until_complete(asyncio.sleep(0))
        assert not asyncio.all_tasks(first)
        first.close()


def test_a_client_that_fails_is_told_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def serve() -> None:
        client = Client()
        keys = RemoteKeySet(URL, fetch=client.get)
        for error in (OSError(URL), asyncio.CancelledError(), TimeoutError()):
            client.error = error
            with pytest.raises(StorageUnavailable) as caught:
                await keys.refresh_async()
            said = "fetch= was cancelled" if client.calls == 2 else "fetch= raised OSError"
            if client.calls == 3:
                said = "no whole answer came within 5 seconds"
            assert str(caught.value).endswith(f"could not be fetched: {said}")
        client.error = None
        await keys.refresh_async()
        await keys.close()

    asyncio.run(serve())
    assert "of-the-query" not in caplog.text


class Outcome(BaseException):
    """What a library may raise that is no Exception."""


def test_whatever_a_client_raises_is_a_failure_and_tried_again_in_time() -> None:
    async def serve() -> None:
        client, timer = Client(), FakeClock(1000.0)
        client.error = Outcome()
        keys = RemoteKeySet(URL, fetch=client.get, timer=timer)
        async with manager_of(keys):
            for _ in range(3):
                with pytest.raises(StorageUnavailable, match="fetch= raised Outcome"):
                    keys.look()
            assert (client.calls, keys.stats().failures, keys.stats().next_try) == (1, 1, 1.0)

    asyncio.run(serve())


def test_a_client_that_answers_too_late_is_cancelled() -> None:
    async def serve() -> None:
        client = Client()
        client.hold = asyncio.Event()
        keys = RemoteKeySet(URL, fetch=client.get, timeout=0.1)
        with pytest.raises(StorageUnavailable, match=r"no whole answer came within 0\.1 seconds"):
            await keys.refresh_async()
        client.hold.set()
        await keys.refresh_async()
        assert len(keys) == 1
        await keys.close()

    asyncio.run(serve())


def test_a_first_fetch_that_fails_keeps_nobody_waiting_and_is_tried_again(token: str) -> None:
    async def serve() -> None:
        client, timer = Client(), FakeClock(1000.0)
        client.error = OSError()
        keys = RemoteKeySet(URL, fetch=client.get, timer=timer)
        async with manager_of(keys) as manager:
            with pytest.raises(StorageUnavailable, match="have not been fetched yet"):
                manager.read(token)
            await manager.delete_one("ann", "A" * 16)
            assert client.calls == 1
            client.error = None
            timer.advance(1.0)
            with pytest.raises(StorageUnavailable, match="have not been fetched yet"):
                manager.read(token)
            await until(lambda: keys.stats().age is not None)
            assert client.calls == 2
            assert manager.read(token)["sub"] == "ann"

    asyncio.run(serve())


def test_a_blocking_and_an_async_manager_may_share_a_set(server: KeyServer, token: str) -> None:
    keys = RemoteKeySet(server.url)
    blocking = SessionManager(keys, issuer="i", audience="a")

    async def serve() -> None:
        async with manager_of(keys) as manager:
            assert manager.read(token)["sub"] == "ann"

    asyncio.run(serve())
    keys.refresh()  # The blocking one has not closed it.
    assert blocking.read(token)["sub"] == "ann"
    blocking.close()
    assert len(server.requests) == 2


def test_a_set_that_was_dropped_ends_its_task() -> None:
    async def serve() -> None:
        keys = RemoteKeySet(URL, fetch=Client().get)
        await keys.refresh_async()
        assert len(asyncio.all_tasks()) == 2
        reference = weakref.ref(keys)
        del keys
        await until(lambda: reference() is None)  # once what it fetched has been taken over
        await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(serve())


def test_keys_are_awaited_on_a_loop_of_asyncio_alone() -> None:
    starting = RemoteKeySet(URL, fetch=Client().get).start_async()
    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop"):
        starting.send(None)

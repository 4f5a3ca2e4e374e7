"""On asyncio a block ends with its session, like that of ``asyncio.timeout``, and so do streams."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest
import trio

from tests.servers import until
from tests.support import SECRET, FakeClock
from tests.web.watching import signed_in, soon, until_no_thread_is_left
from tokenwheel import (
    AccessTokenExpired,
    Claims,
    ConfigurationError,
    InvalidArgument,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.web import Gate
from tokenwheel.web.async_watch import AsyncWatch


class Socket:
    """A connection, and how it was closed."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    async def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))


class Service:
    """A service of one process, over a clock that the test moves, and one user who is signed in."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_700_000_000.0)
        self.manager = SessionManager(SECRET, issuer="i", audience="a", clock=self.clock)
        self.gate = Gate(self.manager)
        self.tokens = self.manager.create(subject="ann")
        self.claims = self.manager.read(self.tokens.access_token)
        self.socket = Socket()

    def watch(self, close: Callable[[int, str], Awaitable[object]] | None = None) -> AsyncWatch:
        """Watch the socket, as the one line of an adapter does."""
        return AsyncWatch(self.gate.watches, self.claims, close or self.socket.close)

    def stream(self) -> AsyncWatch:
        """Watch a response that is streamed."""
        return AsyncWatch(self.gate.watches, self.claims)

    def log_out(self) -> None:
        self.manager.delete_all("ann")


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.manager.close()
    until_no_thread_is_left()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test on an event loop, whose callbacks must not fail either."""
    failures: list[dict[str, Any]] = []

    async def watched_main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        await main

    asyncio.run(watched_main(), debug=True)
    assert failures == []


def test_a_logout_closes_the_socket_and_ends_the_block(service: Service) -> None:
    async def main() -> None:
        cancelled = False
        async with service.watch() as watched:
            service.log_out()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise
        assert cancelled
        assert watched.ended == "revoked"
        assert service.socket.closed == [(4401, "revoked")]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # The task goes on as if nothing had been.

    run(main())


def test_the_end_of_the_token_closes_the_socket_and_ends_the_block(service: Service) -> None:
    async def main() -> None:
        async with service.watch() as watched:
            service.clock.advance(900)
            await asyncio.Event().wait()
        assert watched.ended == "expired"
        assert service.socket.closed == [(4401, "expired")]

    run(main())


def test_a_block_that_is_left_before_the_end_closes_nothing(service: Service) -> None:
    async def main() -> None:
        async with service.watch() as watched:
            await asyncio.sleep(0)
        service.log_out()
        await asyncio.sleep(0.05)
        assert watched.ended is None
        assert service.socket.closed == []

    run(main())


def test_an_end_that_comes_while_the_block_is_left_still_closes_the_socket(
    service: Service,
) -> None:
    """The framework would close it with another code, and the client would not sign in again."""

    async def main() -> None:
        async with service.watch() as watched:
            service.log_out()
            assert watched.ended == "revoked"
        assert service.socket.closed == [(4401, "revoked")]
        await asyncio.sleep(0.05)
        assert service.socket.closed == [(4401, "revoked")]

    run(main())


def test_a_revocation_between_admission_and_the_block_ends_it_at_its_first_wait(
    service: Service,
) -> None:
    async def main() -> None:
        service.log_out()
        async with service.watch():
            await asyncio.Event().wait()
        assert service.socket.closed == [(4401, "revoked")]

    run(main())


def test_a_cancellation_from_outside_passes_through(service: Service) -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def body() -> None:
            async with service.watch():
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(body())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert service.socket.closed == []

    run(main())


@pytest.mark.parametrize("is_first", [True, False])
def test_a_cancellation_from_outside_passes_through_beside_the_end(
    service: Service, is_first: bool
) -> None:
    async def main() -> None:
        task: asyncio.Task[None]
        is_over = False

        class Closing(Socket):
            async def close(self, code: int, reason: str) -> None:
                await super().close(code, reason)
                if not is_first:
                    task.cancel()

        socket = Closing()

        async def body() -> None:
            nonlocal is_over
            async with service.watch(socket.close):
                if is_first:
                    asyncio.get_running_loop().call_soon(task.cancel)
                service.log_out()
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
            is_over = True
            await asyncio.sleep(0)

        task = asyncio.create_task(body())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert not is_first or not is_over
        assert socket.closed == [(4401, "revoked")]

    run(main())


def test_an_error_of_the_body_passes_through_though_the_session_has_ended(
    service: Service,
) -> None:
    async def main() -> None:
        async with service.watch() as watched:
            service.log_out()
            try:
                await asyncio.Event().wait()
            finally:
                raise LookupError("of the body")
        assert watched.ended == "revoked"

    with pytest.raises(LookupError, match="of the body"):
        run(main())
    assert service.socket.closed == [(4401, "revoked")]


def test_an_own_timeout_of_the_body_is_not_taken_for_the_end(service: Service) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with service.watch(), asyncio.timeout(0):
                await asyncio.Event().wait()
        assert service.socket.closed == []

    run(main())


def test_all_tasks_of_a_body_are_cancelled_with_it(service: Service) -> None:
    async def main() -> None:
        left: list[str] = []

        async def pump(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                left.append(name)

        async with service.watch(), asyncio.TaskGroup() as group:
            group.create_task(pump("receive"))
            group.create_task(pump("send"))
            await asyncio.sleep(0)
            service.log_out()
        assert sorted(left) == ["receive", "send"]
        assert service.socket.closed == [(4401, "revoked")]

    run(main())


def test_a_body_of_anyio_s_task_groups_is_cancelled_with_all_of_them(service: Service) -> None:
    """As Starlette and FastAPI have them."""

    async def main() -> None:
        left: list[str] = []

        async def pump(name: str) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                left.append(name)

        async with service.watch(), anyio.create_task_group() as group:
            group.start_soon(pump, "receive")
            group.start_soon(pump, "send")
            with anyio.fail_after(60):
                service.log_out()
                await anyio.sleep_forever()
        assert sorted(left) == ["receive", "send"]
        assert service.socket.closed == [(4401, "revoked")]
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


def test_the_socket_is_closed_while_the_body_still_cleans_up(service: Service) -> None:
    async def main() -> None:
        async with service.watch():
            service.log_out()
            try:
                await asyncio.Event().wait()
            finally:
                await soon(lambda: service.socket.closed)
        assert service.socket.closed == [(4401, "revoked")]

    run(main())


def test_the_block_ends_once_the_socket_is_closed(service: Service) -> None:
    """Otherwise the framework would answer first, with a code of its own."""

    async def main() -> None:
        closed = False

        async def close(code: int, reason: str) -> None:
            nonlocal closed
            for _ in range(20):
                await asyncio.sleep(0)
            closed = True

        async with service.watch(close):
            service.log_out()
            await asyncio.Event().wait()
        assert closed

    run(main())


def test_a_client_that_does_not_listen_holds_nobody_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenwheel.web.async_watch._LONGEST_GOODBYE", 0.05)

    async def main() -> None:
        stopped = False

        async def never(code: int, reason: str) -> None:
            nonlocal stopped
            try:
                await asyncio.Event().wait()
            finally:
                stopped = True

        async with service.watch(never):
            service.log_out()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        assert stopped

    run(main())


def test_a_client_that_has_gone_in_the_same_moment_is_no_error(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def fail(code: int, reason: str) -> None:
            raise RuntimeError("already closed")

        async with service.watch(fail) as watched:
            service.log_out()
            await asyncio.Event().wait()
        assert watched.ended == "revoked"

    with caplog.at_level(logging.DEBUG, "tokenwheel"):
        run(main())
    assert [record.levelname for record in caplog.records if record.name == "tokenwheel"] == [
        "DEBUG"
    ]


def test_a_newer_token_that_is_admitted_keeps_the_block_going(service: Service) -> None:
    async def main() -> None:
        async with service.watch() as watched:
            service.clock.advance(600)
            tokens = service.manager.update(service.tokens.refresh_token)
            claims = watched.admit(tokens.access_token)
            assert (claims.subject, claims.expires_at) == ("ann", tokens.access_expires_at)
            service.clock.advance(600)
            async with asyncio.timeout(None):
                await asyncio.sleep(0.5)  # longer than between two looks
            assert watched.ended is None
            with pytest.raises(InvalidArgument, match="of the session that has opened"):
                watched.admit(service.manager.create(subject="ann").access_token)
            service.clock.advance(300)
            await asyncio.Event().wait()
        assert service.socket.closed == [(4401, "expired")]

    run(main())


def test_an_old_token_cannot_be_admitted(service: Service) -> None:
    async def main() -> None:
        async with service.watch() as watched:
            service.clock.advance(906)
            with pytest.raises(AccessTokenExpired):
                watched.admit(service.tokens.access_token)

    run(main())


def test_nothing_is_admitted_outside_the_block_and_no_watch_is_used_twice(
    service: Service,
) -> None:
    async def main() -> None:
        watched = service.watch()
        with pytest.raises(InvalidArgument, match="within 'async with'"):
            watched.admit(service.tokens.access_token)
        assert watched.ended is None
        async with watched:
            pass
        with pytest.raises(InvalidArgument, match="for one block"):
            async with watched:
                pass

    run(main())


def test_no_block_is_entered_where_nobody_can_tell_its_end(service: Service) -> None:
    async def main() -> None:
        service.manager.close()
        with pytest.raises(StorageUnavailable, match="the manager was closed"):
            async with service.watch():
                pass

    run(main())


def test_an_end_that_arrives_after_the_block_was_left_changes_nothing(service: Service) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_soon, arrived = loop.call_soon_threadsafe, []
        async with service.watch():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    loop, "call_soon_threadsafe", lambda *call: arrived.append(call_soon(*call))
                )
                service.log_out()
                until(lambda: arrived, "the end")  # while the loop stands still
        await asyncio.sleep(0)
        assert service.socket.closed == [(4401, "revoked")]

    run(main())


def test_a_loop_that_has_ended_is_not_disturbed(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    entered: list[Any] = []

    async def main() -> None:
        watched = service.watch()
        entered.append(watched)
        await watched.__aenter__()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    service.log_out()
    assert entered[0].ended == "revoked"
    until_no_thread_is_left()
    assert caplog.text == ""


class Source:
    """Events, and whether their source was closed."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.is_closed = False

    async def __call__(self) -> AsyncIterator[str]:
        try:
            while True:
                yield await self.events.get()
        finally:
            await asyncio.sleep(0)
            self.is_closed = True


async def consumed(service: Service, watched: AsyncWatch, source: Source) -> list[str]:
    """Return what a stream has yielded until a logout ended it."""
    seen = []
    for event in ("a", "b"):
        source.events.put_nowait(event)
    async for event in watched.each(source()):
        seen.append(event)
        if event == "b":
            service.log_out()
    return seen


def test_a_stream_ends_with_its_session_and_its_consumer_goes_on(service: Service) -> None:
    async def main() -> None:
        for within_block in (True, False):
            service.tokens = service.manager.create(subject="ann")
            service.claims = service.manager.read(service.tokens.access_token)
            source, watched = Source(), service.stream()
            if within_block:
                async with watched:
                    assert await consumed(service, watched, source) == ["a", "b"]
            else:
                assert await consumed(service, watched, source) == ["a", "b"]
            assert source.is_closed
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
        assert service.socket.closed == []

    run(main())


def test_a_stream_that_waits_for_its_source_ends_with_its_token(service: Service) -> None:
    async def main() -> None:
        source = Source()
        source.events.put_nowait("a")
        seen = []
        async for event in service.stream().each(source()):
            seen.append(event)
            service.clock.advance(900)
            assert source.events.empty()
        assert seen == ["a"]
        assert source.is_closed

    run(main())


def test_a_stream_is_ended_while_it_waits(service: Service) -> None:
    async def main() -> None:
        source = Source()
        asyncio.get_running_loop().call_later(0.05, service.log_out)
        assert [event async for event in service.stream().each(source())] == []
        assert source.is_closed

    run(main())


def test_no_event_is_sent_after_the_logout(service: Service) -> None:
    """Not even one that the source had ready."""

    async def main() -> None:
        async def source() -> AsyncIterator[int]:
            for number in range(10):
                if number == 3:
                    service.log_out()
                yield number

        assert [number async for number in service.stream().each(source())] == [0, 1, 2]

    run(main())


def test_a_stream_of_a_session_that_has_ended_yields_nothing(service: Service) -> None:
    async def main() -> None:
        service.log_out()
        source = Source()
        source.events.put_nowait("a")
        assert [event async for event in service.stream().each(source())] == []
        assert source.events.qsize() == 1  # Nothing was taken from it for nobody.

    run(main())


def test_a_stream_ends_when_its_source_does_and_what_it_raises_passes_through(
    service: Service,
) -> None:
    async def main() -> None:
        async def finite(*, fails: bool = False) -> AsyncIterator[int]:
            yield 1
            yield 2
            if fails:
                raise TimeoutError("of the source")

        assert [number async for number in service.stream().each(finite())] == [1, 2]
        with pytest.raises(TimeoutError, match="of the source"):
            async for _ in service.stream().each(finite(fails=True)):
                pass

    run(main())


def test_a_source_runs_in_the_task_and_context_of_its_consumer(service: Service) -> None:
    """Whatever it opens before an item it may close after it, as a cancel scope asks for."""
    who = contextvars.ContextVar[str]("who")

    async def main() -> None:
        who.set("ann")
        task = asyncio.current_task()

        async def source() -> AsyncIterator[tuple[bool, str]]:
            for _ in range(3):
                async with asyncio.timeout(60):
                    yield asyncio.current_task() is task, who.get()

        found = [item async for item in service.stream().each(source())]
        assert found == [(True, "ann")] * 3

    run(main())


def test_a_source_that_swallows_its_cancellation_ends_all_the_same(service: Service) -> None:
    async def main() -> None:
        async def stubborn() -> AsyncIterator[str]:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    yield "not yet"

        asyncio.get_running_loop().call_later(0.05, service.log_out)
        assert [event async for event in service.stream().each(stubborn())] == []
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main())


def test_a_stream_ends_with_the_block_it_is_of(service: Service) -> None:
    """Nobody watches it any more."""

    async def main() -> None:
        async def source() -> AsyncIterator[int]:
            for number in range(10):
                yield number

        async with service.stream() as watched:
            stream = watched.each(source())
            assert await anext(stream) == 0
        assert [number async for number in stream] == []
        with pytest.raises(InvalidArgument, match="for one block"):
            await anext(watched.each(source()))

        first = service.stream()
        assert [number async for number in first.each(source())] == [*range(10)]
        with pytest.raises(InvalidArgument, match="for one block"):
            await anext(first.each(source()))

    run(main())


def test_under_trio_a_watch_says_what_it_needs(service: Service) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="event loop of asyncio"):
            async with service.watch():
                pass

    trio.run(main)


def test_a_consumer_that_leaves_closes_the_source_and_the_watch(service: Service) -> None:
    async def main() -> None:
        source = Source()
        source.events.put_nowait("a")
        stream = service.stream().each(source())
        async for _ in stream:
            break
        await stream.aclose()
        assert source.is_closed

    run(main())
    gc.collect()
    until_no_thread_is_left()  # while the manager is open


def test_a_consumer_that_is_cancelled_is_not_kept(service: Service) -> None:
    async def main() -> None:
        source = Source()

        async def consume() -> None:
            async for _ in service.stream().each(source()):
                pass

        task = asyncio.create_task(consume())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.is_closed

    run(main())


def test_a_socket_s_messages_end_within_a_block_and_without_one(service: Service) -> None:
    async def main() -> None:
        for within_block in (True, False):
            service.tokens = service.manager.create(subject="ann")
            service.claims = service.manager.read(service.tokens.access_token)
            source, socket = Source(), Socket()
            watched = service.watch(socket.close)
            if within_block:
                async with watched:
                    assert await consumed(service, watched, source) == ["a", "b"]
            else:
                assert await consumed(service, watched, source) == ["a", "b"]
            await soon(lambda: socket.closed)
            assert socket.closed == [(4401, "revoked")]
            assert source.is_closed

    run(main())


def test_who_does_something_else_with_a_message_is_not_cancelled(service: Service) -> None:
    """Without a block there is nothing that could swallow it."""

    async def main() -> None:
        source = Source()
        source.events.put_nowait("a")
        seen = []
        async for event in service.watch().each(source()):
            service.log_out()
            await soon(lambda: service.socket.closed)
            seen.append(event)
        assert seen == ["a"]
        assert service.socket.closed == [(4401, "revoked")]

    run(main())


def test_several_streams_of_one_connection_end_together(service: Service) -> None:
    async def main() -> None:
        sources = [Source(), Source()]
        async with service.stream() as watched:

            async def consume(source: Source) -> list[str]:
                return [event async for event in watched.each(source())]

            tasks = [asyncio.create_task(consume(source)) for source in sources]
            await asyncio.sleep(0.01)
            service.log_out()
            assert await asyncio.gather(*tasks) == [[], []]
        assert all(source.is_closed for source in sources)

    run(main())


def test_a_thousand_blocks_end_on_one_loop(service: Service) -> None:
    async def main() -> None:
        sockets = [Socket() for _ in range(1000)]
        entered = 0

        async def connection(socket: Socket, claims: Claims) -> None:
            nonlocal entered
            async with AsyncWatch(service.gate.watches, claims, socket.close):
                entered += 1
                await asyncio.Event().wait()

        claims = [signed_in(service.manager, "bob") for _ in range(1000)]
        async with asyncio.TaskGroup() as group:
            for socket, each in zip(sockets, claims, strict=True):
                group.create_task(connection(socket, each))
            await soon(lambda: entered == 1000)
            await asyncio.to_thread(service.manager.delete_all, "bob")
        assert all(socket.closed == [(4401, "revoked")] for socket in sockets)

    run(main())

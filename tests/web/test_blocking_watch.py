"""A thread's connection is closed when its session ends, and a stream ends with it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers import until
from tests.support import SECRET, FakeClock
from tests.web.watching import until_no_thread_is_left
from tokenwheel import AccessTokenRevoked, InvalidArgument, SessionManager, StorageUnavailable
from tokenwheel.web import Gate
from tokenwheel.web.blocking_watch import BlockingWatch


class ConnectionClosed(Exception):
    """What a framework raises from a connection that was closed."""


class Socket:
    """A connection on which a thread waits for messages, until it is closed."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []
        self.thread: threading.Thread | None = None
        self._messages: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
        self.thread = threading.current_thread()
        self._messages.put(None)

    def receive(self) -> str:
        message = self._messages.get()
        if message is None:
            raise ConnectionClosed
        return message


class Service:
    """A service of one process, over a clock that the test moves, and one user who is signed in."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_700_000_000.0)
        self.manager = SessionManager(SECRET, issuer="i", audience="a", clock=self.clock)
        self.gate = Gate(self.manager)
        self.tokens = self.manager.create(subject="ann")
        self.socket = Socket()

    def watch(self, close: Callable[[int, str], object] | None = None) -> BlockingWatch:
        """Watch the socket, as the one line of an adapter does."""
        claims = self.manager.read(self.tokens.access_token)
        return BlockingWatch(self.gate.watches, claims, close or self.socket.close)

    def stream(self) -> BlockingWatch:
        """Watch a response that is streamed."""
        return BlockingWatch(self.gate.watches, self.manager.read(self.tokens.access_token))

    def log_out(self) -> None:
        self.manager.delete_all("ann")


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.manager.close()
    until_no_thread_is_left()


@pytest.mark.parametrize("reason", ["revoked", "expired"])
def test_a_thread_that_waits_for_a_message_has_its_connection_closed(
    service: Service, reason: str
) -> None:
    with service.watch() as watched:
        if reason == "revoked":
            service.log_out()
        else:
            service.clock.advance(900)
        with pytest.raises(ConnectionClosed):
            service.socket.receive()
    assert watched.ended == reason
    assert service.socket.closed == [(4401, reason)]


def test_a_block_that_is_left_before_the_end_closes_nothing(service: Service) -> None:
    with service.watch() as watched:
        pass
    service.log_out()
    until_no_thread_is_left()  # after it has looked once more
    assert watched.ended is None
    assert service.socket.closed == []


def test_an_end_that_the_body_has_seen_still_closes_the_connection_once(service: Service) -> None:
    with service.watch() as watched:
        service.log_out()
        assert watched.ended == "revoked"
    assert service.socket.closed == [(4401, "revoked")]
    until_no_thread_is_left()
    assert service.socket.closed == [(4401, "revoked")]


def test_an_error_of_the_body_passes_through(service: Service) -> None:
    def body() -> None:
        with service.watch():
            service.log_out()
            raise LookupError("of the body")

    with pytest.raises(LookupError, match="of the body"):
        body()
    assert service.socket.closed == [(4401, "revoked")]


def test_a_client_that_does_not_listen_keeps_no_other_connection_open(service: Service) -> None:
    """Its close waits, and the thread that all share does not."""
    held, closes = threading.Event(), threading.Event()

    def wait(code: int, reason: str) -> None:
        closes.set()
        held.wait()

    with ExitStack() as stack:
        stack.callback(held.set)
        with service.watch(wait), service.watch():
            service.log_out()
            closes.wait()
            with pytest.raises(ConnectionClosed):
                service.socket.receive()
            held.set()
    assert service.socket.closed == [(4401, "revoked")]


def test_a_connection_is_closed_though_there_is_no_room_for_a_thread(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with service.watch(), monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        service.log_out()
        with pytest.raises(ConnectionClosed):
            service.socket.receive()
    assert service.socket.closed == [(4401, "revoked")]


def test_a_client_that_has_gone_in_the_same_moment_is_no_error(service: Service) -> None:
    def fail(code: int, reason: str) -> None:
        raise ConnectionClosed

    with service.watch(fail) as watched:
        service.log_out()
    assert watched.ended == "revoked"


def test_a_newer_token_that_is_admitted_keeps_the_connection_open(service: Service) -> None:
    with service.watch() as watched:
        service.clock.advance(600)
        tokens = service.manager.update(service.tokens.refresh_token)
        assert watched.admit(tokens.access_token).expires_at == tokens.access_expires_at
        service.clock.advance(600)
        assert watched.ended is None
        with pytest.raises(InvalidArgument, match="of the session that has opened"):
            watched.admit(service.manager.create(subject="ann").access_token)
        service.clock.advance(300)
        with pytest.raises(ConnectionClosed):
            service.socket.receive()
    assert service.socket.closed == [(4401, "expired")]


def test_what_was_revoked_is_not_admitted(service: Service) -> None:
    with service.watch() as watched:
        service.log_out()
        with pytest.raises(AccessTokenRevoked):
            watched.admit(service.tokens.access_token)


def test_nothing_is_admitted_outside_the_block_and_no_watch_is_used_twice(
    service: Service,
) -> None:
    watched = service.watch()
    with pytest.raises(InvalidArgument, match="within 'with'"):
        watched.admit(service.tokens.access_token)
    assert watched.ended is None
    with watched:
        pass
    with pytest.raises(InvalidArgument, match="for one block"), watched:
        pass


def test_no_block_is_entered_where_nobody_can_tell_its_end(service: Service) -> None:
    service.manager.close()
    with pytest.raises(StorageUnavailable, match="the manager was closed"), service.watch():
        pass


class Source:
    """Events without an end, and whether their source was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __call__(self) -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            self.is_closed = True


@pytest.mark.parametrize("within_block", [True, False])
@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_stream_ends_with_its_session_or_its_token(
    service: Service, within_block: bool, end: str
) -> None:
    source, watched = Source(), service.stream()
    events = source()  # Kept, since a generator that nobody has is closed anyway.
    seen = []
    with ExitStack() as stack:
        if within_block:
            stack.enter_context(watched)
        for number in watched.each(events):
            seen.append(number)
            if number == 2 and end == "revoked":
                service.log_out()
            elif number == 2:
                service.clock.advance(900)
    assert seen == [0, 1, 2]
    assert watched.ended == end
    assert source.is_closed


def test_no_event_is_sent_after_the_logout(service: Service) -> None:
    """Not even one that the source had ready."""

    def source() -> Iterator[int]:
        for number in range(10):
            if number == 3:
                service.log_out()
            yield number

    assert list(service.stream().each(source())) == [0, 1, 2]


def test_a_stream_of_a_session_that_has_ended_yields_nothing(service: Service) -> None:
    stream, source = service.stream(), iter([1, 2])
    service.log_out()
    assert list(stream.each(source)) == []
    assert next(source) == 1  # Nothing was taken from it for nobody.


def test_a_stream_ends_when_its_source_does_and_what_it_raises_passes_through(
    service: Service,
) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("of the source")

    assert list(service.stream().each([1, 2])) == [1, 2]
    stream: Any = service.stream().each(failing())
    assert next(stream) == 1
    with pytest.raises(LookupError, match="of the source"):
        next(stream)


def test_a_stream_ends_with_the_block_it_is_of(service: Service) -> None:
    """Nobody watches it any more."""
    with service.stream() as watched:
        stream = watched.each(range(10))
        assert next(stream) == 0
    assert list(stream) == []
    with pytest.raises(InvalidArgument, match="for one block"):
        next(watched.each(range(10)))
    first = service.stream()
    assert list(first.each(range(3))) == [0, 1, 2]
    with pytest.raises(InvalidArgument, match="for one block"):
        next(first.each(range(3)))


def test_a_consumer_that_leaves_closes_the_source_and_the_watch(service: Service) -> None:
    source = Source()
    events = source()  # Kept, since a generator that nobody has is closed anyway.
    stream = service.stream().each(events)
    assert next(stream) == 0
    stream.close()
    assert source.is_closed
    until_no_thread_is_left()  # while the manager is open


def test_a_stream_s_socket_is_closed_too(service: Service) -> None:
    for number in service.watch().each(range(10)):
        if number == 1:
            service.log_out()
    until(lambda: service.socket.closed == [(4401, "revoked")], "the close")

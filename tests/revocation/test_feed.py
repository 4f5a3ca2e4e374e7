"""RevocationList with a feed: what one process revokes the others refuse.

Besides, the bytes in which they tell each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    ConfigurationError,
    InvalidArgument,
    MemoryStorage,
    Revocation,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.revocation.message import pack, unpack
from tokenwheel.testing import FeedContract

ONE = "AAAAAAAAAAAAAAAA"


class Log:
    """What the processes of a service share."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []


class LogFeed:
    """A feed over a list of messages: the smallest that keeps the promises."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.read = 0
        self.closed = 0
        self.broken = False

    def start(self, apply: Callable[[Iterable[Revocation]], None]) -> None:
        if self.broken:
            raise ConnectionError("no route to host")
        self.apply = apply
        self.poll()

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        if self.broken:
            raise ConnectionError("no route to host")
        self.log.messages += [pack(revocation) for revocation in revocations]

    def poll(self) -> None:
        if self.read < len(self.log.messages):
            news, self.read = self.log.messages[self.read :], len(self.log.messages)
            self.apply(unpack(message) for message in news)

    def close(self) -> Any:
        self.closed += 1


class AwaitedFeed(LogFeed):
    async def publish(self, revocations: Sequence[Revocation]) -> None:
        await asyncio.sleep(0)
        super().publish(revocations)

    async def close(self) -> None:
        await asyncio.sleep(0)
        super().close()


class TestLogFeed(FeedContract):
    def make_feeds(self) -> tuple[LogFeed, LogFeed]:
        log = Log()
        return LogFeed(log), LogFeed(log)


class TestAwaitedFeed(FeedContract):
    def make_feeds(self) -> tuple[LogFeed, LogFeed]:
        log = Log()
        return AwaitedFeed(log), AwaitedFeed(log)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


def test_a_logout_in_one_process_is_refused_by_the_next_read_in_another_and_in_one_that_starts_late(
    clock: FakeClock,
) -> None:
    log, storage = Log(), MemoryStorage()

    def process() -> SessionManager:
        revocations = RevocationList(LogFeed(log), clock=clock)
        return SessionManager(
            SECRET, issuer="i", audience="a", storage=storage, revocations=revocations, clock=clock
        )

    first, second = process(), process()
    deleted, restricted = first.create(subject="uid1"), first.create(subject="uid2")
    for tokens in (deleted, restricted):
        second.read(tokens.access_token)
    first.delete_all("uid1")
    first.restrict_all("uid2")
    fresh = first.update(restricted.refresh_token)
    for manager in (first, second, process()):
        for tokens in (deleted, restricted):
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)
        assert manager.read(fresh.access_token).subject == "uid2"


def test_a_feed_that_fails_leaves_the_session_there_and_refused_here_and_the_call_can_be_repeated(
    clock: FakeClock,
) -> None:
    feed = LogFeed(Log())
    manager = SessionManager(
        SECRET, issuer="i", audience="a", revocations=RevocationList(feed, clock=clock), clock=clock
    )
    tokens = manager.create(subject="uid1")
    feed.broken = True
    with pytest.raises(StorageUnavailable, match="feed") as caught:
        manager.delete_one("uid1", tokens.session_id)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert list(manager.read_all("uid1")) == [tokens.session_id]
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)
    feed.broken = False
    assert manager.delete_one("uid1", tokens.session_id) is True
    assert len(feed.log.messages) == 1


def test_an_async_manager_awaits_its_feed(clock: FakeClock) -> None:
    async def main() -> AwaitedFeed:
        feed = AwaitedFeed(Log())
        async with AsyncSessionManager(
            SECRET,
            issuer="i",
            audience="a",
            revocations=RevocationList(feed, clock=clock),
            clock=clock,
        ) as manager:
            tokens = await manager.create(subject="uid1")
            await manager.delete_one("uid1", tokens.session_id)
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)
        return feed

    feed = asyncio.run(main())
    assert (len(feed.log.messages), feed.closed) == (1, 1)


def test_a_list_used_alone_publishes_what_it_revokes(clock: FakeClock) -> None:
    log = Log()
    first, second = (RevocationList(LogFeed(log), clock=clock) for _ in range(2))
    first.revoke(ONE, 60, before=2)
    assert second.is_revoked(ONE, 1)
    assert not second.is_revoked(ONE, 2)
    assert [unpack(message) for message in log.messages] == [Revocation(ONE, clock.now + 60, 2)]
    assert second.stats().entries == 1
    assert second.stats().nbytes > 0


def test_a_feed_that_cannot_replay_or_must_be_awaited_is_said_clearly(clock: FakeClock) -> None:
    broken = LogFeed(Log())
    broken.broken = True
    with pytest.raises(StorageUnavailable, match="the revocation feed could not be reached"):
        RevocationList(broken, clock=clock)
    with pytest.raises(ConfigurationError, match="revocations must not be async"):
        SessionManager(
            SECRET,
            issuer="i",
            audience="a",
            revocations=RevocationList(AwaitedFeed(Log()), clock=clock),
        )
    alone = RevocationList(AwaitedFeed(Log()), clock=clock)
    with pytest.raises(ConfigurationError, match="await"):
        alone.revoke(ONE, 60)
    for feed in (object(), "feed", MemoryStorage()):
        with pytest.raises(ConfigurationError, match="feed"):
            RevocationList(feed)  # type: ignore[arg-type]


def test_a_list_closes_its_feed_with_the_manager(clock: FakeClock) -> None:
    feed = LogFeed(Log())
    with SessionManager(
        SECRET, issuer="i", audience="a", revocations=RevocationList(feed, clock=clock)
    ):
        pass
    assert feed.closed == 1
    RevocationList().close()


IDS = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=16, max_size=16
)


@given(
    revocation=st.builds(
        Revocation, IDS, st.floats(0, 1e11), st.one_of(st.none(), st.integers(1, 2**32 - 2))
    )
)
def test_a_message_comes_back_as_it_went_in(revocation: Revocation) -> None:
    message = pack(revocation)
    assert len(message) == 25
    assert unpack(message) == revocation


@given(
    message=st.one_of(
        st.binary(max_size=40), st.binary(min_size=24, max_size=24).map(lambda rest: b"\x01" + rest)
    )
)
def test_whatever_else_arrives_is_a_clear_error_or_a_revocation_that_a_list_can_take(
    message: bytes,
) -> None:
    try:
        revocation = unpack(message)
    except InvalidArgument:
        return
    RevocationList(clock=FakeClock(0.0)).revoke_until(
        revocation.session_id, revocation.expires_at, before=revocation.before
    )


@pytest.mark.parametrize(
    "revocation, reason",
    [
        ((ONE[1:], 1.0, None), "session_id must be"),
        (("=" * 16, 1.0, None), "session_id must be"),
        ((None, 1.0, None), "session_id must be"),
        ((ONE, float("nan"), None), "expires_at must be"),
        ((ONE, -1.0, None), "expires_at must be"),
        ((ONE, True, None), "expires_at must be"),
        ((ONE, 1.0, 0), "before must be"),
        ((ONE, 1.0, 2**32 - 1), "before must be"),
        ((ONE, 1.0, True), "before must be"),
    ],
)
def test_what_no_list_could_take_is_not_put_into_a_message(revocation: Any, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        pack(Revocation(*revocation))


@pytest.mark.parametrize(
    "message, reason",
    [
        (b"", "has 25 bytes"),
        (b"\x02" + bytes(24), "of version 2 is not known"),
        (bytes(25), "of version 0 is not known"),
        (bytearray(25), "has 25 bytes"),
        ("x" * 25, "has 25 bytes"),
        (None, "has 25 bytes"),
    ],
)
def test_what_is_no_message_of_this_version_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        unpack(message)

"""RevocationList by itself, with a feed that fails, that has to be awaited, or that isn't there."""

from __future__ import annotations

import asyncio
import copy
import gc
import struct
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import (
    ConfigurationError,
    InvalidArgument,
    Revocation,
    RevocationList,
    StorageUnavailable,
)
from tokenwheel._impl import RevocationTable
from tokenwheel.revocation.message import pack, unpack, unpack_each

ONE, OTHER = "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAB"


class Feed:
    """Remembers what it was told, and brings nothing by itself."""

    def __init__(self, *, live: Sequence[Revocation] = (), error: Exception | None = None) -> None:
        self.live = live
        self.error = error
        self.published: list[Revocation] = []
        self.apply: Callable[[Iterable[Revocation]], None] | None = None

    def start(self, apply: Callable[[Iterable[Revocation]], None]) -> Any:
        apply(self.live)
        self.apply = apply

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        if self.error is not None:
            raise self.error
        self.published += revocations

    def poll(self) -> Any:
        pass

    def close(self) -> Any:
        pass


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


def test_a_list_without_a_feed_refuses_what_it_revoked(clock: FakeClock) -> None:
    revocations = RevocationList(clock=clock)
    revocations.revoke(ONE, 60, before=2)
    assert [revocations.is_revoked(ONE, generation) for generation in range(3)] == [
        True,
        True,
        False,
    ]
    assert not revocations.is_revoked(OTHER)
    assert revocations.stats().entries == 1
    clock.advance(60)
    assert not revocations.is_revoked(ONE)
    assert revocations.stats().entries == 0
    assert revocations.publish([Revocation(OTHER, clock.now + 5, None)], clock.now) is None
    assert revocations.is_revoked(OTHER)


def test_what_lived_before_the_start_is_refused_by_the_first_lookup(clock: FakeClock) -> None:
    revocations = RevocationList(
        Feed(live=[Revocation(ONE, clock.now + 60, None), Revocation(OTHER, clock.now - 1, None)]),
        clock=clock,
    )
    assert revocations.is_revoked(ONE)
    assert not revocations.is_revoked(OTHER)


@pytest.mark.parametrize(
    "error, reason",
    [
        (ConnectionError("no route to host"), "the revocation feed could not be reached"),
        (StorageUnavailable("the feed is behind"), "the feed is behind"),
    ],
)
def test_where_the_feed_fails_the_caller_hears_of_it_and_the_session_is_refused_here(
    clock: FakeClock, error: Exception, reason: str
) -> None:
    revocations = RevocationList(Feed(error=error), clock=clock)
    with pytest.raises(StorageUnavailable, match=reason) as caught:
        revocations.revoke(ONE, 60)
    assert (
        caught.value if isinstance(error, StorageUnavailable) else caught.value.__cause__
    ) is error
    assert revocations.is_revoked(ONE)


def test_what_cannot_be_revoked_is_not_published(clock: FakeClock) -> None:
    feed = Feed()
    revocations = RevocationList(feed, clock=clock)
    for session_id, ttl, before, reason in (
        (ONE[1:], 60, None, "session_id must be"),
        (ONE, 0, None, "ttl must be"),
        (ONE, 60, 0, "before must be"),
    ):
        with pytest.raises(InvalidArgument, match=reason):
            revocations.revoke(session_id, ttl, before=before)
    assert feed.published == []


def test_what_the_feed_brings_is_not_published_again(clock: FakeClock) -> None:
    feed = Feed()
    revocations = RevocationList(feed, clock=clock)
    assert feed.apply is not None
    feed.apply([Revocation(ONE, clock.now + 60, None)])
    assert revocations.is_revoked(ONE)
    assert feed.published == []


@pytest.mark.parametrize("ahead", [-300.0, 300.0])
def test_a_list_whose_clock_differs_keeps_an_entry_until_it_is_over_by_both(
    clock: FakeClock, ahead: float
) -> None:
    feed = Feed()
    callers = FakeClock(clock.now - ahead)
    revocations = RevocationList(feed, clock=clock)
    news = [Revocation(ONE, callers.now + 60, None)]
    revocations.publish(news, callers.now)
    assert feed.published == news
    for each in (clock, callers):
        each.advance(59)
    assert revocations.is_revoked(ONE)
    for each in (clock, callers):
        each.advance(max(1 - ahead, 1) - 0.5)
    assert revocations.is_revoked(ONE)
    for each in (clock, callers):
        each.advance(0.5)
    assert not revocations.is_revoked(ONE)


def test_a_list_whose_clock_is_the_callers_keeps_an_entry_until_its_end(clock: FakeClock) -> None:
    revocations = RevocationList(clock=clock)
    revocations.refuse([Revocation(ONE, clock.now + 60, None)], clock.now)
    clock.advance(60)
    assert not revocations.is_revoked(ONE)


class PublishLater(Feed):
    def publish(self, revocations: Sequence[Revocation]) -> Any:
        async def later() -> None:
            Feed.publish(self, revocations)

        return later()


def test_a_publish_that_must_be_awaited_is_never_taken_for_done(clock: FakeClock) -> None:
    feed = PublishLater()
    revocations = RevocationList(feed, clock=clock)
    with pytest.raises(ConfigurationError, match="publish has to be awaited"):
        revocations.revoke(ONE, 60)
    assert revocations.is_revoked(ONE)
    news = [Revocation(OTHER, clock.now + 60, None)]
    asyncio.run(revocations.publish(news, clock.now))
    assert feed.published == news


class StartLater(Feed):
    async def start(self, apply: Callable[[Iterable[Revocation]], None]) -> None:
        super().start(apply)


class PollLater(Feed):
    async def poll(self) -> None:
        super().poll()


@pytest.mark.parametrize("feed", [StartLater(), PollLater()], ids=["start", "poll"])
def test_a_feed_whose_news_would_have_to_be_awaited_is_refused_at_once(feed: Feed) -> None:
    method = "start" if isinstance(feed, StartLater) else "poll"
    with pytest.raises(ConfigurationError, match=f"the feed's {method} has to be awaited"):
        RevocationList(feed)


class RehungFeed(Feed):
    """A feed whose doorbell can be hung anew, as when the file that holds it is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.doorbell: bytearray | None = bytearray(8)
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1


def test_a_doorbell_that_is_hung_anew_is_the_one_that_is_watched(clock: FakeClock) -> None:
    feed = RehungFeed()
    revocations = RevocationList(feed, clock=clock)
    revocations.is_revoked(ONE)
    quiet = feed.polls
    for _ in range(3):
        revocations.is_revoked(ONE)
    assert feed.polls == quiet
    assert feed.doorbell is not None
    feed.doorbell[0] += 1
    feed.doorbell = bytearray(8)
    revocations.is_revoked(ONE)
    polled = feed.polls
    assert polled > quiet
    feed.doorbell[0] += 1
    revocations.is_revoked(ONE)
    assert feed.polls > polled
    feed.doorbell[0] += 1
    feed.doorbell = None
    revocations.is_revoked(ONE)
    polled = feed.polls
    for _ in range(3):
        revocations.is_revoked(ONE)
    assert feed.polls == polled + 3


def test_a_lookup_costs_no_more_than_one_of_the_bare_table() -> None:
    assert RevocationList.is_revoked is RevocationTable.is_revoked
    assert RevocationList().before_lookup is None


def test_a_list_and_its_feed_are_collected_though_they_know_each_other() -> None:
    gone = weakref.ref(RevocationList(Feed()))
    gc.collect()
    assert gone() is None


def test_a_list_cannot_be_copied() -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copy.copy(RevocationList())


def test_a_message_of_a_later_version_is_not_guessed_at() -> None:
    message = pack(Revocation(ONE, 1.0, 7))
    with pytest.raises(InvalidArgument, match="version 2"):
        unpack(b"\x02" + message[1:])


@pytest.mark.parametrize(
    "messages", [b"", "text", b"x" * 24, b"x" * 26, None, bytearray(25), memoryview(b"x" * 25)]
)
def test_what_is_not_whole_messages_is_none(messages: Any) -> None:
    with pytest.raises(InvalidArgument, match="revocation messages have 25 bytes each"):
        unpack_each(messages)
    with pytest.raises(InvalidArgument, match="a revocation message has 25 bytes"):
        unpack(messages)


@pytest.mark.parametrize("wrong", [b"\0" * 4 + struct.pack(">d", 1.0), struct.pack(">Id", 1, 1e12)])
def test_a_message_that_no_list_could_take_is_none(wrong: bytes) -> None:
    message = pack(Revocation(ONE, 1.0, 7))
    with pytest.raises(InvalidArgument, match="has a generation above 0, and an end of at most"):
        unpack(message[:13] + wrong)


def test_a_message_holds_any_generation_but_the_one_that_stands_for_all() -> None:
    last = 2**32 - 2
    for before in (1, last, None):
        assert unpack(pack(Revocation(ONE, 1.0, before))) == Revocation(ONE, 1.0, before)
    for before in (0, last + 1, True, 1.0):
        with pytest.raises(
            InvalidArgument, match=f"before must be None or an int from 1 to {last}"
        ):
            pack(Revocation(ONE, 1.0, before))  # type: ignore[arg-type]


def test_an_end_that_no_float_can_hold_is_not_put_into_a_message() -> None:
    with pytest.raises(InvalidArgument, match="expires_at"):
        pack(Revocation(ONE, 10**400, None))


def test_the_lowest_generation_counts_news_and_where_there_is_none_to_be_had_what_is_known(
    clock: FakeClock,
) -> None:
    class Reporting(Feed):
        def poll(self) -> None:
            if self.error is not None:
                raise self.error
            assert self.apply is not None
            self.apply(self.live)

    feed = Reporting()
    revocations = RevocationList(feed, clock=clock)
    assert revocations.lowest_generation(ONE) == 0
    feed.live = [Revocation(ONE, clock.now + 60, 3)]
    assert revocations.lowest_generation(ONE) == 3
    feed.live = [Revocation(ONE, clock.now + 60, None)]
    feed.error = ConnectionError("no route to host")
    assert revocations.lowest_generation(ONE) == 3
    assert revocations.lowest_generation(OTHER) == 0
    feed.error = None
    assert revocations.lowest_generation(ONE) is None
    with pytest.raises(InvalidArgument, match="session_id must be 16 base64url characters"):
        revocations.lowest_generation("short")

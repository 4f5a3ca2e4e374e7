"""What is passed to a manager is looked at when the manager is made.

A mistake is told then, with the right way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
)
from tokenwheel.session.abilities import abilities_of

MANAGERS = [SessionManager, AsyncSessionManager]


class Feed:
    """A feed of one process, which nobody else hears."""

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Any) -> None: ...

    def poll(self) -> None: ...

    def close(self) -> None: ...


class WithoutNow(MemoryStorage):
    def read(self, session_id: str) -> Any:  # type: ignore[override]
        return None


class WithoutDelete:
    insert = read = read_all = replace = MemoryStorage.read


class Publishing(MemoryStorage):
    """Says that it publishes, and takes no revocations."""

    def publishes_to(self, feed: Any) -> bool:
        return True


class PublishingToNobody(Publishing):
    def publishes_to(self) -> bool:  # type: ignore[override]
        return True


class PublishingReplacements(Publishing):
    def replace(self, record: Any, now: float, feed: Any = None, revocations: Any = ()) -> Any:
        return True


class Placed(MemoryStorage):
    def session_id_prefix(self) -> bytes:
        return b""


class KeepingNothing(MemoryStorage):
    def keep_access_lifetime(self, seconds: int) -> int:  # type: ignore[override]
        return seconds


class PublishNothing(Feed):
    def publish(self) -> None: ...  # type: ignore[override]


def make(kind: Callable[..., Any], **options: Any) -> Any:
    return kind(SECRET, issuer="i", audience="a", **options)


@pytest.mark.parametrize("kind", MANAGERS)
@pytest.mark.parametrize(
    "storage, reason",
    [
        (MemoryStorage, r"storage must be an instance.*write MemoryStorage\(\.\.\.\)"),
        (WithoutNow(), r"storage\.read must take positional arguments: session_id, now"),
        (WithoutDelete(), r"storage must have the methods of SessionStorage.*no delete"),
        (redis.Redis(), r"storage must have the methods of SessionStorage.*no insert"),
        (Placed(), r"storage\.session_id_prefix must take positional arguments: subject"),
        (None.__class__, "storage must be an instance"),
    ],
)
def test_a_storage_that_is_none_is_refused_when_the_manager_is_made(
    kind: Any, storage: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        make(kind, storage=storage)


@pytest.mark.parametrize("kind", MANAGERS)
def test_a_storage_that_says_it_publishes_must_take_revocations(kind: Any) -> None:
    make(kind, storage=Publishing())  # There is no feed to publish to.
    for storage, reason in (
        (PublishingToNobody(), r"storage\.publishes_to must take positional arguments: feed"),
        (Publishing(), r"storage\.replace must take.*revocations"),
        (PublishingReplacements(), r"storage\.delete must take.*records, now, feed, revocations"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            make(kind, storage=storage, revocations=RevocationList(Feed()))


@pytest.mark.parametrize("kind", MANAGERS)
def test_a_storage_that_keeps_lifetimes_must_take_an_issuer(kind: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"keep_access_lifetime must take.*issuer, seconds"
    ):
        make(kind, storage=KeepingNothing())


@pytest.mark.parametrize("kind", MANAGERS)
def test_revocations_are_an_instance(kind: Any) -> None:
    for unfit, reason in (
        (RevocationList, r"must be an instance.*write RevocationList\(\.\.\.\)"),
        (Feed, r"must be an instance.*write Feed\(\.\.\.\)"),
        (Feed(), "must be a RevocationList"),
    ):
        with pytest.raises(ConfigurationError, match=f"revocations {reason}"):
            make(kind, revocations=unfit)


@pytest.mark.parametrize(
    "feed, reason",
    [
        (Feed, "feed must be an instance, and is the class Feed"),
        (SqliteFeed, r"write SqliteFeed\(\.\.\.\)"),
        (MemoryStorage(), "feed must have the methods of RevocationFeed.*no start"),
        (PublishNothing(), r"feed\.publish must take positional arguments: revocations"),
    ],
)
def test_a_feed_that_is_none_is_refused_when_the_list_is_made(feed: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        RevocationList(feed)


@pytest.mark.parametrize("taker", [RedisStorage, RedisFeed])
@pytest.mark.parametrize(
    "client, reason",
    [
        (redis.Redis, r"client must be an instance.*write Redis\(\.\.\.\)"),
        (redis.Redis().pipeline(), "client must be the client itself, not a Pipeline"),
        (redis.Redis().pubsub(), "client must be the client itself, not a PubSub"),
        (redis.asyncio.Redis().pipeline(), "client must be the client itself, not a Pipeline"),
        (redis.Sentinel([("localhost", 1)]), "what the Sentinel's master_for returns"),
        ("redis://localhost", "client must be a client of redis-py or valkey-py"),
    ],
)
def test_a_client_that_is_none_is_refused_by_whoever_takes_it(
    taker: Any, client: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        taker(client)


@pytest.mark.parametrize("kind", MANAGERS)
def test_a_hook_and_a_clock_must_take_what_they_are_given(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"refresh_hook must take.*session, context"):
        make(kind, refresh_hook=lambda session: None)
    with pytest.raises(ConfigurationError, match="clock must take no argument"):
        make(kind, clock=lambda zone: 0.0)


class Wrapper:
    """Passes everything on to what it wraps, as a storage that counts or traces calls may."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def test_a_wrapper_has_the_powers_of_what_it_wraps() -> None:
    client = redis.Redis()
    storage, feed = RedisStorage(client), RedisFeed(client)
    wrapped: Any = Wrapper(feed)
    abilities = abilities_of(Wrapper(storage), wrapped)
    assert abilities.storage_waits
    assert abilities.feed_waits
    assert abilities.session_id_prefix is not None
    assert abilities.publisher is not None
    assert abilities.keeps_access_lifetime
    loop_client = redis.asyncio.Redis()
    wrapped = Wrapper(RedisFeed(loop_client))
    assert abilities_of(Wrapper(RedisStorage(loop_client)), wrapped).replays
    assert RevocationList(wrapped)._watched is not None


def test_what_may_be_left_out_is_not_there_and_what_is_there_is_found() -> None:
    plain = abilities_of(MemoryStorage(), None)
    assert not plain.storage_is_async
    assert not plain.storage_waits
    assert plain.publisher is None
    assert plain.session_id_prefix is None
    assert not plain.feed_is_async
    assert not plain.feed_waits
    assert not plain.replays
    client = redis.Redis()
    blocking = abilities_of(RedisStorage(client), feed := RedisFeed(client))
    assert blocking.storage_waits
    assert blocking.feed_waits
    assert not blocking.storage_is_async
    assert not blocking.feed_is_async
    assert not blocking.replays
    assert blocking.publisher is not None
    assert blocking.publisher.feed is feed
    assert blocking.session_id_prefix is not None
    assert len(blocking.session_id_prefix("ann")) == 2
    elsewhere = abilities_of(RedisStorage(redis.Redis()), feed)
    assert elsewhere.publisher is None
    loop_client = redis.asyncio.Redis()
    awaited = abilities_of(RedisStorage(loop_client), RedisFeed(loop_client))
    assert awaited.storage_is_async
    assert awaited.feed_is_async
    assert awaited.replays
    assert not awaited.storage_waits
    assert not awaited.feed_waits

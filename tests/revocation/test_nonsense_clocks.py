"""Lists, feeds and managers whose clocks tell no time: nothing is accepted, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Node, empty, needs_server
from tests.support import SECRET, FakeClock
from tokenwheel import (
    InvalidAccessToken,
    InvalidArgument,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    Revocation,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.slow_clock import SlowTime

ONE = "A" * 16
REFUSED = "a clock must return a number of seconds"

nonsense = pytest.mark.parametrize(
    "answer",
    [nan, inf, -inf, 1e300, 1e12, 10**400, "soon", None, True],
    ids=["NaN", "infinity", "minus infinity", "1e300", "1e12", "huge", "text", "None", "True"],
)


class Service:
    """A manager, its list, its storage and its feed, with the clocks of each."""

    def __init__(self, storage: Any, feed: Callable[..., Any] | None, now: float) -> None:
        self.clock, self.list_clock = FakeClock(now), FakeClock(now)
        self.timer, self.feed_clock = FakeClock(5_000.0), FakeClock(now)
        self.feed_timer = FakeClock(5_000.0)
        self.feed = None if feed is None else feed(clock=self.feed_clock, timer=self.feed_timer)
        self.list = RevocationList(self.feed, clock=self.list_clock, timer=self.timer)
        self.manager = SessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=storage,
            revocations=self.list,
            clock=self.clock,
        )


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=needs_server)])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    now = 1_700_000_000.0
    if request.param == "memory":
        service = Service(MemoryStorage(), None, now)
        yield service
    elif request.param == "sqlite":
        path = tmp_path / "sessions.db"
        service = Service(SqliteStorage(path), lambda **clocks: SqliteFeed(path, **clocks), now)
        yield service
        service.manager.close()
        service.manager.storage.close()
    else:
        node: Node = request.getfixturevalue("server")
        empty(node)
        with node.client() as client:
            now = float(client.time()[0])
            service = Service(
                RedisStorage(client), lambda **clocks: RedisFeed(client, **clocks), now
            )
            yield service
            service.manager.close()
    service.list.close()


@nonsense
@pytest.mark.parametrize("which", ["clock", "list_clock"])
def test_a_manager_refuses_every_read_while_a_clock_tells_no_time(
    service: Service, which: str, answer: Any
) -> None:
    manager = service.manager
    ended, good = manager.create(claims={}, subject="ann"), manager.create(claims={}, subject="bob")
    assert manager.delete_all("ann") == 1
    clock = getattr(service, which)
    before = clock.now
    clock.now = answer
    for tokens in (ended, good):
        with pytest.raises(InvalidArgument, match=REFUSED):
            manager.read(tokens.access_token)
    clock.now = before
    assert manager.read(good.access_token).subject == "bob"
    with pytest.raises(InvalidAccessToken):
        manager.read(ended.access_token)


@nonsense
def test_a_manager_whose_clock_tells_no_time_changes_no_session(
    service: Service, answer: Any
) -> None:
    manager = service.manager
    tokens = manager.create(claims={}, subject="ann")
    before = service.clock.now
    service.clock.now = answer
    for call in (
        lambda: manager.create(claims={}, subject="ann"),
        lambda: manager.update(tokens.refresh_token),
        lambda: manager.delete_all("ann"),
        lambda: manager.restrict_all("ann"),
    ):
        with pytest.raises(InvalidArgument, match=REFUSED):
            call()
    service.clock.now = before
    assert len(manager.read_all("ann")) == 1
    assert manager.read(tokens.access_token).subject == "ann"
    assert manager.update(tokens.refresh_token).access_token


@nonsense
@pytest.mark.parametrize("which", ["list_clock", "timer"])
def test_a_list_whose_clock_tells_no_time_publishes_none(
    service: Service, which: str, answer: Any
) -> None:
    clock = getattr(service, which)
    before = clock.now
    clock.now = answer
    revocation = Revocation(ONE, service.clock.now + 60, None)
    for call in (
        lambda: service.list.revoke(ONE, 60),
        lambda: service.list.publish([revocation], service.clock.now),
        lambda: service.list.refuse([revocation], service.clock.now),
    ):
        with pytest.raises(InvalidArgument, match=REFUSED):
            call()
    clock.now = before
    assert not service.list.is_revoked(ONE)
    with pytest.raises(InvalidArgument, match=REFUSED):
        service.list.refuse([revocation], answer)
    assert not service.list.is_revoked(ONE)
    service.list.revoke(ONE, 60)
    assert service.list.is_revoked(ONE)


@nonsense
def test_the_slowest_clock_is_as_it_was_after_a_clock_that_told_no_time(answer: Any) -> None:
    clock, timer = FakeClock(1_000_000.0), FakeClock(500.0)
    slowest = SlowTime(clock, timer)
    assert slowest() == 1_000_000
    for moved in (clock, timer):
        before, moved.now = moved.now, answer
        with pytest.raises(InvalidArgument, match=REFUSED):
            slowest()
        moved.now = before
    clock.advance(3_600)
    assert slowest() == 1_000_000


@nonsense
def test_a_feed_whose_timer_tells_no_time_lets_nothing_be_read_and_then_goes_on(
    tmp_path: Path, answer: Any
) -> None:
    path = tmp_path / "sessions.db"
    clock, timer = FakeClock(1_700_000_000.0), FakeClock(5_000.0)
    feed = SqliteFeed(path, clock=clock, timer=timer)
    here = RevocationList(feed, clock=clock)
    there = RevocationList(SqliteFeed(path))
    for moved in (timer, clock):
        before, moved.now = moved.now, answer
        with pytest.raises(InvalidArgument, match=REFUSED):
            here.is_revoked(ONE)
        moved.now = before
        assert not here.is_revoked(ONE)
    there.revoke_each([])
    there.publish([Revocation(ONE, 4_000_000_000.0, None)], 1_700_000_000.0)
    assert here.is_revoked(ONE)
    here.close()
    there.close()

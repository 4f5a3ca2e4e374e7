"""The edges of a session's life: the last second, clocks that differ, and the largest values.

Each test here fails when one comparison, one bound or one way of calling is off.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    Device,
    InvalidArgument,
    MemoryStorage,
    RefreshTokenReused,
    Revocation,
    RevocationList,
    SessionContext,
    SessionManager,
    SessionNotFound,
    SessionRecord,
)
from tokenwheel.session.refresh_tokens import successor

Make = Callable[..., Any]
START = 1_700_000_000.25


def behind(make: Make, clock: FakeClock, seconds: float, **options: Any) -> Any:
    """Return a manager of another node over the same storage, whose clock is behind."""
    return make(clock=lambda: clock.now - seconds, **options)


def test_a_node_whose_clock_is_behind_takes_nothing_from_an_idle_session(
    make: Make, clock: FakeClock
) -> None:
    storage = MemoryStorage()
    one = make(storage=storage, idle_ttl=600)
    other = behind(make, clock, 300, storage=storage, idle_ttl=600)
    tokens = one.create(subject="ann")
    tokens = other.update(tokens.refresh_token)
    assert tokens.refresh_expires_at == int(START) + 600
    clock.advance(599)
    assert one.update(tokens.refresh_token).session_id == tokens.session_id


def test_an_idle_time_never_lengthens_a_session(make: Make, clock: FakeClock) -> None:
    manager = make(idle_ttl=5_000, refresh_ttl=6_000)
    short = manager.create(subject="ann", refresh_ttl=100)
    assert short.refresh_expires_at == int(START) + 100
    tokens = manager.create(subject="ann")
    assert tokens.refresh_expires_at == int(START) + 5_000
    clock.advance(4_000)
    assert manager.update(tokens.refresh_token).refresh_expires_at == int(START) + 6_000


def test_last_used_at_never_runs_back(make: Make, clock: FakeClock) -> None:
    storage = MemoryStorage()
    one, other = make(storage=storage), behind(make, clock, 300, storage=storage)
    tokens = one.create(subject="ann")
    other.update(tokens.refresh_token)
    assert one.read_all("ann")[tokens.session_id].last_used_at == START


def test_a_session_is_over_at_its_very_end(make: Make, clock: FakeClock) -> None:
    class KeepsAll(MemoryStorage):
        """A storage that forgets nothing, so that the manager has to look."""

        def _keep(self, record: SessionRecord) -> None:
            self._records.set(record.id, record, 1e6)

    manager = make(storage=KeepsAll(), refresh_ttl=100, max_sessions=1, when_full="reject")
    tokens = manager.create(subject="ann")
    clock.now = float(tokens.refresh_expires_at)
    assert dict(manager.read_all("ann")) == {}
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token)
    assert manager.delete_one("ann", tokens.session_id) is False
    tokens = make(storage=(storage := KeepsAll()), refresh_ttl=100).create(subject="ann")
    clock.now = float(tokens.refresh_expires_at)
    assert make(storage=storage).delete_all("ann") == 0


def test_restricting_a_session_the_storage_has_lost_refuses_its_tokens_all_the_same(
    make: Make,
) -> None:
    revocations = RevocationList(clock=lambda: START)
    tokens = make(revocations=revocations).create(subject="ann")
    elsewhere = make(revocations=revocations)  # over a storage that knows nothing
    elsewhere.restrict_one({"sub": "ann", "sid": tokens.session_id})
    with pytest.raises(AccessTokenRevoked):
        elsewhere.read(tokens.access_token)


@pytest.mark.parametrize(
    "options, longest",
    [
        ({"refresh_ttl": 1_000}, 1_000),
        ({"refresh_ttl": 1_000, "access_ttl": 2_000}, 2_000),
    ],
)
def test_a_session_that_is_lost_stays_refused_as_long_as_any_token_could_live(
    make: Make, clock: FakeClock, options: dict[str, int], longest: int
) -> None:
    revocations = RevocationList(clock=clock)
    manager = make(revocations=revocations, **options)
    manager.delete_one("ann", "A" * 16)
    clock.now = START + longest - 1
    assert revocations.is_revoked("A" * 16)
    clock.now = START + longest + 61
    assert not revocations.is_revoked("A" * 16)


def test_a_longer_session_that_was_opened_counts_for_those_that_are_lost(
    make: Make, clock: FakeClock
) -> None:
    revocations = RevocationList(clock=clock)
    manager = make(revocations=revocations, refresh_ttl=1_000)
    manager.create(subject="ann", refresh_ttl=50_000)
    manager.create(subject="ann", refresh_ttl=10)
    manager.delete_one("ann", "A" * 16)
    clock.now = START + 49_999
    assert revocations.is_revoked("A" * 16)


def test_a_new_session_has_version_one_and_generation_zero(make: Make) -> None:
    storage = MemoryStorage()
    manager = make(storage=storage)
    tokens = manager.create(subject="ann")
    record = storage.read(tokens.session_id, START)
    assert record is not None
    assert (record.version, record.generation) == (1, 0)
    assert "gen" not in manager.read(tokens.access_token)


def test_a_lower_max_sessions_evicts_all_that_are_too_many(make: Make, clock: FakeClock) -> None:
    storage = MemoryStorage()
    opened = []
    for _ in range(4):
        opened.append(make(storage=storage).create(subject="ann"))
        clock.advance(1)
    newest = make(storage=storage, max_sessions=2, when_full="evict_oldest").create(subject="ann")
    assert set(make(storage=storage).read_all("ann")) == {opened[-1].session_id, newest.session_id}


def test_the_leeway_is_added_to_a_grace_and_makes_none(make: Make, clock: FakeClock) -> None:
    lenient = make(reuse_grace=10, leeway=5)
    first = lenient.create(subject="ann")
    second = lenient.update(first.refresh_token)
    clock.advance(14)
    assert lenient.update(first.refresh_token).refresh_token == second.refresh_token
    strict = make(reuse_grace=0, leeway=5)
    first = strict.create(subject="ann")
    strict.update(first.refresh_token)
    with pytest.raises(RefreshTokenReused):
        strict.update(first.refresh_token)


def test_without_a_grace_a_node_whose_clock_is_behind_retries_nothing(
    make: Make, clock: FakeClock
) -> None:
    storage = MemoryStorage()
    tokens = make(storage=storage, reuse_grace=0).create(subject="ann")
    make(storage=storage, reuse_grace=0).update(tokens.refresh_token)
    with pytest.raises(RefreshTokenReused):
        behind(make, clock, 300, storage=storage, reuse_grace=0).update(tokens.refresh_token)


@pytest.mark.parametrize("length", [15, 32, 33, 48, 1024])
def test_a_successor_hangs_on_the_secret_and_on_the_salt(length: int) -> None:
    secret = bytes(range(15)) + bytes(length - 15)
    following = successor(secret, b"a" * 16)
    assert len(following) == length
    assert following == successor(secret, b"a" * 16)
    assert following != successor(secret, b"b" * 16)
    assert following != successor(secret[:-1] + b"x", b"a" * 16)


@pytest.mark.parametrize("seconds", [1, 100 * 31_557_600])
def test_a_lifetime_may_be_as_short_and_as_long_as_is_said(make: Make, seconds: int) -> None:
    manager = make(access_ttl=seconds, refresh_ttl=seconds)
    manager.create(subject="ann", access_ttl=seconds, refresh_ttl=seconds)
    for wrong in (0, 100 * 31_557_600 + 1):
        with pytest.raises(InvalidArgument, match="access_ttl must be a whole number of seconds"):
            manager.update("", access_ttl=wrong)


def test_a_context_may_be_as_large_as_is_said(make: Make) -> None:
    manager = make()
    text, rest = "x" * 1024, "x" * (4096 - len('{"k":""}'))
    manager.create(
        subject="ann",
        context=SessionContext(ip=text, location=text, device=Device(text, text, {"k": rest})),
    )
    for context, reason in [
        (SessionContext(ip=text + "x"), "context.ip must be"),
        (SessionContext(device=Device(text + "x", "phone")), "context.device.name must be"),
        (SessionContext(device=Device("phone", text + "x")), "context.device.type must be"),
        (SessionContext(device=Device("a", "b", {"k": rest + "x"})), "at most 4096 bytes of JSON"),
    ]:
        with pytest.raises(InvalidArgument, match=reason):
            manager.create(subject="ann", context=context)


def test_a_manager_that_reads_in_its_own_way_can_ask_the_one_it_extends(clock: FakeClock) -> None:
    class Counting(SessionManager):
        count = 0

        def read(self, access_token: str, **options: Any) -> Any:
            self.count += 1
            return super().read(access_token, **options)

    manager = Counting(SECRET, issuer="i", audience="a", clock=clock)
    token = manager.create(subject="ann").access_token
    assert manager.read(token, audience="a", leeway=1).subject == "ann"
    with pytest.raises(Exception, match="audience"):
        manager.read(token, audience="another")
    clock.advance(905)
    with pytest.raises(Exception, match="expired"):
        manager.read(token, leeway=1)
    assert manager.read(token, leeway=30).subject == "ann"
    assert manager.count == 4


class WaitingStorage(MemoryStorage):
    """Notes on which threads it looks at a clock, as each of its calls does."""

    waits = True

    def __init__(self) -> None:
        self.threads: set[int] = set()
        super().__init__()

    def _clock(self) -> float:
        self.threads.add(threading.get_ident())
        return super()._clock()


class WaitingFeed:
    """Notes what it is told, and on which threads."""

    waits = True

    def __init__(self) -> None:
        self.told: list[Revocation] = []
        self.threads: list[int] = []

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Sequence[Revocation]) -> None:
        self.threads.append(threading.get_ident())
        self.told += revocations

    def poll(self) -> None: ...

    def close(self) -> None:
        self.threads.append(threading.get_ident())


class Publishing(MemoryStorage):
    """Publishes to a feed in the same step as it changes a session."""

    waits = True

    def publishes_to(self, feed: Any) -> bool:
        return isinstance(feed, WaitingFeed)

    def replace(self, record: SessionRecord, now: float, *publication: Any) -> bool:
        return self._published(super().replace(record, now), *publication)

    def delete(self, records: Sequence[SessionRecord], now: float, *publication: Any) -> Any:
        return self._published(super().delete(records, now), *publication)

    def _published(self, changed: Any, feed: Any = None, revocations: Any = ()) -> Any:
        if changed and feed is not None:
            feed.publish(revocations)
        return changed


@pytest.mark.parametrize("storage", [MemoryStorage, Publishing])
def test_every_step_over_what_waits_does_the_same_from_worker_threads(
    storage: Any, clock: FakeClock
) -> None:
    feed = WaitingFeed()
    revocations = RevocationList(feed, clock=clock)

    async def use() -> None:
        async with AsyncSessionManager(
            SECRET,
            issuer="i",
            audience="a",
            clock=clock,
            storage=storage(),
            revocations=revocations,
            max_sessions=1,
            when_full="evict_oldest",
        ) as manager:
            evicted = await manager.create(subject="ann")
            tokens = await manager.create(subject="ann")
            assert list(await manager.read_all("ann")) == [tokens.session_id]
            await manager.restrict_one({"sub": "ann", "sid": tokens.session_id})
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)
            fresh = await manager.update(tokens.refresh_token)
            assert manager.read(fresh.access_token)["gen"] == 1
            assert await manager.delete_one("ann", tokens.session_id) is True
            with pytest.raises(AccessTokenRevoked):
                manager.read(fresh.access_token)
            assert [(told.session_id, told.before) for told in feed.told] == [
                (evicted.session_id, None),
                (tokens.session_id, 1),
                (tokens.session_id, None),
            ]

    asyncio.run(use())
    assert len(feed.threads) == 4
    assert threading.get_ident() not in feed.threads


def test_a_storage_that_waits_is_never_called_on_the_event_loop(clock: FakeClock) -> None:
    storage = WaitingStorage()

    async def use() -> None:
        manager = AsyncSessionManager(
            SECRET, issuer="i", audience="a", clock=clock, storage=storage
        )
        tokens = await manager.create(subject="ann")
        await manager.update(tokens.refresh_token)
        await manager.delete_all("ann")

    asyncio.run(use())
    assert storage.threads
    assert threading.get_ident() not in storage.threads


def test_what_is_refused_here_lasts_by_the_later_of_two_clocks(clock: FakeClock) -> None:
    ahead = RevocationList(clock=lambda: clock.now + 100)
    ahead.refuse([Revocation("A" * 16, clock.now + 10, None)], clock.now)
    assert ahead.is_revoked("A" * 16)
    clock.advance(11)
    assert not ahead.is_revoked("A" * 16)
    late = RevocationList(clock=lambda: clock.now - 100)
    late.refuse([Revocation("A" * 16, clock.now + 10, None)], clock.now)
    clock.advance(109)
    assert late.is_revoked("A" * 16)

"""Every lifetime may also be a ``datetime.timedelta`` of whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import (
    AccessTokenExpired,
    ConfigurationError,
    ExpiringCache,
    InvalidArgument,
    RefreshTokenReused,
    RevocationList,
    SessionNotFound,
)
from tokenwheel.session.options import DEFAULT_LEEWAY

Make = Callable[..., Any]
LONGEST = timedelta(seconds=3_155_760_000)  # 100 years of 365.25 days


class Duration(timedelta):
    """A timedelta that says other things of itself, as those of other libraries do."""

    days = property(lambda self: 1_000)  # type: ignore[assignment]
    seconds = property(lambda self: -1)  # type: ignore[assignment]
    microseconds = property(lambda self: 7)  # type: ignore[assignment]

    def total_seconds(self) -> float:
        return 1e9

    def __eq__(self, other: object) -> bool:
        return True

    def __int__(self) -> int:
        return 5

    __hash__ = timedelta.__hash__


MINUTE = [timedelta(minutes=1), Duration(minutes=1), 60]
FRACTIONS = [timedelta(seconds=0.5), timedelta(minutes=1, microseconds=1), Duration(seconds=1.5)]
BEYOND = [timedelta(0), timedelta(seconds=-1), -LONGEST, timedelta.min, timedelta.max]


@pytest.mark.parametrize("minute", MINUTE, ids=lambda given: type(given).__name__)
def test_the_lifetimes_of_a_manager(make: Make, clock: FakeClock, minute: Any) -> None:
    manager = make(access_ttl=minute, refresh_ttl=minute * 60, idle_ttl=minute * 10)
    tokens = manager.create(subject="uid1")
    assert tokens.access_expires_at == int(clock.now) + 60
    assert tokens.refresh_expires_at == int(clock.now) + 600
    assert type(tokens.access_expires_at) is type(tokens.refresh_expires_at) is int
    clock.advance(3_000)
    with pytest.raises(SessionNotFound):
        manager.update(tokens.refresh_token)
    manager = make(refresh_ttl=minute * 60)
    assert manager.create(subject="uid1").refresh_expires_at == int(clock.now) + 3_600


@pytest.mark.parametrize("minute", MINUTE, ids=lambda given: type(given).__name__)
def test_the_lifetimes_of_a_single_call(make: Make, clock: FakeClock, minute: Any) -> None:
    manager = make()
    tokens = manager.create(subject="uid1", access_ttl=minute, refresh_ttl=minute * 2)
    assert tokens.access_expires_at == int(clock.now) + 60
    assert tokens.refresh_expires_at == int(clock.now) + 120
    tokens = manager.update(tokens.refresh_token, access_ttl=minute)
    assert tokens.access_expires_at == int(clock.now) + 60


@pytest.mark.parametrize("minute", MINUTE, ids=lambda given: type(given).__name__)
def test_the_grace_and_the_leeway(make: Make, clock: FakeClock, minute: Any) -> None:
    manager = make(reuse_grace=minute, leeway=minute, access_ttl=300)
    first = manager.create(subject="uid1")
    manager.update(first.refresh_token)
    clock.advance(60 + 60 - DEFAULT_LEEWAY - 1)
    manager.update(first.refresh_token)
    clock.advance(2)
    with pytest.raises(RefreshTokenReused):
        manager.update(first.refresh_token)
    tokens = manager.create(subject="uid1")
    clock.now = tokens.access_expires_at + 59.0
    assert manager.read(tokens.access_token).subject == "uid1"
    clock.advance(1)
    with pytest.raises(AccessTokenExpired):
        manager.read(tokens.access_token)


@pytest.mark.parametrize("minute", MINUTE, ids=lambda given: type(given).__name__)
def test_the_leeway_of_a_single_read(make: Make, clock: FakeClock, minute: Any) -> None:
    manager = make(leeway=0)
    tokens = manager.create(subject="uid1")
    clock.now = tokens.access_expires_at + 59.0
    assert manager.read(tokens.access_token, leeway=minute).subject == "uid1"
    with pytest.raises(AccessTokenExpired):
        manager.read(tokens.access_token, leeway=timedelta(0))
    for leeway in (timedelta(seconds=61), timedelta(seconds=-1), timedelta(seconds=0.5)):
        with pytest.raises(InvalidArgument, match=r"leeway must be .*, and is a timedelta of"):
            manager.read(tokens.access_token, leeway=leeway)


@pytest.mark.parametrize("minute", MINUTE, ids=lambda given: type(given).__name__)
def test_the_lifetime_of_an_entry(clock: FakeClock, minute: Any) -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(ttl=minute, clock=clock)
    cache["a"] = 1
    cache.set("b", 2, minute * 2)
    cache.set("c", 3, None)
    assert [cache.ttl(key) for key in "abc"] == [60.0, 120.0, None]
    clock.advance(59)
    assert cache.touch("a", minute) is True
    clock.advance(2)
    assert sorted(cache) == ["a", "b", "c"]
    clock.advance(59)
    assert [*cache] == ["c"]


@pytest.mark.parametrize("minute", MINUTE, ids=lambda given: type(given).__name__)
def test_the_lifetime_of_a_revocation(clock: FakeClock, minute: Any) -> None:
    published: list[Any] = []

    class Feed:
        def start(self, apply: Any) -> None: ...

        def publish(self, revocations: Any) -> None:
            published.extend(revocations)

        def poll(self) -> None: ...

        def close(self) -> None: ...

    revocations = RevocationList(Feed(), clock=clock)
    revocations.revoke("A" * 16, minute)
    assert [tuple(revocation) for revocation in published] == [("A" * 16, clock.now + 60, None)]
    clock.advance(59)
    assert revocations.is_revoked("A" * 16)
    clock.advance(2)
    assert not revocations.is_revoked("A" * 16)


@pytest.mark.parametrize("lifetime", FRACTIONS + BEYOND, ids=repr)
def test_a_timedelta_that_is_no_lifetime_is_refused_everywhere(
    make: Make, clock: FakeClock, lifetime: timedelta
) -> None:
    for option in ("access_ttl", "refresh_ttl", "idle_ttl"):
        with pytest.raises(ConfigurationError, match=f"{option} must be a whole number of seconds"):
            make(**{option: lifetime})
    manager = make()
    tokens = manager.create(subject="uid1")
    for call in (
        lambda: manager.create(subject="uid1", access_ttl=lifetime),
        lambda: manager.create(subject="uid1", refresh_ttl=lifetime),
        lambda: manager.update(tokens.refresh_token, access_ttl=lifetime),
    ):
        with pytest.raises(InvalidArgument, match=r"_ttl must be a whole number of seconds"):
            call()
    cache: ExpiringCache[str, int] = ExpiringCache(clock=clock)
    with pytest.raises(ConfigurationError, match="ttl must be a number of seconds"):
        ExpiringCache(ttl=lifetime)
    for call in (
        lambda: cache.set("a", 1, lifetime),
        lambda: cache.touch("a", lifetime),
        lambda: RevocationList().revoke("A" * 16, lifetime),
    ):
        with pytest.raises(InvalidArgument, match=r"^ttl must be .* seconds"):
            call()


@pytest.mark.parametrize("lifetime", [*FRACTIONS, timedelta(seconds=-1), timedelta.max], ids=repr)
@pytest.mark.parametrize("option", ["leeway", "reuse_grace"])
def test_a_timedelta_that_is_no_tolerance_is_refused(
    make: Make, option: str, lifetime: timedelta
) -> None:
    with pytest.raises(ConfigurationError, match=f"{option} must be a number of seconds from"):
        make(**{option: lifetime})


@pytest.mark.parametrize(
    "given, said",
    [
        (0.5, "and is 0.5"),
        (900.0, "and is 900.0"),
        (float("nan"), "and is nan"),
        (0, "and is 0"),
        (10**400, "and is far out of it"),
        (True, "not bool"),
        ("900", "not str"),
        (timedelta(seconds=0.5), "and is a timedelta of 0.5 seconds"),
        (timedelta(days=-1), "and is a timedelta of -86400.0 seconds"),
    ],
    ids=repr,
)
def test_a_refusal_says_what_was_given_and_in_which_unit_it_has_to_be(
    make: Make, given: Any, said: str
) -> None:
    rule = (
        r"must be a whole number of seconds from 1 to 3155760000 \(100 years\), "
        "or a timedelta of whole seconds, "
    )
    with pytest.raises(ConfigurationError, match=f"^access_ttl {rule}{said}$"):
        make(access_ttl=given)
    manager = make()
    with pytest.raises(InvalidArgument, match=f"^refresh_ttl {rule}{said}$"):
        manager.create(subject="uid1", refresh_ttl=given)


def test_none_is_no_lifetime_of_a_manager_but_for_the_idle_one(make: Make) -> None:
    for option in ("access_ttl", "refresh_ttl", "reuse_grace", "leeway"):
        with pytest.raises(ConfigurationError, match=f"{option} must be .*, not NoneType"):
            make(**{option: None})
    make(idle_ttl=None)


def test_the_longest_lifetime_there_is(make: Make, clock: FakeClock) -> None:
    tokens = make(refresh_ttl=LONGEST).create(subject="uid1")
    assert tokens.refresh_expires_at == int(clock.now + 3_155_760_000)

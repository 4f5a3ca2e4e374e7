"""Clocks that tell no time. Both twins refuse in one way, and go on as before once it is over."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf, nan
from types import ModuleType
from typing import Any

import pytest

from tests.support import KEY, FakeClock, forge, with_claims
from tokenwheel import AccessTokenRevoked, InvalidArgument

ONE, OTHER = "A" * 16, "B" * 16
NOW = 1_700_000_000.0


class LyingFloat(float):
    """It is no number, and says that it is less and greater than whatever it is compared with."""

    def __le__(self, other: object) -> bool:
        return True

    __lt__ = __ge__ = __gt__ = __le__

    def __float__(self) -> float:
        return NOW


class LyingInt(int):
    """It is huge, and says that it is now."""

    def __le__(self, other: object) -> bool:
        return True

    __lt__ = __ge__ = __gt__ = __le__

    def __float__(self) -> float:
        return NOW


class FloatByWord:
    """It claims to be a float, and turns into one for whoever asks."""

    __class__ = float  # type: ignore[assignment]

    def __float__(self) -> float:
        return NOW


class Raising:
    def __float__(self) -> float:
        raise RuntimeError("asked")

    __index__ = __int__ = __float__  # type: ignore[assignment]


NONSENSE = {
    "NaN": nan,
    "infinity": inf,
    "minus infinity": -inf,
    "absurdly far ahead": 1e300,
    "beyond the last end": 1.1e11,
    "far before the beginning": -1.1e11,
    "a huge int": 10**400,
    "a huge negative int": -(10**400),
    "a text": "1700000000",
    "bytes": b"1700000000",
    "nothing": None,
    "a truth": True,
    "a fraction": Fraction(NOW),
    "a list": [NOW],
    "a lying NaN": LyingFloat("nan"),
    "a lying infinity": LyingFloat("inf"),
    "a lying int": LyingInt(10**400),
    "a float by word only": FloatByWord(),
    "what raises": Raising(),
    "a complex number": complex(NOW),
}
REFUSED = "a clock must return a number of seconds"

nonsense = pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())


class Service:
    """A verifier, and a table whose clocks may be others than the verifier's."""

    def __init__(self, load: Callable[[str], ModuleType], *, is_clock_shared: bool) -> None:
        self.clock = FakeClock(NOW)
        self.table_clock = self.clock if is_clock_shared else FakeClock(NOW)
        self.timer = FakeClock(5_000.0)
        self.table = load("revocations").RevocationTable(clock=self.table_clock, timer=self.timer)
        self.read = (
            load("verifier")
            .Verifier(
                [KEY],
                issuer="i",
                audience=("a",),
                leeway=0,
                largest_leeway=60,
                cache_size=9,
                clock=self.clock,
                revocations=self.table,
            )
            .verify
        )


@pytest.fixture(params=[True, False], ids=["one clock", "two clocks"])
def service(request: pytest.FixtureRequest, load: Callable[[str], ModuleType]) -> Service:
    return Service(load, is_clock_shared=request.param)


def token(session_id: str) -> str:
    return forge(with_claims(sid=session_id, iat=NOW, exp=NOW + 900))


@nonsense
def test_no_read_accepts_a_token_by_a_clock_that_tells_no_time(
    service: Service, answer: Any
) -> None:
    revoked, good = token(ONE), token(OTHER)
    service.table.revoke(ONE, 900)
    assert service.read(good).session_id == OTHER
    for clock in (service.clock, service.table_clock):
        clock.now = answer
        for text in (revoked, good, token("C" * 16)):
            with pytest.raises(InvalidArgument, match=REFUSED):
                service.read(text)
        clock.now = NOW
    assert service.read(good).session_id == OTHER
    with pytest.raises(AccessTokenRevoked):
        service.read(revoked)


@nonsense
@pytest.mark.parametrize("which", ["table_clock", "timer"])
def test_a_table_whose_clock_tells_no_time_changes_nothing(
    service: Service, answer: Any, which: str
) -> None:
    table = service.table
    table.revoke(ONE, 900, before=3)
    clock = getattr(service, which)
    before = clock.now
    clock.now = answer
    calls: list[Callable[[], Any]] = [
        lambda: table.revoke(OTHER, 900),
        lambda: table.revoke_until(OTHER, NOW + 900),
        lambda: table.revoke_each([(OTHER, NOW + 900, None)]),
        table.expire,
        lambda: len(table),
        lambda: table._observe(service.table_clock()),
    ]
    if which == "table_clock":
        calls[-1:] = [lambda: table.is_revoked(ONE), lambda: table.lowest_generation(ONE)]
    for call in calls:
        with pytest.raises(InvalidArgument, match=REFUSED):
            call()
    clock.now = before
    table._check()
    assert len(table) == 1
    assert [table.is_revoked(ONE, generation) for generation in (2, 3)] == [True, False]
    assert not table.is_revoked(OTHER)
    service.timer.advance(901)
    service.clock.advance(901)
    service.table_clock.now = service.clock.now
    assert table.expire() == 1


@nonsense
def test_a_cache_whose_clock_tells_no_time_changes_nothing(
    load: Callable[[str], ModuleType], answer: Any
) -> None:
    clock = FakeClock(NOW)
    cache = load("cache").ExpiringCache(5, clock=clock)
    cache.set("a", 1, 10)
    cache.set("b", 2)
    views = iter(cache), iter(cache.items()), iter(cache.values())
    clock.now = answer
    for call in (
        lambda: cache.get("a"),
        lambda: cache["a"],
        lambda: "a" in cache,
        lambda: cache.ttl("a"),
        lambda: cache.set("c", 3, 10),
        lambda: cache.setdefault("c", 3),
        lambda: cache.touch("a", 100),
        lambda: cache.pop("a"),
        cache.popitem,
        cache.expire,
        cache.clear,
        lambda: len(cache),
        *(lambda view=view: next(view) for view in views),
    ):
        with pytest.raises(InvalidArgument, match=REFUSED):
            call()
    clock.now = NOW
    cache._check()
    assert dict(cache) == {"a": 1, "b": 2}
    assert cache.ttl("a") == 10
    clock.advance(10)
    assert cache.expire() == 1
    cache._check()


@nonsense
def test_no_lifetime_and_no_leeway_that_is_no_number_is_taken(
    service: Service, load: Callable[[str], ModuleType], answer: Any
) -> None:
    if answer is not None:  # None means for ever, and no leeway of the call's own.
        cache = load("cache").ExpiringCache()
        for call in (
            lambda: cache.set("a", 1, answer),
            lambda: cache.touch("a", answer),
            lambda: load("cache").ExpiringCache(ttl=answer),
        ):
            with pytest.raises(ValueError, match="ttl must be a number of seconds"):
                call()
        assert len(cache) == 0
        with pytest.raises(InvalidArgument, match="leeway must be a number of seconds"):
            service.read(token(ONE), leeway=answer)
    for call in (
        lambda: service.table.revoke(ONE, answer),
        lambda: service.table.revoke_until(ONE, answer),
        lambda: service.table.revoke_each([(ONE, answer, None)]),
    ):
        with pytest.raises(InvalidArgument, match="must be a number of seconds"):
            call()
    assert len(service.table) == 0


def test_an_int_and_a_subclass_of_float_are_numbers_of_seconds_by_what_they_hold(
    load: Callable[[str], ModuleType],
) -> None:
    for answer in (int(NOW), LyingFloat(NOW), LyingInt(NOW)):
        table = load("revocations").RevocationTable(clock=lambda answer=answer: answer)
        table.revoke(ONE, 60)
        assert table.is_revoked(ONE)
        cache = load("cache").ExpiringCache(clock=lambda answer=answer: answer)
        cache.set("a", 1, 60)
        assert cache.ttl("a") == 60


@pytest.mark.parametrize("ahead", [1e8, 9.8e10])
def test_a_table_whose_clock_alone_runs_ahead_still_refuses_what_the_verifiers_clock_would_accept(
    load: Callable[[str], ModuleType], ahead: float
) -> None:
    service = Service(load, is_clock_shared=False)
    service.table.revoke(ONE, 900)
    service.table_clock.advance(ahead)
    for number in range(100):
        service.table.revoke(f"{number:016d}", 900)
    service.table.expire()
    with pytest.raises(AccessTokenRevoked):
        service.read(token(ONE))
    assert service.read(token(OTHER)).session_id == OTHER
    service.table_clock.advance(-ahead)
    with pytest.raises(AccessTokenRevoked):
        service.read(token(ONE))


@pytest.mark.parametrize("ahead", [9.8e10, -1.7e9])
def test_a_jump_of_millennia_forgets_no_revocation_and_takes_no_time(
    load: Callable[[str], ModuleType], ahead: float
) -> None:
    service = Service(load, is_clock_shared=True)
    for number in range(1_000):
        service.table.revoke(f"{number:016d}", 900 + number)
    for _ in range(5):
        service.clock.advance(ahead)
        service.table.revoke(OTHER, 900)
        service.table.expire()
        service.table._check()
        service.clock.advance(-ahead)
        service.table.expire()
        service.table._check()
        assert all(service.table.is_revoked(f"{number:016d}") for number in range(1_000))


@pytest.mark.parametrize("jump", [-4_999.0, -90_000.0, -1e9])
def test_a_timer_that_runs_back_for_a_moment_does_not_let_a_clock_that_is_ahead_be_believed(
    load: Callable[[str], ModuleType], jump: float
) -> None:
    service = Service(load, is_clock_shared=True)
    service.table.revoke(ONE, 900)
    service.clock.advance(40_000)
    for moved in (jump, -jump, 0.0, 1.0):
        service.timer.advance(moved)
        service.table.revoke(OTHER, 900)
        service.table.expire()
    service.clock.advance(-40_000)
    assert service.table.is_revoked(ONE)

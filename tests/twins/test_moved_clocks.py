"""What moves ``time.time`` and ``time.monotonic`` moves the default clock of each part, at once.

The compiled twin reads the system's clock without asking Python, and must see that a test has put
another in its place.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

import freezegun
import pytest
import time_machine

from tests.moved import MOVERS, Mover, at
from tests.support import KEY, FakeClock, forge, with_claims
from tests.twins.differential import TWINS
from tokenwheel import AccessTokenExpired, AccessTokenNotYetValid
from tokenwheel.seconds import wall_time

DAY = 86_400.0
ID = "A" * 16

Read = Callable[[], Any]


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("cache").ExpiringCache


@pytest.fixture
def read_at(made: Any) -> Callable[..., Any]:
    """Return what reads a token of ten seconds, issued at a time, by the default clock."""

    def verify(moment: float, **options: Any) -> Any:
        clock = options.pop("clock", wall_time)
        options = made.options(clock=clock, revocations=made.Table(clock=clock), **options)
        verifier = made.Verifier([KEY], **options)
        token = forge(with_claims(iat=int(moment), exp=int(moment) + 10))
        return lambda: verifier.verify(token)

    return verify


@pytest.mark.parametrize("mover", MOVERS)
def test_a_verifier_made_before_follows_the_clock_there_and_back(
    read_at: Callable[..., Read], mover: Mover
) -> None:
    began = time.time()
    read = read_at(began - 5)
    for _ in range(2):
        assert read().subject == "uid1"
        with mover(began) as shift:
            assert read().subject == "uid1"
            shift(DAY)
            with pytest.raises(AccessTokenExpired):
                read()
            shift(-2 * DAY)
            with pytest.raises(AccessTokenNotYetValid):
                read()


@pytest.mark.parametrize("mover", MOVERS)
def test_a_verifier_made_meanwhile_follows_the_clock_back(
    read_at: Callable[..., Read], mover: Mover
) -> None:
    moment = time.time() + DAY
    with mover(moment) as shift:
        read = read_at(moment)
        assert read().subject == "uid1"
        shift(11)
        with pytest.raises(AccessTokenExpired):
            read()
    with pytest.raises(AccessTokenNotYetValid):
        read()


def test_the_clock_is_followed_through_nested_moves(read_at: Callable[..., Read]) -> None:
    began = time.time()
    read = read_at(began - 5)
    with freezegun.freeze_time(at(began)) as outer:
        with freezegun.freeze_time(at(began + DAY)), pytest.raises(AccessTokenExpired):
            read()
        assert read().subject == "uid1"
        outer.move_to(at(began - DAY))
        with pytest.raises(AccessTokenNotYetValid):
            read()
    with time_machine.travel(began, tick=False) as traveller:
        with time_machine.travel(began + DAY), pytest.raises(AccessTokenExpired):
            read()
        assert read().subject == "uid1"
        traveller.move_to(at(began - DAY))
        with pytest.raises(AccessTokenNotYetValid):
            read()
        with mock.patch("time.time", return_value=began):
            assert read().subject == "uid1"
        with pytest.raises(AccessTokenNotYetValid):
            read()
    assert read().subject == "uid1"


@pytest.mark.parametrize("mover", MOVERS)
def test_a_table_follows_the_clock_and_forgets_nothing_meanwhile(made: Any, mover: Mover) -> None:
    table = made.Table()
    table.revoke(ID, 100)
    with mover(time.time()) as shift:
        shift(99)
        assert table.is_revoked(ID)
        shift(10)
        assert not table.is_revoked(ID)
        shift(30 * DAY)
        table.expire()
        table.revoke("B" * 16, 100)
        assert len(table) == 1
    assert table.is_revoked(ID)
    assert len(table) == 2


def test_a_cache_follows_the_monotonic_clock_there_and_back(cls: Any) -> None:
    clock = FakeClock(time.monotonic())
    cache = cls()
    cache.set("key", "value", 100)
    with mock.patch("time.monotonic", clock):
        clock.advance(90)
        assert cache["key"] == "value"
        assert 9 < cache.ttl("key") < 11
        clock.advance(20)
        assert "key" not in cache
        assert cache.pop("key", None) is None
        cache.set("key", "other", 100)
        clock.advance(99)
        assert cache["key"] == "other"
        clock.advance(1)
        assert len(cache) == 0
    cache.set("key", "value", 100)
    assert 99 < cache.ttl("key") <= 100


def test_an_entry_of_a_cache_ends_as_freezegun_moves_the_time(cls: Any) -> None:
    with freezegun.freeze_time("2030-01-01") as frozen:
        cache = cls(ttl=100)
        cache["key"] = "value"
        frozen.tick(99)
        assert cache["key"] == "value"
        frozen.tick(1)
        assert cache.get("key") is None
        assert len(cache) == 0


def test_time_machine_leaves_the_monotonic_clock_and_so_a_cache_as_it_is(cls: Any) -> None:
    cache = cls(ttl=100)
    cache["key"] = "value"
    with time_machine.travel(time.time() + DAY):
        assert cache["key"] == "value"
        by_the_date = cls(ttl=100, clock=time.time)
        by_the_date["key"] = "value"
        with time_machine.travel(time.time() + DAY):
            assert "key" not in by_the_date


@pytest.mark.parametrize("mover", MOVERS)
def test_a_clock_handed_in_is_called_each_time_and_moved_by_nobody(
    made: Any, read_at: Callable[..., Read], mover: Mover
) -> None:
    told: list[float] = []
    moment = time.time()

    def clock() -> float:
        told.append(moment)
        return moment

    read = read_at(moment, clock=clock)
    cache = made.Cache(clock=clock)
    with mover(moment) as shift:
        shift(DAY)
        for call in (read, read, lambda: cache.get("key"), lambda: cache.set("key", 1)):
            before = len(told)
            call()
            assert len(told) == before + 1


def test_time_time_handed_in_is_called_each_time(read_at: Callable[..., Read]) -> None:
    moment = time.time()
    read = read_at(moment - 5, clock=time.time)
    assert read().subject == "uid1"
    with time_machine.travel(moment + DAY), pytest.raises(AccessTokenExpired):
        read()
    assert read().subject == "uid1"


def test_by_default_time_is_what_time_time_tells(made: Any) -> None:
    table = made.Table()
    for _ in range(50):  # To the last bit: a reading that is rounded otherwise is told by chance.
        end = time.time() + 0.002
        table.revoke_until(ID, end)
        is_over = False
        while not is_over:
            before = time.time()
            is_revoked = table.is_revoked(ID)
            is_over = time.time() >= end
            assert is_revoked or is_over
            assert not (is_revoked and before >= end)


@pytest.mark.parametrize("implementation", [name for name in TWINS if name == "native"])
@pytest.mark.parametrize("mover", MOVERS)
def test_compiled_the_default_clocks_are_read_without_a_call_before_and_after_a_move(
    made: Any, read_at: Callable[..., Read], mover: Mover
) -> None:
    began = time.time()
    read = read_at(began - 5)
    table, cache = made.Table(), made.Cache()
    asked: list[str] = []

    def ask_each() -> list[str]:
        asked.clear()
        sys.setprofile(lambda frame, event, _: asked.append(frame.f_code.co_name))
        try:
            for _ in range(2):
                read()
                table.is_revoked(ID)
                cache.get("key")
        finally:
            sys.setprofile(None)
        return [name for name in asked if name in {"wall_time", "monotonic_time"}]

    assert ask_each() == []
    with mover(began):
        assert "wall_time" in ask_each()
    assert ask_each() == []


IMPORTED_MEANWHILE = """
import time
import freezegun, time_machine
from tests.moved import at, by_freezegun, by_monkeypatch, by_time_machine
began = time.time()
with {mover}(began + 86_400) as shift:
    from tests.support import KEY, forge, with_claims
    from tokenwheel._{implementation}.cache import ExpiringCache
    from tokenwheel._{implementation}.revocations import RevocationTable
    from tokenwheel._{implementation}.verifier import Verifier
    from tokenwheel import AccessTokenExpired, AccessTokenNotYetValid
    from tokenwheel.seconds import wall_time
    verify = Verifier(
        [KEY], issuer="i", audience=("a",), leeway=0, largest_leeway=0, cache_size=9,
        clock=wall_time, revocations=RevocationTable(),
    ).verify
    cache = ExpiringCache(ttl=100)

    def is_valid(moment):
        claims = with_claims(iat=int(moment) - 5, exp=int(moment) + 5)
        try:
            return verify(forge(claims)).subject == "uid1"
        except (AccessTokenExpired, AccessTokenNotYetValid):
            return False

    assert is_valid(began + 86_400) and not is_valid(began)
    shift(3600)
    assert is_valid(began + 90_000) and not is_valid(began + 86_400)
assert is_valid(time.time()) and not is_valid(began + 90_000)
cache["key"] = 1
assert 99 < cache.ttl("key") <= 100
for moved in by_freezegun, by_time_machine, by_monkeypatch:
    with moved(began + 172_800) as shift:
        assert is_valid(began + 172_800) and not is_valid(began)
    assert is_valid(time.time()) and not is_valid(began + 172_800)
"""


@pytest.mark.parametrize("mover", ["by_freezegun", "by_time_machine", "by_monkeypatch"])
def test_a_clock_that_was_moved_before_the_first_import_is_followed_back(
    implementation: str, mover: str
) -> None:
    script = IMPORTED_MEANWHILE.format(implementation=implementation, mover=mover)
    subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", script], check=True)

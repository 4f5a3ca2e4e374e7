"""ExpiringCache as its users know it: a mapping whose entries end by themselves. Both twins."""

from __future__ import annotations

import copy
import pickle
import time
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from types import ModuleType
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import ConfigurationError, InvalidArgument

YEAR = 31_557_600
nan, infinite = float("nan"), float("inf")


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("cache").ExpiringCache


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture
def cache(cls: Any, clock: FakeClock) -> Any:
    return cls(clock=clock)


def test_it_is_a_mutable_mapping(cls: Any, cache: Any) -> None:
    assert isinstance(cache, MutableMapping)
    cache["a"] = 1
    cache.update({"b": 2}, c=3)
    assert cache == {"a": 1, "b": 2, "c": 3}
    assert cache != {"a": 1}
    assert cache != 7
    assert dict(cache) == dict(cache.items()) == {"a": 1, "b": 2, "c": 3}
    assert sorted(cache) == sorted(cache.keys()) == ["a", "b", "c"]
    assert sorted(cache.values()) == [1, 2, 3]
    assert ("a", 1) in cache.items()
    assert 3 in cache.values()
    assert 4 not in cache.values()
    assert "a" in cache
    assert "z" not in cache
    assert (cache["a"], cache.get("b"), cache.get("z"), cache.get("z", 9)) == (1, 2, None, 9)
    assert cache.setdefault("a", 5) == 1
    assert cache.setdefault("d", 4) == 4
    assert (cache.pop("d"), cache.pop("d", 9)) == (4, 9)
    del cache["c"]
    key, value = cache.popitem()
    assert (key, value) in {("a", 1), ("b", 2)}
    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0
    for missing in (
        lambda: cache["a"],
        lambda: cache.pop("a"),
        lambda: cache.__delitem__("a"),
        cache.popitem,
        lambda: cache.ttl("a"),
    ):
        with pytest.raises(KeyError):
            missing()
    assert isinstance(cls[str, int](), cls)
    with pytest.raises(TypeError, match="unhashable type"):
        hash(cache)
    with pytest.raises(TypeError, match="not reversible"):
        reversed(cache)


def test_an_entry_is_live_until_its_very_last_instant_and_never_after(
    cache: Any, clock: FakeClock
) -> None:
    for lifetime in (0.001, 0.0015, 0.25, 1, 59.9995, 3600, 86_400 * 365, 100 * YEAR):
        cache.set("key", "value", lifetime)
        end = clock.now + lifetime
        clock.now = end - lifetime / 4
        assert cache["key"] == "value"
        assert cache.ttl("key") == pytest.approx(end - clock.now)
        clock.now = end
        assert "key" not in cache
        assert cache.get("key") is None
        assert list(cache) == list(cache.items()) == list(cache.values()) == []
        assert len(cache) == 0
        with pytest.raises(KeyError):
            cache.ttl("key")
        cache._check()


def test_an_entry_without_a_lifetime_stays_for_ever(cls: Any, cache: Any, clock: FakeClock) -> None:
    cache.set("a", 1, None)
    cache["b"] = 2
    clock.advance(90 * YEAR)
    assert dict(cache) == {"a": 1, "b": 2}
    assert cache.ttl("a") is None


def test_the_caches_own_lifetime_serves_where_none_is_given(cls: Any, clock: FakeClock) -> None:
    cache = cls(ttl=10, clock=clock)
    cache["a"] = 1
    cache.set("b", 2)
    cache.setdefault("c", 3)
    cache.update(d=4)
    cache.set("e", 5, None)
    cache.set("f", 6, 20)
    assert [cache.ttl(key) for key in "abcdef"] == [10, 10, 10, 10, None, 20]
    clock.advance(10)
    assert sorted(cache) == ["e", "f"]


@pytest.mark.parametrize(
    "ttl", [0, -1, 0.0009, 100 * YEAR + 1, nan, infinite, True, "1", b"1", 10**400]
)
def test_a_lifetime_that_makes_no_sense_is_refused_and_nothing_changes(
    cls: Any, cache: Any, ttl: Any
) -> None:
    cache["a"] = 1
    for call in (
        lambda: cache.set("a", 2, ttl),
        lambda: cache.set("b", 2, ttl),
        lambda: cache.touch("a", ttl),
    ):
        with pytest.raises(InvalidArgument, match="ttl"):
            call()
    assert dict(cache) == {"a": 1}
    with pytest.raises(ConfigurationError, match="ttl"):
        cls(ttl=ttl)


@pytest.mark.parametrize(
    "options",
    [
        {"maxsize": 0},
        {"maxsize": -1},
        {"maxsize": True},
        {"maxsize": 1.5},
        {"maxsize": "1"},
        {"on_remove": 7},
        {"clock": 7},
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(
    cls: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        cls(**options)


def test_touch_gives_a_live_entry_another_end(cache: Any, clock: FakeClock) -> None:
    cache.set("a", 1, 10)
    assert cache.touch("a", 100) is True
    clock.advance(50)
    assert cache["a"] == 1
    assert cache.touch("a", None) is True
    clock.advance(YEAR)
    assert cache.touch("a", 0.5) is True
    clock.advance(0.5)
    assert cache.touch("a", 100) is False
    assert cache.touch("z", 100) is False
    assert "a" not in cache


def test_setting_a_key_again_gives_it_another_value_and_end(cache: Any, clock: FakeClock) -> None:
    cache.set("a", 1, 10)
    clock.advance(9)
    cache.set("a", 2, 10)
    clock.advance(9)
    assert cache["a"] == 2
    clock.advance(1)
    cache.set("a", 3, 10)
    assert dict(cache) == {"a": 3}


def test_expire_reclaims_what_is_due_and_counts_it(cache: Any, clock: FakeClock) -> None:
    for number in range(100):
        cache.set(number, number, 1 + number / 10)
    clock.advance(5.95)
    assert cache.expire() == 50
    assert cache.expire() == 0
    assert len(cache) == 50
    clock.advance(100)
    assert cache.expire() == 50


def test_a_full_cache_evicts_what_expires_soonest(cls: Any, clock: FakeClock) -> None:
    cache = cls(3, clock=clock)
    for key, ttl in (("soon", 5), ("never", None), ("later", 50)):
        cache.set(key, key, ttl)
    cache.set("a", 1, 7)
    assert sorted(cache) == ["a", "later", "never"]
    cache.set("b", 2, 100)
    assert sorted(cache) == ["b", "later", "never"]
    cache.touch("later", 500)
    cache.set("c", 3, 1)
    assert sorted(cache) == ["c", "later", "never"]
    cache.set("d", 4, 1)
    assert sorted(cache) == ["d", "later", "never"]
    cache._check()


def test_of_entries_that_end_together_the_one_set_longest_ago_is_evicted(
    cls: Any, clock: FakeClock
) -> None:
    for ttl in (None, 60):
        cache = cls(3, clock=clock)
        for key in "abc":
            cache.set(key, key, ttl)
        cache.set("a", "again", ttl)
        cache.set("d", "d", ttl)
        assert sorted(cache) == ["a", "c", "d"]
        cache.set("e", "e", ttl)
        assert sorted(cache) == ["a", "d", "e"]


def test_replacing_in_a_full_cache_evicts_nobody(cls: Any, clock: FakeClock) -> None:
    cache = cls(2, clock=clock)
    cache.set("a", 1, 5)
    cache.set("b", 1, 9)
    cache.set("a", 2, 5)
    assert sorted(cache) == ["a", "b"]
    clock.advance(6)
    cache.set("c", 3, 1)
    assert sorted(cache) == ["b", "c"]


def test_iteration_survives_whatever_happens_meanwhile(cache: Any, clock: FakeClock) -> None:
    for number in range(1000):
        cache.set(number, number, 10 if number % 2 else None)
    seen = []
    for key, value in cache.items():
        seen.append(key)
        assert key == value
        if len(seen) == 100:
            clock.advance(10)
            for number in range(0, 1000, 4):
                cache.pop(number)
            for number in range(2000, 2100):
                cache[number] = number
    stayed = set(range(2, 1000, 4))
    assert stayed <= set(seen)
    assert len(seen) == len(set(seen))
    for key in cache:
        del cache[key]
    assert len(cache) == 0


def test_the_clock_may_stand_still_jump_and_run_back(cache: Any, clock: FakeClock) -> None:
    cache.set("a", 1, 100)
    clock.advance(-500)
    assert cache["a"] == 1
    assert cache.ttl("a") == 600
    cache.set("b", 2, 10)
    cache._check()
    clock.advance(10)
    assert "b" not in cache
    assert cache.expire() == 1
    clock.advance(589)
    assert cache["a"] == 1
    clock.advance(1)
    assert cache.expire() == 1
    assert cache._nbytes() == 0 or len(cache) == 0
    cache._check()


def test_an_entry_set_after_the_clock_ran_back_is_reclaimed_on_time_without_being_asked_for(
    cls: Any, clock: FakeClock
) -> None:
    removed: list[Any] = []
    cache = cls(clock=clock, on_remove=lambda key, value, reason: removed.append(key))
    cache.set("old", 1, 50)
    clock.advance(-10_000)
    cache.set("new", 1, 1)
    clock.advance(2)
    cache.get("another")
    assert removed == ["new"]


def test_lifetimes_beyond_the_wheels_reach_hold(cache: Any, clock: FakeClock) -> None:
    clock.now = 0.0
    for turn in range(5):
        cache.set(turn, turn, 99 * YEAR)
        cache.set("soon", turn, 1)
        clock.advance(98 * YEAR)
        assert cache.get(turn) == turn
        assert "soon" not in cache
        cache._check()
        clock.advance(1 * YEAR)
        assert cache.get(turn) is None
        cache._check()
    clock.advance(-490 * YEAR)
    cache.set("again", 1, 99 * YEAR)
    clock.advance(98.9 * YEAR)
    assert cache["again"] == 1
    cache._check()


@pytest.mark.parametrize(
    "reading", [nan, infinite, -infinite, 1e12, -1e12, "soon", None, [], 10**400]
)
def test_a_clock_that_makes_no_sense_is_refused_and_nothing_changes(
    cls: Any, clock: FakeClock, reading: Any
) -> None:
    now: list[Any] = [5.0]
    cache = cls(clock=lambda: now[0])
    cache.set("a", 1, 10)
    now[0] = reading
    for call in (
        lambda: cache.get("a"),
        lambda: cache.set("b", 1),
        lambda: cache.pop("a"),
        cache.clear,
        cache.expire,
        lambda: len(cache),
    ):
        with pytest.raises(InvalidArgument, match="clock"):
            call()
    now[0] = 6.0
    assert dict(cache) == {"a": 1}


def test_a_clock_that_raises_leaves_everything_as_it_was(cls: Any) -> None:
    readings: list[Any] = [5.0]

    def clock() -> float:
        if not readings:
            raise RuntimeError("no time")
        return 5.0

    cache = cls(clock=clock)
    cache.set("a", 1, 10)
    readings.clear()
    for call in (lambda: cache["a"], lambda: cache.set("a", 2), cache.popitem, cache.clear):
        with pytest.raises(RuntimeError, match="no time"):
            call()
    readings.append(5.0)
    assert dict(cache) == {"a": 1}


def test_the_default_clock_is_monotonic_and_runs(cls: Any) -> None:
    cache = cls()
    cache.set("a", 1, 3600)
    assert 0 < cache.ttl("a") <= 3600
    slow = cls(clock=time.monotonic)
    slow.set("a", 1, 0.001)
    end = time.monotonic() + 0.002
    while time.monotonic() < end:
        pass
    assert "a" not in slow


def test_work_that_falls_due_at_once_is_done_a_little_at_a_time(cls: Any, clock: FakeClock) -> None:
    removed: list[int] = []
    cache = cls(clock=clock, on_remove=lambda key, value, reason: removed.append(key))
    count = 20_000
    for number in range(count):
        cache.set(number, number, 60)
    held = cache._nbytes()
    clock.advance(60.001)
    for _ in range(count // 2):
        before = len(removed)
        assert cache.get(count - 1) is None
        cache.set("other", 1, 60)
        assert len(removed) - before <= 40, "one operation must not do everybody's work"
    assert cache.expire() == 0, "all of it was done on the way"
    assert sorted(key for key in removed if key != "other") == list(range(count))
    assert cache._nbytes() < held / 4
    cache._check()


def test_a_million_changes_keep_memory_flat(cls: Any, clock: FakeClock) -> None:
    cache = cls(clock=clock)
    for number in range(2000):
        cache.set(number, number, 10)
        clock.advance(0.01)
    held = cache._nbytes()
    for number in range(20_000):
        cache.set(number, number, 10)
        clock.advance(0.01)
    assert cache._nbytes() <= held * 1.5


def test_it_cannot_be_copied_or_pickled(cache: Any) -> None:
    for call in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            call(cache)


def test_its_repr_shows_how_many_entries_and_none_of_them(cache: Any) -> None:
    cache["secret-key"] = "secret-value"
    assert repr(cache) == "<ExpiringCache of 1 entries>"


def test_it_can_be_subclassed_and_weakly_referenced(cls: Any, clock: FakeClock) -> None:
    class Counting(cls):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(clock=clock)
            self.count = 0

        def __missing__(self, key: str) -> int:
            raise AssertionError("a cache asks no __missing__")

    cache = Counting()
    cache["a"] = 1
    assert repr(cache) == "<Counting of 1 entries>"
    reference = weakref.ref(cache)
    assert reference() is cache
    with pytest.raises(KeyError):
        cache["b"]
    with pytest.raises(ConfigurationError, match="can be constructed only once"):
        cache.__init__()


def test_it_equals_any_mapping_with_the_same_live_entries(
    cls: Any, cache: Any, clock: FakeClock
) -> None:
    other = cls(5, clock=clock)
    for each in (cache, other):
        each.set("a", 1, 10)
    cache.set("b", 2, 1)
    clock.advance(1)
    assert cache == other
    assert isinstance(cache, Mapping)

"""The table behind the cache as it grows, shrinks and runs short. Both twins.

It is about memory, eviction, and keys of every kind.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support import FakeClock


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("cache").ExpiringCache


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.mark.parametrize("maxsize", [None, 700])
def test_it_agrees_with_a_dict_while_it_grows_and_shrinks(
    cls: Any, clock: FakeClock, maxsize: int | None
) -> None:
    cache, model, rng = cls(maxsize, clock=clock), dict[Any, Any](), random.Random(5)
    make: list[Callable[[int], Any]] = [
        str,
        int,
        lambda number: str(number).encode(),
        lambda number: (number, "odd"),
        lambda number: number / 8,
    ]
    for goal in (40, 600, 70, 5, 650, 0, 300, 0):
        while len(model) != goal:
            key = make[rng.randrange(5)](rng.randrange(1000))
            if len(model) < goal:
                cache.set(key, goal, 100 + rng.random())
                model[key] = goal
            else:
                model.pop(key, None)
                cache.pop(key, None)
        cache._check()
        assert dict(cache.items()) == model
        assert len(cache) == goal


def test_a_full_cache_evicts_in_order_of_end_and_then_of_setting_however_many_there_are(
    cls: Any, clock: FakeClock
) -> None:
    evicted: list[int] = []
    cache, rng = (
        cls(1000, clock=clock, on_remove=lambda key, value, reason: evicted.append(key)),
        random.Random(6),
    )
    ends = {number: rng.choice([10.0, 20.0, 30.0]) for number in range(1000)}
    for number, end in ends.items():
        cache.set(number, None, end)
    for number in range(0, 1000, 7):
        ends[number] = 15.0
        cache.touch(number, 15.0)
    for number in range(1000):
        cache.set(-1 - number, None, 1000.0)
    cache._check()
    assert evicted == sorted(ends, key=lambda number: (ends[number], number))


@pytest.mark.parametrize("count", [10_000, 100_000, 400_000])
def test_an_entry_takes_at_most_36_bytes_beside_its_key_and_value(
    cls: Any, clock: FakeClock, implementation: str, count: int
) -> None:
    if implementation == "pure":
        pytest.skip("the pure twin has an object an entry")
    cache = cls(clock=clock)
    for number in range(count):
        cache.set(str(number), 1, 60)
    assert cache._nbytes() <= 36 * count
    cache._check()


def test_memory_goes_back_however_the_survivors_are_scattered(
    cls: Any, clock: FakeClock, implementation: str
) -> None:
    if implementation == "pure":
        pytest.skip("the pure twin only estimates")
    cache = cls(clock=clock)
    for number in range(100_000):
        cache.set(number, number, 60 if number % 20 else 600)
    held = cache._nbytes()
    clock.advance(60.5)
    assert cache.expire() == 95_000
    assert cache._nbytes() < held / 5
    assert sorted(cache) == list(range(0, 100_000, 20))
    cache._check()


def test_all_that_ends_within_the_tick_now_running_is_gone_for_who_counts(
    cls: Any, clock: FakeClock
) -> None:
    cache = cls(clock=clock)
    for number in range(1000):
        cache.set(number, number, 1.064 + number / 1e6)
    clock.advance(1.064 + 500.5 / 1e6)
    assert len(cache) == 499
    assert sorted(cache) == list(range(501, 1000))
    cache._check()
    clock.advance(0.001)
    assert len(cache) == 0


def test_the_default_clock_is_exact_about_entries_that_end_soon(cls: Any) -> None:
    cache = cls()
    for number in range(200):
        before = time.monotonic()
        cache.set(number, number, 0.001)
        while number in cache:
            now = time.monotonic()
            assert now < time.monotonic()
        assert time.monotonic() >= before + 0.001
        assert cache.get(number) is None
        assert cache.pop(number, None) is None


@pytest.mark.parametrize("maxsize", [None, 500])
def test_memory_that_runs_out_at_any_step_changes_nothing(
    cls: Any, clock: FakeClock, implementation: str, maxsize: int | None
) -> None:
    if implementation == "pure" or os.environ.get("TOKENWHEEL_BUILD") == "trace":
        pytest.skip("plain Python, like traced C, allocates at every line")
    memory = pytest.importorskip("_testcapi")
    cache = cls(maxsize, clock=clock)
    failures = 0
    keys = [("odd", number) if number % 9 == 0 else str(number) for number in range(1200)]
    for number, key in enumerate(keys):
        for step in range(100):
            memory.set_nomemory(step, step + 1)
            try:
                cache.set(key, number, 60 + number)
            except MemoryError:
                failures += 1
            else:
                break
            finally:
                memory.remove_mem_hooks()
            assert key not in cache
            assert len(cache) == min(number, maxsize or number)
        assert cache[key] == number
    assert failures > 0
    cache._check()

"""The timer wheel by itself, in its readable form.

The compiled wheel has no Python face and is held to this one through the cache.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import FakeClock
from tests.twins.conftest import TWINS
from tokenwheel._pure.wheel import Timer, TimerWheel

YEAR = 31_557_600.0  # seconds
LIFETIMES = st.one_of(
    st.sampled_from([0.001, 0.063, 0.064, 0.065, 1.0, 4.096, 262.144, 86_400.0, YEAR, 100 * YEAR]),
    st.floats(0.001, 100 * YEAR),
)
STEPS = st.one_of(
    st.sampled_from(
        [0.0, 0.0005, 0.001, 0.064, 4.096, 262.144, 1e6, 1e9, -0.001, -1.0, -1e6, -1e9]
    ),
    st.floats(-1e6, 1e6),
)


def scheduled(wheel: TimerWheel, now: float, *lifetimes: float) -> list[Timer]:
    wheel.observe(now)
    timers = [Timer(now + lifetime) for lifetime in lifetimes]
    for timer in timers:
        wheel.schedule(timer)
    wheel.check()
    return timers


def drained(wheel: TimerWheel, now: float) -> list[Timer]:
    """Return all that has expired, in the order in which the wheel hands it out.

    A timer that comes up early is scheduled again.
    """
    expired = []
    for timer in wheel.due(now):
        if timer.expires_at <= now:
            expired.append(timer)
        else:
            wheel.schedule(timer)
        wheel.check()
    expired += wheel.due_within_tick(now)
    wheel.check()
    return expired


def test_timers_are_handed_out_in_order_of_their_ends_and_of_arrival_within_a_tick() -> None:
    wheel = TimerWheel()
    late, first, second, soon = scheduled(wheel, 0.0, 5000.0, 70.0, 70.0, 0.002)
    assert drained(wheel, 10_000.0) == [soon, first, second, late]


@pytest.mark.parametrize(
    "lifetime",
    [0.001, 0.064, 4.096, 262.144, 16_777.216, 1_073_741.824, 68_719_476.736, 100 * YEAR],
)
def test_a_timer_of_any_level_is_due_at_its_end_and_not_a_tick_before(lifetime: float) -> None:
    wheel = TimerWheel()
    (timer,) = scheduled(wheel, 0.0, lifetime)
    assert drained(wheel, lifetime - 0.001) == []
    assert drained(wheel, lifetime) == [timer]
    assert drained(wheel, lifetime + 1.0) == []
    assert wheel.next_due == math.inf


def test_an_expiry_within_the_running_tick_is_found_by_the_exact_clock() -> None:
    wheel = TimerWheel()
    early, late = scheduled(wheel, 0.0, 0.0102, 0.0104)
    assert drained(wheel, 0.0103) == [early]
    assert drained(wheel, 0.0104) == [late]


def test_a_timer_that_never_expires_is_not_on_the_wheel() -> None:
    wheel = TimerWheel()
    (timer,) = scheduled(wheel, 0.0, math.inf)
    assert timer.slot == -1
    assert drained(wheel, 1e11) == []


def test_a_cancelled_timer_is_not_handed_out() -> None:
    wheel = TimerWheel()
    kept, cancelled = scheduled(wheel, 0.0, 1.0, 1.0)
    wheel.cancel(cancelled)
    wheel.cancel(cancelled)
    wheel.check()
    assert drained(wheel, 2.0) == [kept]


def test_a_budget_bounds_the_steps_of_one_call_and_loses_nothing() -> None:
    wheel = TimerWheel()
    timers = scheduled(wheel, 0.0, *[1.0] * 100)
    expired: list[Timer] = []
    calls = 0
    while len(expired) < len(timers):
        handed_out = list(wheel.due(2.0, 7))
        wheel.check()
        assert len(handed_out) <= 7
        assert wheel.next_due <= 2.0 or len(expired) + len(handed_out) == len(timers)
        expired += handed_out
        calls += 1
    assert expired == timers
    assert calls >= 2 * 100 / 7, "cascading a timer is a step too"


def test_timers_come_and_go_in_the_middle_of_a_cascade() -> None:
    wheel = TimerWheel()
    timers = scheduled(wheel, 0.0, *[300.0] * 10)
    assert list(wheel.due(300.5, 3)) == []
    wheel.check()
    (fresh,) = scheduled(wheel, 300.5, 0.05)
    for timer in timers[:8]:
        wheel.cancel(timer)
        wheel.check()
    assert drained(wheel, 301.0) == [*timers[8:], fresh]


def test_after_the_clock_ran_back_a_new_timer_is_due_on_time_and_an_old_one_never_early() -> None:
    wheel = TimerWheel()
    (old,) = scheduled(wheel, 1000.0, 60.0)
    assert drained(wheel, 1001.0) == []
    (new,) = scheduled(wheel, 500.0, 60.0)
    assert drained(wheel, 559.0) == []
    assert drained(wheel, 560.0) == [new]
    assert drained(wheel, 1059.0) == []
    assert drained(wheel, 1060.0) == [old]


def test_no_number_of_jumps_makes_ticks_grow() -> None:
    wheel = TimerWheel()
    scheduled(wheel, 0.0, math.inf, 60.0)
    for _ in range(50):
        drained(wheel, 1e11)
        scheduled(wheel, -1e11, 60.0)
        assert abs(wheel.observe(-1e11)) < 2**43
    assert len(drained(wheel, -1e11 + 60.0)) == 1


def test_a_timer_beyond_reach_waits_for_further_turns() -> None:
    wheel = TimerWheel()
    (timer,) = scheduled(wheel, 0.0, 1000 * YEAR)
    for years in range(100, 1000, 100):
        assert drained(wheel, years * YEAR) == []
    assert drained(wheel, 1000 * YEAR) == [timer]


@given(
    st.floats(-1e11, 9e10),
    st.lists(
        st.tuples(st.lists(LIFETIMES, max_size=4), STEPS, st.one_of(st.none(), st.integers(0, 6))),
        max_size=30,
    ),
)
def test_whatever_time_does_exactly_what_has_expired_is_handed_out(
    now: float, steps: list[Any]
) -> None:
    wheel = TimerWheel()
    waiting: set[Timer] = set()
    for lifetimes, step, budget in steps:
        waiting.update(scheduled(wheel, now, *lifetimes))
        now = min(max(now + step, -1e11), 9e10)
        if budget is None:
            expired = set(drained(wheel, now))
            assert {timer for timer in waiting if timer.expires_at <= now} == expired
            waiting -= expired
            continue
        for timer in wheel.due(now, budget):
            if timer.expires_at <= now:
                waiting.remove(timer)
            else:
                wheel.schedule(timer)
        wheel.check()


def test_an_entry_that_comes_up_early_because_the_clock_ran_back_stays(
    load: Callable[[str], ModuleType],
) -> None:
    clock = FakeClock(0.0)
    cache = load("cache").ExpiringCache(clock=clock)
    cache.set("old", 1, 0.01)
    clock.advance(-1.0)
    cache.set("new", 1, 0.01)
    clock.advance(0.02)
    assert cache.expire() == 1
    cache._check()
    assert cache["old"] == 1
    clock.advance(0.99)
    assert cache.expire() == 1


def test_an_entry_a_whole_turn_of_the_wheel_away_never_lands_in_the_slot_just_reached(
    load: Callable[[str], ModuleType],
) -> None:
    clock = FakeClock(0.0)
    cache = load("cache").ExpiringCache(clock=clock)
    cache.set("far", 1, 100 * YEAR)
    clock.advance(-(2**42) / 1000)
    cache.set("near", 1, 1.0)
    clock.advance(100 * YEAR)
    assert cache.expire() == 1
    cache._check()
    clock.advance(2**42 / 1000 - 1.0)
    assert cache["far"] == 1
    clock.advance(1.0)
    assert cache.expire() == 1


if "native" in TWINS:

    @given(
        st.one_of(st.none(), st.integers(1, 20)),
        st.lists(
            st.tuples(
                st.sampled_from(["set", "touch", "pop", "get", "len"]),
                st.integers(0, 30),
                LIFETIMES,
                STEPS,
            ),
            max_size=60,
        ),
    )
    def test_both_twins_remove_the_same_entries_for_the_same_reasons(
        maxsize: int | None, steps: list[Any]
    ) -> None:
        clock = FakeClock(1000.0)
        removals: dict[str, list[Any]] = {twin: [] for twin in TWINS}
        caches = {
            twin: importlib.import_module(f"tokenwheel._{twin}.cache").ExpiringCache(
                maxsize,
                on_remove=lambda *removal, twin=twin: removals[twin].append(removal),
                clock=clock,
            )
            for twin in TWINS
        }
        for count, (operation, key, lifetime, step) in enumerate(steps):
            for cache in caches.values():
                if operation == "set":
                    cache.set(key, count, lifetime)
                elif operation == "touch":
                    cache.touch(key, lifetime)
                elif operation == "pop":
                    cache.pop(key, None)
                elif operation == "get":
                    cache.get(key)
                else:
                    len(cache)
                cache._check()
            # When the wheel comes to an entry is its own affair, until somebody counts; but a clock
            # may run back and give it another life.
            assert len(caches["native"]) == len(caches["pure"])
            assert sorted(removals["native"], key=str) == sorted(removals["pure"], key=str)
            assert dict(caches["native"].items()) == dict(caches["pure"].items())
            clock.advance(step)

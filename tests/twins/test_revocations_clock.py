"""A clock that runs ahead and is put right: no revocation is forgotten, whatever the clock said.

Two clocks are moved here. ``clock`` is the wall clock, which can be set. ``timer`` is steady.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from math import inf
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import FakeClock
from tests.twins.conftest import TWINS

ONE, OTHER = "A" * 16, "B" * 16
START = 1_700_000_000.0
MINUTES, HOURS, DAYS = 60, 3600, 86_400


class Time:
    """A wall clock beside a steady one."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.timer = FakeClock(5_000.0)

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.timer.advance(seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def table(load: Callable[[str], ModuleType], time: Time) -> Any:
    return load("revocations").RevocationTable(clock=time.clock, timer=time.timer)


@pytest.mark.parametrize("ahead", [20 * MINUTES, 5 * HOURS, 40 * DAYS])
def test_what_was_revoked_before_the_clock_ran_ahead_is_refused_once_it_is_put_right(
    table: Any, time: Time, ahead: float
) -> None:
    table.revoke(ONE, 900)
    time.clock.advance(ahead)
    for number in range(100):  # Each makes the table forget some of what is over.
        table.revoke(f"{number:016d}", 900)
    assert not table.is_revoked(ONE)  # A token of it is over as well, by the same clock.
    table.expire()
    time.passes(60)
    time.clock.advance(-ahead)
    assert table.is_revoked(ONE)
    time.passes(839)
    assert table.is_revoked(ONE)
    time.passes(2)
    assert not table.is_revoked(ONE)
    table._check()


@pytest.mark.parametrize("ahead", [20 * MINUTES, 5 * HOURS])
def test_what_is_revoked_while_the_clock_is_ahead_is_refused_once_it_is_put_right(
    table: Any, time: Time, ahead: float
) -> None:
    table.revoke(OTHER, 900)  # The table has seen the clock as it was.
    token_ends = time.clock.now + 900
    time.clock.advance(ahead)
    table.revoke_until(ONE, token_ends)
    assert not table.is_revoked(ONE)
    time.clock.advance(-ahead)
    assert table.is_revoked(ONE)


def test_what_is_over_counts_no_more_though_it_is_kept(table: Any, time: Time) -> None:
    table.revoke(ONE, 900)
    time.clock.advance(5 * HOURS)
    table.revoke(OTHER, 900)
    assert len(table) == 1
    assert table.expire() == 0
    time.clock.advance(-5 * HOURS)
    assert len(table) == 2


def test_a_clock_that_stays_ahead_is_believed_after_two_days(table: Any, time: Time) -> None:
    for number in range(5_000):
        table.revoke(f"{number:016d}", 900)
    held = table.nbytes
    time.clock.advance(5 * HOURS)
    for _ in range(3):
        time.passes(DAYS)
        table.revoke(ONE, 1)
    time.passes(2)
    table.expire()
    table._check()
    assert table.nbytes < held / 2
    assert len(table) == 0


def test_a_clock_that_is_right_makes_nothing_stay_longer(table: Any, time: Time) -> None:
    for number in range(5_000):
        table.revoke(f"{number:016d}", 900)
    held = table.nbytes
    time.passes(901)
    assert table.expire() == 5_000
    assert table.nbytes < held / 2


class JumpingClock(RuleBasedStateMachine):
    """The wall clock is never behind the honest one that it began as.

    All times are whole seconds, so that no rounding blurs an end.
    """

    implementation: str

    @initialize()
    def begin(self) -> None:
        self.time = Time()
        self.ahead = 0.0
        self.table = importlib.import_module(
            f"tokenwheel._{self.implementation}.revocations"
        ).RevocationTable(clock=self.time.clock, timer=self.time.timer)
        self.table.expire()  # It has seen the clock.
        self.model: dict[str, tuple[float, float]] = {}

    @rule(
        number=st.integers(0, 8),
        honest_ttl=st.integers(-100, 50_000),
        before=st.one_of(st.none(), st.integers(1, 4)),
    )
    def revoke(self, number: int, honest_ttl: int, before: int | None) -> None:
        key = f"{number:016d}"
        now = self.time.clock.now
        end = now - self.ahead + honest_ttl
        self.table.revoke_until(key, end, before=before)
        if end <= now - self.ahead:
            return
        lowest, ended = self.model.get(key, (0, 0))
        if ended <= now - self.ahead or ended <= now < end:
            lowest = 0
        self.model[key] = max(lowest, inf if before is None else before), max(ended, end)

    @rule(seconds=st.integers(0, 2_000))
    def time_passes(self, seconds: float) -> None:
        self.time.passes(seconds)

    @rule(ahead=st.one_of(st.just(0), st.integers(0, 40_000)))
    def set_the_clock(self, ahead: float) -> None:
        self.time.clock.advance(ahead - self.ahead)
        self.ahead = ahead

    @rule()
    def expire(self) -> None:
        self.table.expire()

    @invariant()
    def no_revocation_is_forgotten(self) -> None:
        if not hasattr(self, "table"):
            return
        self.table._check()
        now = self.time.clock.now
        for key, (lowest, end) in self.model.items():
            for generation in range(5):
                refused = generation < lowest and now < end
                assert self.table.is_revoked(key, generation) is refused
        assert len(self.table) == len([end for _, end in self.model.values() if now < end])


class NativeClock(JumpingClock):
    implementation = "native"


class PureClock(JumpingClock):
    implementation = "pure"


if "native" in TWINS:
    TestNativeClock = NativeClock.TestCase
TestPureClock = PureClock.TestCase

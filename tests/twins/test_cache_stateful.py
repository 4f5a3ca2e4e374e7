"""ExpiringCache does, step by step, what a plain dict of values and ends does.

Its invariants are checked after each step.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import FakeClock
from tests.twins.conftest import TWINS

KEYS = st.integers(0, 12)
LIFETIMES = st.one_of(
    st.none(),
    st.sampled_from(
        [0.001, 0.063, 0.064, 1.0, 4.096, 60, 262.144, 86_400, 31_557_600.0, 3_155_760_000]
    ),
    st.floats(0.001, 1e6),
)
STEPS = st.one_of(
    st.sampled_from([0.0, 0.0005, 0.001, 0.064, 1.0, 262.144, 1e6, -1.0, -1e6, 3e9, -3e9]),
    st.floats(-100, 1e5),
)


class CacheModel(RuleBasedStateMachine):
    """One machine for both twins; ``implementation`` is set by the subclasses."""

    implementation: str

    @initialize(maxsize=st.one_of(st.none(), st.integers(1, 8)))
    def begin(self, maxsize: int | None) -> None:
        cls = importlib.import_module(f"tokenwheel._{self.implementation}.cache").ExpiringCache
        self.clock = FakeClock(1000.0)
        self.removed: list[Any] = []
        self.cache = cls(
            maxsize, on_remove=lambda *removal: self.removed.append(removal), clock=self.clock
        )
        self.maxsize = maxsize
        self.model: dict[int, tuple[int, float, int]] = {}  # value, end, order of setting
        self.set_values = 0

    def live(self) -> dict[int, int]:
        return {key: value for key, (value, end, _) in self.model.items() if end > self.clock.now}

    def forget_expired(self) -> None:
        self.model = {key: entry for key, entry in self.model.items() if entry[1] > self.clock.now}

    @rule(key=KEYS, ttl=LIFETIMES)
    def set(self, key: int, ttl: float | None) -> None:
        self.forget_expired()
        self.set_values += 1
        if key not in self.model and self.maxsize is not None and len(self.model) >= self.maxsize:
            del self.model[min(self.model, key=lambda known: self.model[known][1:])]
        self.cache.set(key, self.set_values, ttl)
        self.model[key] = (
            self.set_values,
            math.inf if ttl is None else self.clock.now + ttl,
            self.set_values,
        )

    @rule(key=KEYS)
    def get(self, key: int) -> None:
        assert self.cache.get(key) == self.live().get(key)
        assert (key in self.cache) == (key in self.live())

    @rule(key=KEYS)
    def ask_ttl(self, key: int) -> None:
        if key not in self.live():
            try:
                self.cache.ttl(key)
            except KeyError:
                return
            raise AssertionError("a key that isn't live has a lifetime")
        end = self.model[key][1]
        assert self.cache.ttl(key) == (None if end == math.inf else end - self.clock.now)

    @rule(key=KEYS, ttl=LIFETIMES)
    def touch(self, key: int, ttl: float | None) -> None:
        is_live = key in self.live()
        assert self.cache.touch(key, ttl) is is_live
        if is_live:
            value, _, order = self.model[key]
            self.model[key] = (value, math.inf if ttl is None else self.clock.now + ttl, order)

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        assert self.cache.pop(key, None) == self.live().get(key)
        self.model.pop(key, None)

    @rule()
    def popitem(self) -> None:
        live = self.live()
        if live:
            key, value = self.cache.popitem()
            assert live[key] == value
            del self.model[key]

    @rule()
    def expire(self) -> None:
        self.cache.expire()
        assert len(self.cache) == len(self.live())

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()

    @rule(seconds=STEPS)
    def move_the_clock(self, seconds: float) -> None:
        self.forget_expired()
        if seconds < 0:
            self.cache.expire()  # so that what had expired by the later time is gone from both
        if abs(self.clock.now + seconds) < 9e10:
            self.clock.advance(seconds)

    @invariant()
    def the_same_entries_are_live(self) -> None:
        if hasattr(self, "cache"):
            self.cache._check()
            assert dict(self.cache.items()) == self.live()

    @invariant()
    def every_value_is_live_or_told_of_once(self) -> None:
        if hasattr(self, "cache"):
            removed = [value for _, value, _ in self.removed]
            assert len(removed) == len(set(removed))
            assert not set(removed) & set(self.live().values())

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.cache.clear()
            assert sorted(value for _, value, _ in self.removed) == list(
                range(1, self.set_values + 1)
            )


class NativeCache(CacheModel):
    implementation = "native"


class PureCache(CacheModel):
    implementation = "pure"


if "native" in TWINS:
    TestNativeCache = NativeCache.TestCase
TestPureCache = PureCache.TestCase

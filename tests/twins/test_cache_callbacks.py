"""``on_remove`` of both twins.

It is called outside of everything, told of every removal once, and free to do anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import RemovalReason

EXPIRED, DELETED, REPLACED, EVICTED = (
    RemovalReason.EXPIRED,
    RemovalReason.DELETED,
    RemovalReason.REPLACED,
    RemovalReason.EVICTED,
)


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("cache").ExpiringCache


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


def test_each_removal_is_told_once_with_its_reason(cls: Any, clock: FakeClock) -> None:
    removals: list[Any] = []
    cache = cls(2, on_remove=lambda *removal: removals.append(removal), clock=clock)
    cache.set("a", 1, 10)
    cache.set("a", 2, 10)
    cache.set("b", 3, 20)
    cache.set("c", 4, 30)
    del cache["b"]
    clock.advance(31)
    cache.expire()
    cache.set("d", 5, 10)
    cache.pop("d")
    cache.set("e", 6, 10)
    cache.popitem()
    cache.set("f", 7, 10)
    cache.set("g", 8, 1)
    clock.advance(5)
    cache.clear()
    assert removals[:-2] == [
        ("a", 1, REPLACED),
        ("a", 2, EVICTED),
        ("b", 3, DELETED),
        ("c", 4, EXPIRED),
        ("d", 5, DELETED),
        ("e", 6, DELETED),
    ]
    assert sorted(removals[-2:]) == [("f", 7, DELETED), ("g", 8, EXPIRED)]


def test_an_expired_entry_that_is_set_or_deleted_again_is_told_as_expired(
    cls: Any, clock: FakeClock
) -> None:
    removals: list[Any] = []
    cache = cls(on_remove=lambda *removal: removals.append(removal), clock=clock)
    for again in (lambda: cache.set("a", 2, 10), lambda: cache.pop("a", None)):
        cache.set("a", 1, 10)
        clock.advance(10)
        again()
        cache.clear()
    assert [removal for removal in removals if removal[1] == 1] == [("a", 1, EXPIRED)] * 2


def test_touch_and_reads_tell_of_nothing(cls: Any, clock: FakeClock) -> None:
    removals: list[Any] = []
    cache = cls(on_remove=lambda *removal: removals.append(removal), clock=clock)
    cache.set("a", 1, 10)
    cache.touch("a", 20)
    assert cache["a"] == cache.get("a") == cache.setdefault("a", 9) == 1
    assert removals == []


def test_a_callback_may_use_the_cache_in_any_way(cls: Any, clock: FakeClock) -> None:
    removals: list[Any] = []

    def on_remove(key: Any, value: Any, reason: RemovalReason) -> None:
        removals.append((key, reason))
        if reason is REPLACED:
            return
        cache._check()
        cache.get(key)
        cache.set(("again", len(removals)), value, 1)
        cache.pop("x", None)
        list(cache.items())
        len(cache)
        if len(removals) == 5:
            cache.clear()

    cache = cls(50, on_remove=on_remove, clock=clock)
    for number in range(40):
        cache.set(number, number, 10)
    cache.set("x", 1)
    clock.advance(10.5)
    cache.expire()
    assert {key for key, reason in removals if reason is EXPIRED} == set(range(40))
    assert ("x", DELETED) in removals
    cache._check()


def test_a_callback_may_clear_the_cache_while_everything_expires(
    cls: Any, clock: FakeClock
) -> None:
    removed: list[Any] = []

    def on_remove(key: Any, value: Any, reason: RemovalReason) -> None:
        removed.append(key)
        cache.clear()

    cache = cls(on_remove=on_remove, clock=clock)
    for number in range(1000):
        cache.set(number, number, 1 + number % 7)
    clock.advance(3.5)
    cache.expire()
    assert sorted(removed) == list(range(1000))
    assert len(cache) == 0


def test_a_callback_that_raises_is_logged_and_no_removal_is_lost(
    cls: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    removed: list[Any] = []

    def on_remove(key: Any, value: Any, reason: RemovalReason) -> None:
        removed.append(key)
        raise RuntimeError("a callback's own trouble")

    cache = cls(on_remove=on_remove, clock=clock)
    for number in range(10):
        cache.set(("secret key", number), "secret value", 10)
    with caplog.at_level(logging.ERROR, "tokenwheel"):
        cache.clear()
    assert len(removed) == 10
    assert [record.name for record in caplog.records] == ["tokenwheel"] * 10
    assert "secret" not in "".join(record.getMessage() for record in caplog.records)


def test_an_interrupt_in_a_callback_passes_through_and_the_rest_is_told_with_the_next_operation(
    cls: Any, clock: FakeClock
) -> None:
    removed: list[Any] = []

    def on_remove(key: Any, value: Any, reason: RemovalReason) -> None:
        removed.append(key)
        if len(removed) == 3:
            raise KeyboardInterrupt

    cache = cls(on_remove=on_remove, clock=clock)
    for number in range(10):
        cache.set(number, number, 10)
    with pytest.raises(KeyboardInterrupt):
        cache.clear()
    assert len(removed) == 3
    cache.get("whatever")
    assert sorted(removed) == list(range(10))


def test_removals_within_a_callback_wait_for_it_to_end(cls: Any, clock: FakeClock) -> None:
    order: list[str] = []

    def on_remove(key: str, value: Any, reason: RemovalReason) -> None:
        order.append(f"begin {key}")
        if key == "a":
            del cache["b"]
            assert "b" not in cache
        order.append(f"end {key}")

    cache = cls(on_remove=on_remove, clock=clock)
    cache["a"] = cache["b"] = 1
    del cache["a"]
    assert order == ["begin a", "end a", "begin b", "end b"]


def test_a_callback_sees_the_operation_it_was_caused_by_already_done(
    cls: Any, clock: FakeClock
) -> None:
    seen: list[Any] = []
    cache = cls(
        1, on_remove=lambda key, value, reason: seen.append((reason, dict(cache))), clock=clock
    )
    cache["a"] = 1
    cache["a"] = 2
    cache["b"] = 3
    del cache["b"]
    assert seen == [(REPLACED, {"a": 2}), (EVICTED, {"b": 3}), (DELETED, {})]


def test_releasing_a_value_may_use_the_cache_too(cls: Any, clock: FakeClock) -> None:
    class Restless:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            released.append(self.name)
            cache.set("after " + self.name, 1, 5)
            cache.get(self.name)
            cache._check()

    released: list[str] = []
    cache = cls(clock=clock)
    for name in "abcdef":
        cache.set(name, Restless(name), 10)
    cache["a"] = None
    del cache["b"]
    cache.pop("c")
    cache.set("d", 1)
    clock.advance(10)
    cache.expire()
    assert sorted(released) == list("abcdef")
    cache.clear()
    cache._check()

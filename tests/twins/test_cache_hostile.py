"""Keys that raise, lie and change the cache under its feet; cycles; threads. Both twins."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from tests.processes.support import run_apart
from tests.support import FakeClock


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("cache").ExpiringCache


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


class Hostile:
    """A key whose hash and equality do what the test says."""

    def __init__(self, number: int, *, hashed: int = 7) -> None:
        self.number = number
        self.hashed = hashed
        self.on_eq: Callable[[], Any] | None = None
        self.on_hash: Callable[[], Any] | None = None

    def __hash__(self) -> int:
        if self.on_hash is not None:
            self.on_hash()
        return self.hashed

    def __eq__(self, other: object) -> bool:
        for key in (self, other):
            if isinstance(key, Hostile) and key.on_eq is not None:
                key.on_eq()
        return isinstance(other, Hostile) and self.number == other.number


def fail() -> None:
    raise RuntimeError("hostile")


def test_a_hash_that_raises_passes_through_and_changes_nothing(cls: Any, clock: FakeClock) -> None:
    cache = cls(clock=clock)
    cache.set("a", 1, 10)
    key = Hostile(1)
    key.on_hash = fail
    for call in (
        lambda: cache.get(key),
        lambda: cache.set(key, 1),
        lambda: cache.pop(key, None),
        lambda: cache.touch(key, 1),
        lambda: key in cache,
    ):
        with pytest.raises(RuntimeError, match="hostile"):
            call()
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        cache[[]] = 1
    assert dict(cache) == {"a": 1}
    cache._check()


def test_an_equality_that_raises_passes_through_and_changes_nothing(
    cls: Any, clock: FakeClock
) -> None:
    cache = cls(clock=clock)
    stored, other = Hostile(1), Hostile(2)
    cache.set(stored, "value", 10)
    stored.on_eq = fail
    for call in (
        lambda: cache.get(other),
        lambda: cache.set(other, 1),
        lambda: cache.pop(other, None),
        lambda: cache.touch(other, 1),
    ):
        with pytest.raises(RuntimeError, match="hostile"):
            call()
    assert cache[stored] == "value", "the very same key needs no equality"
    assert len(cache) == 1
    clock.advance(10)
    assert cache.expire() == 1
    cache._check()


def test_entries_with_one_hash_are_told_apart(cls: Any, clock: FakeClock) -> None:
    cache = cls(clock=clock)
    keys = [Hostile(number) for number in range(300)]
    for key in keys:
        cache.set(key, key.number, 10 + key.number)
    cache._check()
    assert [cache[Hostile(number)] for number in range(300)] == list(range(300))
    for key in keys[::2]:
        del cache[Hostile(key.number)]
    assert [cache.get(key) for key in keys] == [
        None if number % 2 == 0 else number for number in range(300)
    ]
    clock.advance(1000)
    assert cache.expire() == 150
    cache._check()


def test_a_key_whose_hash_changes_is_still_removed_when_it_is_due(
    cls: Any, clock: FakeClock
) -> None:
    cache = cls(5, clock=clock)
    keys = [Hostile(number, hashed=number) for number in range(5)]
    for key in keys:
        cache.set(key, 1, 10)
    for key in keys:
        key.hashed += 1000
        key.on_hash = fail
    cache._check()
    cache.set("plain", 1, 20)
    clock.advance(10)
    assert cache.expire() == 4
    assert list(cache) == ["plain"]
    cache._check()


@pytest.mark.parametrize("mischief", ["clear", "delete", "fill", "expire", "replace"])
def test_an_equality_that_changes_the_cache_in_mid_lookup_does_no_harm(
    cls: Any, clock: FakeClock, mischief: str
) -> None:
    for operation in ("get", "set", "pop", "touch"):
        cache = cls(clock=clock)
        keys = [Hostile(number) for number in range(20)]
        for key in keys:
            cache.set(key, key.number, 10)

        def act(cache: Any = cache, keys: list[Hostile] = keys) -> None:
            for key in keys:
                key.on_eq = None
            if mischief == "clear":
                cache.clear()
            elif mischief == "delete":
                for key in keys[::3]:
                    cache.pop(key, None)
            elif mischief == "fill":
                for number in range(3000):
                    cache.set(number, number, 5)
            elif mischief == "expire":
                clock.advance(10)
                cache.expire()
            else:
                for key in keys:
                    cache.set(key, "new", 10)

        for key in keys:
            key.on_eq = act
        probe = Hostile(13)
        calls: dict[str, Callable[[], Any]] = {
            "get": lambda cache=cache, probe=probe: cache.get(probe),
            "set": lambda cache=cache, probe=probe: cache.set(probe, "set", 10),
            "pop": lambda cache=cache, probe=probe: cache.pop(probe, None),
            "touch": lambda cache=cache, probe=probe: cache.touch(probe, 10),
        }
        calls[operation]()
        cache._check()
        cache.set("after", 1, 10)
        assert cache["after"] == 1
        cache.clear()
        cache._check()


def test_an_equality_that_empties_the_cache_finds_nothing_though_it_answers_yes(
    cls: Any, clock: FakeClock
) -> None:
    cache = cls(clock=clock)
    for number in range(300):
        cache.set(number, number)
    key = Hostile(1)
    cache.set(key, "value")
    key.on_eq = cache.clear
    assert cache.get(Hostile(1)) is None
    cache._check()


def test_equal_keys_of_different_types_are_one_key_as_in_a_dict(cls: Any, clock: FakeClock) -> None:
    class Text(str):
        __slots__ = ()

    cache = cls(clock=clock)
    for first, *others in (
        (1, 1.0, True),
        ("a", Text("a")),
        (Text("b"), "b"),
        (b"x", b"x"),
        ((1, 2), (1.0, 2.0)),
        (2**70, float(2**70)),
    ):
        cache[first] = "first"
        assert [cache[other] for other in others] == ["first"] * len(others)
        for other in others:
            cache[other] = other
            assert cache[first] is other
    assert len(cache) == 6
    assert Hostile(1) not in cache


def test_cycles_through_keys_values_callbacks_and_clocks_are_collected(cls: Any) -> None:
    class Node:
        def __init__(self, cache: Any = None) -> None:
            self.cache = cache

        def __call__(self, *removal: Any) -> float:
            return 5.0

    references = []
    for place in ("key", "value", "on_remove", "clock"):
        node = Node()
        options = {place: node} if place in ("on_remove", "clock") else {}
        cache = cls(**options)
        cache.set(node if place == "key" else "key", node if place == "value" else "value", 10)
        node.cache = cache
        references.append(weakref.ref(node))
        del node, cache, options
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


def test_caches_within_caches_without_end_are_released_without_a_crash(cls: Any) -> None:
    outermost = cls()
    for _ in range(200_000 if cls.__module__.endswith("_native.cache") else 500):
        outer = cls()
        outer["inner"] = outermost
        outermost = outer
    del outer, outermost
    gc.collect()


def test_plain_entries_are_as_invisible_to_the_garbage_collector_as_those_of_a_dict(
    cls: Any, implementation: str
) -> None:
    if implementation == "pure":
        pytest.skip("the pure twin has an object an entry")
    cache = cls()
    for number in range(10_000):
        cache.set(str(number), number, 60)
    assert gc.get_referents(cache) == [] or all(
        referent is not cache and not isinstance(referent, int)
        for referent in gc.get_referents(cache)
    )
    cache["list"] = []
    assert any(isinstance(referent, list) for referent in gc.get_referents(cache))
    del cache["list"]
    assert not any(isinstance(referent, list | int) for referent in gc.get_referents(cache))


def test_values_are_released_once_and_at_once(cls: Any, clock: FakeClock) -> None:
    class Value:
        pass

    cache = cls(3, clock=clock)

    def reference_to(key: str, ttl: float | None = 10) -> Any:
        value = Value()
        cache.set(key, value, ttl)
        return weakref.ref(value)

    deleted, replaced, expired, cleared = (
        reference_to("a"),
        reference_to("b"),
        reference_to("c", 1),
        None,
    )
    del cache["a"]
    cache["b"] = 1
    clock.advance(2)
    cache.expire()
    cleared = reference_to("d")
    evicted = reference_to("e", 1)
    cache.set("f", 1, 50)
    cache.set("g", 1, 50)
    cache.clear()
    assert [reference() for reference in (deleted, replaced, expired, cleared, evicted)] == [
        None
    ] * 5
    shared = Value()
    before = sys.getrefcount(shared)
    for number in range(100):
        cache.set(number, shared, 1)
        cache.set(number, shared, 1)
        cache.pop(number)
    assert sys.getrefcount(shared) == before


def test_threads_may_share_a_cache(cls: Any) -> None:
    removals: list[Any] = []
    cache = cls(500, ttl=0.005, on_remove=lambda *removal: removals.append(removal))
    gate = threading.Barrier(8)
    set_by: list[int] = []

    def work(seed: int) -> None:
        gate.wait()
        for number in range(2000):
            key = (seed * 31 + number) % 700
            cache[key] = number
            cache.get((key * 7) % 700)
            if number % 5 == 0:
                cache.pop(key, None)
            if number % 500 == 0:
                list(cache.items())
        set_by.append(2000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    cache.clear()
    cache._check()
    assert len(removals) == sum(set_by), "each value set is told of once"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_cache_of_its_own(cls: Any) -> None:
    run_apart(fork_beside_a_cache, cls)


def fork_beside_a_cache(cls: Any) -> None:
    cache = cls()
    cache["a"] = 1
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        cache["a"] = 2
        cache["b"] = 3
        os.write(write, str(sorted(cache.items())).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"[('a', 2), ('b', 3)]"
    assert dict(cache) == {"a": 1}

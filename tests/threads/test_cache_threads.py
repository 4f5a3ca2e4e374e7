"""Threads on one cache: every removal is told once, counts add up, and no operation is half done.

Both twins. Without the GIL the threads really run at once.
"""

from __future__ import annotations

import importlib
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.twins.differential import TWINS

THREADS = 6
KEYS = 60


@pytest.fixture(params=TWINS)
def cls(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(f"tokenwheel._{request.param}.cache").ExpiringCache


def at_once(call: Callable[[int], object]) -> list[Any]:
    """Call from all threads together, each with its number. Return what each returned."""
    gate = threading.Barrier(THREADS)

    def start(number: int) -> object:
        gate.wait()
        return call(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


class Hammer:
    """Does anything to a cache from many threads, and notes what was set and what was told.

    Each value is set once, so it has to be told once.
    """

    def __init__(self, cls: Any, maxsize: int | None) -> None:
        self.now = 1000.0
        self.set: list[list[tuple[int, int]]] = [[] for _ in range(THREADS)]
        self.told: list[tuple[int, int]] = []
        self.cache = cls(maxsize, on_remove=self.on_remove, clock=lambda: self.now)

    def on_remove(self, key: int, value: tuple[int, int], reason: object) -> None:
        self.told.append(value)
        self.cache.get(key)
        self.cache.touch(key + 1, 5.0)
        if value[1] % 7 == 0:
            self.cache.pop(key + 2, None)

    def work(self, thread: int) -> None:
        cache, rng = self.cache, random.Random(thread)
        changes: list[Callable[[int], object]] = [
            cache.get,
            lambda key: cache.pop(key, None),
            lambda key: cache.touch(key, 1 + rng.random()),
            lambda key: cache.expire(),
            lambda key: (len(cache), repr(cache), cache._nbytes(), key in cache),
            lambda key: [held for held in cache.items() if held[0] == key],
            lambda key: cache._check(),
            lambda key: cache and cache.popitem() if key < 3 else None,
            lambda key: cache.clear() if key == 0 else None,
        ]
        for number in range(1500):
            key = rng.randrange(KEYS)
            if number % 2:
                try:
                    rng.choice(changes)(key)
                except KeyError:  # popitem of a cache that others have emptied meanwhile
                    continue
            elif number % 3:
                cache.set(key, (thread, number), 0.5 + rng.random())
                self.set[thread].append((thread, number))
            elif cache.setdefault(key, (thread, number)) == (thread, number):
                self.set[thread].append((thread, number))
            if thread == 0:
                self.now += 0.001


@pytest.mark.parametrize("maxsize", [None, 20])
def test_every_removal_is_told_once_whatever_threads_and_callbacks_do(
    cls: Any, maxsize: int | None
) -> None:
    hammer = Hammer(cls, maxsize)
    at_once(hammer.work)
    hammer.cache._check()
    hammer.cache.clear()
    assert len(hammer.cache) == 0
    assert Counter(hammer.told) == Counter(value for values in hammer.set for value in values)


def test_no_removal_waits_for_another_operation_once_all_threads_are_done(cls: Any) -> None:
    told: list[int] = []
    cache = cls(on_remove=lambda key, value, reason: told.append(key))

    def come_and_go(number: int) -> None:
        for _ in range(10):
            cache[number] = None
            del cache[number]

    for rounds in range(1, 101):
        at_once(come_and_go)
        assert len(told) == rounds * THREADS * 10


def test_an_interrupt_of_a_callback_in_one_thread_keeps_no_removal_from_being_told(
    cls: Any,
) -> None:
    told: list[int] = []

    def on_remove(key: int, value: object, reason: object) -> None:
        told.append(key)
        if key % 5 == 0:
            raise KeyboardInterrupt

    cache = cls(on_remove=on_remove)

    def come_and_go(thread: int) -> None:
        for number in range(200):
            key = thread * 1000 + number
            try:
                cache[key] = None
                cache.pop(key, None)
            except KeyboardInterrupt:
                continue

    at_once(come_and_go)
    for _ in range(THREADS * 200):  # what an interrupt left over, an operation tells
        try:
            cache.get("whatever")
        except KeyboardInterrupt:
            continue
        break
    cache.clear()
    assert sorted(told) == sorted(
        thread * 1000 + n for thread in range(THREADS) for n in range(200)
    )


def test_threads_with_a_default_each_all_get_that_of_the_first(cls: Any) -> None:
    cache = cls()
    for key in range(300):
        values = at_once(lambda thread, key=key: cache.setdefault(key, (key, thread)))  # type: ignore[misc]
        assert set(values) == {cache[key]}


def test_of_threads_that_delete_an_entry_one_gets_it(cls: Any) -> None:
    cache = cls()
    for key in range(200):
        cache[key] = "value"
        taken = at_once(lambda thread, key=key: cache.pop(key, None))  # type: ignore[misc]
        assert Counter(taken) == {"value": 1, None: THREADS - 1}


def test_threads_share_an_iterator_and_each_entry_comes_once(cls: Any) -> None:
    cache = cls()
    for key in range(2000):
        cache[key] = -key
    shared = iter(cache.items())
    if hasattr(shared, "gi_frame"):
        pytest.skip("the pure twin's iterator is a generator, which refuses to be shared")
    taken = at_once(lambda thread: list(shared))
    assert sorted(key for some in taken for key, value in some) == list(range(2000))

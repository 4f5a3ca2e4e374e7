"""Three million operations on the cache and on the table of revocations, held against plain dicts.

``make test-sanitize`` runs them under AddressSanitizer and UndefinedBehaviorSanitizer: whatever is
read or written beside what was allocated ends the process. Keys come and go by the thousand, so
buckets are split and merged, entries expire and are evicted, and values are released all the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from types import ModuleType
from typing import Any

import pytest

from tests.support import FakeClock

OPERATIONS = 1_500_000  # on each of the two
CHECKED_EVERY = 50_000
KEYS = 5_000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

pytestmark = pytest.mark.long


@pytest.mark.parametrize("maxsize", [None, 1_000])
def test_one_and_a_half_million_operations_leave_the_cache_as_a_dict_would_be(
    load: Callable[[str], ModuleType], maxsize: int | None
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    clock = FakeClock(1000.0)
    removed: list[Any] = []
    model: dict[Any, tuple[Any, float]] = {}

    def forget(key: Any, value: Any, reason: Any) -> None:
        removed.append(value)
        if key in model and model[key][0] is value:
            del model[key]

    cache = load("cache").ExpiringCache(maxsize, on_remove=forget, clock=clock)
    kinds: list[Callable[[int], Any]] = [int, str, float, lambda number: (number, "odd")]
    for number in range(OPERATIONS // 2):
        # Every so often most keys are new ones, and the table shrinks or grows.
        base = number // 100_000 * KEYS
        key = chance.choice(kinds)(base + chance.randrange(KEYS))
        what = chance.random()
        live = key in model and model[key][1] > clock.now
        if what < 0.5:
            value = [number]
            ttl = chance.choice((0.001, 1.0, 60.0, 3600.0, None))
            cache.set(key, value, ttl)
            model[key] = value, inf if ttl is None else clock.now + ttl
        elif what < 0.7:
            assert cache.get(key) == (model[key][0] if live else None), seed
        elif what < 0.8:
            assert (cache.pop(key, None) is not None) == live, seed
            model.pop(key, None)
        elif what < 0.9:
            assert cache.touch(key, 60.0) is live, seed
            if live:
                model[key] = model[key][0], clock.now + 60.0
        elif what < 0.999:
            clock.advance(chance.random() / 50)
        else:
            cache.expire()
            clock.advance(chance.choice((1.0, 100.0)))
        if number % CHECKED_EVERY == 0:
            cache._check()
            assert dict(cache.items()) == {
                key: value for key, (value, end) in model.items() if end > clock.now
            }, seed
            removed.clear()
    cache.clear()
    cache._check()
    assert len(cache) == 0


def test_one_and_a_half_million_operations_leave_the_revocations_as_a_dict_would_have_them(
    load: Callable[[str], ModuleType],
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    clock = FakeClock(1_700_000_000.0)
    table = load("revocations").RevocationTable(clock=clock, timer=clock)
    ids = ["".join(chance.choices(ALPHABET, k=16)) for _ in range(KEYS)]
    model: dict[str, tuple[float, float]] = {}  # generations below which are refused, and the end
    for number in range(OPERATIONS):
        session_id = chance.choice(ids)
        before, end = model.get(session_id, (0, -inf))
        if end <= clock.now:
            before, end = 0, -inf
        what = chance.random()
        if what < 0.4:
            ttl = chance.choice((1, 60, 900, 86_400))
            lowest = chance.choice((None, 1, 2, 7))
            table.revoke(session_id, ttl, before=lowest)
            model[session_id] = max(before, lowest or inf), max(end, clock.now + ttl)
        elif what < 0.9:
            generation = chance.choice((0, 1, 6, 2**32 - 2))
            assert table.is_revoked(session_id, generation) is (generation < before), seed
        elif what < 0.9999:
            clock.advance(chance.random() / 10)
        else:
            clock.advance(chance.choice((60, 3_600)))
            table.expire()
        if number % CHECKED_EVERY == 0:
            table._check()
            assert len(table) == sum(end > clock.now for _, end in model.values()), seed
    clock.advance(2 * 86_400)
    table.expire()
    table._check()
    assert len(table) == 0

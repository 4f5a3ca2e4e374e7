"""Threads on one cache, table of revocations, list, key set, or on the claims of one token."""

from __future__ import annotations

import importlib
import random
import threading
from collections import Counter
from collections.abc import Callable
from itertools import count
from types import ModuleType
from typing import Any

import pytest

from tests.support import KEY, forge, with_claims
from tests.threads.hammering import THREADS, Shared, at_once, beside, turns
from tests.twins.differential import TWINS

Load = Callable[[str], ModuleType]


@pytest.fixture(params=TWINS)
def load(request: pytest.FixtureRequest) -> Load:
    return lambda name: importlib.import_module(f"tokenwheel._{request.param}.{name}")


def session_id_of(number: int) -> str:
    return f"{number:016d}"


class Slow:
    """A key that compares by Python code, amid which other threads run."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number % 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slow) and self.number == other.number


def change_copies(claims: Any, said: dict[str, Any]) -> None:
    claims.to_dict()["claim 1"].append("changed")
    claims["claim 2"][1]["deep"].append("changed")
    assert claims.to_dict() == said


def read_registered(claims: Any, said: dict[str, Any]) -> None:
    assert (claims.subject, claims.session_id) == (said["sub"], said["sid"])
    assert (claims.issued_at, claims.expires_at) == (said["iat"], said["exp"])
    assert repr(claims) == f"<Claims of session {said['sid']!r}>"


def holds(check: Callable[[Any, dict[str, Any]], bool]) -> Callable[[Any, dict[str, Any]], None]:
    def assert_it(claims: Any, said: dict[str, Any]) -> None:
        assert check(claims, said)

    return assert_it


CHECKS_OF_CLAIMS = [
    change_copies,
    read_registered,
    holds(lambda claims, said: claims["claim 7"] == said["claim 7"]),
    holds(lambda claims, said: dict(claims.items()) == said),
    holds(lambda claims, said: list(claims) == list(claims.keys())),
    holds(lambda claims, said: set(claims) == set(said)),
    holds(lambda claims, said: len(claims) == len(said)),
    holds(lambda claims, said: claims.get("claim 3") == said["claim 3"]),
    holds(lambda claims, said: claims.get("none") is None),
    holds(lambda claims, said: "claim 19" in claims and "none" not in claims),
    holds(lambda claims, said: claims == said),
    holds(
        lambda claims, said: sorted(map(str, claims.values())) == sorted(map(str, said.values()))
    ),
]


@pytest.mark.parametrize("kind", [str, int, Slow])
def test_each_thread_finds_in_a_shared_cache_what_it_put_there(
    load: Load, kind: Callable[[int], Any]
) -> None:
    cache = load("cache").ExpiringCache(ttl=3600)

    def live(thread: int) -> None:
        choose = random.Random(thread)
        keys = [kind(number * THREADS + thread) for number in range(40)]
        mine: dict[Any, int] = {}
        for turn in range(turns(400)):
            key = choose.choice(keys)
            action = choose.random()
            if action < 0.35:
                cache.set(key, turn, choose.choice([10, 3600, None]))
                mine[key] = turn
            elif action < 0.6:
                assert cache.get(key) == mine.get(key)
                assert (key in cache) == (key in mine)
            elif action < 0.7:
                assert cache.pop(key, None) == mine.pop(key, None)
            elif action < 0.8:
                assert cache.touch(key, 3600) == (key in mine)
            elif action < 0.85:
                held = dict(cache.items())
                assert {name: held.get(name) for name in keys} == {
                    name: mine.get(name) for name in keys
                }
            elif action < 0.9:
                assert cache.setdefault(key, turn) == mine.setdefault(key, turn)
            elif action < 0.95:
                cache._check()
                assert len(cache) >= len(mine)
                assert repr(cache).startswith("<ExpiringCache of ")
            else:
                assert cache.expire() == 0
        for key in keys:
            assert cache.get(key) == mine.get(key)
        for key in mine:
            del cache[key]

    at_once(*(lambda thread=thread: live(thread) for thread in range(THREADS)))
    assert len(cache) == 0
    cache._check()


def test_on_remove_hears_once_of_every_entry_that_threads_set(load: Load) -> None:
    told: list[int] = []
    cache = load("cache").ExpiringCache(
        50, ttl=3600, on_remove=lambda key, value, reason: told.append(value)
    )
    values = count()
    put: list[list[int]] = [[] for _ in range(THREADS)]

    def act(thread: int) -> None:
        choose = random.Random(thread)
        for _ in range(turns(400)):
            key, action = choose.randrange(80), choose.random()
            if action < 0.7:
                value = next(values)
                put[thread].append(value)
                cache.set(key, value)
            elif action < 0.9:
                cache.pop(key, None)
            elif action < 0.98:
                cache.get(key)
            else:
                cache.clear()

    at_once(*(lambda thread=thread: act(thread) for thread in range(THREADS)))
    cache.clear()
    assert Counter(told) == Counter(value for mine in put for value in mine)
    cache._check()


def test_popitem_hands_each_entry_to_one_thread(load: Load) -> None:
    cache = load("cache").ExpiringCache()
    for number in range(turns(800)):
        cache[number] = str(number)

    def take() -> list[Any]:
        taken = []
        while True:
            try:
                taken.append(cache.popitem())
            except KeyError:
                return taken

    taken = [item for mine in at_once(*[take] * THREADS) for item in mine]
    assert sorted(taken) == [(number, str(number)) for number in range(turns(800))]


def test_setdefault_gives_all_threads_the_same_object(load: Load) -> None:
    cache = load("cache").ExpiringCache()

    def ask() -> list[object]:
        return [cache.setdefault(number, object()) for number in range(turns(1_000))]

    first, *others = at_once(*[ask] * THREADS)
    assert all(mine == first for mine in others)


def test_threads_share_an_iterator_over_a_cache_that_changes(load: Load) -> None:
    cache = load("cache").ExpiringCache()
    for number in range(500):
        cache[number] = str(number)

    def change() -> None:
        for number in range(1_000, 1_000 + turns(500)):
            cache[number] = str(number)
            del cache[number]

    def walk() -> None:
        seen = Counter(cache.items())
        assert all(str(number) == text for number, text in seen)
        assert all(seen[number, str(number)] == 1 for number in range(500))

    beside(change, walk, walk)

    items = iter(cache.items())
    seen = Counter(item for mine in at_once(*[lambda: list(items)] * THREADS) for item in mine)
    assert seen == Counter((number, str(number)) for number in range(500))


def test_what_a_thread_has_revoked_no_other_finds_live(load: Load) -> None:
    table = load("revocations").RevocationTable()
    revoked: Shared[tuple[str, int | None]] = Shared()
    numbers = count()

    def revoke() -> None:
        choose = random.Random(next(numbers))
        for _ in range(turns(600)):
            session_id = session_id_of(next(numbers))
            before = choose.choice([None, 5])
            if choose.random() < 0.5:
                table.revoke(session_id, 3600, before=before)
            else:
                table.revoke_each([(session_id, 4e9, before)])
            revoked.put((session_id, before))

    def look() -> None:
        choose = random.Random()
        for _ in range(20):
            if (known := revoked.pick(choose)) is not None:
                session_id, before = known
                assert table.is_revoked(session_id, 0 if before is None else before - 1)
                assert table.lowest_generation(session_id) == before
                assert table.is_revoked(session_id, 7) is (before is None)
            assert not table.is_revoked(session_id_of(10**15 + choose.randrange(10**6)))
        assert table.nbytes >= 0
        table._check()
        table.expire()

    beside(lambda: at_once(revoke, revoke), look, look)
    assert len(table) == turns(600) * 2
    table._check()


def test_a_lookup_beside_watch_listens_to_one_doorbell_or_the_other(load: Load) -> None:
    """Whoever published before a lookup began is heard by it, whichever doorbell is watched."""
    log: list[str] = []
    place = threading.Lock()
    known = 0

    def take_in() -> None:
        nonlocal known
        with place:
            news, known = log[known:], len(log)
            table.revoke_each((session_id, 4e9, None) for session_id in news)

    table = load("revocations").RevocationTable(before_lookup=take_in)
    bells = [bytearray(8)]
    table.watch(bells[0])
    rung = threading.Lock()
    revoked: Shared[str] = Shared()

    def publish() -> None:
        for number in range(turns(400)):
            session_id = session_id_of(number)
            with place:
                log.append(session_id)
            with rung:
                bells[-1][:] = (number + 1).to_bytes(8, "little")
            revoked.put(session_id)

    def exchange() -> None:
        bell = bytearray(8)
        with rung:
            bells.append(bell)
            table.watch(bell)
            del bells[:-1]

    def look() -> None:
        choose = random.Random()
        for _ in range(20):
            if (session_id := revoked.pick(choose)) is not None:
                assert table.is_revoked(session_id)

    beside(publish, exchange, look, look)
    assert len(table) == turns(400)


def test_all_mapping_methods_of_one_tokens_claims_work_in_many_threads_at_once(
    load: Load,
) -> None:
    verifier_of, table_of = load("verifier").Verifier, load("revocations").RevocationTable
    own = {f"claim {number}": [number, {"deep": ["x", number]}] for number in range(20)}
    expected = with_claims(**own)

    verifier = verifier_of(
        [KEY],
        issuer="i",
        audience=("a",),
        leeway=0,
        largest_leeway=60,
        cache_size=9,
        clock=lambda: 1_800_000_000.0,
        revocations=table_of(clock=lambda: 1_800_000_000.0),
    )
    tokens = [forge(with_claims(**own, turn=turn)) for turn in range(turns(60))]
    shared = [verifier.verify(token) for token in tokens]

    def use(thread: int) -> None:
        choose = random.Random(thread)
        for turn, (token, claims) in enumerate(zip(tokens, shared, strict=True)):
            said = {**expected, "turn": turn}
            for check in choose.sample(CHECKS_OF_CLAIMS, len(CHECKS_OF_CLAIMS)):
                check(claims, said)
            assert verifier.verify(token) == said

    at_once(*(lambda thread=thread: use(thread) for thread in range(THREADS)))

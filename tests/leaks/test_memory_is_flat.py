"""Memory stays flat however often things are done: nothing is kept that was let go."""

from __future__ import annotations

import gc
import itertools
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import (
    ExpiringCache,
    InvalidAccessToken,
    RevocationList,
    SessionManager,
    new_token,
)


def resident() -> int:
    """Bytes this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def sessions() -> Callable[[], Any]:
    clock = FakeClock(1_700_000_000.0)
    manager = SessionManager(SECRET, issuer="i", audience="a", clock=clock, verified_cache_size=64)

    def once() -> None:
        tokens = manager.create({"roles": ["user"]}, subject="uid1")
        manager.read(tokens.access_token)["roles"]
        manager.update(tokens.refresh_token)
        manager.restrict_all("uid1")
        manager.delete_all("uid1")
        with pytest.raises(InvalidAccessToken):
            manager.read(tokens.access_token)
        clock.advance(10)

    return once


def reads() -> Callable[[], Any]:
    manager = SessionManager(SECRET, issuer="i", audience="a", verified_cache_size=64)
    tokens = [
        manager.create({"n": n, "roles": [{}]}, subject="uid1").access_token for n in range(200)
    ]
    turn = itertools.cycle(
        [*tokens, *(token[:-3] for token in tokens), *(["".join(tokens[0])] * 400)]
    )

    def once() -> None:
        try:
            manager.read(next(turn)).get("roles")
        except InvalidAccessToken:
            pass

    return once


def looks() -> Callable[[], Any]:
    """Claims of tokens never seen, asked for one by one, all at once, or not at all."""
    manager = SessionManager(SECRET, issuer="i", audience="a", verified_cache_size=64)
    tokens = [
        manager.create({f"n{n}": "x", "roles": ["a"]}, subject=f"uid{n}").access_token
        for n in range(300)
    ]
    uses: list[Callable[[Any], Any]] = [
        lambda claims: claims.subject,
        lambda claims: claims["roles"],
        lambda claims: claims.get("z"),
        lambda claims: (claims["sub"], claims["aud"]),
        lambda claims: (claims.to_dict(), claims.session_id),
        lambda claims: None,
    ]
    # The uses and the tokens have no common measure: so each use comes to each token.
    turn = zip(itertools.cycle(tokens[:299]), itertools.cycle(uses), strict=False)

    def once() -> None:
        token, use = next(turn)
        use(manager.read("".join((token[:9], token[9:]))))

    return once


def caches() -> Callable[[], Any]:
    clock = FakeClock(0.0)
    cache: ExpiringCache[Any, Any] = ExpiringCache(
        500, ttl=5, on_remove=lambda key, value, reason: None, clock=clock
    )
    numbers = itertools.count()

    def once() -> None:
        number = next(numbers)
        cache[str(number)] = [number]
        cache.get(str(number - 100))
        cache.pop(str(number - 50), None)
        cache.touch(str(number - 10), 60)
        clock.advance(0.01)

    return once


def revocations() -> Callable[[], Any]:
    clock = FakeClock(1_700_000_000.0)
    revoked = RevocationList(clock=clock, timer=clock)

    def once() -> None:
        session_id = new_token(12)
        revoked.revoke(session_id, 60, before=1)
        assert revoked.is_revoked(session_id)
        clock.advance(0.1)

    return once


def subscriptions() -> Callable[[], Any]:
    clock = FakeClock(1_700_000_000.0)
    revoked = RevocationList(clock=clock, timer=clock)
    told: list[str] = []
    revoked.subscribe(lambda session_id, before: told.append(session_id))

    def once() -> None:
        def passing(session_id: str, before: int | None) -> None: ...

        revoked.subscribe(passing)
        session_id = new_token(12)
        revoked.revoke(session_id, 60)
        revoked.unsubscribe(passing)
        assert told.pop() == session_id
        clock.advance(0.1)

    return once


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "kind, times",
    [
        (sessions, 400),
        (reads, 20_000),
        (looks, 20_000),
        (caches, 20_000),
        (revocations, 20_000),
        (subscriptions, 10_000),
    ],
)
def test_memory_is_flat_over_many_operations(
    kind: Callable[[], Callable[[], Any]], times: int
) -> None:
    grew_by(kind, times)


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "kind, times",
    [
        (sessions, 100_000),
        (reads, 3_000_000),
        (looks, 3_000_000),
        (caches, 3_500_000),
        (revocations, 3_500_000),
        (subscriptions, 500_000),
    ],
)
def test_memory_is_flat_over_ten_million_operations(
    kind: Callable[[], Callable[[], Any]], times: int
) -> None:
    grew_by(kind, times)


def grew_by(kind: Callable[[], Callable[[], Any]], times: int) -> None:
    """Run a third of the times to warm up, then check that the rest left nothing behind.

    Nothing means less than a byte an operation and 4 MiB of noise.
    """
    once = kind()
    for _ in range(times // 3):
        once()
    gc.collect()
    before, objects = resident(), len(gc.get_objects())
    for _ in range(times):
        once()
    gc.collect()
    assert len(gc.get_objects()) - objects < 2000
    assert resident() - before < 4 * 2**20 + times

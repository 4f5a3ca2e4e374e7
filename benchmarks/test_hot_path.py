"""What a request costs: ``make bench``. Compiled beside pure, beside what one would use without tokenwheel.

Each round makes 100 calls, since a clock can't time one of 50 ns; so divide by 100. Texts are made afresh for every round, as a server
makes them from what it receives: a text used before knows its hash already, which flatters every dict. Figures differ between machines
and moments: compare within one run, and quote ratios. That the answers are right is asserted beside the timing, and nothing about speed.
"""

from __future__ import annotations

import importlib
import secrets
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jwt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tokenwheel import Key, KeySet, SessionManager, SessionTokens, implementation

CALLS = 100
ROUNDS = 200
ISSUER, AUDIENCE = "auth.example", "api.example"
KEYS = {algorithm: Key.generate(algorithm) for algorithm in ("HS256", "ES256", "EdDSA")}
OURS = ["native", "pure"]


def load(name: str, which: str) -> ModuleType:
    return importlib.import_module(f"tokenwheel._{which}.{name}")


def time_calls(benchmark: BenchmarkFixture, call: Callable[[Any], Any], make_inputs: Callable[[], Sequence[Any]], expected: Any) -> None:
    """Times 100 calls a round, one for each of the inputs, which are made anew before every round and outside of its time."""

    def hundred(inputs: Sequence[Any]) -> None:
        for one in inputs:
            call(one)

    assert [call(one) for one in make_inputs()] == [expected] * CALLS
    benchmark.pedantic(hundred, setup=lambda: ((make_inputs(),), {}), rounds=ROUNDS, warmup_rounds=5)


def issue(algorithm: str) -> SessionTokens:
    manager = SessionManager(KeySet(KEYS[algorithm]), issuer=ISSUER, audience=AUDIENCE)
    return manager.create({"role": "user", "name": "John"}, subject="uid1")


def make_verifier(algorithm: str, which: str, cache_size: int) -> Any:
    return load("verifier", which).Verifier(
        (KEYS[algorithm],),
        issuer=ISSUER,
        audience=(AUDIENCE,),
        leeway=0.0,
        largest_leeway=60.0,
        cache_size=cache_size,
        clock=time.time,
        revocations=load("revocations", which).RevocationTable(clock=time.time),
    )


def decode_with_pyjwt(algorithm: str) -> Callable[[str], Any]:
    key = KEYS[algorithm]
    material = key._secret if key._public is None else key._public
    return lambda token: jwt.decode(token, material, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER)


def copies(text: str) -> Callable[[], list[str]]:
    raw = text.encode()
    return lambda: [raw.decode() for _ in range(CALLS)]


@pytest.mark.benchmark(group="read, a token seen before")
@pytest.mark.parametrize("which", [*OURS, "a dict of seen tokens, nothing checked"])
def test_read_seen(benchmark: BenchmarkFixture, which: str) -> None:
    token = issue("HS256").access_token
    claims = jwt.decode(token, options={"verify_signature": False})
    read = make_verifier("HS256", which, 65_536).verify if which in OURS else {token: claims}.__getitem__
    time_calls(benchmark, read, copies(token), claims)


@pytest.mark.benchmark(group="read, a token not seen before")
@pytest.mark.parametrize("which", [*OURS, f"PyJWT {jwt.__version__}"])
@pytest.mark.parametrize("algorithm", KEYS)
def test_read_unseen(benchmark: BenchmarkFixture, algorithm: str, which: str) -> None:
    token = issue(algorithm).access_token
    claims = jwt.decode(token, options={"verify_signature": False})
    read = make_verifier(algorithm, which, 0).verify if which in OURS else decode_with_pyjwt(algorithm)
    time_calls(benchmark, read, copies(token), claims)


@pytest.mark.benchmark(group="create and update, storage in memory")
@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("call", ["create", "update"])
def test_create_and_update(benchmark: BenchmarkFixture, call: str, algorithm: str) -> None:
    """With the implementation that is chosen: ``TOKENWHEEL_IMPL`` chooses the other."""
    manager = SessionManager(KeySet(KEYS[algorithm]), issuer=ISSUER, audience=AUDIENCE)
    benchmark.extra_info["implementation"] = implementation
    latest = [manager.create({"role": "user"}, subject="uid1").refresh_token]

    def create(_: int) -> bool:
        return manager.create({"role": "user"}, subject="uid1").access_token.count(".") == 2

    def update(_: int) -> bool:
        before, latest[0] = latest[0], manager.update(latest[0], {"role": "user"}).refresh_token
        return before != latest[0]

    time_calls(benchmark, create if call == "create" else update, lambda: range(CALLS), True)


@pytest.mark.benchmark(group="sign, without a session")
@pytest.mark.parametrize("algorithm", KEYS)
def test_encode_with_pyjwt(benchmark: BenchmarkFixture, algorithm: str) -> None:
    key = KEYS[algorithm]
    material = key._secret if key._private is None else key._private
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "uid1", "sid": "A" * 16, "iat": 1, "exp": 4_000_000_000, "role": "user"}
    time_calls(benchmark, lambda _: jwt.encode(claims, material, algorithm).count("."), lambda: range(CALLS), 2)


@pytest.mark.benchmark(group="is_revoked, among 100,000")
@pytest.mark.parametrize("which", [*OURS, "a set, nothing expires"])
@pytest.mark.parametrize("is_there", [True, False], ids=["revoked", "not revoked"])
def test_is_revoked(benchmark: BenchmarkFixture, which: str, is_there: bool) -> None:
    ids = [secrets.token_urlsafe(12) for _ in range(100_000)]
    if which in OURS:
        table = load("revocations", which).RevocationTable(clock=time.time)
        for one in ids:
            table.revoke(one, 900)
        ask = table.is_revoked
    else:
        ask = set(ids).__contains__
    asked = [one.encode() for one in (ids[:CALLS] if is_there else (secrets.token_urlsafe(12) for _ in range(CALLS)))]
    time_calls(benchmark, ask, lambda: [one.decode() for one in asked], is_there)


@pytest.mark.benchmark(group="cache of 100,000 entries")
@pytest.mark.parametrize("which", [*OURS, "dict, nothing expires"])
@pytest.mark.parametrize("operation", ["get", "miss", "set"])
def test_cache(benchmark: BenchmarkFixture, operation: str, which: str) -> None:
    cache: Any = load("cache", which).ExpiringCache(ttl=900) if which in OURS else {}
    names = [secrets.token_urlsafe(18) for _ in range(100_000)]
    for name in names:
        cache[name] = "value"
    asked = [name.encode() for name in (names[:CALLS] if operation != "miss" else (secrets.token_urlsafe(18) for _ in range(CALLS)))]
    call = {"get": cache.get, "miss": cache.get, "set": lambda name: cache.__setitem__(name, "value")}[operation]
    time_calls(benchmark, call, lambda: [name.decode() for name in asked], "value" if operation == "get" else None)


@pytest.mark.benchmark(group="a token of 24 random bytes")
@pytest.mark.parametrize("which", [*OURS, "secrets.token_urlsafe"])
def test_new_token(benchmark: BenchmarkFixture, which: str) -> None:
    make = load("tokens", which).new_token if which in OURS else secrets.token_urlsafe
    assert len({make(24) for _ in range(1_000)}) == 1_000
    benchmark.pedantic(lambda: [make(24) for _ in range(CALLS)], rounds=ROUNDS, warmup_rounds=5)

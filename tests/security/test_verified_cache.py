"""Attacks on the memory of verified tokens (fast-jwt has had two advisories on its cache).

Nothing gets in that did not verify, and what can change is checked again at each read.
"""

from __future__ import annotations

import gc
import importlib
import random
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from tests.support import KEY, SECRET, FakeClock, forge, refused, secret_of, with_claims
from tests.twins.conftest import TWINS
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    InvalidAccessToken,
    Key,
)

OTHER_TOKEN = (
    "three parts|header is not|'alg' is not that|'typ' is another|signature is not by a key"
)


class Bench:
    """A verifier, and tokens it would issue itself."""

    def __init__(self, implementation: str, **options: Any) -> None:
        self.clock = FakeClock(1_700_000_000.0)
        module = importlib.import_module(f"tokenwheel._{implementation}.verifier")
        self.revocations = importlib.import_module(
            f"tokenwheel._{implementation}.revocations"
        ).RevocationTable(clock=self.clock)
        options = {
            "leeway": 0,
            "largest_leeway": 60,
            "cache_size": 100,
            "clock": self.clock,
            **options,
        }
        self.verifier = module.Verifier(
            options.pop("keys", [KEY]),
            issuer="i",
            audience=("a",),
            revocations=self.revocations,
            **options,
        )

    def token(self, number: int = 0, **claims: Any) -> str:
        now = int(self.clock.now)
        claims = {
            "iss": "i",
            "aud": ["a", "b"],
            "sub": "uid1",
            "sid": f"{number:016d}",
            "iat": now,
            "exp": now + 900,
            "n": number,
            **claims,
        }
        return jwt.encode(claims, SECRET, headers={"typ": "at+jwt"})

    def read(self, token: str, **options: Any) -> Any:
        return self.verifier.verify(token, **options)


@pytest.fixture(params=TWINS)
def make(request: pytest.FixtureRequest) -> Callable[..., Bench]:
    return lambda **options: Bench(request.param, **options)


def test_a_remembered_token_still_expires(make: Callable[..., Bench]) -> None:
    bench = make()
    token = bench.token(exp=int(bench.clock.now) + 60)
    bench.read(token)
    assert bench.verifier.remembered == 1
    bench.clock.advance(60)
    with pytest.raises(AccessTokenExpired):
        bench.read(token)
    assert bench.read(token, leeway=1)["n"] == 0
    with pytest.raises(AccessTokenExpired):
        bench.read(token)


def test_a_remembered_token_is_refused_where_the_clock_runs_back_before_it(
    make: Callable[..., Bench],
) -> None:
    for name in ("iat", "nbf"):
        bench = make()
        token = bench.token(**{name: int(bench.clock.now)})
        bench.read(token)
        bench.clock.advance(-5)
        with pytest.raises(AccessTokenNotYetValid):
            bench.read(token)
        assert bench.read(token, leeway=5)["n"] == 0


def test_a_remembered_token_is_revoked_at_once_and_good_again_when_the_revocation_is_over(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    first, second = bench.token(), bench.token(gen=1)
    for token in (first, second):
        bench.read(token)
    bench.revocations.revoke("0" * 16, 10, before=1)
    with pytest.raises(AccessTokenRevoked):
        bench.read(first)
    assert bench.read(second)["gen"] == 1
    bench.revocations.revoke("0" * 16, 10)
    with pytest.raises(AccessTokenRevoked):
        bench.read(second)
    bench.clock.advance(10)
    assert bench.read(first)["n"] == 0


def test_a_token_remembered_for_one_audience_serves_no_other(make: Callable[..., Bench]) -> None:
    bench = make()
    token, foreign = bench.token(), bench.token(aud="b")
    assert bench.read(foreign, audience="b")["aud"] == "b"
    for _ in range(2):
        with pytest.raises(InvalidAccessToken, match="for another audience"):
            bench.read(foreign)
        with pytest.raises(InvalidAccessToken, match="for another audience"):
            bench.read(token, audience="c")
    assert bench.read(token, audience=["c", "b"])["n"] == 0
    assert bench.read(token)["n"] == 0


def test_no_refusal_is_remembered_as_a_success_nor_the_other_way_round(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    good = bench.token()
    header, payload, signature = good.split(".")
    other = bench.token(1, sub="root").split(".")[1]
    for _ in range(3):
        refused(bench.read, f"{header}.{other}.{signature}", "signature is not by a key")
        refused(bench.read, f"{header}.{payload}{signature}", "has three parts")
        refused(bench.read, good[:-1], "not canonical base64url|signature is not by a key")
        assert bench.read(good)["sub"] == "uid1"
    assert bench.verifier.remembered == 1


def test_a_token_that_differs_anywhere_is_another_token(make: Callable[..., Bench]) -> None:
    """A cache keyed by a prefix, a suffix or a weak hash would take one for the other."""
    bench = make()
    good = bench.token()
    bench.read(good)
    for place in range(len(good)):
        changed = f"{good[:place]}{'A' if good[place] != 'A' else 'B'}{good[place + 1 :]}"
        with pytest.raises(InvalidAccessToken, match=OTHER_TOKEN):
            bench.read(changed)


class Credulous:
    """A key that takes every signature, so that any number of good tokens end alike."""

    algorithm, kid, _secret = "ES256", None, None

    def sign(self, message: bytes) -> bytes:
        return b"s" * 64

    def verify(self, message: bytes, signature: bytes) -> bool:
        return True


def alike(number: int) -> str:
    """Return a token that differs from its like in one claim only.

    All have the same header, the same signature and the same length.
    """
    return forge(with_claims(sub=f"uid{number:06d}"), Credulous())


@pytest.mark.parametrize("size", [1, 2, 3, 10, 100])
def test_cve_2026_35039_tokens_that_fall_on_one_place_are_not_taken_for_each_other(
    make: Callable[..., Bench], size: int
) -> None:
    """fast-jwt: a key of the cache that two tokens shared gave one caller the other's claims."""
    bench = make(keys=[Credulous()], cache_size=size)
    choose = random.Random(size)
    tokens = [alike(number) for number in range(30)]
    assert 1 == len({token[-16:] for token in tokens}) == len({len(token) for token in tokens})
    for number in [*range(30), *range(30), *(choose.randrange(30) for _ in range(300))]:
        assert f"uid{number:06d}" == bench.read("".join(tokens[number])).subject
    assert min(size, 30) == bench.verifier.remembered
    bench.verifier.set_keys([KEY])
    for token in tokens:
        refused(bench.read, token, "'alg' is not that of its key")


def test_cve_2026_107719_no_token_outlives_its_exp_in_memory_and_none_without_iat_gets_there(
    make: Callable[..., Bench],
) -> None:
    """fast-jwt: it took the end of a remembered token from ``exp`` only where there was an ``iat``.

    ``iat`` is optional there.
    """
    bench = make()
    claims = {"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "exp": int(bench.clock.now) + 60}
    without = jwt.encode(claims, SECRET, headers={"typ": "at+jwt"})
    with_iat = jwt.encode({**claims, "iat": 0}, SECRET, headers={"typ": "at+jwt"})
    for _ in range(2):
        with pytest.raises(InvalidAccessToken, match="iat"):
            bench.read(without)
        assert bench.read(with_iat).issued_at == 0
    assert bench.verifier.remembered == 1
    bench.clock.advance(60)
    with pytest.raises(AccessTokenExpired):
        bench.read(with_iat)


def test_cve_2026_48524_unknown_keys_in_any_number_drive_nothing_out(
    make: Callable[..., Bench],
) -> None:
    """PyJWT: tokens that name keys nobody has emptied the cache of keys.

    Here only tokens that verified ever get in.
    """
    verified: list[bytes] = []

    class Counting(Credulous):
        def verify(self, message: bytes, signature: bytes) -> bool:
            verified.append(message)
            return signature == b"s" * 64

    bench = make(keys=[Counting()], cache_size=2)
    first, second = alike(1), alike(2)
    for number in range(50):
        assert (bench.read(first).subject, bench.read(second).subject) == ("uid000001", "uid000002")
        unknown = forge(with_claims(sub="uid000001"), Credulous(), kid=str(number))
        with pytest.raises(InvalidAccessToken, match="names no key of this service"):
            bench.read(unknown)
        with pytest.raises(InvalidAccessToken, match="signature is not by a key"):
            bench.read(alike(1000 + number)[:-4] + "AAAA")
    assert len(verified) == 2 + 50


def test_a_token_that_is_verified_twice_at_once_is_remembered_once(
    make: Callable[..., Bench],
) -> None:
    class Reentering(Credulous):
        def verify(self, message: bytes, signature: bytes) -> bool:
            if len(depths) < 3:
                depths.append(len(depths))
                assert bench.read(alike(1)).subject == "uid000001"
            return True

    depths: list[int] = []
    bench = make(keys=[Reentering()])
    assert bench.read(alike(1)).subject == "uid000001"
    once = make(keys=[Credulous()])
    once.read(alike(1))
    assert (3, 1, once.verifier.remembered_bytes) == (
        len(depths),
        bench.verifier.remembered,
        bench.verifier.remembered_bytes,
    )


def test_memory_does_not_grow_with_the_tokens_that_come_and_go(make: Callable[..., Bench]) -> None:
    bench = make(keys=[Credulous()], cache_size=4)
    for number in range(200):
        bench.read(alike(number))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1000, 5000):
            bench.read(alike(number))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert grown < 30_000, (
        "a word for each of 4,000 tokens that came and went would be 32,000 bytes; "
        "those remembered take 8,000"
    )
    assert bench.verifier.remembered == 4


def test_the_number_of_remembered_tokens_is_bounded_and_answers_stay_right(
    make: Callable[..., Bench],
) -> None:
    for size in (0, 1, 2, 3, 50):
        bench = make(cache_size=size)
        tokens = [bench.token(number) for number in range(120)]
        choose = random.Random(size)
        for _ in range(600):
            number = min(int(choose.expovariate(0.05)), 119)
            assert bench.read("".join(tokens[number]))["n"] == number
            assert bench.verifier.remembered <= size
        assert bench.verifier.remembered == size


def test_the_memory_of_remembered_tokens_is_bounded(make: Callable[..., Bench]) -> None:
    bench = make(cache_bytes=50_000, cache_size=10_000)
    for number in range(200):
        assert bench.read(bench.token(number, filler="x" * (number % 50) * 20))["n"] == number
        assert bench.verifier.remembered_bytes <= 50_000
    assert 5 < bench.verifier.remembered < 50
    small = make(cache_bytes=10)
    assert small.read(small.token())["n"] == 0
    assert (small.verifier.remembered, small.verifier.remembered_bytes) == (0, 0)


def test_tokens_asked_for_over_and_over_outlive_those_seen_once(make: Callable[..., Bench]) -> None:
    verified: list[bytes] = []

    class Spy:
        algorithm, kid, _secret = "ES256", None, None

        def __init__(self) -> None:
            self.key = Key.generate("ES256")

        def verify(self, message: bytes, signature: bytes) -> bool:
            verified.append(message)
            return self.key.verify(message, signature)

        def sign(self, message: bytes) -> bytes:
            return self.key.sign(message)

    spy = Spy()
    bench = make(keys=[spy], cache_size=20)

    def token(number: int) -> str:
        return forge(with_claims(n=number), spy)

    popular = [token(number) for number in range(5)]
    for number in range(100):
        for remembered in popular:
            bench.read(remembered)
        bench.read(token(1000 + number))
    assert len(verified) <= 100 + 5 + 5


def test_keys_that_change_empty_the_memory(make: Callable[..., Bench]) -> None:
    bench = make()
    token = bench.token()
    bench.read(token)
    bench.verifier.set_keys([Key.from_secret(secret_of("x"))])
    assert (bench.verifier.remembered, bench.verifier.remembered_bytes) == (0, 0)
    refused(bench.read, token, "signature is not by a key")
    bench.verifier.set_keys([KEY])
    assert bench.read(token)["n"] == 0


def test_a_token_verified_by_a_key_that_leaves_meanwhile_is_not_remembered(
    make: Callable[..., Bench],
) -> None:
    class Leaving:
        algorithm, kid, _secret = "ES256", None, None

        def verify(self, message: bytes, signature: bytes) -> bool:
            bench.verifier.set_keys([KEY])
            return True

    bench = make(keys=[Leaving()])
    token = forge(key=Credulous())
    assert bench.read(token).subject == "uid1"
    assert bench.verifier.remembered == 0
    refused(bench.read, token, "'alg' is not that of its key")


def test_threads_read_the_same_and_different_tokens_while_keys_change(
    make: Callable[..., Bench],
) -> None:
    bench = make(cache_size=30)
    tokens = [bench.token(number) for number in range(60)]
    gate = threading.Barrier(8)

    def work(seed: int) -> None:
        choose = random.Random(seed)
        gate.wait()
        for turn in range(400):
            number = choose.randrange(60)
            assert bench.read(tokens[number])["n"] == number
            if turn % 100 == seed:
                bench.verifier.set_keys([KEY])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert bench.verifier.remembered <= 30


def test_a_verifier_is_released_with_all_it_remembers(make: Callable[..., Bench]) -> None:
    bench = make()
    for number in range(50):
        bench.read(bench.token(number))
    kind = type(bench.verifier)
    del bench
    gc.collect()
    assert not [
        tracked
        for tracked in gc.get_objects()
        if type(tracked) is kind and tracked.remembered == 50
    ]

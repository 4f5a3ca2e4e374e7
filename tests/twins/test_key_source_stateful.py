"""Tokens are read by the keys that the last look, or a miss, has found, and by no others.

Invariant: whatever happens to the keys outside and to the clock, verifiers that remember nothing, a
single token or a few, compiled or pure, give every token the answer of a model of a few lines, and
have looked exactly as often as it.
"""

from __future__ import annotations

import importlib
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import FakeClock, forge, secret_of, with_claims
from tests.twins.conftest import TWINS
from tokenwheel import Key, StorageUnavailable, TokenwheelError

NOW = 1_700_000_000.0
SIZES = (0, 1, 3)
KEYS = {
    "first": Key.from_secret(secret_of("first"), kid="kid"),
    "first, of another secret": Key.from_secret(secret_of("second"), kid="kid"),
    "first, of another algorithm": Key.from_secret(secret_of("third", 64), "HS512", kid="kid"),
    "second": Key.from_secret(secret_of("fourth"), kid="another kid"),
    "without kid": Key.from_secret(secret_of("fifth")),
}
TOKENS = [
    (name, expires, forge(with_claims(iat=0, exp=NOW + expires), KEYS[name]))
    for name in KEYS
    for expires in (3, 1_000)
]


def named_apart(names: list[str]) -> tuple[str, ...]:
    """Return names of keys, of which no two share kid and algorithm."""
    return tuple({(KEYS[name].kid, KEYS[name].algorithm): name for name in names}.values())


class Outside:
    """What the keys come from: what it holds, whether it can be reached, and what a miss does."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ("first",)
        self.is_reached = True
        self.is_asked_at_a_miss = True


class Source:
    """Brings keys from outside to one verifier."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.names = outside.names
        self.verifier: Any = None
        self.looks = self.misses = 0

    def take(self) -> None:
        if not self.outside.is_reached:
            raise StorageUnavailable("out of reach")
        if self.names != self.outside.names:
            self.names = self.outside.names
            self.verifier.set_keys([KEYS[name] for name in self.names])

    def look(self) -> None:
        self.looks += 1
        self.take()

    def miss(self) -> None:
        self.misses += 1
        if self.outside.is_asked_at_a_miss:
            self.take()


class Model:
    """What one verifier must answer, which remembers nothing."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.names = outside.names
        self.looked_at: float | None = None
        self.looks = self.misses = 0

    def answer(self, name: str, expires: int, now: float) -> str:
        if self.looked_at is None or not 0 <= now - self.looked_at < 0.9:
            self.looks += 1
            self.looked_at = now if self.outside.is_reached else None
            if not self.outside.is_reached:
                return "StorageUnavailable"
            self.names = self.outside.names
        if not self.has_named(name):
            self.misses += 1
            if self.outside.is_asked_at_a_miss:
                if not self.outside.is_reached:
                    return "StorageUnavailable"
                self.names = self.outside.names
        if name not in self.names:
            return "InvalidAccessToken"
        return "accepted" if now < NOW + expires else "AccessTokenExpired"

    def has_named(self, name: str) -> bool:
        key = KEYS[name]
        return (key.kid, key.algorithm) in {
            (KEYS[other].kid, KEYS[other].algorithm) for other in self.names
        }


class Readers(RuleBasedStateMachine):
    @initialize()
    def make(self) -> None:
        self.clock = FakeClock(NOW)
        self.outside = Outside()
        self.model = Model(self.outside)
        self.sources: list[Source] = []
        for twin in TWINS:
            table = importlib.import_module(f"tokenwheel._{twin}.revocations").RevocationTable
            make = importlib.import_module(f"tokenwheel._{twin}.verifier").Verifier
            for size in SIZES:
                source = Source(self.outside)
                source.verifier = make(
                    [KEYS["first"]],
                    issuer="i",
                    audience=("a",),
                    leeway=0,
                    largest_leeway=60,
                    cache_size=size,
                    clock=self.clock,
                    revocations=table(clock=self.clock),
                    key_source=source,
                )
                self.sources.append(source)

    @rule(number=st.integers(0, len(TOKENS) - 1))
    def read(self, number: int) -> None:
        name, expires, token = TOKENS[number]
        expected = self.model.answer(name, expires, self.clock.now)
        for source in self.sources:
            assert self.answer(source.verifier, token) == expected

    def answer(self, verifier: Any, token: str) -> str:
        try:
            verifier.verify("".join(token))
        except TokenwheelError as error:
            return type(error).__name__
        return "accepted"

    @rule(numbers=st.lists(st.integers(0, len(TOKENS) - 1), max_size=20))
    def read_many(self, numbers: list[int]) -> None:
        for number in numbers:
            self.read(number)

    @rule(names=st.lists(st.sampled_from([*KEYS]), max_size=5).map(named_apart))
    def change_keys(self, names: tuple[str, ...]) -> None:
        self.outside.names = names

    @rule(is_reached=st.booleans(), is_asked_at_a_miss=st.booleans())
    def change_reach(self, is_reached: bool, is_asked_at_a_miss: bool) -> None:
        self.outside.is_reached = is_reached
        self.outside.is_asked_at_a_miss = is_asked_at_a_miss

    @rule(seconds=st.sampled_from([0.25, 0.5, 0.75, 1.0, 1.5, 5.0, -0.25, -1.0, -5.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_verifier_has_asked_as_often_as_the_model(self) -> None:
        for number, source in enumerate(self.sources):
            assert (source.looks, source.misses) == (self.model.looks, self.model.misses)
            source.verifier._check()
            assert source.verifier.remembered <= SIZES[number % len(SIZES)]


TestReaders = Readers.TestCase

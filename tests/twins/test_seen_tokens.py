"""A token that was seen is asked about anew after every change that can make it refused.

What was found "not revoked" is believed until something is added to the table, or the clock has
gone back. Here is every way in which that could be out of date.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import KEY, FakeClock, forge, secret_of, with_claims
from tests.twins.conftest import TWINS
from tokenwheel import AccessTokenRevoked, Key, TokenwheelError

NOW = 1_800_000_000.0
SESSION = "A" * 16
TOKEN = forge(with_claims(gen=1))


class Service:
    """A verifier, its table, and the two clocks of them."""

    def __init__(self, made: Any, **options: Any) -> None:
        self.clock, self.their_clock = FakeClock(NOW), FakeClock(NOW)
        self.table = made.Table(clock=self.their_clock, timer=FakeClock(0.0))
        self.verifier = made.Verifier(
            [KEY], **made.options(clock=self.clock, revocations=self.table, **options)
        )

    def accepts(self, token: str = TOKEN) -> bool:
        try:
            self.verifier.verify(token)
        except AccessTokenRevoked:
            return False
        return True


@pytest.fixture
def service(made: Any) -> Service:
    service = Service(made)
    assert all(service.accepts() for _ in range(3))
    return service


@pytest.mark.parametrize(
    "revoke",
    [
        lambda table: table.revoke(SESSION, 10),
        lambda table: table.revoke(SESSION, 10, before=2),
        lambda table: table.revoke_until(SESSION, NOW + 10),
        lambda table: table.revoke_each([("B" * 16, NOW + 10, None), (SESSION, NOW + 10, 2)]),
    ],
)
def test_a_seen_token_is_refused_from_the_revocation_on_and_good_again_after_it(
    service: Service, revoke: Callable[[Any], None]
) -> None:
    revoke(service.table)
    assert not any(service.accepts() for _ in range(3))
    service.clock.advance(10)
    service.their_clock.advance(10)
    assert all(service.accepts() for _ in range(3))


def test_a_seen_token_is_refused_once_its_generation_is(service: Service) -> None:
    service.table.revoke(SESSION, 100, before=1)
    assert service.accepts()
    service.table.revoke(SESSION, 5, before=2)
    assert not service.accepts()


def test_a_seen_token_is_refused_for_as_long_as_the_longest_revocation(service: Service) -> None:
    service.table.revoke(SESSION, 10, before=2)
    service.their_clock.advance(9)
    service.table.revoke(SESSION, 10, before=1)  # refuses no more, and for longer
    service.clock.advance(15)
    service.their_clock.advance(6)
    assert not service.accepts()


def test_a_token_of_every_session_is_refused_by_its_own_revocation_alone(made: Any) -> None:
    service = Service(made, cache_size=2000)
    sessions = [f"{number:016d}" for number in range(600)]
    tokens = [forge(with_claims(sid=session)) for session in sessions]
    assert all(service.accepts(token) for token in tokens * 2)
    for place, session in enumerate(sessions):
        assert service.accepts(tokens[place])
        service.table.revoke(session, 10)
        assert not service.accepts(tokens[place])
    assert not any(service.accepts(token) for token in tokens)


@pytest.mark.parametrize("moved", ["clock", "their_clock"])
def test_a_seen_token_is_refused_again_where_a_clock_goes_back(
    service: Service, moved: str
) -> None:
    """A revocation that was over by both clocks is not over any more by one of them."""
    service.table.revoke(SESSION, 10)
    service.clock.advance(20)
    service.their_clock.advance(20)
    assert all(service.accepts() for _ in range(3))
    getattr(service, moved).advance(-15)
    assert not any(service.accepts() for _ in range(3))
    getattr(service, moved).advance(15)
    assert service.accepts()
    getattr(service, moved).advance(-10.5)
    assert not service.accepts()


def test_a_token_first_seen_after_its_revocation_was_over_is_refused_where_the_clock_goes_back(
    made: Any,
) -> None:
    service = Service(made)
    service.table.revoke(SESSION, 10)
    service.clock.advance(11)
    service.their_clock.advance(11)
    assert service.accepts()
    service.clock.advance(-2)
    assert not service.accepts()


def test_news_that_a_read_takes_in_refuses_the_seen_token_in_that_very_read(
    service: Service,
) -> None:
    doorbell = bytearray(8)
    news: list[str] = []
    service.table.before_lookup = lambda: [service.table.revoke(session, 10) for session in news]
    service.table.watch(doorbell)
    assert all(service.accepts() for _ in range(3))
    news.append(SESSION)
    assert service.accepts()  # Nobody has rung.
    doorbell[0] = 1
    assert not service.accepts()


def test_news_is_taken_in_by_seen_tokens_after_a_second_of_silence(service: Service) -> None:
    news: list[str] = []
    service.table.before_lookup = lambda: [service.table.revoke(session, 10) for session in news]
    service.table.watch(bytearray(8))
    assert all(service.accepts() for _ in range(3))
    news.append(SESSION)
    service.their_clock.advance(1)
    assert not service.accepts()


@pytest.mark.parametrize("asked", ["clock", "their_clock"])
def test_a_clock_that_revokes_while_a_read_asks_it_refuses_the_seen_token_in_that_read(
    made: Any, asked: str
) -> None:
    revokes = False

    def clock() -> float:
        nonlocal revokes
        if revokes:
            revokes = False  # The table reads its clock at that, too.
            table.revoke_until(SESSION, NOW + 10)
        return NOW

    clocks: dict[str, Any] = {"clock": lambda: NOW, "their_clock": lambda: NOW, asked: clock}
    table = made.Table(clock=clocks["their_clock"], timer=FakeClock(0.0))
    verifier = made.Verifier([KEY], **made.options(clock=clocks["clock"], revocations=table))
    assert [verifier.verify(TOKEN).session_id for _ in range(3)] == [SESSION] * 3
    revokes = True
    with pytest.raises(AccessTokenRevoked):
        verifier.verify(TOKEN)


class CountingKey:
    """A key that counts how often it verifies."""

    kid, algorithm, _secret = None, "HS256", None

    def __init__(self) -> None:
        self.verified = 0

    def verify(self, signed: bytes, signature: bytes) -> bool:
        self.verified += 1
        return KEY.verify(signed, signature)


def test_a_token_that_was_dropped_or_whose_key_was_changed_is_verified_again(made: Any) -> None:
    key = CountingKey()
    service = Service(made, cache_size=1)
    service.verifier.set_keys([key])
    other = forge(with_claims(sid="B" * 16))
    for time in range(1, 4):
        assert all(service.accepts() for _ in range(5))
        assert key.verified == 3 * time - 2
        assert all(service.accepts(other) for _ in range(5))  # Only this fits in.
        assert key.verified == 3 * time - 1
        service.verifier.set_keys([key])
        assert all(service.accepts(other) for _ in range(5))
        assert key.verified == 3 * time
        service.verifier._check()


KEYS = [Key.from_secret(secret_of(name), kid=name) for name in ("one", "two")]
TOKENS = [
    forge(
        with_claims(sid=session * 16, gen=generation, iat=int(NOW) - 1000),
        key,
        {"alg": "HS256", "typ": "at+jwt", "kid": key.kid},
    )
    for key in KEYS
    for session in "AB"
    for generation in (0, 2)
]


class Remembering(RuleBasedStateMachine):
    """Of each twin, verifiers that remember nothing, few and all answer alike.

    They share a table and both clocks, so what is over and kept is the same to them.
    """

    @initialize()
    def make(self) -> None:
        self.clock, self.their_clock = FakeClock(NOW), FakeClock(NOW)
        self.tables: list[Any] = []
        self.verifiers: list[list[Any]] = []
        for name in TWINS:
            modules: dict[str, ModuleType] = {
                module: importlib.import_module(f"tokenwheel._{name}.{module}")
                for module in ("revocations", "verifier")
            }
            table = modules["revocations"].RevocationTable(
                clock=self.their_clock, timer=FakeClock(0.0)
            )
            options: dict[str, Any] = {"issuer": "i", "audience": ("a",), "leeway": 0}
            options |= {"largest_leeway": 60, "clock": self.clock, "revocations": table}
            self.tables.append(table)
            self.verifiers.append(
                [modules["verifier"].Verifier(KEYS, cache_size=n, **options) for n in (0, 2, 9)]
            )

    @rule(texts=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12))
    def read(self, texts: list[str]) -> None:
        for text in texts:
            answers = [
                [self.answer(verifier, text) for verifier in verifiers]
                for verifiers in self.verifiers
            ]
            assert all(answer == answers[0][0] for each in answers for answer in each), answers

    def answer(self, verifier: Any, text: str) -> Any:
        try:
            return verifier.verify(text).to_dict()
        except TokenwheelError as error:
            return type(error)

    @rule(
        session=st.sampled_from("AB"),
        ttl=st.sampled_from([1, 10, 100]),
        before=st.sampled_from([None, 1, 3]),
    )
    def revoke(self, session: str, ttl: int, before: int | None) -> None:
        for table in self.tables:
            table.revoke(session * 16, ttl, before=before)

    @rule(seconds=st.sampled_from([-60, -9, -1, 0.5, 1, 11, 60]), both=st.booleans())
    def move_the_clock(self, seconds: float, both: bool) -> None:
        self.clock.advance(seconds)
        if both:
            self.their_clock.advance(seconds)

    @rule(keys=st.sampled_from([KEYS, KEYS[:1], KEYS[1:]]))
    def change_keys(self, keys: list[Key]) -> None:
        for verifiers in self.verifiers:
            for verifier in verifiers:
                verifier.set_keys(keys)

    @invariant()
    def all_is_whole(self) -> None:
        for table in self.tables:
            table._check()
        for verifiers in self.verifiers:
            for verifier in verifiers:
                verifier._check()


TestRemembering = Remembering.TestCase

"""What is remembered changes how long a read takes and nothing else.

Invariant: whatever was read, revoked, or done to the clock and the keys before, a verifier that
remembers nothing, another that remembers a single token and another that remembers a few give the
same answer to every read. So do the compiled verifier and its pure twin.
"""

from __future__ import annotations

import importlib
from typing import Any

import jwt
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import FakeClock, secret_of
from tests.twins.conftest import TWINS
from tokenwheel import Key, TokenwheelError

NOW = 1_700_000_000
SECRETS = {kid: secret_of(str(kid)) for kid in (None, "one", "two")}
KEYS = {kid: Key.from_secret(secret, kid=kid) for kid, secret in SECRETS.items()}
SESSIONS = ["A" * 16, "B" * 16, "C" * 16]
SIZES = (0, 1, 3)


def token(number: int) -> str:
    kid = [None, "one", "two"][number % 3]
    claims = {
        "iss": "i",
        "aud": ["a", "b", "c"][: number % 3 + 1],
        "sub": "u",
        "sid": SESSIONS[number % 2],
        "n": number,
    }
    claims |= {
        "gen": number % 4,
        "iat": NOW - number,
        "nbf": NOW + number % 5,
        "exp": NOW + 20 * number + 10,
    }
    return jwt.encode(
        claims, SECRETS[kid], headers={"typ": "at+jwt", **({"kid": kid} if kid else {})}
    )


TOKENS = [token(number) for number in range(9)]
BAD = [
    TOKENS[0][:-1],
    TOKENS[1] + "A",
    ".".join([*TOKENS[2].split(".")[:2], TOKENS[5].split(".")[2]]),
    "",
    TOKENS[3].swapcase(),
]


class Readers(RuleBasedStateMachine):
    @initialize()
    def make(self) -> None:
        self.clock = FakeClock(NOW)
        self.tables: list[Any] = []
        self.verifiers: list[Any] = []
        for name in TWINS:
            table = importlib.import_module(f"tokenwheel._{name}.revocations").RevocationTable(
                clock=self.clock
            )
            make = importlib.import_module(f"tokenwheel._{name}.verifier").Verifier
            options = {
                "issuer": "i",
                "audience": ("a",),
                "leeway": 0,
                "largest_leeway": 60,
                "clock": self.clock,
                "revocations": table,
            }
            self.tables.append(table)
            self.verifiers += [
                make(list(KEYS.values()), cache_size=size, **options) for size in SIZES
            ]

    def answer(self, verifier: Any, text: str, **options: Any) -> Any:
        try:
            return verifier.verify("".join(text), **options).to_dict()
        except TokenwheelError as error:
            return type(error)

    @rule(
        text=st.sampled_from(TOKENS + BAD),
        leeway=st.sampled_from([None, None, 0, 5, 60, 61]),
        audience=st.sampled_from([None, None, "a", "b", ["c", "b"], "d", ""]),
    )
    def read(self, text: str, leeway: Any, audience: Any) -> None:
        answers = [
            self.answer(verifier, text, leeway=leeway, audience=audience)
            for verifier in self.verifiers
        ]
        assert all(answer == answers[0] for answer in answers), answers

    @rule(numbers=st.lists(st.integers(0, len(TOKENS) - 1), max_size=20))
    def read_many(self, numbers: list[int]) -> None:
        for number in numbers:
            self.read(TOKENS[number], 60, None)

    @rule(seconds=st.sampled_from([-30, -5, -1, 0.5, 1, 5, 10, 30, 60]))
    def let_time_pass(self, seconds: float) -> None:
        for table in self.tables:
            # When a table comes to what is over is its own affair: a clock that runs back must not
            # bring it to light.
            table.expire()
        self.clock.advance(seconds)

    @rule(
        session=st.sampled_from(SESSIONS),
        ttl=st.sampled_from([1, 10, 1000]),
        before=st.sampled_from([None, 1, 2, 3]),
    )
    def revoke(self, session: str, ttl: int, before: int | None) -> None:
        for table in self.tables:
            table.revoke(session, ttl, before=before)

    @rule(kids=st.sets(st.sampled_from([*SECRETS]), min_size=1))
    def change_keys(self, kids: set[str | None]) -> None:
        for verifier in self.verifiers:
            verifier.set_keys([KEYS[kid] for kid in kids])
            assert (verifier.remembered, verifier.remembered_bytes) == (0, 0)

    @invariant()
    def nothing_remembers_more_than_it_may(self) -> None:
        for number, verifier in enumerate(self.verifiers):
            verifier._check()
            assert verifier.remembered <= SIZES[number % len(SIZES)]
            assert (verifier.remembered == 0) == (verifier.remembered_bytes == 0)


TestReaders = Readers.TestCase

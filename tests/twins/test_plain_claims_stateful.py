"""Claims that are kept stay what they were, whatever becomes of the memory they came from.

Invariant: between reads, single looks, whole uses, evictions and new keys, in any order, claims of
both twins say what the token says, and the memory of verified tokens holds together throughout.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import KEY
from tests.twins.asked_claims import GOOD, USES, shown, signed
from tests.twins.differential import TWINS, make_verifier
from tokenwheel import Key

MORE = [
    '"n":1', '"role":"user","n":2', '"roles":["a","b"],"n":3', '"n":-0', '"n":4,"deep":{"a":[1]}',
    '"n":5,"text":"\\u00e9"',
]  # fmt: skip
PAYLOADS = [f"{{{','.join([*GOOD, more])}}}" for more in MORE]
TOKENS = [signed(payload) for payload in PAYLOADS]
OTHER_KEY = Key.generate("HS256", kid="other")
NUMBERS = st.integers(0, len(TOKENS) - 1)
USE = st.sampled_from(sorted(USES))
NAME = st.sampled_from(["sub", "aud", "n", "role", "roles", "deep", "tenant", "exp", "", 7])


class Model:
    """The claims as Python's own JSON reader finds them, asked as claims are."""

    def __init__(self, payload: str) -> None:
        self.claims: dict[str, Any] = json.loads(payload)
        self.subject = self.claims["sub"]
        self.session_id = self.claims["sid"]
        self.issued_at, self.expires_at = self.claims["iat"], self.claims["exp"]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Claims of session {self.session_id!r}>"

    def __eq__(self, other: object) -> bool:
        return self.claims == other

    def __iter__(self) -> Any:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __getitem__(self, name: Any) -> Any:
        return self.claims[name]

    def __contains__(self, name: Any) -> bool:
        return name in self.claims

    def __getattr__(self, name: str) -> Any:
        return self.claims.copy if name == "to_dict" else getattr(self.claims, name)


MODELS = [Model(payload) for payload in PAYLOADS]


class Askers(RuleBasedStateMachine):
    @initialize(size=st.integers(0, 4))
    def make(self, size: int) -> None:
        self.verifiers = [make_verifier(name, [KEY], cache_size=size) for name in TWINS]
        self.kept: list[tuple[int, list[Any]]] = []
        self.knows_key = True

    @rule(number=NUMBERS, steps=st.lists(st.tuples(USE, NAME), max_size=3))
    def read(self, number: int, steps: list[tuple[str, Any]]) -> None:
        if not self.knows_key:
            return
        claims = [verifier.verify("".join(TOKENS[number])) for verifier in self.verifiers]
        self.kept = [*self.kept[-5:], (number, claims)]
        self.ask(-1, steps)

    @rule(place=st.integers(-6, -1), steps=st.lists(st.tuples(USE, NAME), min_size=1, max_size=3))
    def ask(self, place: int, steps: list[tuple[str, Any]]) -> None:
        if len(self.kept) < -place:
            return
        number, claims = self.kept[place]
        expected = shown(MODELS[number], steps)
        for asked in claims:
            assert shown(asked, steps) == expected

    @rule()
    def forget(self) -> None:
        self.kept = []

    @rule(knows_key=st.booleans())
    def change_keys(self, knows_key: bool) -> None:
        self.knows_key = knows_key
        for verifier in self.verifiers:
            verifier.set_keys([KEY, OTHER_KEY] if knows_key else [OTHER_KEY])

    @invariant()
    def the_memory_holds_together(self) -> None:
        for verifier in self.verifiers:
            verifier._check()


TestAskers = Askers.TestCase

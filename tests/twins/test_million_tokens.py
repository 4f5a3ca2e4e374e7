"""The audit of damaged tokens again: 2,600,000 of them before both twins and PyJWT.

Invariant: the twins agree on each, and what they accept, PyJWT accepts with the same claims. Half
of the tokens are good ones that were damaged after they were signed. Of the others header, claims
or key were changed before, so that most have a signature that is good.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fuzz.access_tokens import KEYS, key_of, signed
from tests.fuzz.draw import Draw
from tests.support import forge, with_claims
from tests.twins.differential import (
    NOW,
    TWINS,
    StandingStill,
    decoded_by_pyjwt,
    make_verifier,
    outcome,
)
from tokenwheel import InvalidAccessToken, Key

TOKENS = 2_600_000
PIECES = ["", ".", "=", "-", "_", "A", "AA", "\n", " ", "é", "\0", "eyJhbGciOiJub25lIn0"]


@pytest.fixture(autouse=True)
def _pyjwt_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt.api_jwt.datetime", StandingStill)


def damaged(token: str, chance: random.Random) -> str:
    """Return a token of which a stretch was cut, repeated, replaced or moved."""
    start = chance.randrange(len(token) + 1)
    end = min(len(token), start + chance.choice((0, 1, 1, 2, 4, 40)))
    kind = chance.randrange(4)
    if kind == 0:
        return token[:start] + chance.choice(PIECES) + token[end:]
    if kind == 1:
        return token[:start] + token[start:end] * 2 + token[end:]
    if kind == 2:
        return token[:start] + token[start:end][::-1].swapcase() + token[end:]
    parts = token.split(".")
    chance.shuffle(parts)
    return ".".join(parts[: chance.randrange(1, 5)])


def tokens(key: Key, count: int, chance: random.Random) -> Iterator[str | bytes]:
    good = [
        forge(with_claims(sid=session_id * 16, iat=NOW - 1, exp=NOW + 900), key)
        for session_id in "ABCD"
    ]
    for _ in range(count // 2):
        yield damaged(chance.choice(good), chance)
        yield signed(Draw(bytes([KEYS.index(key)]) + chance.randbytes(60)))


@pytest.mark.long
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_of_millions_of_damaged_tokens_the_twins_and_pyjwt_judge_none_differently(
    key: Key,
) -> None:
    seed = random.randrange(2**32)
    judged: Counter[str] = Counter()
    verifiers = [make_verifier(name, KEYS, cache_size=20) for name in TWINS]
    for token in tokens(key, TOKENS // len(KEYS), random.Random(seed)):
        answers = [outcome(verifier, token) for verifier in verifiers]
        first = answers[0]
        assert all(answer == first for answer in answers), (seed, token, answers)
        if isinstance(first, dict):
            assert decoded_by_pyjwt(token, key_of(token)) == first, (seed, token)
            judged["accepted"] += 1
        else:
            assert issubclass(first, InvalidAccessToken), (seed, token, first)
            judged[first.__name__] += 1
    assert judged.total() == TOKENS // len(KEYS)
    # Tokens that are all alike refused would show little.
    assert judged["accepted"] > judged.total() / 100
    assert judged["InvalidAccessToken"] > judged.total() / 4

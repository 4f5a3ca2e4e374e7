"""Verifying an access token: what every request of an API server pays."""

from __future__ import annotations

import pytest

from .contenders import JWT_LIBRARIES
from .race import FOLDER
from .tokens import write_tokens

ROUNDS = 15
OURS = ["tokenwheel", "tokenwheel_pure"]
ALGORITHMS = ["HS256", "ES256", "RS256", "EdDSA"]
SEEN = [*OURS, "pyjwt_dict", *JWT_LIBRARIES, "fast_jwt_cached"]
UNSEEN = [*OURS, "tokenwheel_uncached", *JWT_LIBRARIES, "cryptography"]
NO_EDDSA = {"python_jose", "jsonwebtoken"}
pairs = [
    (algorithm, name)
    for algorithm in ALGORITHMS
    for name in SEEN
    if algorithm != "EdDSA" or name not in NO_EDDSA
]
unseen_pairs = [
    (algorithm, name)
    for algorithm in ALGORITHMS
    for name in UNSEEN
    if algorithm != "EdDSA" or name not in NO_EDDSA
]


def tokens(algorithm: str, count: int) -> str:
    return str(write_tokens(FOLDER, algorithm, count))


@pytest.mark.parametrize("algorithm,contender", pairs)
def test_read_seen(race, algorithm, contender):
    """A token that was read before, each time as a fresh string, as a server gets it from a socket.

    A client sends the same token with each request for as long as it lives, minutes to hours, so
    this is what nearly every request costs. Libraries that remember nothing verify it again.
    """
    race("reading:Seen", operation="read", rounds=ROUNDS, tokens=tokens(algorithm, 1))


@pytest.mark.parametrize("operation", ALGORITHMS)
@pytest.mark.parametrize("contender", OURS)
def test_read_seen_each(race, contender, operation):
    """A token that was read before, for each algorithm: once remembered, a costly signature costs
    no more than a cheap one.

    Who wants other services to verify tokens without sharing a secret with them need not pay for it
    at each request.
    """
    paths = {algorithm: tokens(algorithm, 1) for algorithm in ALGORITHMS}
    race("reading:SeenOfEach", operation=operation, rounds=ROUNDS, tokens=paths)


@pytest.mark.parametrize("contender", SEEN)
def test_read_seen_thousand(race, contender):
    """A thousand tokens seen before, in turn: as many clients busy at once, more than the
    processor's fastest cache can hold.
    """
    race("reading:Seen", operation="read", rounds=ROUNDS, tokens=tokens("HS256", 1_000))


@pytest.mark.parametrize("algorithm,contender", unseen_pairs)
def test_read_unseen(race, algorithm, contender):
    """Tokens never seen before, through a verifier with its default options.

    The first request after each login or refresh, on every process. To remember the token is part
    of the time of those who do.
    """
    race("reading:Unseen", operation="read", rounds=ROUNDS, tokens=tokens(algorithm, 1_000))


@pytest.mark.parametrize("contender", [*SEEN, "tokenwheel_roomy"])
def test_read_zipf(race, contender):
    """A hundred thousand tokens in Zipf order, the n-th asked for in proportion to 1/n, through a
    verifier with its default options.

    More users than it remembers tokens of, a few busy and most rare: what a large service looks
    like. The mean over hits and misses.
    """
    race("reading:Zipf", operation="read", rounds=ROUNDS, tokens=tokens("HS256", 100_000))

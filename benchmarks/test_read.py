"""Verifying an access token: what every request of an API server pays."""

from __future__ import annotations

import pytest

from .contenders import FORGETFUL, JWT_LIBRARIES
from .race import FOLDER
from .tokens import write_bare_tokens, write_tokens

ROUNDS = 11
OURS = ["tokenwheel", "tokenwheel_pure"]
ALGORITHMS = ["HS256", "ES256", "RS256", "EdDSA"]
REMEMBERING = [*OURS, "pyjwt_dict", "fast_jwt_cached"]
UNSEEN = [*OURS, "tokenwheel_uncached", "released", *JWT_LIBRARIES, "cryptography"]
NO_EDDSA = {"python_jose", "jsonwebtoken"}
pairs = [("HS256", name) for name in [*REMEMBERING, "released", *JWT_LIBRARIES]] + [
    (algorithm, name) for algorithm in ALGORITHMS[1:] for name in [*REMEMBERING, *FORGETFUL]
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
    this is what nearly every request costs. Libraries that remember nothing verify it again, and so
    take what a token never seen takes them: for algorithms other than HS256 three of them stand for
    all.
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


@pytest.mark.parametrize("contender", [*REMEMBERING, "released", *FORGETFUL])
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


@pytest.mark.parametrize("operation", ["the same token", "a thousand in turn"])
@pytest.mark.parametrize(
    "contender", ["tokenwheel", "tokenwheel_million", "tokenwheel_ten_million", "released_million"]
)
def test_read_beside_revocations(race, contender, operation):
    """A token seen before, or a thousand of them in turn, where none, a million or ten million
    other sessions are revoked.

    After a mass logout each request goes on as before: nobody pays for others' revocations.
    """
    race(
        "beside_revocations:BesideRevocations",
        operation=operation,
        rounds=ROUNDS,
        one=tokens("HS256", 1),
        many=tokens("HS256", 1_000),
    )


@pytest.mark.parametrize("contender", ["tokenwheel", "key_file", "remote_keys"])
def test_read_followed(race, contender):
    """A token seen before, by a public key that was handed in, and by the same key in a file and
    behind a URL that are followed.

    A key that changes by itself costs a request nothing: it is looked after once a second.
    """
    race("following:Following", operation="read", rounds=31, tokens=tokens("ES256", 1))


@pytest.mark.parametrize("contender", ["tokenwheel", "measured"])
def test_read_measured(race, contender):
    """A token seen before, by a manager alone, and by the same manager with a collector of
    Prometheus registered.

    Metrics cost a request nothing: events and operations are counted, and reads are not.
    """
    race("measured:Measured", operation="read", rounds=31, tokens=tokens("HS256", 1))


@pytest.mark.parametrize(
    "contender",
    ["tokenwheel", "tokenwheel_pure", "released", *FORGETFUL, "clasp", "webtoken", "fast_jwt"],
)
def test_read_unseen_claim(race, contender):
    """Tokens never seen before, and one claim of the application read of each, through the same
    function around whatever reads the token.

    Who gives a dict has made it by then, whatever of it is asked for; who makes claims when they
    are asked for pays for that here.
    """
    race("reading:UnseenClaim", operation="read", rounds=ROUNDS, tokens=tokens("HS256", 1_000))


@pytest.mark.parametrize(
    "contender", ["tokenwheel_roomy", "released", "tokenwheel_pure", "pyjwt_dict"]
)
def test_remembered(race, contender):
    """A hundred thousand tokens of 300 characters read once, all of them remembered: the time of
    such a first read, and what the memory of a token takes of the process.

    Bytes a token decide how many users the default 64 MiB have room for. A process of its own reads
    them and nothing else.
    """
    race(
        "remembering:Remembering",
        operation="read",
        rounds=1,
        baseline="tokenwheel_roomy",
        tokens=str(write_bare_tokens(FOLDER, 100_000)),
    )


@pytest.mark.parametrize("contender", [*REMEMBERING, "tokenwheel_roomy", *FORGETFUL])
def test_read_zipf(race, contender):
    """A hundred thousand tokens in Zipf order, the n-th asked for in proportion to 1/n, through a
    verifier with its default options.

    More users than it remembers tokens of, a few busy and most rare: what a large service looks
    like. The mean over hits and misses. Three of the libraries that remember nothing stand for all.
    """
    race("reading:Zipf", operation="read", rounds=ROUNDS, tokens=tokens("HS256", 100_000))

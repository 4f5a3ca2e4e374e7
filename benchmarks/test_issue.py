"""Issuing tokens: what a login and a refresh cost."""

from __future__ import annotations

import pytest

from .race import FOLDER
from .tokens import write_tokens

ROUNDS = 11
OURS = [
    "create",
    "update",
    "released_create",
    "released_update",
    "create_pure",
    "update_pure",
]
PEERS = [
    "pyjwt",
    "pyjwt_2_12",
    "pyjwt_dict",
    "joserfc",
    "oxyjwt",
    "ryjwt",
    "fast_jwt",
    "jsonwebtoken",
]


@pytest.mark.parametrize("contender", [*OURS, *PEERS])
def test_issue(race, contender):
    """A session opened, or refreshed with rotation, on storage in memory, signed with HS256; the
    others merely sign the claims.

    A login or refresh needs all of it: the signature, a refresh token from the system's generator,
    its hash, the stored session.
    """
    path = str(write_tokens(FOLDER, "HS256", 1))
    race("issuing:Signing", operation="issue", rounds=ROUNDS, baseline="create", tokens=path)


@pytest.mark.parametrize(
    "contender",
    [
        "tokenwheel",
        "released",
        "tokenwheel_pure",
        "secrets",
        "nanoid_python",
        "nanoid_node",
        "uid_safe",
    ],
)
def test_new_token(race, contender):
    """A random, URL-safe text of 24 bytes: session ids, refresh tokens, and whatever else an
    application must make unguessable.
    """
    race("issuing:RandomTokens", operation="make", rounds=ROUNDS)

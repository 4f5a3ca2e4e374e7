"""Nothing is accepted that PyJWT refuses, and the twins and the manager agree on every token.

A token that is not accepted ends in one of the documented errors. The bytes of the fuzzer are the
token itself, or say how a good token is changed before it is signed, and after.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jwt

from tests.fuzz.draw import Draw
from tests.support import base64url
from tests.twins.differential import (
    LEEWAY,
    NOW,
    TWINS,
    decoded_by_pyjwt,
    make_verifier,
    outcome,
)
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    InvalidAccessToken,
    Key,
    KeySet,
    SessionManager,
    TokenwheelError,
)

KEYS = [
    Key.from_secret(hashlib.sha256(b"k").digest()),
    Key.from_secret(hashlib.sha384(b"n").digest(), "HS384", kid="n"),
    Key.generate("ES256", kid="e"),
    Key.generate("EdDSA", kid="d"),
]
VERIFIERS = [make_verifier(name, KEYS, cache_size=size) for name in TWINS for size in (0, 20)]
MANAGER = SessionManager(
    KeySet(*KEYS), issuer="i", audience=["a", "b"], leeway=LEEWAY, clock=lambda: NOW
)
REFUSALS = (InvalidAccessToken, AccessTokenExpired, AccessTokenNotYetValid)
MEMBERS = ["alg", "typ", "kid", "crit", "b64", "jwk", "cty", "x5c"]
CLAIMS = ["iss", "aud", "sub", "sid", "gen", "iat", "exp", "nbf", "jti", "role"]
DATES = [NOW, NOW + LEEWAY, NOW - LEEWAY, NOW + LEEWAY + 1, NOW - LEEWAY + 0.5, NOW - LEEWAY - 1]
TEXTS = ["i", "a", "b", "A" * 16, "at+jwt", "HS256", "none", "n", "\0", "x" * 256, "\ud800"]


def check(data: bytes) -> None:
    draw = Draw(data)
    token = draw.choice((signed, raw_text, raw_bytes))(draw)
    judge(token)


def raw_text(draw: Draw) -> str:
    return draw.rest().decode("utf-8", "surrogateescape")


def raw_bytes(draw: Draw) -> bytes:
    return draw.rest()


def signed(draw: Draw) -> str | bytes:
    """Return a good token that was changed before it was signed, or after, or both."""
    key = draw.choice(KEYS)
    header: Any = {"alg": key.algorithm, "typ": "at+jwt", **({"kid": key.kid} if key.kid else {})}
    claims: Any = {"iss": "i", "aud": ["a", "c"], "sub": "uid1", "sid": "A" * 16}
    claims |= {"iat": NOW - 1, "exp": NOW + 900}
    for _ in range(draw.below(4)):
        change = draw.below(4)
        if change == 0:
            claims[draw.choice(CLAIMS)] = value(draw)
        elif change == 1:
            header[draw.choice(MEMBERS)] = value(draw)
        elif change == 2:
            claims.pop(draw.choice(CLAIMS), None)
        else:
            header.pop(draw.choice(MEMBERS), None)
    ascii_only = draw.below(2) == 0
    parts = [
        json.dumps(part, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        for part in (header, claims)
    ]
    damage = draw.below(8)
    if damage in (1, 2):
        parts[damage - 1] = draw.spliced(parts[damage - 1])
    text = ".".join(map(base64url, parts))
    signer = draw.choice(KEYS) if damage == 3 else key
    token = f"{text}.{base64url(signer.sign(text.encode()))}"
    if damage == 4:
        return draw.spliced(token.encode())
    return draw.spliced(token.encode()).decode("latin-1") if damage == 5 else token


def value(draw: Draw) -> Any:
    return draw.choice((draw.json, lambda: draw.choice(DATES), lambda: draw.choice(TEXTS)))()


def judge(token: str | bytes) -> None:
    """Hold every answer to one token against the promise above."""
    first, *others = [outcome(verifier, token) for verifier in VERIFIERS]
    others += [outcome(verifier, token) for verifier in VERIFIERS]
    assert all(answer == first for answer in others), [first, *others]
    assert manager_outcome(token) == first
    if not isinstance(first, dict):
        assert first in REFUSALS, first
        return
    assert decoded_by_pyjwt(token, key_of(token)) == first


def key_of(token: str | bytes) -> Key:
    """Return the key whose kid a token names, as PyJWT reads its header."""
    kid = jwt.get_unverified_header(token).get("kid")
    (key,) = [key for key in KEYS if key.kid == kid]
    return key


def manager_outcome(token: Any) -> Any:
    try:
        return MANAGER.read(token).to_dict()
    except TokenwheelError as error:
        return type(error)

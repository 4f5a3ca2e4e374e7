"""What tests of several kinds share.

That is a clock, a secret, tokens forged at will, and what it is to be refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from jwt.algorithms import get_default_algorithms

from tokenwheel import InvalidAccessToken, Key


def secret_of(name: str, length: int = 32) -> str:
    """Return a shared secret of some letters: for a name always the same, and not guessable."""
    return hashlib.shake_256(name.encode()).hexdigest(length)[:length]


SECRET = "a shared secret of at least 32 bytes, made up for these tests"
KEY = Key.from_secret(SECRET)
CLAIMS: dict[str, Any] = {
    "iss": "i",
    "aud": "a",
    "sub": "uid1",
    "sid": "A" * 16,
    "iat": 1_700_000_000,
    "exp": 4_000_000_000,
}


class FakeClock:
    """A clock that stands still until the test moves it, either way."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def with_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token with some of them changed, or more beside them."""
    return {**CLAIMS, **changes}


def base64url(raw: bytes | str) -> str:
    """Return base64url without padding (RFC 7515, section 2). A text may hold lone surrogates."""
    octets = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def pyjws() -> jwt.PyJWS:
    """Return PyJWT's reader and writer of tokens, which knows the names of RFC 9864 as well."""
    made = jwt.PyJWS()
    for name in ("Ed25519", "Ed448"):
        made.register_algorithm(name, get_default_algorithms()["EdDSA"])
    return made


def forge(claims: Any = CLAIMS, key: Any = KEY, header: Any = None, **members: Any) -> str:
    """Return a token signed by the key, whatever its header and claims say.

    Args:
        claims: an object that becomes JSON, or the payload itself as a text or bytes.
        key: whatever has ``algorithm``, ``kid`` and ``sign``.
        header: its header, given in the same ways; by default the one that belongs to the key.
        members: put into that default header, in place of what it would say.
    """
    if header is None:
        kid = {} if key.kid is None else {"kid": key.kid}
        header = {"alg": key.algorithm, "typ": "at+jwt", **kid, **members}
    signed = ".".join(
        base64url(part if isinstance(part, bytes | str) else json.dumps(part))
        for part in (header, claims)
    )
    return f"{signed}.{base64url(key.sign(signed.encode()))}"


def refused(read: Callable[[Any], Any], token: Any, reason: str) -> None:
    """Check that reading the token is refused for that reason, twice, and tells nothing of it.

    Args:
        read: reads an access token.
        token: what is presented as one.
        reason: a regular expression for what the error says.
    """
    for _ in range(2):
        with pytest.raises(InvalidAccessToken, match=reason) as caught:
            read(token)
        assert type(caught.value) is InvalidAccessToken
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        if isinstance(token, str):
            parts = [part for part in token.split(".") if len(part) > 7]
            assert not [part for part in parts if part in str(caught.value)]

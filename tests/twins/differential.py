"""The compiled verifier, its pure twin and PyJWT before the same token, at the same moment.

What they are asked with is here; where the tokens come from is the matter of each test.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any

import jwt

from tokenwheel import Key, TokenwheelError

__all__ = [
    "LEEWAY",
    "NOW",
    "TWINS",
    "StandingStill",
    "decoded_by_pyjwt",
    "make_verifier",
    "outcome",
]

TWINS = ["pure"] if os.environ.get("TOKENWHEEL_IMPL") == "pure" else ["native", "pure"]
NOW = 1_700_000_000
LEEWAY = 5


class StandingStill(datetime):
    """What PyJWT takes for the time, so that every token is judged at the same moment.

    That moment may be the token's very first or last.
    """

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> StandingStill:
        return cls.fromtimestamp(NOW, tz)


def make_verifier(
    implementation: str,
    keys: Sequence[Key],
    cache_size: int = 50,
    clock: Callable[[], float] = lambda: NOW,
) -> Any:
    module = importlib.import_module(f"tokenwheel._{implementation}.verifier")
    revocations = importlib.import_module(
        f"tokenwheel._{implementation}.revocations"
    ).RevocationTable()
    options = {
        "issuer": "i",
        "audience": ("a", "b"),
        "leeway": LEEWAY,
        "largest_leeway": 60,
        "cache_size": cache_size,
    }
    return module.Verifier(keys, clock=clock, revocations=revocations, **options)


def outcome(verifier: Any, token: Any) -> Any:
    """Return the claims that a verifier accepts, or the type of its error."""
    try:
        return verifier.verify(token).to_dict()
    except TokenwheelError as error:
        return type(error)


def decoded_by_pyjwt(token: Any, key: Key) -> Any:
    """Return the claims that PyJWT accepts."""
    material = key._public if key._secret is None else key._secret
    required = ["iss", "aud", "sub", "iat", "exp"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        claims: dict[str, Any] = jwt.decode(
            token,
            material,
            [key.algorithm],
            audience=["a", "b"],
            issuer="i",
            leeway=LEEWAY,
            options={"require": required},
        )
    return claims

"""Keys that were made of JSON Web Keys before, for a text that is read again.

To make a private RSA key takes OpenSSL long, since it tests whether the factors are prime. So where
a key is added to a set of them, those that were there are not made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from ..key import Key

__all__ = ["KnownKeys"]

# They say when, and make no difference to the key.
_TIMES: Final = frozenset({"iat", "tokenwheel_signs_from", "tokenwheel_updated_at"})


class KnownKeys:
    """The keys of one text, by what they were made of. For one thread at a time."""

    __slots__ = ("_known", "_used")

    def __init__(self) -> None:
        self._known: dict[bytes, Key] = {}
        self._used: dict[bytes, Key] = {}

    def made_of(self, jwk: Mapping[str, Any], algorithm: str | None) -> Key:
        """Return the key that a JWK is: the one made before, where its members are the same.

        Args:
            jwk: the JSON object, in plain types.
            algorithm: what the key is for. None leaves that to the JWK.

        Raises:
            ConfigurationError: the JWK is no key, as ``Key.from_jwk`` says.
        """
        name = _name(jwk, algorithm)
        if name is None:
            return Key.from_jwk(jwk, algorithm)
        key = self._used.get(name) or self._known.get(name) or Key.from_jwk(jwk, algorithm)
        self._used[name] = key
        return key

    def forget_unused(self) -> None:
        """Forget the keys that were not asked for since the last call."""
        self._known, self._used = self._used, {}


def _name(jwk: Mapping[str, Any], algorithm: str | None) -> bytes | None:
    """Return what tells the key that is made of a JWK from every other; None for no JSON."""
    members = {name: value for name, value in jwk.items() if name not in _TIMES}
    with suppress(TypeError, ValueError, RecursionError):
        described = json.dumps([algorithm or jwk.get("alg"), members], sort_keys=True)
        return sha256(described.encode()).digest()
    return None

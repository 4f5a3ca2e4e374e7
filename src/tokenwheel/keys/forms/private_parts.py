"""The private parts in a JSON Web Key, where anybody can read them: in a set, or as its name.

No key is made of them here. Whether they belong to their public part takes long to find out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from jwt.utils import base64url_decode

from ...exact import text_of

__all__ = [
    "PRIVATE_MEMBERS",
    "SHOWS_SECRET",
    "PublicPart",
    "has_secret_for_kid",
    "public_part",
    "with_private",
]

# RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section 2
PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
SHOWS_SECRET: Final = (
    "has the secret in it, which every token would show: make another key, and give it a name"
)
PublicPart = tuple[int | None, ...]


def with_private(jwks: Iterable[Mapping[str, Any] | None]) -> set[PublicPart]:
    """Return the public part of each private key that stands in a set.

    What one of them is for makes no difference to those who read it.
    """
    return {public_part(jwk) for jwk in jwks if jwk is not None and "d" in jwk}


def public_part(jwk: Mapping[str, Any]) -> PublicPart:
    """Return by what a public key is told from others, however its numbers are written."""
    return tuple(_number_in(jwk.get(name)) for name in ("n", "e", "x", "y"))


def has_secret_for_kid(jwk: Mapping[str, Any]) -> bool:
    """Return True where the kid of a key is, or has in it, what nobody may see of the key."""
    kid = text_of(jwk.get("kid")) or ""
    secrets = [text_of(jwk.get(name)) or "" for name in ("k", *PRIVATE_MEMBERS)]
    return any(secret and secret.rstrip("=") in kid for secret in secrets)


def _number_in(value: object) -> int | None:
    text = text_of(value)
    if text is not None:
        with suppress(ValueError):
            return int.from_bytes(base64url_decode(text), "big")
    return None

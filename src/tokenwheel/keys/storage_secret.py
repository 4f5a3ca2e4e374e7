"""The secret under which a storage's records are authenticated: random bytes, from a key file.

It is no key of tokens: nothing here signs. What makes a secret unfit is in ``checks``.
"""

from __future__ import annotations

import json

from ..errors import ConfigurationError
from ..exact import is_instance, named, text_or_bytes_of
from ..hidden import clears_locals
from .checks import check_random_bytes
from .key import Key

__all__ = ["storage_secret"]

_SHORTEST = 32  # bytes: as long as the hash of HMAC-SHA256 (RFC 2104, section 3)


@clears_locals
def storage_secret(value: object) -> bytes:
    """Return the bytes of a secret for ``storage_key``, at least 32 of them.

    Args:
        value: random bytes, or a text that stands for its bytes in UTF-8; or what ``tokenwheel keys
            new --algorithm HS256`` writes into a file, as its text or as a Key.

    Raises:
        ConfigurationError: it is none of these, a public or private key, too short, or a secret
            that others can know.
    """
    plain = text_or_bytes_of(value)
    if plain is not None and _is_key_file(plain):
        value = Key.from_jwk(plain)
    if is_instance(value, Key):
        if value._secret is None:
            raise ConfigurationError(
                "storage_key must be a shared secret, and not a public or private key: "
                "`tokenwheel keys new --algorithm HS256` makes a file with one"
            )
        return value._secret
    if plain is None:
        raise ConfigurationError(
            "storage_key must be random bytes (secrets.token_bytes(32)), str, the Key of a shared "
            f"secret, or a sequence of these, not {named(value)}"
        )
    return check_random_bytes(
        plain,
        "storage_key",
        _SHORTEST,
        f"storage_key must have at least {_SHORTEST} random bytes: secrets.token_bytes(32)",
    )


def _is_key_file(value: str | bytes) -> bool:
    """Return True for the text of a JWK that is a shared secret."""
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and parsed.get("kty") == "oct"

"""Checks of which keys are fit for which algorithm, and which are fit for none.

A key is checked once, when it is read. Every refusal is a ConfigurationError, which says what to do
and holds nothing of the key. What makes a key unfit for all is in modules of their own:
``readings`` and ``other_keys`` (a secret that is no secret), ``guessable``, ``published``, and
``public_flaws`` (a key pair whose private part can be found).

Sources: RFC 7518, sections 3.2 (HMAC keys as long as the hash), 3.3 (RSA of 2048 bits) and 3.4
(curves); RFC 8037 (EdDSA); RFC 8812 (ES256K); RFC 9864 (Ed25519, Ed448); RFC 8725, sections 3.1,
3.2 and 3.5 (no algorithm with the key of another, no weak keys).
"""

from __future__ import annotations

import logging
from typing import Final

from ..errors import ConfigurationError, InvalidArgument
from ..exact import named, text_of, text_or_bytes_of
from .forms.mistakes import mistake_in_secret, not_a_text
from .unfit.guessable import is_guessable, is_made_of_words
from .unfit.other_keys import is_other_key
from .unfit.published import is_published
from .unfit.readings import readings

__all__ = [
    "ALGORITHMS",
    "HASH_BYTES",
    "check_algorithm",
    "check_bool",
    "check_kid",
    "check_random_bytes",
    "check_secret",
    "require_cryptography",
]

logger = logging.getLogger("tokenwheel")

HASH_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
ALGORITHMS: Final = frozenset(
    {
        *HASH_BYTES,
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES256K", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
    }
)
_LONGEST_KID = 128  # characters
_RANDOM = "random bytes, as of secrets.token_bytes(64)"


def check_algorithm(algorithm: object) -> str:
    """Return the name of an algorithm, one of ``ALGORITHMS``.

    Raises:
        ConfigurationError: it is none of these.
    """
    name = text_of(algorithm)
    if name is None or name not in ALGORITHMS:
        given = f", not {named(algorithm)}" if name is None else ""
        raise ConfigurationError(f"algorithm must be one of {', '.join(sorted(ALGORITHMS))}{given}")
    return name


def require_cryptography(what: str) -> None:
    """Check that key pairs can be used here.

    Args:
        what: what needs it, for the error.

    Raises:
        ConfigurationError: the package ``cryptography`` cannot be imported.
    """
    try:
        import cryptography  # noqa: F401 - only whether it is there
    except ImportError:
        raise ConfigurationError(
            f"{what} needs the package cryptography, which cannot be imported here: "
            "pip install cryptography"
        ) from None


def check_bool(name: str, value: object) -> None:
    """Check that a value is True or False.

    Raises:
        InvalidArgument: it is anything else, be it equal to one of these.
    """
    if type(value) is not bool:
        raise InvalidArgument(f"{name} must be a bool, not {named(value)}")


def check_kid(kid: object) -> str | None:
    """Return a key's ``kid``, or None where it has none.

    Raises:
        ConfigurationError: it is empty, too long, or not printable ASCII.
    """
    if kid is None:
        return None
    name = text_of(kid)
    if (
        name is None
        or not 0 < len(name) <= _LONGEST_KID
        or not name.isascii()
        or not name.isprintable()
    ):
        given = f", not {named(kid)}" if name is None else ""
        raise ConfigurationError(
            f"kid must be 1 to {_LONGEST_KID} printable ASCII characters{given}"
        )
    return name


def check_secret(secret: object, algorithm: str) -> bytes:
    """Return the bytes of a shared secret that may sign with this HMAC algorithm.

    Raises:
        ConfigurationError: the secret is too short, no text or bytes, or a key of another kind; or
            the algorithm is not HMAC.
    """
    if algorithm not in HASH_BYTES:
        raise ConfigurationError(
            f"a shared secret signs with {', '.join(HASH_BYTES)}, and not with {algorithm}"
        )
    shortest = HASH_BYTES[algorithm]
    return check_random_bytes(
        secret,
        "a shared secret",
        shortest,
        f"a secret for {algorithm} must have at least {shortest} bytes (RFC 7518, section 3.2)",
    )


def check_random_bytes(secret: object, name: str, shortest: int, too_short: str) -> bytes:
    """Return the bytes of a secret that may be random.

    Args:
        secret: the secret. A text stands for its bytes in UTF-8.
        name: what the caller calls it, for the error.
        shortest: how many bytes it must have.
        too_short: says so.

    Raises:
        ConfigurationError: the secret is no text or bytes, too short, a key of another kind in
            whatever spelling, a path or a URL, a pattern, or printed where anybody can read it.
    """
    plain = text_or_bytes_of(secret)
    if plain is None:
        raise ConfigurationError(not_a_text(name, secret, "bytes or str"))
    encoded = plain if isinstance(plain, bytes) else _utf8_of(plain)
    if encoded is None:
        raise ConfigurationError(f"{name} must be bytes, or str without lone surrogates")
    mistake = mistake_in_secret(encoded)
    if mistake is not None:
        raise ConfigurationError(f"{name} {mistake}")
    spellings = readings(encoded)
    if any(map(is_other_key, spellings)):
        raise ConfigurationError(
            f"{name} is a PEM, SSH, DER or JWK key, or one in another spelling: an attacker may "
            f"know it. Key.from_pem and Key.from_jwk read such keys; {name} must be {_RANDOM}"
        )
    if len(encoded) < shortest:
        raise ConfigurationError(too_short)
    if any(map(is_published, spellings)):
        raise ConfigurationError(
            f"{name} is an example from a standard, which anybody knows; it must be {_RANDOM}"
        )
    if any(map(is_guessable, spellings)):
        raise ConfigurationError(
            f"{name} is a pattern, which anybody can guess; it must be {_RANDOM}"
        )
    # A passphrase may be a good one, so this is said and not refused.
    if any(map(is_made_of_words, spellings)):
        logger.warning("%s is made of words that many use; it should be %s", name, _RANDOM)
    return encoded


def _utf8_of(text: str) -> bytes | None:
    """Return a text in UTF-8, or None where it has a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:  # which would carry the text along
        return None

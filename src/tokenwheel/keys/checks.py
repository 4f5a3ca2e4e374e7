"""Checks of which keys are fit for which algorithm.

A key is checked before it is used. Every refusal is a ConfigurationError, which holds nothing of
the key.

Sources: RFC 7518, sections 3.2 (HMAC keys as long as the hash), 3.3 (RSA of 2048 bits) and 3.4
(curves); RFC 8037 (EdDSA); RFC 8812 (ES256K); RFC 8725, sections 3.1, 3.2 and 3.5 (no algorithm
with the key of another, no weak keys).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from ..errors import ConfigurationError

__all__ = [
    "ALGORITHMS",
    "CURVES",
    "HASH_BYTES",
    "check_algorithm",
    "check_kid",
    "check_public_key",
    "check_random_bytes",
    "check_secret",
]

HASH_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES256K": ec.SECP256K1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS: Final = frozenset({*HASH_BYTES, *CURVES, *_RSA, "EdDSA"})
_SMALLEST_RSA = 2048  # bits
_LONGEST_KID = 128  # characters
_SSH_PREFIXES = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")


def check_algorithm(algorithm: object) -> str:
    """Return the name of an algorithm, one of ``ALGORITHMS``.

    Raises:
        ConfigurationError: it is none of these.
    """
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ConfigurationError(f"algorithm must be one of {', '.join(sorted(ALGORITHMS))}")
    return str(algorithm)


def check_kid(kid: object) -> str | None:
    """Return a key's ``kid``, or None where it has none.

    Raises:
        ConfigurationError: it is empty, too long, or not printable ASCII.
    """
    if kid is None:
        return None
    if (
        not isinstance(kid, str)
        or not 0 < len(kid) <= _LONGEST_KID
        or not kid.isascii()
        or not kid.isprintable()
    ):
        raise ConfigurationError(f"kid must be 1 to {_LONGEST_KID} printable ASCII characters")
    return str(kid)


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
    checked = check_random_bytes(secret, "a shared secret")
    if len(checked) < HASH_BYTES[algorithm]:
        raise ConfigurationError(
            f"a secret for {algorithm} must have at least {HASH_BYTES[algorithm]} bytes "
            "(RFC 7518, section 3.2)"
        )
    return checked


def check_random_bytes(secret: object, name: str) -> bytes:
    """Return the bytes of a secret that may be random, of whatever length.

    Args:
        secret: the secret. A text stands for its bytes in UTF-8.
        name: what the caller calls it, for the error.

    Raises:
        ConfigurationError: the secret is no text or bytes, or a key of another kind.
    """
    encoded: object = secret
    if isinstance(secret, str):
        with contextlib.suppress(UnicodeEncodeError):  # the error would carry the secret along
            encoded = secret.encode()
    if not isinstance(encoded, bytes):
        raise ConfigurationError(f"{name} must be bytes, or str without lone surrogates")
    if _looks_like_another_kind_of_key(encoded):
        raise ConfigurationError(
            f"{name} is a PEM, SSH, DER or JWK key: an attacker may know it; it must be random "
            "bytes, as of secrets.token_bytes(64)"
        )
    return encoded


def check_public_key(key: object, algorithm: str) -> Any:
    """Return a public key that is of the kind, size and curve which the algorithm needs.

    Raises:
        ConfigurationError: it is of another.
    """
    if algorithm in _RSA:
        if not isinstance(key, rsa.RSAPublicKey):
            raise ConfigurationError(f"{algorithm} needs an RSA key")
        if key.key_size < _SMALLEST_RSA:
            raise ConfigurationError(
                f"an RSA key must have at least {_SMALLEST_RSA} bits (RFC 7518, section 3.3)"
            )
    elif algorithm in CURVES:
        curve = CURVES[algorithm]
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, type(curve)):
            raise ConfigurationError(f"{algorithm} needs an elliptic-curve key on {curve.name}")
    elif algorithm == "EdDSA":
        if not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            raise ConfigurationError("EdDSA needs an Ed25519 or Ed448 key")
    else:
        raise ConfigurationError(f"{algorithm} needs a shared secret")
    return key


def _looks_like_another_kind_of_key(secret: bytes) -> bool:
    """Return True where an HMAC secret is a key of another kind.

    A service that took its own public key for a shared secret would accept what anybody signs with
    that public key (algorithm confusion, CVE-2022-29217).
    """
    if (
        b"---- BEGIN" in secret
        or b"-----BEGIN" in secret
        or secret.lstrip().startswith(_SSH_PREFIXES)
    ):
        return True
    try:
        parsed = json.loads(secret)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict) and ("kty" in parsed or "keys" in parsed):
        return True
    loaders: tuple[Callable[[bytes], object], ...] = (
        load_der_public_key,
        lambda der: load_der_private_key(der, None),
        x509.load_der_x509_certificate,
    )
    for load in loaders:
        try:
            load(secret)
        except Exception:  # noqa: S112 - whatever it raises, the secret is no such key
            continue
        return True
    return False

"""The forms in which keys are handed over: PEM, and JSON Web Keys (RFC 7517).

What a key is read from and written as belongs here, and nothing of signing. Functions take and
return the objects of ``cryptography``; ``key`` makes a Key of them. A text that holds no key is
refused by a ConfigurationError. It is never raised while the parser's own error is handled, since
that error, which may hold some of the key, would go along as its context.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from jwt.algorithms import get_default_algorithms

from ..errors import ConfigurationError
from .checks import HASH_BYTES, check_algorithm, check_pair, check_secret

__all__ = ["KeyParts", "parse_jwk", "parse_pem", "read_json_object", "thumbprint", "write_pem"]

# RFC 7638, section 3.2; RFC 8037, section 2
_THUMBPRINT_MEMBERS = frozenset({"crv", "e", "kty", "n", "x", "y"})
# RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section 2
_PRIVATE_MEMBERS = frozenset({"d", "dp", "dq", "oth", "p", "q", "qi"})


@dataclass(frozen=True, slots=True, repr=False)
class KeyParts:
    """What a key was read as. A shared secret has ``secret`` alone; a public key, ``public``."""

    algorithm: str
    kid: str | None = None
    secret: bytes | None = None
    private: Any = None
    public: Any = None


def parse_pem(pem: object, algorithm: str, password: object) -> KeyParts:
    """Return the private or public key in a PEM text.

    Args:
        pem: the text, as ``str`` or ``bytes``.
        algorithm: what the key is for, already checked.
        password: what the text is encrypted with, or None.

    Raises:
        ConfigurationError: not a PEM key, a wrong password, or a key unfit for the algorithm.
    """
    if not isinstance(pem, str | bytes) or not isinstance(password, str | bytes | None):
        raise ConfigurationError("pem and password must be str or bytes")
    private: Any = None
    public: Any = None
    try:
        text = pem.encode() if isinstance(pem, str) else pem
        phrase = password.encode() if isinstance(password, str) else password
        if b"PRIVATE KEY" in text:
            private = serialization.load_pem_private_key(text, phrase)
            public = private.public_key()
        else:
            public = serialization.load_pem_public_key(text)
    except Exception:  # noqa: S110 - said below, without the parser's error as its context
        pass
    if public is None:
        raise ConfigurationError(
            "pem must be one unencrypted PEM key, or an encrypted one with its password"
        )
    return KeyParts(algorithm, private=private, public=check_pair(private, public, algorithm))


def write_pem(private: Any, public: Any) -> bytes:
    """Return a private key as unencrypted PKCS #8, or if it is None a public one, in PEM form."""
    encoding = serialization.Encoding.PEM
    pem: bytes
    if private is not None:
        pem = private.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    else:
        pem = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def parse_jwk(jwk: Mapping[str, Any] | str | bytes, algorithm: str | None) -> KeyParts:
    """Return the private, public or shared key in a JSON Web Key (RFC 7517).

    Args:
        jwk: the JSON object, as a mapping or as its text.
        algorithm: what the key is for. None leaves that to the member ``alg``.

    Raises:
        ConfigurationError: not a JWK, not one for signatures, of another ``alg`` than
            ``algorithm``, or unfit for it.
    """
    members = read_json_object(jwk, "jwk")
    stated = members.get("alg")
    if stated is not None and algorithm is not None and stated != algorithm:
        raise ConfigurationError("the jwk's 'alg' is another than the algorithm given")
    name = check_algorithm(stated if algorithm is None else algorithm)
    is_shared = name in HASH_BYTES
    needed = {"sign", "verify"} if is_shared else {"sign"} if "d" in members else {"verify"}
    operations = members.get("key_ops", [*needed])
    if (
        members.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or not all(operation in operations for operation in needed)
    ):
        raise ConfigurationError(
            f"the jwk's 'use' must be 'sig' and its 'key_ops' allow {' and '.join(sorted(needed))}"
        )
    load = get_default_algorithms()[name].from_jwk
    public_members = {
        member: value for member, value in members.items() if member not in _PRIVATE_MEMBERS
    }
    whole: Any = None
    public: Any = None
    try:
        whole = load(members)
        # The public part is read on its own. Where it is that of another key, that is found out
        # when the two are tried together.
        public = None if is_shared else load(public_members)
    except Exception:  # noqa: S110 - said below, without the parser's error as its context
        pass
    if whole is None or (public is None and not is_shared):
        raise ConfigurationError(
            f"the jwk is malformed, not of the kind {name} needs, or made of parts that do not "
            "belong together"
        )
    kid = members.get("kid")
    if is_shared:
        return KeyParts(name, kid, secret=check_secret(whole, name))
    private = whole if "d" in members else None
    return KeyParts(name, kid, private=private, public=check_pair(private, public, name))


def thumbprint(members: Mapping[str, Any]) -> str:
    """Return the thumbprint of a public JSON Web Key (RFC 7638), as base64url text."""
    required = {name: value for name, value in members.items() if name in _THUMBPRINT_MEMBERS}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def read_json_object(text: Mapping[str, Any] | str | bytes, name: str) -> dict[str, Any]:
    """Return a JSON object, which comes as a mapping or as its text, as a new dict.

    Args:
        text: the mapping or the text.
        name: what the caller calls it, for the error.

    Raises:
        ConfigurationError: it is no JSON object.
    """
    parsed: Any = None
    try:
        parsed = dict(text) if isinstance(text, Mapping) else json.loads(text)
    except (TypeError, ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ConfigurationError(f"{name} must be a JSON object, as a mapping or as its text")
    return parsed

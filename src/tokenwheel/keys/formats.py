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

from jwt.algorithms import get_default_algorithms

from ..errors import ConfigurationError
from ..exact import (
    bytes_of,
    is_instance,
    items_of,
    members_of,
    named,
    plain_of,
    text_of,
    text_or_bytes_of,
)
from .checks import HASH_BYTES, check_algorithm, check_secret, require_cryptography

__all__ = ["KeyParts", "parse_jwk", "parse_pem", "read_json_object", "thumbprint"]

# RFC 7638, section 3.2; RFC 8037, section 2
_THUMBPRINT_MEMBERS = frozenset({"crv", "e", "kty", "n", "x", "y"})
# RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section 2
_PRIVATE_MEMBERS = frozenset({"d", "dp", "dq", "oth", "p", "q", "qi"})
_DEEPEST = 8  # levels: a set of keys, and in one of them a list of its certificates, needs 4
_MOST_ITEMS = 8192


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
    given, given_password = text_or_bytes_of(pem), text_or_bytes_of(password)
    if given is None or (given_password is None and password is not None):
        wrong = named(pem if given is None else password)
        raise ConfigurationError(f"pem and password must be str or bytes, not {wrong}")
    require_cryptography("a PEM key")
    from .pairs import check_pair, load_pem

    private: Any = None
    public: Any = None
    try:
        text = given.encode() if isinstance(given, str) else given
        phrase = given_password.encode() if isinstance(given_password, str) else given_password
        private, public = load_pem(text, phrase)
    except Exception:  # noqa: S110 - said below, without the parser's error as its context
        pass
    if public is None:
        raise ConfigurationError(
            "pem must be one unencrypted PEM key, or an encrypted one with its password"
        )
    return KeyParts(algorithm, private=private, public=check_pair(private, public, algorithm))


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
    name = check_algorithm(stated if algorithm is None else algorithm)
    if stated is not None and text_of(stated) != name:
        raise ConfigurationError("the jwk's 'alg' is another than the algorithm given")
    is_shared = name in HASH_BYTES
    needed = {"sign", "verify"} if is_shared else {"sign"} if "d" in members else {"verify"}
    operations = members.get("key_ops", [*needed])
    if (
        text_of(members.get("use", "sig")) != "sig"
        or type(operations) is not list
        or not needed.issubset(map(text_of, operations))
    ):
        raise ConfigurationError(
            f"the jwk's 'use' must be 'sig' and its 'key_ops' allow {' and '.join(sorted(needed))}"
        )
    if not is_shared:
        require_cryptography(f"a key for {name}")
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
    from .pairs import check_pair

    private = whole if "d" in members else None
    return KeyParts(name, kid, private=private, public=check_pair(private, public, name))


def thumbprint(members: Mapping[str, Any]) -> str:
    """Return the thumbprint of a public JSON Web Key (RFC 7638), as base64url text."""
    required = {name: value for name, value in members.items() if name in _THUMBPRINT_MEMBERS}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def read_json_object(given: object, name: str) -> dict[str, Any]:
    """Return a JSON object, which comes as a mapping or as its text, as a new dict.

    It is looked at once, and what is in it is made of plain types.

    Args:
        given: the mapping or the text.
        name: what the caller calls it, for the error.

    Raises:
        ConfigurationError: it is no JSON object.
    """
    text = text_or_bytes_of(given)
    parsed: Any = None
    try:
        parsed = _copied(given, _DEEPEST) if text is None else json.loads(text)
    except Exception:  # any: a mapping is the caller's own
        parsed = None
    if type(parsed) is not dict:
        wrong = f", not {named(given)}" if text is None else ""
        raise ConfigurationError(
            f"{name} must be a JSON object, as a mapping or as its text{wrong}"
        )
    return parsed


def _copied(value: object, levels: int) -> Any:
    """Return what is in a value of JSON, in plain types. Anything that is none stays as it is."""
    if levels == 0:
        raise ValueError("nested deeper than any key")
    if (octets := bytes_of(value)) is not None:
        return octets
    if (items := items_of(value, _MOST_ITEMS)) is not None:
        return [_copied(item, levels - 1) for item in items]
    if is_instance(value, dict) or isinstance(value, Mapping):
        members = members_of(value, "a JSON object", _MOST_ITEMS)
        return {name: _copied(member, levels - 1) for name, member in members.items()}
    return plain_of(value)

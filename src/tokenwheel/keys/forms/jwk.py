"""Single JSON Web Keys (RFC 7517), read and named.

A text that holds no key is refused by a ConfigurationError. It is never raised while the parser's
own error is handled, since that error, which may hold some of the key, would go along as its
context. Sets of them are in ``jwks``.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigurationError
from ...exact import (
    bytes_of,
    is_instance,
    items_of,
    members_of,
    plain_of,
    text_or_bytes_of,
)
from ..checks import HASH_BYTES, check_algorithm, check_secret, require_cryptography
from ..key_parts import KeyParts
from .jwk_algorithms import algorithm_of, pyjwt_algorithm
from .jwk_mistakes import check_form, check_jwk
from .mistakes import no_json_object, not_a_text
from .pem_blocks import decoded
from .private_parts import SHOWS_SECRET, has_secret_for_kid

__all__ = ["parse_jwk", "read_json_object", "thumbprint"]

# RFC 7638, section 3.2; RFC 8037, section 2
_THUMBPRINT_MEMBERS = frozenset({"crv", "e", "kty", "n", "x", "y"})
# RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section 2
_PRIVATE_MEMBERS = frozenset({"d", "dp", "dq", "oth", "p", "q", "qi"})
_DEEPEST = 8  # levels: a set of keys, and in one of them a list of its certificates, needs 4
_MOST_ITEMS = 8192


def parse_jwk(jwk: Mapping[str, Any] | str | bytes, algorithm: str | None) -> KeyParts:
    """Return the private, public or shared key in a JSON Web Key (RFC 7517).

    Args:
        jwk: the JSON object, as a mapping or as its text.
        algorithm: what the key is for. None leaves that to the member ``alg``, else to the kind.

    Raises:
        ConfigurationError: not a JWK, not one for signatures, of another ``alg`` than
            ``algorithm``, or unfit for it.
    """
    # Some libraries write the members that a key does not have as null.
    members = {
        name: value for name, value in read_json_object(jwk, "jwk").items() if value is not None
    }
    check_form(members)
    name = algorithm_of(members) if algorithm is None else check_algorithm(algorithm)
    check_jwk(members, name)
    if has_secret_for_kid(members):
        raise ConfigurationError(f"the jwk's 'kid' {SHOWS_SECRET}")
    is_shared = name in HASH_BYTES
    if not is_shared:
        require_cryptography(f"a key for {name}")
    load = pyjwt_algorithm(name).from_jwk
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
            "the jwk is malformed: its members are no key, or are parts of several that do not "
            "belong together"
        )
    kid = members.get("kid")
    if is_shared:
        return KeyParts(name, kid, secret=check_secret(whole, name))
    from ..pairs import check_pair

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
    if text is not None:
        return _parsed(text, name)
    parsed: Any = None
    try:
        parsed = _copied(given, _DEEPEST)
    except Exception:  # any: a mapping is the caller's own
        parsed = None
    if type(parsed) is not dict:
        raise ConfigurationError(
            not_a_text(name, given, "a JSON object, as a mapping or as its text")
        )
    return parsed


def _parsed(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the JSON object that a text is. A byte order mark is passed over.

    Raises:
        ConfigurationError: it is none.
    """
    octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    parsed: Any = None
    try:
        parsed = json.loads(decoded(octets))
    except (ValueError, RecursionError):
        parsed = None
    if type(parsed) is not dict:
        raise ConfigurationError(f"{name} {no_json_object(octets)}")
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

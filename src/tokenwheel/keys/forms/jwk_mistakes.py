"""What a JSON Web Key lacks, or is instead of the key that was wanted: each refused by its name.

Only names of members and of algorithms that are known here are said, and no value: in a file that
went wrong any member may hold what belongs in another.

Sources: RFC 7517, section 4 (members of all keys); RFC 7518, section 6, and RFC 8037, section 2
(those of each kind); RFC 7515, section 2 (base64url).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...errors import ConfigurationError
from ...exact import named, text_of
from ..checks import ALGORITHMS, HASH_BYTES
from .jwk_algorithms import ForSomethingElse, check_purpose, fitting_algorithms
from .key_kinds import NEEDED_KINDS

__all__ = ["check_form", "check_jwk", "no_key_set"]

_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "RSA": ("n", "e"),
    "oct": ("k",),
}
"""The members that each kind of key has."""
_CURVES: Final = {
    "EC": "P-256, P-384, P-521 or secp256k1",
    "OKP": "Ed25519 or Ed448",
}
_NUMBERS: Final = ("x", "y", "n", "e", "k", "d", "p", "q", "dp", "dq", "qi")
_PRIMES: Final = ("p", "q", "dp", "dq", "qi")
# As PyJWT takes them: with or without padding, and also in the letters of base64.
_BASE64URL = re.compile(r"[A-Za-z0-9_+/-]+={0,2}", re.ASCII)


def check_form(members: Mapping[str, Any]) -> None:
    """Check that a JSON object is a JSON Web Key of a kind that is known, and for signatures.

    Raises:
        ConfigurationError: it is a set of them or something else, or a key for encryption.
    """
    if "kty" not in members:
        if "keys" in members:
            raise ConfigurationError(
                "jwk is a JSON Web Key Set: KeySet.from_jwks takes it, and from_jwk one of its keys"
            )
        if "private_key" in members:
            raise ConfigurationError(
                "jwk is JSON that has a key in its member 'private_key', and no JSON Web Key: "
                "Key.from_pem takes that member if it is PEM"
            )
        raise ConfigurationError(
            f"the jwk has no 'kty', which must be {_one_of(_KINDS)}: hand over the whole key"
        )
    if text_of(members["kty"]) not in _KINDS:
        raise ConfigurationError(
            f"the jwk's 'kty' must be {_one_of(_KINDS)}: no other kind signs tokens here"
        )
    why: str | None = None
    try:
        check_purpose(members)
    except ForSomethingElse as other:
        why = str(other).removeprefix("it is ")
    if why == "for encryption":
        raise ConfigurationError(
            "the jwk is for encryption: its 'use' must be 'sig', so hand over the key that signs"
        )
    if why is not None and why.startswith("for encryption"):
        raise ConfigurationError(f"the jwk is {why}: hand over the key that signs")
    if "alg" in members and text_of(members["alg"]) not in ALGORITHMS:
        raise ConfigurationError(
            f"the jwk's 'alg' must be one of {', '.join(sorted(ALGORITHMS))}, or be left out where "
            "the algorithm is given"
        )


def check_jwk(members: Mapping[str, Any], algorithm: str) -> None:
    """Check that a JSON Web Key is for an algorithm, and has all members that its kind needs.

    Args:
        members: a key that ``check_form`` has let pass.
        algorithm: what it is for, already checked.

    Raises:
        ConfigurationError: it is for another, a member is missing, or is no base64url text.
    """
    stated = text_of(members.get("alg"))
    if stated is not None and stated != algorithm:
        raise ConfigurationError(
            f"the jwk's 'alg' is {stated}, and the algorithm given is {algorithm}: leave the "
            "algorithm out, or hand over the key that is for it"
        )
    _check_operations(members, algorithm)
    kind = text_of(members["kty"]) or ""
    fitting = fitting_algorithms(members)
    needed = () if fitting and algorithm not in fitting else _KINDS[kind]
    for name in needed:
        if name not in members:
            raise ConfigurationError(f"the jwk has no '{name}', which a key of 'kty' {kind} needs")
    if not fitting:
        raise ConfigurationError(
            f"the jwk's 'crv' must be {_CURVES[kind]} where its 'kty' is {kind}"
        )
    if algorithm not in fitting:
        call = (
            f"its 'alg' must be {fitting[0]}"
            if stated is not None
            else f"Key.from_jwk(jwk, {fitting[0]!r})"
        )
        raise ConfigurationError(
            f"{algorithm} needs {NEEDED_KINDS[algorithm]}, and the jwk is "
            f"{NEEDED_KINDS[fitting[-1]]}: {call}"
        )
    for name in _NUMBERS:
        if name in members and (name != "d" or kind != "oct"):
            _check_base64url(name, members[name])
    _check_primes(members)


def _check_operations(members: Mapping[str, Any], algorithm: str) -> None:
    """Check that ``use`` and ``key_ops`` allow what the key would do (RFC 7517, section 4.3)."""
    needed = {"verify"}
    if algorithm in HASH_BYTES:
        needed = {"sign", "verify"}
    elif "d" in members:
        needed = {"sign"}
    operations = members.get("key_ops", [*needed])
    if (
        text_of(members.get("use", "sig")) != "sig"
        or type(operations) is not list
        or not needed.issubset(map(text_of, operations))
    ):
        raise ConfigurationError(
            f"the jwk's 'use' must be 'sig' and its 'key_ops' allow {' and '.join(sorted(needed))}"
        )


def _check_base64url(name: str, value: object) -> None:
    """Check that a member is a number or octets as JSON Web Keys write them."""
    text = text_of(value)
    if text is None:
        raise ConfigurationError(
            f"the jwk's '{name}' must be a text in base64url, not {named(value)}"
        )
    if _BASE64URL.fullmatch(text) is None or len(text.rstrip("=")) % 4 == 1:
        raise ConfigurationError(
            f"the jwk's '{name}' is not base64url: it is empty, cut off, or has other characters"
        )


def _check_primes(members: Mapping[str, Any]) -> None:
    """Check that a private RSA key has all numbers of its primes or none (RFC 7518, 6.3.2)."""
    if members.get("kty") != "RSA":
        return
    if "oth" in members:
        raise ConfigurationError(
            "the jwk has an 'oth', and so more than two primes, which cryptography does not read"
        )
    given = [name for name in _PRIMES if name in members]
    if given and "d" not in members:
        raise ConfigurationError(
            f"the jwk has a '{given[0]}' and no 'd': hand over the whole private key, or the "
            "public one, which has neither"
        )
    if given and len(given) < len(_PRIMES):
        lacking = next(name for name in _PRIMES if name not in members)
        raise ConfigurationError(
            f"the jwk has no '{lacking}', which a private RSA key needs that has a '{given[0]}'"
        )


def _one_of(names: Mapping[str, Any]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"


def no_key_set(members: Mapping[str, Any]) -> str | None:
    """Return what a JSON object is that was handed over as a JWK Set and is none, if it is known.

    Args:
        members: the object, without a member ``keys`` that is an array.
    """
    if "keys" in members:
        return None
    if "kty" in members:
        return "jwks is a single JSON Web Key: KeySet.from_jwk takes it"
    if "jwks_uri" in members:
        return (
            "jwks is what a provider says of itself, and its keys are elsewhere: "
            "RemoteKeySet(metadata['jwks_uri']) follows them"
        )
    if any("-----BEGIN " in (text_of(value) or "") for value in members.values()):
        return (
            "jwks is JSON that has PEM texts in it: hand over each of them by "
            "Key.from_pem(text, algorithm, kid=its name)"
        )
    return None

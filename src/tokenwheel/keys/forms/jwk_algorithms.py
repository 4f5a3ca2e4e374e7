"""What algorithm a JSON Web Key is for, where its ``alg`` says it and where its kind tells it.

Also which object of PyJWT it is that signs with an algorithm. Nothing here reads a key: ``jwk``
does, and ``jwks`` a set of them.

Sources: RFC 7517, section 4.4 (``alg`` is optional); RFC 7518, sections 3.1 and 6.1 (kinds of key,
and what they sign with); RFC 8037 and RFC 8812 (more curves); RFC 9864 (Ed25519 and Ed448, which
name a curve each, beside EdDSA).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from jwt.algorithms import Algorithm, get_default_algorithms

from ...errors import ConfigurationError
from ...exact import is_instance, items_of, named, text_of
from ..checks import ALGORITHMS, check_algorithm

__all__ = [
    "ForSomethingElse",
    "algorithm_of",
    "check_algorithms",
    "check_purpose",
    "fitting_algorithms",
    "pyjwt_algorithm",
]

# By ``kty`` and ``crv``. The first is meant where nothing says otherwise.
_FITTING: Final[dict[tuple[str | None, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("EC", "secp256k1"): ("ES256K",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("OKP", "Ed448"): ("EdDSA", "Ed448"),
    ("oct", None): ("HS256", "HS384", "HS512"),
}
_BY_PREFERENCE: Final = (*dict.fromkeys(name for names in _FITTING.values() for name in names),)
# RFC 7518, section 4.1; RFC 8037, section 3.2
_OF_ENCRYPTION: Final = re.compile(r"RSA1_5|RSA-OAEP.*|ECDH-.*|A\d{3}.*|PBES2-.*|dir", re.ASCII)
_OF_AGREEMENT: Final = frozenset({"X25519", "X448"})
_MOST_ALGORITHMS = 64  # given, some of them perhaps twice


def fitting_algorithms(jwk: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the algorithms that a key of this kind and curve can be for; the usual one first."""
    kind = text_of(jwk.get("kty"))
    curve = text_of(jwk.get("crv")) if kind in ("EC", "OKP") else None
    return _FITTING.get((kind, curve), ())


def pyjwt_algorithm(name: str) -> Algorithm:
    """Return PyJWT's object for an algorithm. It knows those of RFC 9864 by their older name."""
    return get_default_algorithms()["EdDSA" if name in ("Ed25519", "Ed448") else name]


class ForSomethingElse(ConfigurationError):
    """A key is as it should be, as far as is known, but for no signatures."""


def check_purpose(jwk: Mapping[str, Any]) -> None:
    """Check that a key is not plainly for something else than signatures.

    Raises:
        ForSomethingElse: it is, as for encryption.
    """
    use, operations = text_of(jwk.get("use")), jwk.get("key_ops")
    if use is not None and use != "sig":
        raise ForSomethingElse("it is for encryption" if use == "enc" else "its 'use' is not 'sig'")
    if type(operations) is list and not {"sign", "verify"} & {*map(text_of, operations)}:
        raise ForSomethingElse("its 'key_ops' have neither sign nor verify")
    algorithm, curve = text_of(jwk.get("alg")), text_of(jwk.get("crv"))
    if algorithm is not None and _OF_ENCRYPTION.fullmatch(algorithm) is not None:
        raise ForSomethingElse("it is for encryption, as its 'alg' says")
    if curve in _OF_AGREEMENT:
        raise ForSomethingElse("it is for encryption, as its 'crv' says")


def algorithm_of(jwk: Mapping[str, Any], algorithms: Collection[str] | None = None) -> str:
    """Return what a key is for: its ``alg``, or what is usual for its kind and curve.

    Args:
        jwk: its members.
        algorithms: those of which one is meant where it has no ``alg``; None for all. The first
            that fits it counts.

    Raises:
        ConfigurationError: it has an ``alg`` that is not known, or none and no kind that tells it.
    """
    if "alg" in jwk:
        return check_algorithm(jwk["alg"])
    fitting = fitting_algorithms(jwk)
    for name in fitting if algorithms is None else algorithms:
        if name in fitting:
            return name
    known = ", ".join(sorted(ALGORITHMS) if algorithms is None else algorithms)
    raise ConfigurationError(
        f"the jwk has no 'alg', and its 'kty' and 'crv' fit none: algorithm must be one of {known}"
    )


def check_algorithms(algorithms: object) -> tuple[str, ...] | None:
    """Return the names of algorithms that a caller gave, in their order, or None where it is None.

    A set has no order: of it, what is usual for a kind of key comes first.

    Raises:
        ConfigurationError: no sequence or set of names, an empty one, or a name that is not known.
    """
    if algorithms is None:
        return None
    is_set = is_instance(algorithms, set) or is_instance(algorithms, frozenset)
    items = items_of(_items_of_set(algorithms) if is_set else algorithms, _MOST_ALGORITHMS)
    if not items:
        wrong = "an empty one" if items == () else named(algorithms)
        raise ConfigurationError(
            f"algorithms must be a list of names, as in algorithms=['ES256'], not {wrong}"
        )
    names = dict.fromkeys(map(check_algorithm, items))
    return (*sorted(names, key=_BY_PREFERENCE.index),) if is_set else (*names,)


def _items_of_set(names: Any) -> list[object] | None:
    """Return what is in a set or frozenset, whatever a subclass says of it."""
    try:
        return [*set().union(names)]
    except Exception:  # any: what is in it is the caller's own
        return None

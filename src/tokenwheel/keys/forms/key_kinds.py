"""Of what kind a key is that ``cryptography`` has read, and for which algorithms such a key is.

Sources: RFC 7518, sections 3.3 to 3.5; RFC 8037 and RFC 9864 (Ed25519 and Ed448); RFC 8812
(secp256k1).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["NEEDED_KINDS", "KeyKind", "kind_of"]

_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


class KeyKind(NamedTuple):
    """What a key is."""

    name: str
    """How a message calls it, with its article."""
    algorithms: tuple[str, ...] = ()
    """Those that such a key can be for, the most usual first. None where it is for no signature."""


_CURVES: Final = {
    "secp256r1": KeyKind("an elliptic-curve key on P-256", ("ES256",)),
    "secp384r1": KeyKind("an elliptic-curve key on P-384", ("ES384",)),
    "secp521r1": KeyKind("an elliptic-curve key on P-521", ("ES512",)),
    "secp256k1": KeyKind("an elliptic-curve key on secp256k1", ("ES256K",)),
}
_OTHER_CURVE: Final = KeyKind("an elliptic-curve key on a curve that no algorithm here is for")
_RSA: Final = KeyKind("an RSA key", _RSA_ALGORITHMS)
_ED25519: Final = KeyKind("an Ed25519 key", ("EdDSA", "Ed25519"))
_ED448: Final = KeyKind("an Ed448 key", ("EdDSA", "Ed448"))
NEEDED_KINDS: Final[dict[str, str]] = {
    **{name: kind.name for kind in (_RSA, *_CURVES.values()) for name in kind.algorithms},
    "EdDSA": "an Ed25519 or Ed448 key",
    "Ed25519": _ED25519.name,
    "Ed448": _ED448.name,
    **dict.fromkeys(("HS256", "HS384", "HS512"), "a shared secret"),
}
"""What each algorithm needs, as a message calls it."""


def kind_of(public: object) -> KeyKind:
    """Return the kind of a public key."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519

    if isinstance(public, ec.EllipticCurvePublicKey):
        return _CURVES.get(public.curve.name, _OTHER_CURVE)
    for kind_of_object, kind in (
        (rsa.RSAPublicKey, _RSA),
        (ed25519.Ed25519PublicKey, _ED25519),
        (ed448.Ed448PublicKey, _ED448),
        (dsa.DSAPublicKey, KeyKind("a DSA key")),
        (x25519.X25519PublicKey, KeyKind("an X25519 key, which is for encryption")),
        (x448.X448PublicKey, KeyKind("an X448 key, which is for encryption")),
    ):
        if isinstance(public, kind_of_object):
            return kind
    return KeyKind("a key of a kind that no algorithm here is for")

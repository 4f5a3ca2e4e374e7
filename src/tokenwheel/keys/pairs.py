"""Key pairs: what is done with them by the package ``cryptography``.

This module is imported when the first key is read that is no shared secret, so that who has none
needs neither the package nor the time that its import takes. What makes a pair unfit whatever its
algorithm is in ``public_flaws``.

Sources: RFC 7518, sections 3.3 to 3.5 (RSA of 2048 bits, curves, schemes); RFC 8037 (EdDSA); RFC
8812 (ES256K); RFC 9864 (Ed25519, Ed448).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ..errors import ConfigurationError
from .unfit.guessable import is_guessable
from .unfit.public_flaws import curve_flaw, edwards_flaw, rsa_flaw
from .unfit.published import is_published

__all__ = ["check_pair", "new_private", "verifier_for", "write_pem"]

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES256K": ec.SECP256K1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
# RFC 9864, section 2.2: each of its names is for one curve, EdDSA for both.
_EDWARDS: Final[dict[str, tuple[type, ...]]] = {
    "EdDSA": (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey),
    "Ed25519": (ed25519.Ed25519PublicKey,),
    "Ed448": (ed448.Ed448PublicKey,),
}
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_SMALLEST_RSA = 2048  # bits
_LARGEST_RSA = 8192  # bits, as in Go: each doubling takes eight times as long to look at
_RSA_BITS = 3072  # of a new key: as strong as 128 bits (NIST SP 800-57, part 1, table 2)


def new_private(algorithm: str) -> Any:
    """Return a new private key. The randomness is the operating system's."""
    if algorithm == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    if algorithm in _EDWARDS:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    return rsa.generate_private_key(65537, _RSA_BITS)


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


def verifier_for(public: Any, algorithm: str, jwa: Any) -> Callable[[bytes, bytes], bool]:
    """Return what takes a message and a signature, and returns True where that is the key's.

    What ``cryptography`` asks for beside these is made here, once. A bad signature never raises.

    Args:
        public: the public key, fit for the algorithm.
        algorithm: its name.
        jwa: PyJWT's object for it.
    """
    verify = public.verify
    scheme = _scheme_for(algorithm, jwa)
    half = (public.key_size + 7) // 8 if algorithm in _CURVES else 0

    def is_signature(message: bytes, signature: bytes) -> bool:
        try:
            verify(signature, message, *scheme)
        except InvalidSignature:
            return False
        return True

    def is_two_numbers(message: bytes, signature: bytes) -> bool:
        # The signature is two numbers of equal length (RFC 7518, section 3.4).
        if len(signature) != 2 * half:
            return False
        as_der = encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )
        return is_signature(message, as_der)

    return is_two_numbers if half else is_signature


def _scheme_for(algorithm: str, jwa: Any) -> tuple[Any, ...]:
    """Return what ``cryptography`` asks for beside signature and message."""
    if algorithm in _EDWARDS:
        return ()
    hashed = jwa.hash_alg()
    if algorithm in _CURVES:
        return (ec.ECDSA(hashed),)
    if algorithm.startswith("RS"):
        return (padding.PKCS1v15(), hashed)
    return (padding.PSS(padding.MGF1(hashed), salt_length=hashed.digest_size), hashed)


def check_pair(private: object, public: object, algorithm: str) -> Any:
    """Return a public key that the algorithm can use, and that nobody can sign for but its owner.

    Args:
        private: the private key that belongs to it, or None where only the public one was given.
        public: the public key.
        algorithm: what the key is for, already checked.

    Raises:
        ConfigurationError: it is of another kind, size or curve; its private key can be found, is
            a pattern, or is printed where anybody can read it.
    """
    checked = _check_kind(public, algorithm)
    flaw = _flaw(private, checked)
    if flaw is not None:
        raise ConfigurationError(
            f"the key {flaw}: others can sign with it. Make another: "
            f"`tokenwheel keys new --algorithm {algorithm}`"
        )
    return checked


def _check_kind(key: object, algorithm: str) -> Any:
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
        if key.key_size > _LARGEST_RSA:
            raise ConfigurationError(f"an RSA key must have at most {_LARGEST_RSA} bits")
    elif algorithm in _CURVES:
        curve = _CURVES[algorithm]
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, type(curve)):
            raise ConfigurationError(f"{algorithm} needs an elliptic-curve key on {curve.name}")
    elif algorithm in _EDWARDS:
        if not isinstance(key, _EDWARDS[algorithm]):
            kind = "Ed25519 or Ed448" if algorithm == "EdDSA" else algorithm
            raise ConfigurationError(f"{algorithm} needs an {kind} key")
    else:
        raise ConfigurationError(f"{algorithm} needs a shared secret")
    return key


def _flaw(private: Any, public: Any) -> str | None:
    """Return what makes it possible that others sign for a key, in a few words, or None."""
    if is_published(
        public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ):
        return "is an example from a standard, whose private part anybody knows"
    if isinstance(public, rsa.RSAPublicKey):
        return rsa_flaw(public, is_pair=private is not None)
    if isinstance(public, ec.EllipticCurvePublicKey):
        flaw = curve_flaw(public)
        size = (public.key_size + 7) // 8
        raw = b"" if private is None else _scalar(private).to_bytes(size, "big")
    else:
        flaw = edwards_flaw(public)
        raw = b"" if private is None else private.private_bytes_raw()
    if flaw is None and is_guessable(raw):
        return "has a private part that is a pattern"
    return flaw


def _scalar(private: ec.EllipticCurvePrivateKey) -> int:
    return private.private_numbers().private_value

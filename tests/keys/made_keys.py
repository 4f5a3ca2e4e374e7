"""Keys in the forms that tools write them, for the tests of how they are read."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS1 = serialization.PublicFormat.PKCS1
PASSWORD = "correct-horse-battery-staple"
_DAY = datetime(2026, 1, 1, tzinfo=UTC)

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
OTHER_P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
PAIRS: dict[str, Any] = {
    "RS256": RSA,
    "ES256": P256,
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "ES256K": ec.generate_private_key(ec.SECP256K1()),
    "EdDSA": ED25519,
    "EdDSA of Ed448": ed448.Ed448PrivateKey.generate(),
}


def private(
    pair: Any, form: Any = PKCS8, password: str | None = None, encoding: Any = PEM
) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    octets: bytes = pair.private_bytes(encoding, form, encryption)
    return octets


def public(pair: Any, form: Any = SPKI, encoding: Any = PEM) -> bytes:
    octets: bytes = pair.public_key().public_bytes(encoding, form)
    return octets


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def certificate_of(pair: Any, issuer: Any = None) -> x509.Certificate:
    """Return a certificate that was good for one day of the past."""
    signer = pair if issuer is None else issuer
    builder = x509.CertificateBuilder(
        _name("issuer"), _name("subject"), pair.public_key(), 5, _DAY, _DAY + timedelta(1)
    )
    is_edwards = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(signer, None if is_edwards else hashes.SHA256())


def certificate(pair: Any, issuer: Any = None, encoding: Any = PEM) -> bytes:
    return certificate_of(pair, issuer).public_bytes(encoding)


def request(pair: Any, encoding: Any = PEM) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(_name("subject"))
    return builder.sign(pair, hashes.SHA256()).public_bytes(encoding)


def keystore(pair: Any) -> bytes:
    """Return a PKCS #12 file."""
    return pkcs12.serialize_key_and_certificates(
        b"a", pair, certificate_of(pair), None,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )  # fmt: skip


def certificates(pair: Any, encoding: Any = PEM) -> bytes:
    """Return a PKCS #7 file."""
    return pkcs7.serialize_certificates([certificate_of(pair)], encoding)


def block(label: str, octets: bytes) -> bytes:
    """Return octets as a block of PEM."""
    digits = b64encode(octets).decode()
    lines = [digits[start : start + 64] for start in range(0, len(digits), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()

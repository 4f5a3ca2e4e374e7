"""What the tests of unfit keys share: ways in for a secret, key pairs, and spellings."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from tests.support import base64url
from tokenwheel import ConfigurationError, Key, KeySet, SessionManager
from tokenwheel.keys import storage_secret

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PLAIN = serialization.NoEncryption()
ANOTHER_KEY = "is a PEM, SSH, DER or JWK key, or one in another spelling"
GUESSABLE = "is a pattern, which anybody can guess"
EXAMPLE = "is an example from a standard"


def ways_in(secret: str | bytes) -> Iterator[Callable[[], object]]:
    """Yield each way in which a shared secret gets into the library."""
    octets = secret.encode() if isinstance(secret, str) else secret
    jwk = {"kty": "oct", "k": base64url(octets), "alg": "HS256", "kid": "a"}
    yield lambda: Key.from_secret(secret)
    yield lambda: KeySet.from_secret(secret)
    yield lambda: SessionManager(secret, issuer="i", audience="a")
    yield lambda: Key.from_jwk(jwk)
    yield lambda: KeySet.from_jwk(json.dumps(jwk))
    yield lambda: KeySet.from_jwks({"keys": [jwk]})
    yield lambda: storage_secret(secret)


def refused_as_a_secret(secret: str | bytes, reason: str) -> None:
    octets = secret.encode() if isinstance(secret, str) else secret
    for way_in in ways_in(secret):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            way_in()
        said = str(caught.value)
        assert "random bytes" in said
        assert octets.decode("latin-1")[:12] not in said


PAIRS: dict[str, Any] = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
}


def public_der(pair: Any) -> bytes:
    der: bytes = pair.public_key().public_bytes(DER, SPKI)
    return der


def private_der(pair: Any) -> bytes:
    der: bytes = pair.private_bytes(DER, serialization.PrivateFormat.PKCS8, PLAIN)
    return der


def certificate(pair: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, pair.public_key(), 1, day, day + timedelta(1))
    is_edwards = isinstance(pair, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(pair, None if is_edwards else hashes.SHA256())


def wrapped(der: bytes) -> bytes:
    return base64.encodebytes(der)


def spellings(octets: bytes) -> Iterator[bytes]:
    """Yield octets as they are, and in base64 and hex as people, tools and forms spell them."""
    standard, for_urls = base64.b64encode(octets), base64.urlsafe_b64encode(octets)
    yield octets
    yield octets + b"\n"
    yield octets.decode("latin-1").encode()
    for text in (standard, for_urls, standard.rstrip(b"="), for_urls.rstrip(b"=")):
        yield text
        yield b" " + text + b"\r\n"
        yield b'"' + text + b'"'
    yield wrapped(octets)
    yield wrapped(octets).replace(b"\n", b"\r\n")
    yield wrapped(octets).replace(b"\n", b"\\n")
    yield b"\n".join(b"\t" + line for line in wrapped(octets).splitlines())
    yield base64.b64encode(standard)
    yield base64.b32encode(octets)
    yield octets.hex().encode()
    yield octets.hex(":").upper().encode()
    yield octets.hex(" ", 2).encode()
    yield b"0x" + octets.hex().encode()
    yield octets.hex("\n", 32).encode()


def in_unicode(text: bytes) -> Iterator[bytes]:
    """Yield a text in the encodings that Windows and Java write, with and without their mark."""
    characters = text.decode()
    yield b"\xef\xbb\xbf" + text
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        yield characters.encode(encoding)
    yield b"\xfe\xff" + characters.encode("utf-16-be")

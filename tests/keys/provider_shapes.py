"""Key sets in the shape of those that identity providers publish.

The keys are made here; which members stand beside them is as each provider writes them. So are the
kids in length and alphabet. No key and no kid is a real one.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from tests.support import base64url
from tokenwheel import Key

__all__ = ["PROVIDERS", "Published"]


class Published(NamedTuple):
    """What a provider publishes, and the private keys that only it has."""

    jwks: dict[str, Any]
    signing: list[Key]
    algorithms: list[str] | None = None
    """What a caller has to say, since the set doesn't."""


PROVIDERS: dict[str, Callable[[], Published]] = {}


def provider(make: Callable[[], Published]) -> Callable[[], Published]:
    PROVIDERS[make.__name__] = make
    return make


@lru_cache
def _private(kind: str, number: int) -> Any:
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "secp256k1": ec.SECP256K1()}
    return ec.generate_private_key(curves[kind])


def key(algorithm: str, kid: str, number: int = 0) -> Key:
    """Return a private key. The same number is the same pair."""
    kinds = {"ES256": "P-256", "ES384": "P-384", "ES256K": "secp256k1", "EdDSA": "Ed25519"}
    pem = _private(kinds.get(algorithm, "RSA"), number).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Key.from_pem(pem, algorithm, kid=kid)


def jwk(private: Key, *left_out: str, **more: Any) -> dict[str, Any]:
    """Return a public key with ``alg`` and ``use``, but for what is left out, and more."""
    members = {name: value for name, value in private.to_jwk().items() if name not in left_out}
    return {**members, **more}


def certified(private: Key, *left_out: str, **more: Any) -> dict[str, Any]:
    """Return a public key with its certificate, as in x5c, and thumbprints of that."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signing")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private._public, 1, day, day + timedelta(days=365))
        .sign(private._private, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    x5 = {
        "x5c": [b64encode(certificate).decode()],
        "x5t": base64url(hashlib.sha1(certificate, usedforsecurity=False).digest()),
        "x5t#S256": base64url(hashlib.sha256(certificate).digest()),
    }
    members = {**x5, **jwk(private)}
    return {name: value for name, value in members.items() if name not in left_out} | more


@provider
def auth0() -> Published:
    keys = [key("RS256", "zT5uQ0bEd1pXfJrW8kYv4", 0), key("RS256", "Hk2nL9cVa7sDg3mPq6wRt", 1)]
    return Published({"keys": [certified(each, "x5t#S256") for each in keys]}, keys)


@provider
def okta() -> Published:
    keys = [key("RS256", "uVq7oN2wT4xK9bLs1ZfGyE8cRmJ5aHd0PiQkXtWvBnM")]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def microsoft_entra() -> Published:
    """No alg: RS256 is what everybody takes RSA for."""
    keys = [
        key("RS256", "nOo3ZDrODXEK1jKWhXslHR_KXEg", 0),
        key("RS256", "l3sQ-50cCH4xBVZLHTGwnSR76", 1),
    ]
    issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
    return Published(
        {
            "keys": [
                certified(
                    each, "alg", "x5t#S256", issuer=issuer,
                    cloud_instance_name="microsoftonline.com",
                )
                for each in keys
            ]
        },
        keys,
    )  # fmt: skip


@provider
def microsoft_adfs() -> Published:
    keys = [key("RS256", "GvnPApfWMdLRi8PDmisFn7bprKg")]
    return Published({"keys": [certified(each, "x5t#S256") for each in keys]}, keys)


@provider
def google() -> Published:
    keys = [key("RS256", hashlib.sha1(bytes([n])).hexdigest(), n) for n in range(2)]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def google_iap() -> Published:
    keys = [key("ES256", kid, n) for n, kid in enumerate(("mpf0DA", "f9R3yg", "2nMJtw"))]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def firebase() -> Published:
    keys = [key("RS256", hashlib.sha1(bytes([n])).hexdigest(), n) for n in (2, 3)]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def aws_cognito() -> Published:
    """Two keys, of which one signs ID tokens and one access tokens; kids in plain base64."""
    keys = [
        key("RS256", b64encode(hashlib.sha256(bytes([n])).digest()).decode(), n) for n in range(2)
    ]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def keycloak() -> Published:
    """A key for encryption beside those for signatures; EdDSA where a realm has it."""
    keys = [
        key("RS256", "2M3UGxXjHLpzWGyLkYkVf0bB1tD7hE4nRqJcSaVwOiI", 0),
        key("EdDSA", "r8TzQ6yWnKx1LdEoPvB3mUfGs0HcJ5aRi2VtXkYqN4g"),
        key("ES256", "J1vXb6hWtLq9RzEoCy3mUfGs0HcPa5dKi2VtBkYqN4w"),
    ]
    for_encryption = certified(
        key("RS256", "pB9kLw2xVt7QzRm1YcJ4nGfUd6HsXoEa0TiKvWqN5y8", 1), alg="RSA-OAEP", use="enc"
    )
    return Published(
        {"keys": [for_encryption, certified(keys[0]), jwk(keys[1]), jwk(keys[2])]}, keys
    )


@provider
def gitlab() -> Published:
    keys = [key("RS256", "kewiQq9jiC84CvSsJYOB-N6A8WFLSV20Mb-y7IlWDSQ")]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def github_actions() -> Published:
    keys = [
        key("RS256", "0b6a2c1e-5d3f-5a47-9e88-7c2f4b1d6a90", 0),
        key("RS256", "38826B17A30BC23F0D6BF4D2A1C95E7F80B3D4C6", 1),
    ]
    return Published({"keys": [certified(each, "x5t#S256") for each in keys]}, keys)


@provider
def apple() -> Published:
    keys = [
        key("RS256", kid, n) for n, kid in enumerate(("T8tIJ1zSrO", "Sf2lFqwkpX", "rs0M3kOV9p"))
    ]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def salesforce() -> Published:
    keys = [key("RS256", kid, n) for n, kid in enumerate(("256", "258"))]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def ping_federate() -> Published:
    """Keys of several kinds without alg, of which RSA signs with PSS: that has to be said."""
    keys = [
        key("PS256", "VaGh7pnq2lXo", 0),
        key("ES256", "Bq3xZ1rT9wKd"),
        key("ES384", "Yc8mN5vL0sHf"),
    ]
    return Published(
        {"keys": [jwk(each, "alg") for each in keys]}, keys, ["PS256", "ES256", "ES384"]
    )


@provider
def curity() -> Published:
    keys = [key("RS256", "-1038745219"), key("ES256", "1660272443")]
    return Published({"keys": [certified(keys[0], "x5c"), jwk(keys[1])]}, keys)


@provider
def zitadel() -> Published:
    keys = [key("RS256", "258172634095837185")]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def ory_hydra() -> Published:
    keys = [
        key("RS256", "public:hydra.openid.id-token", 0),
        key("RS256", "public:hydra.jwt.access-token", 1),
    ]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def supabase() -> Published:
    """As WebCrypto exports a key: with key_ops and ext, and without use."""
    keys = [key("ES256", "5b0e1c7a-2f4d-4a39-8c61-d7e90b3f12a8")]
    return Published(
        {"keys": [jwk(each, "use", key_ops=["verify"], ext=True) for each in keys]}, keys
    )


@provider
def kubernetes() -> Published:
    keys = [
        key("RS256", "Q3dXkZ0vBfLsT9wYnJ6mRc2EaUiHpG8oVtKy1xN7eDM"),
        key("ES256", "8sVtKy1xN7eDMQ3dXk"),
    ]
    return Published({"keys": [jwk(each) for each in keys]}, keys)


@provider
def linkedin() -> Published:
    keys = [key("RS256", "a1c7f5e2-90b3-4d68-b7fa-3e21d08c4f96")]
    return Published({"keys": [jwk(each, "alg") for each in keys]}, keys)


@provider
def cloudflare_access() -> Published:
    """Beside the keys, certificates of them."""
    keys = [key("RS256", hashlib.sha256(bytes([n])).hexdigest(), n) for n in range(2)]
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    certificates = [{"kid": each.kid, "cert": pem} for each in keys]
    return Published(
        {
            "keys": [jwk(each) for each in keys],
            "public_cert": certificates[0],
            "public_certs": certificates,
        },
        keys,
    )


@provider
def wso2() -> Published:
    """One pair under two algorithms, which the kid tells."""
    kids = {
        name: f"MzJlYTBkNmI5NDUxZGU3MGYzOGMyYTkxZTQ3NWJkMDY_{name}" for name in ("RS256", "PS256")
    }
    keys = [key(name, kid, 0) for name, kid in kids.items()]
    return Published({"keys": [certified(each, "x5t") for each in keys]}, keys)


@provider
def nimbus() -> Published:
    """All that a server by this library may have: one kid for all of it, one key for agreement."""
    keys = [key(name, "2026-11") for name in ("RS256", "PS256", "ES256", "ES256K", "EdDSA")]
    raw = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    agreement = {"kty": "OKP", "crv": "X25519", "x": base64url(raw), "use": "enc", "kid": "2026-11"}
    times = {"iat": 1_790_000_000, "exp": 1_890_000_000, "nbf": 1_790_000_000}
    return Published({"keys": [agreement, *(jwk(each, **times) for each in keys)]}, keys)


@provider
def post_quantum_pilot() -> Published:
    """Keys of draft-ietf-cose-dilithium beside those of today."""
    keys = [key("ES256", "today")]
    later = {
        "kty": "AKP",
        "alg": "ML-DSA-44",
        "pub": base64url(bytes(range(256)) * 5),
        "kid": "later",
    }
    return Published({"keys": [later, jwk(keys[0]), {**later, "alg": "ML-DSA-87"}]}, keys)

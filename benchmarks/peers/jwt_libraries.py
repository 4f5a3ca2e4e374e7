"""How each library verifies and signs the token, as its documentation shows.

Keys are prepared beforehand where a library can prepare them. A verifier checks signature, ``exp``,
``iss`` and ``aud`` and returns the claims; ``jobs.reading`` finds out which of these it leaves
unchecked.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.claims import ACCEPTED, APPLICATION, AUDIENCE, ISSUER, LIFETIME

Verify = Callable[[str], Any]


class Material(NamedTuple):
    """A key, as text in the form that every library takes."""

    algorithm: str
    secret: str | None
    private: str | None
    public: str | None

    @classmethod
    def read_from(cls, tokens: str) -> Material:
        """Return the key that signed the tokens of a file."""
        file = json.loads(Path(tokens).read_text())
        return cls(*(file[name] for name in cls._fields))

    @property
    def verifying(self) -> str:
        return self.secret or self.public or ""

    @property
    def signing(self) -> str:
        return self.secret or self.private or ""


def read_key(material: Material) -> Any:
    from tokenwheel import Key

    if material.secret is not None:
        return Key.from_secret(material.secret, material.algorithm)
    return Key.from_pem(material.signing, material.algorithm)


def make_manager(material: Material, **options: Any) -> Any:
    from tokenwheel import KeySet, SessionManager

    options = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "accept_audience": ACCEPTED,
        "access_ttl": LIFETIME,
        **options,
    }
    return SessionManager(KeySet(read_key(material)), **options)


def tokenwheel(material: Material) -> Verify:
    read: Verify = make_manager(material).read
    return read


def tokenwheel_uncached(material: Material) -> Verify:
    read: Verify = make_manager(material, verified_cache_size=0).read
    return read


def tokenwheel_roomy(material: Material) -> Verify:
    """Return a verifier whose memory of verified tokens has no end.

    No application can ask for that. All else is as by default.
    """
    from tokenwheel import RevocationList, seconds
    from tokenwheel._impl import Verifier

    options = {
        "issuer": ISSUER,
        "audience": (ACCEPTED,),
        "leeway": 0,
        "largest_leeway": 60,
        "clock": getattr(seconds, "wall_time", time.time),  # 0.1.0 took Python's own
    }
    read: Verify = Verifier(
        [read_key(material)],
        cache_size=2**31 - 1,
        cache_bytes=2**40,
        revocations=RevocationList(),
        **options,
    ).verify
    return read


def pyjwt(material: Material) -> Verify:
    import jwt

    # Loaded once; given as text, PyJWT would parse the PEM at every call.
    key = jwt.get_algorithm_by_name(material.algorithm).prepare_key(material.verifying)
    algorithms = [material.algorithm]
    return lambda token: jwt.decode(
        token, key, algorithms=algorithms, audience=ACCEPTED, issuer=ISSUER
    )


def pyjwt_dict(material: Material) -> Verify:
    """Return what anybody would write by hand, with the tokens seen before in a dict.

    Time and revoked sessions are checked again at each use. Nothing is forgotten.
    """
    decode = pyjwt(material)
    seen: dict[str, dict[str, Any]] = {}
    revoked: dict[str, float] = {}
    now = time.time

    def read(token: str) -> dict[str, Any]:
        claims = seen.get(token)
        if claims is None:
            claims = seen[token] = decode(token)
        elif claims["exp"] <= now():
            raise ValueError("expired")
        if claims["anc"] in revoked:
            raise ValueError("revoked")
        return claims

    return read


def joserfc(material: Material) -> Verify:
    from joserfc import jwk, jwt

    kind = {"HS": "oct", "RS": "RSA", "ES": "EC", "Ed": "OKP"}[material.algorithm[:2]]
    key = jwk.import_key(material.verifying, kind)
    names = ["Ed25519" if material.algorithm == "EdDSA" else material.algorithm, material.algorithm]
    required = {
        "exp": {"essential": True},
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "value": ACCEPTED},
    }

    def decode(token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=names).claims
        jwt.JWTClaimsRegistry(**required).validate(claims)
        return claims

    return decode


def python_jose(material: Material) -> Verify:
    from jose import jwk, jwt

    key = jwk.construct(material.verifying, material.algorithm)
    algorithms = [material.algorithm]
    return lambda token: jwt.decode(
        token, key, algorithms=algorithms, audience=ACCEPTED, issuer=ISSUER
    )


def webtoken(material: Material) -> Verify:
    from webtoken import decode

    key, algorithms = material.verifying, [material.algorithm]
    return lambda token: decode(token, key, algorithms=algorithms, audience=ACCEPTED, issuer=ISSUER)


def oxyjwt(material: Material) -> Verify:
    from oxyjwt import DecodingKey, decode

    load = {
        "HS": DecodingKey.from_secret,
        "RS": DecodingKey.from_rsa_pem,
        "ES": DecodingKey.from_ec_pem,
        "Ed": DecodingKey.from_ed_pem,
    }
    key = load[material.algorithm[:2]](material.verifying)
    algorithms = [material.algorithm]
    return lambda token: decode(token, key, algorithms=algorithms, audience=ACCEPTED, issuer=ISSUER)


def ryjwt(material: Material) -> Verify:
    from ryjwt import PublicKey, SecretKey

    make = PublicKey if material.secret is None else SecretKey
    decode: Verify = make(
        material.verifying, algorithms=[material.algorithm], audience=ACCEPTED, issuer=ISSUER
    ).decode
    return decode


def clasp(material: Material) -> Verify:
    from clasp import AsymmetricKey, SymmetricKey

    load = {
        "HS": SymmetricKey,
        "RS": AsymmetricKey.from_rsa_pem,
        "ES": AsymmetricKey.from_ec_pem,
        "Ed": AsymmetricKey.from_ed_pem,
    }
    verify = load[material.algorithm[:2]](material.verifying.encode(), material.algorithm).verify
    return lambda token: json.loads(verify(token))


def superjwt(material: Material) -> Verify:
    from superjwt import JWTClaims, decode

    key, algorithm = material.verifying, material.algorithm
    # Its model of a header knows "JWT" as the only type, and its models of claims check no issuer.
    return lambda token: decode(
        token, key, algorithm, validation=JWTClaims, headers_validation=None
    ).to_dict()


def pyjosers(material: Material) -> Verify:
    from pyjosers.jwk import JWK
    from pyjosers.jwt import JWT, Validation

    if material.secret is None:
        key = JWK.from_pem(material.verifying.encode())
    else:
        key = JWK(kty="oct", k=urlsafe_b64encode(material.secret.encode()).rstrip(b"=").decode())
    algorithms = [material.algorithm]
    rules = Validation(issuer=ISSUER, audience=ACCEPTED, leeway=0, allowed_algorithms=algorithms)
    return lambda token: json.loads(
        JWT(jwt=token, key=key, algs=algorithms, validation=rules).claims
    )


class Bare(NamedTuple):
    """A check of the signature and of nothing else.

    ``prepare`` splits and decodes a token beforehand, outside of the time.
    """

    prepare: Callable[[str], tuple[Any, ...]]
    call: Callable[[tuple[Any, ...]], Any]


def cryptography(material: Material) -> Bare:
    from cryptography.hazmat.primitives import hashes, hmac, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    def split(token: str) -> tuple[bytes, bytes]:
        message, _, encoded = token.rpartition(".")
        return message.encode(), urlsafe_b64decode(encoded + "==")

    if material.secret is not None:
        secret = material.secret.encode()

        def check(parts: tuple[Any, ...]) -> None:
            mac = hmac.HMAC(secret, hashes.SHA256())
            mac.update(parts[0])
            mac.verify(parts[1])

        return Bare(split, check)

    key: Any = serialization.load_pem_public_key(material.verifying.encode())

    def prepare(token: str) -> tuple[Any, ...]:
        message, signature = split(token)
        if material.algorithm == "ES256":
            halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            return encode_dss_signature(*halves), message, ec.ECDSA(hashes.SHA256())
        return (
            (signature, message, padding.PKCS1v15(), hashes.SHA256())
            if material.algorithm == "RS256"
            else (signature, message)
        )

    verify = key.verify
    return Bare(prepare, lambda parts: verify(*parts))


VERIFIERS: dict[str, Callable[[Material], Verify | Bare]] = {
    "tokenwheel": tokenwheel,
    "tokenwheel_uncached": tokenwheel_uncached,
    "tokenwheel_roomy": tokenwheel_roomy,
    "tokenwheel_pure": tokenwheel,
    "released": tokenwheel,
    "pyjwt": pyjwt,
    "pyjwt_2_12": pyjwt,
    "pyjwt_dict": pyjwt_dict,
    "joserfc": joserfc,
    "python_jose": python_jose,
    "webtoken": webtoken,
    "oxyjwt": oxyjwt,
    "ryjwt": ryjwt,
    "clasp": clasp,
    "superjwt": superjwt,
    "pyjosers": pyjosers,
    "cryptography": cryptography,
}
REMEMBERING = {"tokenwheel", "tokenwheel_roomy", "tokenwheel_pure", "pyjwt_dict"}
"""Those for whom a token seen before differs from one never seen."""

Issue = Callable[[int], Any]


def sign_with_pyjwt(material: Material) -> Issue:
    import jwt

    key = jwt.get_algorithm_by_name(material.algorithm).prepare_key(material.signing)
    return lambda _: jwt.encode(make_payload(), key, material.algorithm)


def sign_by_hand(material: Material) -> Issue:
    """Return what anybody would write by hand around PyJWT.

    A dict keeps the hash of a random refresh token for its session.
    """
    encode = sign_with_pyjwt(material)
    sessions: dict[str, tuple[bytes, float]] = {}

    def create(number: int) -> tuple[str, str]:
        refresh_token = secrets.token_urlsafe(24)
        sessions[refresh_token[:16]] = (
            hashlib.sha256(refresh_token.encode()).digest(),
            time.time() + 2_592_000,
        )
        return encode(number), refresh_token

    return create


def sign_with_joserfc(material: Material) -> Issue:
    from joserfc import jwk, jwt

    kind = {"HS": "oct", "RS": "RSA", "ES": "EC", "Ed": "OKP"}[material.algorithm[:2]]
    key = jwk.import_key(material.signing, kind)
    name = "Ed25519" if material.algorithm == "EdDSA" else material.algorithm
    return lambda _: jwt.encode({"alg": name, "typ": "JWT"}, make_payload(), key, algorithms=[name])


def sign_with_oxyjwt(material: Material) -> Issue:
    from oxyjwt import EncodingKey, encode

    load = {
        "HS": EncodingKey.from_secret,
        "RS": EncodingKey.from_rsa_pem,
        "ES": EncodingKey.from_ec_pem,
        "Ed": EncodingKey.from_ed_pem,
    }
    key = load[material.algorithm[:2]](material.signing)
    return lambda _: encode(make_payload(), key, algorithm=material.algorithm)


def sign_with_ryjwt(material: Material) -> Issue:
    from ryjwt import PrivateKey, SecretKey

    make = PrivateKey if material.secret is None else SecretKey
    encode = make(material.signing, algorithms=[material.algorithm]).encode
    return lambda _: encode(make_payload())


def make_payload() -> dict[str, Any]:
    now = int(time.time())
    return {
        "sub": "uid1",
        "anc": "Ab3xY",
        **APPLICATION,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + LIFETIME,
    }


SIGNERS: dict[str, Callable[[Material], Issue]] = {
    "pyjwt": sign_with_pyjwt,
    "pyjwt_2_12": sign_with_pyjwt,
    "pyjwt_dict": sign_by_hand,
    "joserfc": sign_with_joserfc,
    "oxyjwt": sign_with_oxyjwt,
    "ryjwt": sign_with_ryjwt,
}

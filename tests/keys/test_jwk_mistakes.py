"""The member of a JSON Web Key that is wrong is named, and a key of another kind its algorithm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, x25519

from tests.keys.made_keys import (
    ED25519,
    P256,
    RSA,
    certificate,
    private,
    public,
)
from tests.keys.refusals import (
    JWK,
    RSA_JWK,
    SHARED,
    TEXT,
    refused,
)
from tests.support import secret_of
from tokenwheel import Key, KeySet

KINDS = {
    "ES256": (P256, "an elliptic-curve key on P-256"),
    "RS256": (RSA, "an RSA key"),
    "EdDSA": (ED25519, "an Ed25519 key"),
}


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384", "ES512", "ES256K",
                                       "EdDSA", "Ed25519", "Ed448", "HS256", "HS512"])  # fmt: skip
def test_a_key_of_another_kind_than_the_algorithm_is_named_with_the_right_call(
    algorithm: str,
) -> None:
    needed = {
        "R": "an RSA key", "P": "an RSA key", "ES256": "an elliptic-curve key on P-256",
        "ES384": "an elliptic-curve key on P-384", "ES512": "an elliptic-curve key on P-521",
        "ES256K": "an elliptic-curve key on secp256k1", "EdDSA": "an Ed25519 or Ed448 key",
        "Ed25519": "an Ed25519 key", "Ed448": "an Ed448 key", "H": "a shared secret",
    }  # fmt: skip
    needs = f"{algorithm} needs {needed.get(algorithm, needed.get(algorithm[0]))}"
    for usual, (pair, kind) in KINDS.items():
        if usual == algorithm or {usual, algorithm} in ({"EdDSA", "Ed25519"}, {"RS256", "PS512"}):
            continue
        for pem in (private(pair), public(pair), certificate(pair)):
            says = f"{needs}, and pem holds {kind}: Key.from_pem(pem, '{usual}')"
            for make in (Key.from_pem, KeySet.from_pem):
                refused(lambda m=make, p=pem: m(p, algorithm), says, pem)
        jwk = Key.from_pem(private(pair), usual).to_jwk(private=True)
        del jwk["alg"]
        says = f"{needs}, and the jwk is {kind}: Key.from_jwk(jwk, '{usual}')"
        for make in (Key.from_jwk, KeySet.from_jwk):
            refused(lambda m=make, j=jwk: m(j, algorithm), says, jwk)


def test_a_key_for_no_signatures_is_named() -> None:
    for pair, kind in (
        (x25519.X25519PrivateKey.generate(), "an X25519 key, which is for encryption"),
        (dsa.generate_private_key(2048), "a DSA key"),
    ):
        refused(
            lambda p=pair: Key.from_pem(private(p), "ES256"),
            f"ES256 needs an elliptic-curve key on P-256, and pem holds {kind}: "
            "`tokenwheel keys new` makes one",
            private(pair),
        )


def test_a_shared_secret_handed_over_as_pem_is_told_its_door() -> None:
    secret = secret_of("a")
    for make in (Key.from_pem, KeySet.from_pem):
        refused(
            lambda m=make: m(secret, "HS256"),
            "pem is no PEM text, and HS256 needs a shared secret: Key.from_secret(secret, 'HS256')",
            secret,
        )


def _without(name: str, jwk: dict[str, Any] = JWK) -> dict[str, Any]:
    return {member: value for member, value in jwk.items() if member != name}


MALFORMED = (
    "the jwk is malformed: its members are no key, or are parts of several that do not belong "
    "together"
)
NO_BASE64 = "is not base64url: it is empty, cut off, or has other characters"
OF_MEMBERS: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "a set": (
        {"keys": [JWK]}, None,
        "jwk is a JSON Web Key Set: KeySet.from_jwks takes it, and from_jwk one of its keys",
    ),
    "no kty": (
        _without("kty"), None,
        "the jwk has no 'kty', which must be EC, OKP, RSA or oct: hand over the whole key",
    ),
    "unknown kty": (
        {**JWK, "kty": "AKP"}, None,
        "the jwk's 'kty' must be EC, OKP, RSA or oct: no other kind signs tokens here",
    ),
    "kty in small letters": (
        {**JWK, "kty": "ec"}, None,
        "the jwk's 'kty' must be EC, OKP, RSA or oct: no other kind signs tokens here",
    ),
    "unknown crv": (
        {**JWK, "crv": "P-192"}, "ES256",
        "the jwk's 'crv' must be P-256, P-384, P-521 or secp256k1 where its 'kty' is EC",
    ),
    "no crv": (_without("crv"), None, "the jwk has no 'crv', which a key of 'kty' EC needs"),
    "unknown alg": (
        {**JWK, "alg": "ML-DSA-44"}, None,
        ("the jwk's 'alg' must be one of ES256, ES256K, ES384, ES512, Ed25519, Ed448, EdDSA, "
        "HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512, or be left out where the "
        "algorithm is given"),
    ),
    "another alg": (
        RSA_JWK, "PS256",
        ("the jwk's 'alg' is RS256, and the algorithm given is PS256: leave the algorithm out, or "
        "hand over the key that is for it"),
    ),
    "alg of another kind": (
        {**JWK, "alg": "RS256"}, None,
        ("RS256 needs an RSA key, and the jwk is an elliptic-curve key on P-256: its 'alg' must be "
        "ES256"),
    ),
    "for encryption": (
        {**JWK, "use": "enc"}, None,
        "the jwk is for encryption: its 'use' must be 'sig', so hand over the key that signs",
    ),
    "alg of encryption": (
        {**RSA_JWK, "alg": "RSA-OAEP-256"}, None,
        "the jwk is for encryption, as its 'alg' says: hand over the key that signs",
    ),
    "crv of encryption": (
        {"kty": "OKP", "crv": "X25519", "x": JWK["x"]}, "EdDSA",
        "the jwk is for encryption, as its 'crv' says: hand over the key that signs",
    ),
    "no x": (_without("x"), None, "the jwk has no 'x', which a key of 'kty' EC needs"),
    "no y": (_without("y"), None, "the jwk has no 'y', which a key of 'kty' EC needs"),
    "no n": (_without("n", RSA_JWK), None, "the jwk has no 'n', which a key of 'kty' RSA needs"),
    "no e": (_without("e", RSA_JWK), None, "the jwk has no 'e', which a key of 'kty' RSA needs"),
    "no k": (_without("k", SHARED), None, "the jwk has no 'k', which a key of 'kty' oct needs"),
    "no q": (
        _without("q", RSA_JWK), None,
        "the jwk has no 'q', which a private RSA key needs that has a 'p'",
    ),
    "no d beside its primes": (
        _without("d", RSA_JWK), None,
        ("the jwk has a 'p' and no 'd': hand over the whole private key, or the public one, which "
        "has neither"),
    ),
    "more than two primes": (
        {**RSA_JWK, "oth": []}, None,
        "the jwk has an 'oth', and so more than two primes, which cryptography does not read",
    ),
    "x of null": (
        {**JWK, "x": None}, None, "the jwk has no 'x', which a key of 'kty' EC needs",
    ),
    "n as a number": (
        {**RSA_JWK, "n": 65537}, None, "the jwk's 'n' must be a text in base64url, not int",
    ),
    "d as a list": ({**JWK, "d": [JWK["d"]]}, None,
                    "the jwk's 'd' must be a text in base64url, not list"),
    "x empty": ({**JWK, "x": ""}, None, f"the jwk's 'x' {NO_BASE64}"),
    "x with other characters": ({**JWK, "x": JWK["x"] + "!"}, None, f"the jwk's 'x' {NO_BASE64}"),
    "d with a blank": ({**JWK, "d": JWK["d"] + " "}, None, f"the jwk's 'd' {NO_BASE64}"),
    "k as it was typed": (
        {**SHARED, "k": "correct horse battery staple, many times over"}, None,
        f"the jwk's 'k' {NO_BASE64}",
    ),
    "d cut off": ({**JWK, "d": JWK["d"][:-2]}, None, f"the jwk's 'd' {NO_BASE64}"),
    "x cut short": ({**JWK, "x": JWK["x"][:-3]}, None, MALFORMED),
    "off the curve": ({**JWK, "y": JWK["x"]}, None, MALFORMED),
    "use of another kind": (
        {**JWK, "use": "tls"}, None, "the jwk's 'use' must be 'sig' and its 'key_ops' allow sign",
    ),
    "key_ops without sign": (
        {**JWK, "key_ops": ["verify"]}, None,
        "the jwk's 'use' must be 'sig' and its 'key_ops' allow sign",
    ),
    "a service account": (
        {"type": "service_account", "private_key": TEXT}, None,
        ("jwk is JSON that has a key in its member 'private_key', and no JSON Web Key: "
        "Key.from_pem takes that member if it is PEM"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", OF_MEMBERS)
def test_the_member_of_a_jwk_that_is_wrong_is_named(mistake: str) -> None:
    jwk, algorithm, sentence = OF_MEMBERS[mistake]
    for make in (Key.from_jwk, KeySet.from_jwk):
        for spelling in (jwk, json.dumps(jwk), json.dumps(jwk).encode()):
            refused(lambda m=make, s=spelling: m(s, algorithm), sentence, json.dumps(jwk))


def test_base64_with_padding_and_in_the_other_letters_is_read() -> None:
    """PyJWT reads it as well, and no other number can be meant."""
    for name in ("x", "y", "d"):
        padded = {**JWK, name: JWK[name].replace("-", "+").replace("_", "/") + "="}
        assert Key.from_jwk(padded).kid == JWK["kid"]


def test_a_byte_order_mark_before_a_jwk_is_passed_over() -> None:
    text = json.dumps(JWK)
    for spelling in ("\ufeff" + text, b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
        assert Key.from_jwk(spelling).kid == JWK["kid"]


def test_a_jwk_where_a_set_is_asked_for_is_named() -> None:
    for spelling in (JWK, json.dumps(JWK)):
        refused(
            lambda s=spelling: KeySet.from_jwks(s),
            "jwks is a single JSON Web Key: KeySet.from_jwk takes it",
            json.dumps(JWK),
        )

"""Advisories of peers on how tokens are read, each with the forged token it was about.

Those on keys alone are in ``test_keys.py``, those on remembered tokens in
``test_verified_cache.py``.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support import CLAIMS, base64url, forge, refused, with_claims
from tokenwheel import AccessTokenRevoked, Key

from .conftest import EC, ED, NAMED, RSA, Service


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["RS256", "ES256", "EdDSA"])
def test_cve_2024_33663_an_openssh_or_der_public_key_as_the_hmac_secret(
    read: Callable[..., Any], key: Key
) -> None:
    """python-jose: its guard knew PEM alone.

    Here the key named by ``kid`` has its own algorithm, and no form of it is a secret.
    """
    public: Any = key._public
    forms = [
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).replace(
            b"\n", b"\r\n"
        ),
    ]
    for secret in forms:
        for header, reason in (
            ({"alg": "HS256", "typ": "at+jwt", "kid": key.kid}, "'alg' is not that of its key"),
            ({"alg": "HS256", "typ": "at+jwt"}, "signature is not by a key"),
        ):
            signed = f"{base64url(json.dumps(header))}.{base64url(json.dumps(CLAIMS))}"
            signature = hmac.digest(secret, signed.encode(), "sha256")
            refused(read, f"{signed}.{base64url(signature)}", reason)


def test_cve_2022_23540_no_algorithm_no_signature_and_nothing_to_check(
    read: Callable[..., Any],
) -> None:
    """jsonwebtoken: without a key and a list of algorithms, "none" was taken for the default."""
    for header in (
        {"typ": "at+jwt"},
        {"alg": "none", "typ": "at+jwt"},
        {"alg": None, "typ": "at+jwt", "kid": "named"},
    ):
        signed = f"{base64url(json.dumps(header))}.{base64url(json.dumps(CLAIMS))}"
        refused(read, f"{signed}.", "not canonical base64url")
        for signature in (b"\0", hmac.digest(b"", signed.encode(), "sha256")):
            refused(read, f"{signed}.{base64url(signature)}", "'alg' is not that of its key")


@pytest.mark.parametrize("key", [NAMED, RSA, EC, ED], ids=["HS256", "RS256", "ES256", "EdDSA"])
def test_ghsa_jq35_7prp_9v3f_an_accepted_algorithm_that_is_not_the_keys(
    read: Callable[..., Any], key: Key
) -> None:
    """PyJWT: the header's ``alg`` was looked up in the list of allowed ones.

    The signature was then checked by the key's own algorithm.
    """
    for alg in {"HS256", "RS256", "ES256", "EdDSA"} - {key.algorithm}:
        refused(read, forge(key=key, alg=alg), "'alg' is not that of its key")


@pytest.mark.parametrize("kid", [{}, {"kid": "gone"}, {"kid": "mine"}, {"kid": None}], ids=str)
def test_cve_2026_27962_the_attackers_own_key_in_the_header_of_a_token_that_names_no_key(
    serve: Callable[..., Service], kid: dict[str, Any]
) -> None:
    """Authlib: where the key set had no answer, the key that came with the token was taken."""
    mine = Key.generate("ES256", kid="mine")
    header = {
        "alg": "ES256",
        "typ": "at+jwt",
        "jwk": mine.to_jwk(),
        "x5c": [base64url(mine.to_pem())],
        **kid,
    }
    refused(serve(EC.public()).read, forge(key=mine, header=header), "names no key of this service")


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["policy"], "policy": "require-mfa"},
        {"crit": ["cnf"], "cnf": {"jkt": "x"}},
        {"crit": ["alg"]},
        {"crit": [7]},
    ],
    ids=str,
)
def test_cve_2026_32597_and_cve_2026_35042_a_critical_extension_that_nobody_understood(
    read: Callable[..., Any], members: Any
) -> None:
    """PyJWT, fast-jwt and python-jose: the list was never looked at."""
    for key in (NAMED, EC):
        refused(read, forge(key=key, **members), "demands an extension")


def test_cve_2025_30144_a_list_of_issuers_with_the_right_one_in_it(
    read: Callable[..., Any],
) -> None:
    """fast-jwt: RFC 7519, section 4.1.1 has one issuer, a text."""
    for iss in (["https://evil.example", "i"], ["i"], [["i"]], {"i": "i"}):
        refused(read, forge(with_claims(iss=iss)), "is of another issuer")


@pytest.mark.parametrize(
    "junk",
    [
        "!",
        "*",
        "%",
        " ",
        "\t",
        "\r\n",
        "=",
        "==",
        "====",
        "\0",
        "~",
        "\u00e9",
        "\U0001f600",
        ",",
        "/",
        "+",
    ],
)
def test_cve_2026_102269_another_spelling_of_a_revoked_tokens_signature(
    serve: Callable[..., Service], junk: str
) -> None:
    """PyJWT: characters that its decoder skipped made the same token another text.

    Here the session is what is revoked.
    """
    service = serve()
    token = forge(key=EC)
    assert service.read(token).subject == "uid1"
    reason = "not canonical base64url|signature is not by a key|came with white space around it"
    refused(service.read, token + junk, reason)
    refused(service.read, f"{token[:-4]}{junk}{token[-4:]}", reason)
    service.revocations.revoke("A" * 16, 60)
    for _ in range(2):
        with pytest.raises(AccessTokenRevoked):
            service.read(token)
        with pytest.raises(AccessTokenRevoked):
            service.read(forge(with_claims(another="text"), key=EC))
    refused(service.read, token + junk, reason)


def test_cve_2022_39227_compact_and_json_serialisations_in_one_text(
    read: Callable[..., Any],
) -> None:
    """python-jwt: one parser took the forged payload between the dots.

    The other verified the honest payload beside it.
    """
    header, payload, signature = forge().split(".")
    forged = base64url(json.dumps(with_claims(sub="root")))
    spliced = (
        f'{{"  {header}.{forged}.":"","protected":"{header}",'
        f'"payload":"{payload}","signature":"{signature}"}}'
    )
    flattened = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    refused(read, spliced, "not canonical base64url")
    for serialisation in (flattened, general):
        refused(read, json.dumps(serialisation), "has three parts")


def test_cve_2024_33664_a_compressed_encrypted_token_is_never_opened(
    read: Callable[..., Any],
) -> None:
    """python-jose: 250 KiB of JWE grew to gigabytes.

    Only a JWS has three parts, and nothing here is ever decompressed.
    """
    header = base64url(json.dumps({"alg": "dir", "enc": "A256GCM", "zip": "DEF", "typ": "at+jwt"}))
    encrypted = f"{header}..{base64url(bytes(12))}.{base64url(bytes(6000))}.{base64url(bytes(16))}"
    refused(read, encrypted, "has three parts")


def test_cve_2026_48525_work_is_bounded_before_anything_is_decoded(
    read: Callable[..., Any],
) -> None:
    """PyJWT: the payload that ``b64: false`` throws away was decoded first, however large."""
    header = base64url(json.dumps({"alg": "HS256", "typ": "at+jwt", "b64": False, "crit": ["b64"]}))
    refused(read, f"{header}.{'A' * 4_000_000}.AAAA", "has at most 8192 bytes")
    refused(read, f"{header}..{forge().split('.')[2]}", "not canonical base64url")

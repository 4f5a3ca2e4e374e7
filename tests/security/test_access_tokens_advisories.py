"""Advisories of peers on how tokens are read, each with the forged token it was about. Those on keys alone are in ``test_keys.py``,
those on remembered tokens in ``test_verified_cache.py``.
"""

from __future__ import annotations

import hmac
import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.security.test_access_tokens import (
    CLAIMS,
    EC,
    ED,
    HMAC,
    NAMED,
    RSA,
    b64,
    forge,
    refused,
    with_claims,
)
from tests.twins.conftest import TWINS
from tokenwheel import AccessTokenRevoked, Key


class Service:
    """What reads the tokens: it has a key of every kind, all known to the attacker but for their private parts."""

    def __init__(self, implementation: str, *keys: Key) -> None:
        verifier, table = (
            importlib.import_module(f"tokenwheel._{implementation}.{name}")
            for name in ("verifier", "revocations")
        )
        self.revocations = table.RevocationTable()
        self.read = verifier.Verifier(
            keys or [HMAC, NAMED, RSA.public(), EC.public(), ED.public()], issuer="i", audience=("a",), leeway=0, largest_leeway=60,
            cache_size=100, clock=time.time, revocations=self.revocations,
        ).verify  # fmt: skip


@pytest.fixture(params=TWINS)
def serve(request: pytest.FixtureRequest) -> Callable[..., Service]:
    return lambda *keys: Service(request.param, *keys)


@pytest.fixture
def read(serve: Callable[..., Service]) -> Callable[..., Any]:
    reader: Callable[..., Any] = serve().read
    return reader


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["RS256", "ES256", "EdDSA"])
def test_cve_2024_33663_an_openssh_or_der_public_key_as_the_hmac_secret(
    read: Callable[..., Any], key: Key
) -> None:
    """python-jose: its guard knew PEM alone. Here the key named by ``kid`` has its own algorithm, and no form of it is a secret."""
    public: Any = key._public
    forms = [
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).replace(
            b"\n", b"\r\n"
        ),
    ]
    for secret in forms:
        for header in (
            {"alg": "HS256", "typ": "at+jwt", "kid": key.kid},
            {"alg": "HS256", "typ": "at+jwt"},
        ):
            signed = f"{b64(json.dumps(header))}.{b64(json.dumps(CLAIMS))}"
            refused(read, f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}")


def test_cve_2022_23540_no_algorithm_no_signature_and_nothing_to_check(
    read: Callable[..., Any],
) -> None:
    """jsonwebtoken: without a key and a list of algorithms, "none" was taken for the default."""
    for header in (
        {"typ": "at+jwt"},
        {"alg": "none", "typ": "at+jwt"},
        {"alg": None, "typ": "at+jwt", "kid": "named"},
    ):
        signed = f"{b64(json.dumps(header))}.{b64(json.dumps(CLAIMS))}"
        for signature in ("", b64(b"\0"), b64(hmac.digest(b"", signed.encode(), "sha256"))):
            refused(read, f"{signed}.{signature}")


@pytest.mark.parametrize("key", [NAMED, RSA, EC, ED], ids=["HS256", "RS256", "ES256", "EdDSA"])
def test_ghsa_jq35_7prp_9v3f_an_accepted_algorithm_that_is_not_the_keys(
    read: Callable[..., Any], key: Key
) -> None:
    """PyJWT: the header's ``alg`` was looked up in the list of allowed ones, and the signature checked by the key's own."""
    for alg in {"HS256", "RS256", "ES256", "EdDSA"} - {key.algorithm}:
        refused(read, forge(key=key, alg=alg))


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
        "x5c": [b64(mine.to_pem())],
        **kid,
    }
    refused(serve(EC.public()).read, forge(key=mine, header=header))


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
        refused(read, forge(key=key, **members))


def test_cve_2025_30144_a_list_of_issuers_with_the_right_one_in_it(
    read: Callable[..., Any],
) -> None:
    """fast-jwt: RFC 7519, section 4.1.1 has one issuer, a text."""
    for iss in (["https://evil.example", "i"], ["i"], [["i"]], {"i": "i"}):
        refused(read, forge(with_claims(iss=iss)))


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
    """PyJWT: characters that its decoder skipped made the same token another text. Here the session is what is revoked."""
    service = serve()
    token = forge(key=EC)
    assert service.read(token).subject == "uid1"
    refused(service.read, token + junk)
    refused(service.read, f"{token[:-4]}{junk}{token[-4:]}")
    service.revocations.revoke("A" * 16, 60)
    for _ in range(2):
        with pytest.raises(AccessTokenRevoked):
            service.read(token)
        with pytest.raises(AccessTokenRevoked):
            service.read(forge(with_claims(another="text"), key=EC))
    refused(service.read, token + junk)


def test_cve_2022_39227_compact_and_json_serialisations_in_one_text(
    read: Callable[..., Any],
) -> None:
    """python-jwt: one parser took the forged payload between the dots, the other verified the honest one beside it."""
    header, payload, signature = forge().split(".")
    forged = b64(json.dumps(with_claims(sub="root")))
    refused(
        read,
        f'{{"  {header}.{forged}.":"","protected":"{header}","payload":"{payload}","signature":"{signature}"}}',
    )
    refused(read, json.dumps({"protected": header, "payload": payload, "signature": signature}))
    refused(
        read,
        json.dumps(
            {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
        ),
    )


def test_cve_2024_33664_a_compressed_encrypted_token_is_never_opened(
    read: Callable[..., Any],
) -> None:
    """python-jose: 250 KiB of JWE grew to gigabytes. Only a JWS has three parts, and nothing here is ever decompressed."""
    header = b64(json.dumps({"alg": "dir", "enc": "A256GCM", "zip": "DEF", "typ": "at+jwt"}))
    assert "three parts" in refused(
        read, f"{header}..{b64(bytes(12))}.{b64(bytes(6000))}.{b64(bytes(16))}"
    )


def test_cve_2026_48525_work_is_bounded_before_anything_is_decoded(
    read: Callable[..., Any],
) -> None:
    """PyJWT: the payload that ``b64: false`` throws away was decoded first, however large."""
    header = b64(json.dumps({"alg": "HS256", "typ": "at+jwt", "b64": False, "crit": ["b64"]}))
    assert "8192" in refused(read, f"{header}.{'A' * 4_000_000}.AAAA")
    refused(read, f"{header}..{forge().split('.')[2]}")

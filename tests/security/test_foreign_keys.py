"""A shared secret that is a key of another kind, in whatever dress, is refused in every way in.

Whoever knows the public key could sign with it: see CVE-2022-29217 and RFC 8725, section 3.5.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.security.foreign_keys import (
    ANOTHER_KEY,
    DER,
    PAIRS,
    PEM,
    PLAIN,
    SPKI,
    certificate,
    in_unicode,
    private_der,
    public_der,
    refused_as_a_secret,
    spellings,
    wrapped,
)
from tokenwheel import Key
from tokenwheel.keys.unfit.other_keys import _is_point


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Any:
    return PAIRS[request.param]


def test_cve_2022_29217_in_der_and_its_spellings(pair: Any) -> None:
    """Keycloak, for one, shows its realm's public key as base64 without the lines of PEM."""
    for der in (public_der(pair), private_der(pair), certificate(pair).public_bytes(DER)):
        for spelling in spellings(der):
            refused_as_a_secret(spelling, ANOTHER_KEY)


def test_cve_2022_29217_in_unicode_of_more_than_a_byte(pair: Any) -> None:
    der = public_der(pair)
    pem = pair.public_key().public_bytes(PEM, SPKI)
    ssh = b"ssh-ed25519 " + b"A" * 68
    for text in (pem, base64.b64encode(der), der.hex().encode(), wrapped(der), ssh):
        for spelling in in_unicode(text):
            refused_as_a_secret(spelling, ANOTHER_KEY)


def test_cve_2022_29217_as_a_part_of_a_pem_file(pair: Any) -> None:
    pem = pair.public_key().public_bytes(PEM, SPKI)
    begin, *body, end = pem.splitlines()
    for part in (
        b"\n".join(body),
        b"".join(body),
        b"\n".join([begin, *body]),
        b"\n".join([*body, end]),
        b"\n".join([begin.strip(b"-"), *body]),
        body[0],
        pem.replace(b"\n", b"\\n"),
        pem.replace(b"\n", b" "),
        base64.b64encode(pem),
        pem.hex().encode(),
    ):
        if len(part) >= 32:
            refused_as_a_secret(part, ANOTHER_KEY)


def test_cve_2022_29217_as_pkcs_1_and_sec_1() -> None:
    rsa_pair, ec_pair = PAIRS["RSA"], PAIRS["P-256"]
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    for der in (
        rsa_pair.public_key().public_bytes(DER, serialization.PublicFormat.PKCS1),
        rsa_pair.private_bytes(DER, traditional, PLAIN),
        ec_pair.private_bytes(DER, traditional, PLAIN),
        rsa_pair.private_bytes(
            DER, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"p")
        ),
    ):
        for spelling in spellings(der):
            refused_as_a_secret(spelling, ANOTHER_KEY)
    for der in (
        rsa_pair.public_key().public_bytes(DER, serialization.PublicFormat.PKCS1),
        rsa_pair.private_bytes(DER, traditional, PLAIN),
    ):
        refused_as_a_secret(wrapped(der).splitlines()[0], ANOTHER_KEY)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "secp256k1"])
def test_cve_2022_29217_as_a_bare_point(curve: str) -> None:
    point = (
        PAIRS[curve]
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    for octets in (point, point[1:]):
        for spelling in spellings(octets):
            refused_as_a_secret(spelling, ANOTHER_KEY)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "secp256k1"])
@given(change=st.integers(0, 8 * 132 - 1), scalar=st.integers(1, 2**200))
def test_only_points_of_a_curve_are_taken_for_points(curve: str, change: int, scalar: int) -> None:
    """What ``cryptography`` says is a point is one, and a bit beside it there is none."""
    group = PAIRS[curve].curve
    numbers = ec.derive_private_key(scalar, group).public_key().public_numbers()
    half = (group.key_size + 7) // 8
    point = bytearray(numbers.x.to_bytes(half, "big") + numbers.y.to_bytes(half, "big"))
    assert _is_point(bytes(point))
    assert _is_point(b"\4" + point)
    point[change // 8 % len(point)] ^= 1 << change % 8
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(group, b"\4" + point)
        is_on_curve = True
    except ValueError:
        is_on_curve = False
    assert _is_point(bytes(point)) == is_on_curve


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES256K", "ES512", "EdDSA"])
def test_cve_2022_29217_as_a_jwk_alone_or_among_others(algorithm: str) -> None:
    key = Key.generate(algorithm)
    for jwk in (key.to_jwk(), key.to_jwk(private=True)):
        for holder in (jwk, [jwk], {"keys": [jwk]}, {"a": [{"keys": [jwk]}]}, [[jwk]], [1, jwk]):
            text = json.dumps(holder).encode()
            for spelling in (
                text,
                json.dumps(holder, indent=2).encode(),
                json.dumps(text.decode()).encode(),
                repr(holder).encode(),
                text[:-4],
                base64.b64encode(text),
                base64.urlsafe_b64encode(text).rstrip(b"="),
                text.hex().encode(),
                *in_unicode(text),
            ):
                refused_as_a_secret(spelling, ANOTHER_KEY)
    realm = {"realm": "a", "public_key": base64.b64encode(public_der(PAIRS["RSA"])).decode()}
    refused_as_a_secret(json.dumps(realm), ANOTHER_KEY)


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384", "P-521", "Ed25519"])
def test_cve_2022_29217_as_an_ssh_key_with_and_without_its_words(kind: str) -> None:
    line = (
        PAIRS[kind]
        .public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    name, text = line.split()
    for spelling in (
        line,
        line + b" ann@example",
        b'from="10.0.0.1" ' + line,
        b"example.org " + line,
        text + b" ann@example",
        *spellings(base64.b64decode(text)),
        b"---- BEGIN SSH2 PUBLIC KEY ----\n" + wrapped(base64.b64decode(text)),
        b"PuTTY-User-Key-File-3: " + name + b"\nEncryption: none\nPublic-Lines: 2\n" + text,
        *in_unicode(line),
    ):
        refused_as_a_secret(spelling, ANOTHER_KEY)
    private = PAIRS[kind].private_bytes(PEM, serialization.PrivateFormat.OpenSSH, PLAIN)
    body = b"".join(private.splitlines()[1:-1])
    for spelling in (private, body, base64.b64decode(body), base64.b64decode(body).hex().encode()):
        refused_as_a_secret(spelling, ANOTHER_KEY)


def test_cve_2022_29217_as_a_cose_key() -> None:
    point = (
        PAIRS["P-256"]
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    x, y = point[1:33], point[33:]
    webauthn = bytes.fromhex("a5010203262001215820") + x + bytes.fromhex("225820") + y
    raw = PAIRS["Ed25519"].public_key().public_bytes_raw()
    edwards = bytes.fromhex("a4010103272006215820") + raw
    numbers = PAIRS["RSA"].public_key().public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    of_rsa = bytes.fromhex("a401030339010020590100") + modulus + bytes.fromhex("2143010001")
    for octets in (webauthn, edwards, of_rsa, b"\x82" + webauthn + edwards):
        for spelling in spellings(octets):
            refused_as_a_secret(spelling, ANOTHER_KEY)


def test_cve_2022_29217_as_the_xml_of_dot_net() -> None:
    numbers = PAIRS["RSA"].public_key().public_numbers()
    modulus = base64.b64encode(numbers.n.to_bytes(256, "big")).decode()
    xml = f"<RSAKeyValue><Modulus>{modulus}</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>"
    refused_as_a_secret(xml, ANOTHER_KEY)

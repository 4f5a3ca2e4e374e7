"""Key pairs whose private part others can find, each refused when the public key is read.

See RFC 8032, CVE-2017-15361 (ROCA) and CVE-2022-26320 (factors that are close to each other).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from math import isqrt
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

from tests.security.foreign_keys import (
    PAIRS,
    PEM,
    PLAIN,
    SPKI,
    public_der,
)
from tests.support import base64url
from tokenwheel import ConfigurationError, Key, KeySet
from tokenwheel.keys import pairs
from tokenwheel.keys.forms.jwks import read_jwks


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Any:
    return PAIRS[request.param]


P_25519 = 2**255 - 19
P_448 = 2**448 - 2**224 - 1
Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


def small_points() -> Iterator[tuple[str, bytes]]:
    """Yield the points of small order, canonical or not, with either sign of x."""
    for y in (0, 1, -1 % P_25519, Y_OF_ORDER_8, P_25519 - Y_OF_ORDER_8, P_25519, P_25519 + 1):
        for sign in (0, 1):
            yield "Ed25519", (y | sign << 255).to_bytes(32, "little")
    for y in (0, 1, P_448 - 1, P_448, P_448 + 1):
        for sign in (0, 1):
            yield "Ed448", (y | sign << 455).to_bytes(57, "little")


@pytest.mark.parametrize("curve, raw", list(small_points()))
def test_an_edwards_point_of_small_order_is_refused(curve: str, raw: bytes) -> None:
    """With the neutral element as the key, one signature is good for every message."""
    kinds: dict[str, Any] = {
        "Ed25519": ed25519.Ed25519PublicKey,
        "Ed448": ed448.Ed448PublicKey,
    }
    pem = kinds[curve].from_public_bytes(raw).public_bytes(PEM, SPKI)
    jwk = {"kty": "OKP", "crv": curve, "x": base64url(raw), "alg": "EdDSA", "kid": "a"}
    refused_everywhere(pem, jwk, "is a point of small order")


def test_an_edwards_point_that_is_not_written_canonically_is_refused() -> None:
    for y in range(P_25519 + 2, 2**255):
        raw = y.to_bytes(32, "little")
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw), "alg": "EdDSA", "kid": "a"}
        with pytest.raises(ConfigurationError, match="is not written as a point is"):
            Key.from_jwk(jwk)


def refused_everywhere(pem: bytes, jwk: dict[str, Any], reason: str) -> None:
    algorithm = jwk["alg"]
    for way_in in (
        lambda: Key.from_pem(pem, algorithm),
        lambda: KeySet.from_pem(pem, algorithm),
        lambda: Key.from_jwk(jwk),
        lambda: KeySet.from_jwk(jwk),
        lambda: KeySet.from_jwks({"keys": [jwk]}),
    ):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            way_in()
        assert f"`tokenwheel keys new --algorithm {algorithm}`" in str(caught.value)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_point_of_a_private_key_of_a_few_is_refused(curve: ec.EllipticCurve) -> None:
    algorithm = {"secp256r1": "ES256", "secp256k1": "ES256K", "secp384r1": "ES384"}.get(
        curve.name, "ES512"
    )
    for scalar in (1, 2, 3, 32, 33):
        pair = ec.derive_private_key(scalar, curve)
        for pem in (
            pair.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN),
            *([pair.public_key().public_bytes(PEM, SPKI)] if scalar < 33 else []),
        ):
            with pytest.raises(ConfigurationError, match=r"anybody can guess|is a pattern"):
                Key.from_pem(pem, algorithm)


def test_a_private_key_that_is_a_pattern_is_refused() -> None:
    for seed in (bytes(32), b"\1" * 32, bytes(range(32)), b"password" * 4):
        pair = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        pem = pair.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN)
        with pytest.raises(ConfigurationError, match="has a private part that is a pattern"):
            Key.from_pem(pem, "EdDSA")
    pair_of_p_256 = ec.derive_private_key(int.from_bytes(b"password" * 4, "big"), ec.SECP256R1())
    pem = pair_of_p_256.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN)
    with pytest.raises(ConfigurationError, match="has a private part that is a pattern"):
        Key.from_pem(pem, "ES256")


@pytest.mark.parametrize("algorithm, size", [("ES256", 32), ("ES384", 48), ("ES256K", 32)])
def test_the_point_at_infinity_and_points_off_the_curve_are_refused(
    algorithm: str, size: int
) -> None:
    """That is found out by ``cryptography``."""
    crv = {"ES256": "P-256", "ES384": "P-384", "ES256K": "secp256k1"}[algorithm]
    for x, y in ((0, 0), (0, 1), (1, 0), (2 ** (8 * size) - 1, 1)):
        coordinates = {"x": base64url(x.to_bytes(size, "big")), "y": base64url(y.to_bytes(size))}
        with pytest.raises(ConfigurationError, match="the jwk is malformed"):
            Key.from_jwk({"kty": "EC", "crv": crv, **coordinates}, algorithm)
    der = public_der(PAIRS[crv])
    at_infinity = der[: der.index(b"\0\4")] + b"\0\0"
    length = len(at_infinity) - 2
    bit_string = at_infinity.rindex(b"\x03")
    fixed = bytearray(at_infinity)
    fixed[1], fixed[bit_string + 1] = length, len(at_infinity) - bit_string - 2
    body = base64.encodebytes(bytes(fixed)).decode()
    pem = f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"
    with pytest.raises(ConfigurationError, match="pem is damaged: its public key cannot be read"):
        Key.from_pem(pem, algorithm)


def next_prime(number: int) -> int:
    candidate = number | 1
    while pow(2, candidate - 1, candidate) != 1:
        candidate += 2
    return candidate


P = PAIRS["RSA"].private_numbers().p
Q = PAIRS["RSA"].private_numbers().q


def product_of_primes(end: int) -> int:
    numbers = [n for n in range(2, end) if all(n % d for d in range(2, isqrt(n) + 1))]
    product = 1
    for number in numbers:
        product *= number
    return product


def roca_prime(power: int) -> int:
    """Return a prime as the library of CVE-2017-15361 made them: k * M + 65537**a mod M."""
    primorial = product_of_primes(702)  # of 126 primes, as for keys of 2,048 bits
    start = (3 << 1022) // primorial
    rest = pow(65537, power, primorial)
    return next(
        k * primorial + rest
        for k in range(start + 1, start + 100_000)
        if pow(2, k * primorial + rest - 1, k * primorial + rest) == 1
    )


def rsa_forms(modulus: int, exponent: int = 65537) -> tuple[bytes, dict[str, Any]]:
    """Return a public key in PEM, written by hand since the library refuses some, and as a JWK."""

    def integer(number: int) -> bytes:
        raw = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return b"\x02" + length(raw) + raw

    def length(content: bytes) -> bytes:
        size = len(content)
        if size < 0x80:
            return bytes([size])
        raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([0x80 | len(raw)]) + raw

    inner = integer(modulus) + integer(exponent)
    bits = b"\0\x30" + length(inner) + inner
    outer = bytes.fromhex("300d06092a864886f70d0101010500") + b"\x03" + length(bits) + bits
    body = base64.encodebytes(b"\x30" + length(outer) + outer).decode()
    jwk = {
        "kty": "RSA",
        "n": base64url(modulus.to_bytes((modulus.bit_length() + 7) // 8, "big")),
        "e": base64url(exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")),
        "alg": "RS256",
        "kid": "a",
    }
    return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n".encode(), jwk


def refused_modulus(modulus: int, reason: str) -> None:
    pem, jwk = rsa_forms(modulus)
    unread = "|pem is damaged: its public key cannot be read|the jwk is malformed"
    for way_in in (
        lambda: Key.from_pem(pem, "RS256"),
        lambda: Key.from_pem(pem, "PS512"),
        lambda: Key.from_jwk(jwk),
        lambda: KeySet.from_jwks({"keys": [jwk]}),
    ):
        # An even modulus, for one, is refused by some versions of the library before we see it.
        with pytest.raises(ConfigurationError, match=reason + unread):
            way_in()


def test_an_rsa_modulus_that_is_even_or_has_a_small_factor_is_refused() -> None:
    for factor in (2, 3, 17, 9973):
        refused_modulus(P * Q * factor, "has a modulus with a small factor")


def test_an_rsa_modulus_that_is_a_prime_is_refused() -> None:
    """Its private key is a division away: there is nothing to factor."""
    for prime in (next_prime(secrets.randbits(2048) | 1 << 2047), 2**2203 - 1, 2**4423 - 1):
        refused_modulus(prime, "has a prime for a modulus")


def test_an_rsa_modulus_that_is_a_square_is_refused() -> None:
    refused_modulus(P * P, "whose factors are equal or close")


def test_cve_2022_26320_an_rsa_modulus_of_close_factors_is_refused() -> None:
    for distance in (2, 2**16, 2**400):
        refused_modulus(P * next_prime(P + distance), "whose factors are equal or close")


def test_cve_2017_15361_an_rsa_modulus_with_the_mark_of_roca_is_refused() -> None:
    refused_modulus(roca_prime(1234567) * roca_prime(7654321), "can be computed .ROCA")


@pytest.mark.parametrize("exponent", [1, 2, 4, 65536, 2**64 + 1, 2**65 - 1])
def test_an_rsa_exponent_that_is_even_or_one_or_huge_is_refused(exponent: int) -> None:
    pem, jwk = rsa_forms(P * Q, exponent)
    for way_in in (lambda: Key.from_pem(pem, "RS256"), lambda: Key.from_jwk(jwk)):
        with pytest.raises(
            ConfigurationError,
            match=r"has an exponent|pem is damaged: its public|the jwk is malformed",
        ):
            way_in()


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**63 + 1])
def test_a_sound_rsa_key_is_taken_whatever_its_exponent(exponent: int) -> None:
    pem, jwk = rsa_forms(P * Q, exponent)
    assert Key.from_pem(pem, "RS256").kid == Key.from_jwk({**jwk, "kid": None}).kid


def test_a_key_pair_of_each_kind_is_taken(pair: Any) -> None:
    algorithm = {
        "RSA": "RS256",
        "P-256": "ES256",
        "P-384": "ES384",
        "P-521": "ES512",
        "secp256k1": "ES256K",
    }.get(next(kind for kind, other in PAIRS.items() if other is pair), "EdDSA")
    private = pair.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN)
    public = pair.public_key().public_bytes(PEM, SPKI)
    assert Key.from_pem(public, algorithm).kid == Key.from_pem(private, algorithm).kid


def test_a_set_by_url_makes_nobody_look_at_its_rsa_keys_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever writes it could keep the process busy for minutes. The time goes by their cube."""
    looked_at: list[int] = []
    monkeypatch.setattr(
        pairs, "rsa_flaw", lambda key, is_pair: looked_at.append(key.key_size) or None
    )
    for bits, most in ((2048, 512), (4096, 64), (8192, 8)):
        moduli = [secrets.randbits(bits) | 1 << (bits - 1) | 1 for _ in range(most + 3)]
        keys = [rsa_forms(modulus)[1] | {"kid": str(n)} for n, modulus in enumerate(moduli)]
        read = read_jwks({"keys": keys}, only_public=True)
        assert 0.8 * most < len(read.keys) <= most
        assert read.passed_over[0].why == "the set has more and longer RSA keys than are read"
        assert len(looked_at) == len(read.keys)
        looked_at.clear()


def test_a_private_key_in_a_set_by_url_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding the factors that belong to n, e and d takes minutes where none do."""
    tried: list[str] = []
    monkeypatch.setattr(Key, "from_jwk", lambda *_: tried.append("a key"))
    jwk = rsa_forms(P * Q)[1] | {"d": "AQAB"}
    with pytest.raises(ConfigurationError, match="a private key, which anybody can read"):
        read_jwks({"keys": [jwk]}, only_public=True)
    assert not tried


def test_an_rsa_key_of_more_than_8192_bits_is_refused() -> None:
    """To look at one takes seconds, in which no other thread runs."""
    pem, jwk = rsa_forms(secrets.randbits(8200) | 1 << 8199 | 1)
    for way_in in (lambda: Key.from_pem(pem, "RS256"), lambda: Key.from_jwk(jwk)):
        with pytest.raises(ConfigurationError, match=r"must have at most 8192 bits$"):
            way_in()

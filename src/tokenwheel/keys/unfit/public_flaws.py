"""Public keys by which anybody can sign, since their private part is known or easy to find.

``cryptography`` refuses points that are on no curve, the point at infinity, and exponents under 3
or even. What is here it takes. Each function returns what is wrong in a few words, or None. They
are asked when a key is read, never when a token is.

Sources: RFC 8032, sections 5.1.3 and 5.2.3 (points and how they are written); CVE-2017-15361 and
Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 3.3 (the mark of ROCA);
Fermat's factorisation, and CVE-2022-26320 (factors too close to each other); NIST SP 800-89,
section 5.3.3 (what a modulus and an exponent must be). No package on PyPI has these checks without
much else: badkeys, a scanner for lists of keys, needs gmpy2 and files to download.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, isqrt, lcm, prod
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

__all__ = ["curve_flaw", "edwards_flaw", "rsa_flaw"]

_LONGEST_EXPONENT = 64  # bits: as OpenSSL allows for long keys
_SMALL_PRIMES_END = 10_000
_FERMAT_STEPS = 100
_LARGEST_KNOWN = 32  # times the generator: a private key that is counted up to
# What the moduli of ROCA are made of leaves marks in the remainders by these primes.
_ROCA_PRIMES: Final = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97),
    *(101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)
_ROCA_GENERATOR = 65_537
# What the points of small order have for a y, by the bytes of a key: their multiples are few, so
# that a signature can be made without the private key. Those of order 8 on Ed25519 come last.
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_P_25519 = 2**255 - 19
_P_448 = 2**448 - 2**224 - 1
_SMALL_ORDER: Final = {
    _P_25519: {0, 1, _P_25519 - 1, _Y_OF_ORDER_8, _P_25519 - _Y_OF_ORDER_8},
    _P_448: {0, 1, _P_448 - 1},
}


def edwards_flaw(key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) -> str | None:
    """Return what is wrong with a key of EdDSA: a point of small order, or written unlike others.

    With a point of small order the same signature is good for many messages or for all.
    """
    raw = key.public_bytes_raw()
    prime = _P_25519 if isinstance(key, ed25519.Ed25519PublicKey) else _P_448
    y = int.from_bytes(raw, "little") & (1 << (8 * len(raw) - 1)) - 1  # without the sign of x
    if y % prime in _SMALL_ORDER[prime]:
        return "is a point of small order"
    return "is not written as a point is" if y >= prime else None


def curve_flaw(key: ec.EllipticCurvePublicKey) -> str | None:
    """Return what is wrong with a point of ECDSA: it belongs to one of the first private keys."""
    if key.public_numbers().x in _first_points(key.curve.name):
        return "is that of a private key which anybody can guess"
    return None


def rsa_flaw(key: rsa.RSAPublicKey, *, is_pair: bool) -> str | None:
    """Return what is wrong with an RSA key: a modulus that can be factored, or a bad exponent.

    Args:
        key: the public key.
        is_pair: True where its factors were given as well, and so have been found to be primes.
    """
    numbers = key.public_numbers()
    modulus, exponent = numbers.n, numbers.e
    if exponent < 3 or exponent % 2 == 0:
        return "has an exponent that is even or 1"
    if exponent.bit_length() > _LONGEST_EXPONENT:
        return f"has an exponent of more than {_LONGEST_EXPONENT} bits"
    if gcd(modulus, _small_primes()) != 1:
        return "has a modulus with a small factor"
    if _has_close_factors(modulus):
        return "has a modulus whose factors are equal or close to each other"
    if _has_mark_of_roca(modulus):
        return "was made by hardware whose keys can be computed (ROCA, CVE-2017-15361)"
    if not is_pair and _is_prime(modulus):
        return "has a prime for a modulus"
    return None


def _has_mark_of_roca(modulus: int) -> bool:
    """Return True where each remainder is a power of the generator, as one in 2**27 others has."""
    return all(modulus % prime in powers for prime, powers in _powers_by_prime())


def _has_close_factors(modulus: int) -> bool:
    """Return True where Fermat's method finds the factors in a few steps, or the square root."""
    middle = isqrt(modulus - 1) + 1
    for average in range(middle, middle + _FERMAT_STEPS):
        square = average * average - modulus
        # Only these can be squares, by their last four bits.
        if square & 15 in (0, 1, 4, 9) and isqrt(square) ** 2 == square:
            return True
    return False


@lru_cache(maxsize=1024)  # a set that is read again and again, with as many keys as any has
def _is_prime(modulus: int) -> bool:
    """Return True for a prime, by Fermat's test, in OpenSSL some ten times as fast as in Python.

    The modulus is made a factor, beside 3, of a key that signs what it can verify if the modulus is
    a prime. No composite of two random primes passes. OpenSSL's own test would go on for seconds
    where the modulus is a prime, and no other thread could run.
    """
    other = 3
    order = lcm(modulus - 1, other - 1)
    exponent = next(odd for odd in range(3, 1000, 2) if gcd(odd, order) == 1)
    secret = pow(exponent, -1, order)
    numbers = rsa.RSAPrivateNumbers(
        p=modulus,
        q=other,
        d=secret,
        dmp1=secret % (modulus - 1),
        dmq1=secret % (other - 1),
        iqmp=pow(other, -1, modulus),
        public_numbers=rsa.RSAPublicNumbers(exponent, modulus * other),
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    message, scheme, digest = b"tokenwheel", padding.PKCS1v15(), hashes.SHA256()
    signature = key.sign(message, scheme, digest)
    try:
        key.public_key().verify(signature, message, scheme, digest)
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=1)
def _small_primes() -> int:
    """Return the product of the small primes, of which one divides a number that is no RSA modulus.

    It is made once, with the first RSA key (the sieve of Eratosthenes).
    """
    is_prime = bytearray([1]) * _SMALL_PRIMES_END
    for number in range(2, isqrt(_SMALL_PRIMES_END) + 1):
        if is_prime[number]:
            multiples = range(number * number, _SMALL_PRIMES_END, number)
            is_prime[number * number :: number] = bytes(len(multiples))
    return prod(number for number in range(2, _SMALL_PRIMES_END) if is_prime[number])


@lru_cache(maxsize=1)
def _powers_by_prime() -> list[tuple[int, frozenset[int]]]:
    """Return for each prime of ROCA the remainders that the powers of its generator have."""
    return [
        (prime, frozenset(pow(_ROCA_GENERATOR, power, prime) for power in range(prime)))
        for prime in _ROCA_PRIMES
    ]


@lru_cache(maxsize=8)
def _first_points(curve_name: str) -> frozenset[int]:
    """Return the x of the points that belong to the first private keys: 1, 2, 3 and so on.

    The greatest private keys, -1, -2 and so on, have the same.
    """
    curves: dict[str, Any] = {
        curve.name: curve
        for curve in (ec.SECP256R1(), ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1())
    }
    return frozenset(
        ec.derive_private_key(scalar, curves[curve_name]).public_key().public_numbers().x
        for scalar in range(1, _LARGEST_KNOWN + 1)
    )

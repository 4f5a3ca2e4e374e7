"""Signatures made to fool a verifier, from Project Wycheproof, before Key.verify.

The vectors lie in ``wycheproof/``, with where they come from. They hold forgeries of PKCS #1
padding and PSS salts, ECDSA signatures of zeros and of numbers out of range, Ed25519 signatures
that can be changed, cut tags, and signatures that are good though they look strange.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tokenwheel import ConfigurationError, Key
from tokenwheel.keys.key_parts import KeyParts

FOLDER = Path(__file__).with_name("wycheproof")
# A shared secret has as many bytes as the hash at least (RFC 7518, section 3.2), and so has a tag.
HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
# How many signatures of each file are good, and how many are not. Of those that Wycheproof calls
# acceptable, since some verifiers must bear with old signers, none is good here.
TESTS = {
    "HS256": (30, 138), "HS384": (30, 138), "HS512": (30, 138),
    "RS256": (9, 250), "RS384": (7, 251), "RS512": (8, 251),
    "PS256": (63, 45), "PS384": (95, 46), "PS512": (132, 47),
    "ES256": (173, 89), "ES384": (193, 87), "ES512": (231, 87), "ES256K": (167, 85),
    "EdDSA-Ed25519": (88, 63), "EdDSA-Ed448": (17, 70),
}  # fmt: skip


class Vector:
    """A test of Wycheproof: what is signed by which key, how, and what to think of it."""

    def __init__(self, fields: list[str], key: bytes) -> None:
        self.number, self.result, _, message, signature = fields
        self.key, self.message, self.signature = key, b64decode(message), b64decode(signature)


def vectors(name: str) -> Iterator[Vector]:
    key = b""
    for fields in json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")):
        key = b64decode(fields[2]) or key
        yield Vector(fields, key)


def key_for(algorithm: str, material: bytes) -> Key:
    """Return a key, though it may be one that from_pem would refuse.

    Some keys of the vectors stand in standards, or are chosen so that anybody could guess them.
    """
    if algorithm in HASH_BYTES:
        return Key._make(KeyParts(algorithm, secret=material), None)
    return Key._make(KeyParts(algorithm, public=load_der_public_key(material)), None)


@pytest.mark.parametrize("name", TESTS)
def test_no_signature_of_wycheproof_is_judged_wrongly(name: str) -> None:
    algorithm = name.partition("-")[0]
    shortest = HASH_BYTES.get(algorithm, 0)
    judged: dict[bool, list[str]] = {True: [], False: []}
    wrong = []
    for vector in vectors(name):
        if len(vector.key) < shortest:
            continue
        # A tag that was cut may be good for others. A token has the whole.
        is_good = vector.result == "valid" and len(vector.signature) >= shortest
        judged[is_good].append(vector.number)
        if key_for(algorithm, vector.key).verify(vector.message, vector.signature) is not is_good:
            wrong.append(vector.number)
    assert wrong == []
    assert (len(judged[True]), len(judged[False])) == TESTS[name]


@pytest.mark.parametrize("algorithm", HASH_BYTES)
def test_a_secret_of_wycheproof_that_is_too_short_makes_no_key(algorithm: str) -> None:
    short = {vector.key for vector in vectors(algorithm) if len(vector.key) < HASH_BYTES[algorithm]}
    assert short
    for secret in short:
        with pytest.raises(ConfigurationError, match="bytes"):
            Key.from_secret(secret, algorithm)

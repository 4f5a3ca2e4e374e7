"""Secrets that anybody can guess or look up are refused, and random ones never are.

The secret of a storage is checked as one for HMAC is.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.security.foreign_keys import (
    EXAMPLE,
    GUESSABLE,
    refused_as_a_secret,
    spellings,
)
from tests.support import secret_of
from tests.test_keys import (
    RFC_7515_A1,
    RFC_7515_A2,
    RFC_7515_A3,
    RFC_7515_A4,
    RFC_8037,
    RFC_8037_PRIVATE,
)
from tokenwheel import ConfigurationError, Key, KeySet
from tokenwheel.keys import storage_secret


@pytest.mark.parametrize(
    "secret",
    [
        "s" * 32,
        b"\0" * 64,
        b"\xff" * 32,
        "s" * 31 + "t",
        "secret".ljust(40, "\0"),
        "ab" * 32,
        "password" * 8,
        "kJ8vQ2xWmZp4" * 3,
        "kJ8vQ2xWmZp4Lr7TnB" * 2,
        bytes.fromhex("8f3c51e90a7db2466ed01b") * 3,
        "mysecretpassword" * 2,
        "mysecretpassword" * 2 + "\n",
        b"\xde\xad\xbe\xef" * 8,
        (b"\xde\xad\xbe\xef" * 8).hex(),
        base64.b64encode(b"0123456789" * 4),
        bytes(range(32)),
        bytes(range(64))[::-1],
        bytes(range(0, 256, 3)),
        bytes(range(32)).hex(),
        base64.b64encode(bytes(range(1, 49))),
        "abcdefghijklmnopqrstuvwxyz012345",
        "0123456789abcdef0123456789ABCDEF",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "12345678901234567890123456789012",
        "00112233445566778899aabbccddeeff",
        b"\x0b" * 32,  # RFC 2202 and RFC 4231, test case 1
        b"\xaa" * 131,  # RFC 4231, test case 6
        b"\xaa" * 80,  # RFC 2202, test case 6
        bytes(range(1, 26)).ljust(32, b"\0"),  # RFC 4231, test case 4, as HMAC fills it up
        b"Jefe".ljust(64, b"\0"),  # RFC 4231, test case 2
    ],
)
def test_a_secret_that_is_a_pattern_is_refused(secret: str | bytes) -> None:
    refused_as_a_secret(secret, GUESSABLE)


@pytest.mark.parametrize(
    "secret",
    [
        "a-string-secret-at-least-256-bits-long",
        "a-valid-string-secret-that-is-at-least-384-bits-long",
        "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        base64.b64encode(b"a-string-secret-at-least-256-bits-long"),
    ],
)
def test_the_secret_that_a_web_page_fills_in_is_refused(secret: str | bytes) -> None:
    refused_as_a_secret(secret, EXAMPLE)


@pytest.mark.parametrize(
    "secret",
    [
        "your-256-bit-secret, or what was put here",
        "your-256-bit-secret".ljust(32, "!"),
        "change-me-in-production-please-change-me",
        "CHANGE_THIS_TO_A_LONG_RANDOM_STRING_1234",
        "my-super-secret-jwt-signing-key-2024",
        "django-insecure-please-change-me-now-123",
        "thisisaverylongsecretkeyforjwttokens",
        base64.b64encode(b"your-512-bit-secret, or what was put here"),
    ],
)
def test_a_secret_of_the_words_for_a_secret_is_warned_of_and_not_repeated(
    secret: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert Key.from_secret(secret).can_sign
    assert "a shared secret is made of words that many use" in caplog.text
    text = secret if isinstance(secret, str) else secret.decode()
    assert text not in caplog.text


RFC_7520_3_5 = "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"
RFC_7520_3_6 = "AAPapAv4LbFbiVawEjagUBluYqN5rhna-8nuldDvOx8"


@pytest.mark.parametrize("secret", [RFC_7515_A1["k"], RFC_7520_3_5, RFC_7520_3_6])
def test_the_hmac_key_of_a_standard_is_refused_in_each_spelling(secret: str) -> None:
    octets = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    for spelling in spellings(octets):
        refused_as_a_secret(spelling, EXAMPLE)


@pytest.mark.parametrize(
    "jwk, algorithm",
    [
        (RFC_7515_A2, "RS256"),
        (RFC_7515_A3, "ES256"),
        (RFC_7515_A4, "ES512"),
        (RFC_8037, "EdDSA"),
        (RFC_8037_PRIVATE, "EdDSA"),
    ],
)
def test_the_key_pair_of_a_standard_is_refused(jwk: dict[str, str], algorithm: str) -> None:
    whole = {**jwk, "alg": algorithm, "kid": "a"}
    for way_in in (
        lambda: Key.from_jwk(jwk, algorithm),
        lambda: KeySet.from_jwk(whole),
        lambda: KeySet.from_jwks({"keys": [whole]}),
    ):
        with pytest.raises(ConfigurationError, match="whose private part anybody knows"):
            way_in()


RANDOM: dict[str, Callable[[], str | bytes]] = {
    "token_bytes": lambda: secrets.token_bytes(32 + secrets.randbelow(40)),
    "token_urlsafe": lambda: secrets.token_urlsafe(24 + secrets.randbelow(48)),
    "token_hex": lambda: secrets.token_hex(16 + secrets.randbelow(48)),
    "upper hex": lambda: secrets.token_hex(32).upper(),
    "base64": lambda: base64.b64encode(secrets.token_bytes(32)),
    "base64 in lines": lambda: base64.encodebytes(secrets.token_bytes(64)),
    "base32": lambda: base64.b32encode(secrets.token_bytes(32)),
    "a uuid": lambda: str(uuid.uuid4()),
    "a uuid twice": lambda: uuid.uuid4().hex * 2,
    "a uuid's bytes twice": lambda: uuid.uuid4().bytes * 2,
    "digits": lambda: str(10**40 + secrets.randbelow(10**40)),
    "bits": lambda: format(secrets.randbits(256) | 1 << 255, "b"),
}


@given(kind=st.sampled_from(sorted(RANDOM)), drawn=st.binary(min_size=48, max_size=48))
def test_a_random_secret_is_never_taken_for_another_thing(kind: str, drawn: bytes) -> None:
    """Hypothesis likes patterns, so what it draws chooses among real random secrets alone."""
    del drawn
    secret = RANDOM[kind]()
    assert Key.from_secret(secret).can_sign
    octets = secret.encode() if isinstance(secret, str) else secret
    assert storage_secret(secret) == octets


@pytest.mark.parametrize("kind", RANDOM)
def test_no_kind_of_random_secret_gives_a_false_alarm(kind: str) -> None:
    for _ in range(300):
        assert Key.from_secret(RANDOM[kind]()).can_sign


def test_the_secret_of_a_storage_is_read_from_a_key_file() -> None:
    for algorithm, length in (("HS256", 32), ("HS384", 48), ("HS512", 64)):
        key = Key.generate(algorithm)
        read = Key.from_jwk(json.dumps(key.to_jwk(private=True)))
        assert storage_secret(read) == key._secret
        assert len(storage_secret(read)) == length
        assert storage_secret(json.dumps(key.to_jwk(private=True))) == key._secret
    text = secret_of("storage")
    assert storage_secret(b"{" + text.encode()) == b"{" + text.encode()
    assert storage_secret(text) == storage_secret(text.encode()) == text.encode()


def test_what_is_no_secret_for_a_storage_is_refused() -> None:
    pair, secret = Key.generate("ES256"), Key.generate("HS256")
    no_secret = "must be a shared secret, and not a public or private key"
    no_bytes = "must be random bytes .* the Key of a shared secret"
    refusals: list[tuple[Any, str]] = [
        (pair, no_secret),
        (pair.public(), no_secret),
        (secrets.token_bytes(31), "must have at least 32 random bytes"),
        ("", "is empty: set the environment variable, or write the file"),
        (None, no_bytes),
        (bytearray(32), no_bytes),
        ([secrets.token_bytes(32)], no_bytes),
        (KeySet(secret), no_bytes),
        ("\udc80" * 40, "must be bytes, or str without lone surrogates"),
        (json.dumps(pair.to_jwk(private=True)), ".*Key.from_jwk read such keys"),
    ]
    for value, reason in refusals:
        with pytest.raises(ConfigurationError, match=f"^storage_key {reason}"):
            storage_secret(value)

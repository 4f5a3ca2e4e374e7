"""Access tokens as octets, and with what a careless reader leaves around them. Over both twins.

Octets are read like their text. A token with anything around it is refused, and told so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.liars import Octets, Text
from tests.support import forge, refused
from tests.twins.conftest import TWINS
from tests.twins.differential import NOW, make_verifier
from tokenwheel import AccessTokenRevoked, InvalidAccessToken, Key, KeySet, SessionManager
from tokenwheel.wrapping import wrapping_of

from .conftest import EC, HMAC

Read = Callable[..., Any]


@pytest.mark.parametrize("key", [HMAC, EC], ids=["HS256", "ES256"])
def test_the_octets_of_an_access_token_are_read_like_its_text(read: Read, key: Key) -> None:
    token = forge(key=key)
    expected = read(token)
    for given in (token.encode(), Octets(token.encode()), Text(token)):
        assert read(given) == expected
        assert read(given) is expected
    assert read(forge({**expected, "x": 1}, key).encode())["x"] == 1


@pytest.mark.parametrize("implementation", TWINS)
def test_a_token_and_its_octets_are_remembered_once(implementation: str) -> None:
    verifier = make_verifier(implementation, [HMAC])
    token = forge({**dict(verifier.verify(forge())), "exp": NOW + 900, "iat": NOW})
    remembered = verifier.remembered
    for given in (token.encode(), token, Octets(token.encode()), Text(token)):
        assert verifier.verify(given).subject == "uid1"
        assert verifier.remembered == remembered + 1
    verifier._check()


@pytest.mark.parametrize(
    "octets",
    [b"", b"\0", b"\xff", "é.é.é".encode(), "\u2024".encode(), b"a.b.c", b"eyJ\x80.b.c"],
)
def test_octets_that_are_no_token_are_refused(read: Read, octets: bytes) -> None:
    refused(read, octets, "not canonical base64url|has three parts")


def test_octets_with_anything_that_is_not_ascii_in_them_are_refused(read: Read) -> None:
    token = forge().encode()
    for place in (0, 5, len(token) // 2, len(token) - 1, len(token)):
        for octet in (b"\x80", b"\xff", b"\xc3\xa9"):
            refused(read, token[:place] + octet + token[place:], "not canonical base64url")
    refused(read, token * 60, "has at most 8192 bytes")
    refused(read, b"\xff" * 9000, "has at most 8192 bytes")


def test_a_revoked_token_is_refused_as_octets_too() -> None:
    with SessionManager(KeySet(EC), issuer="i", audience="a") as manager:
        tokens = manager.create(subject="ann")
        octets = tokens.access_token.encode()
        assert manager.read(octets).subject == "ann"
        manager.delete_all("ann")
        with pytest.raises(AccessTokenRevoked):
            manager.read(octets)


BEARER = "'Bearer' before it"
QUOTES = "quotes around it"
SPACE = "white space around it"
WRAPPED = [
    ("Bearer {}", [BEARER]),
    ("bearer {}", [BEARER]),
    ("BEARER   {}", [BEARER]),
    ("BeArEr\t{}", [BEARER]),
    ("Bearer: {}", [BEARER]),
    ("Bearer%20{}", [BEARER]),
    ("Bearer Bearer {}", [BEARER]),
    ("Authorization: Bearer {}", [BEARER]),
    ("  Bearer {}", [SPACE, BEARER]),
    ('"{}"', [QUOTES]),
    ("'{}'", [QUOTES]),
    ('{}"', [QUOTES]),
    ("b'{}'", [QUOTES]),
    ('b"{}"', [QUOTES]),
    ("{}'", [QUOTES]),
    ("\u201c{}\u201d", [QUOTES]),
    ("{}\n", [SPACE]),
    ("{}\r\n", [SPACE]),
    (" {}", [SPACE]),
    ("\t{} ", [SPACE]),
    ("{}\u00a0", [SPACE]),
    ("\ufeff{}", [SPACE]),
    ('"Bearer {}"', [QUOTES, BEARER]),
    ('Bearer "{}"', [BEARER, QUOTES]),
    ("b'Bearer {}'", [QUOTES, BEARER]),
    ("Bearer b'{}'\n", [SPACE, BEARER, QUOTES]),
]


@pytest.mark.parametrize("wrapping, said", WRAPPED)
def test_what_was_left_around_an_access_token_is_said_and_the_token_refused(
    read: Read, wrapping: str, said: list[str]
) -> None:
    good = forge()
    assert read(good).subject == "uid1"
    given: list[Any] = [wrapping.format(good), Text(wrapping.format(good))]
    if wrapping.isascii():
        given.append(wrapping.format(good).encode())
    for token in given:
        refused(read, token, "^the access token came with .*: hand in the token alone$")
        with pytest.raises(InvalidAccessToken) as caught:
            read(token)
        words = str(caught.value)
        assert all(part in words for part in said)
        assert sum(part in words for part in (BEARER, QUOTES, SPACE)) == len(said)
    assert read(good).subject == "uid1"


@pytest.mark.parametrize("key", [HMAC, EC], ids=["HS256", "ES256"])
def test_a_bare_token_is_told_of_no_wrapping(key: Key) -> None:
    """Whatever begins with ``e`` and ends with a digit of base64url is never looked at in full."""
    token = forge(key=key)
    for bare in (
        token,
        token[:-1],
        f"{token}.",
        "e",
        "eyJ.x.y",
        "ebearer x",
        "b.c",
        "bearer-x.y.z",
    ):
        assert wrapping_of(bare) is None


def test_a_long_run_of_quotes_and_blanks_is_refused_at_once(read: Read) -> None:
    for junk in ("\" ' " * 2000, " " * 8000, "Bearer " * 1100, "bearer" + " " * 8000 + "x"):
        refused(read, junk, "came with")
    refused(read, "\" ' " * 20_000, "has at most 8192 bytes")

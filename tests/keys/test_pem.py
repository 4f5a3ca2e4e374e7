"""PEM as the world writes it: every key of a text is read, or the text is refused, and none lost.

Refusals of what is no PEM are in ``test_mistakes``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.keys.made_keys import (
    ED25519,
    OTHER_P256,
    P256,
    PAIRS,
    PASSWORD,
    PKCS1,
    RSA,
    TRADITIONAL,
    block,
    certificate,
    private,
    public,
    request,
)
from tests.security.exposure import Secrets, exposed_by
from tokenwheel import ConfigurationError, Key, KeySet, SessionManager
from tokenwheel.keys.forms.pem import parse_pems

EC_PARAMETERS = block("EC PARAMETERS", b64decode("BggqhkjOPQMBBw=="))  # P-256
RSA_PRIVATE, EC_PRIVATE = private(RSA), private(P256)
KID = Key.from_pem(EC_PRIVATE, "ES256").kid


def kids(pem: Any, algorithm: str = "ES256", **options: Any) -> list[str | None]:
    return [key.kid for key in KeySet.from_pem(pem, algorithm, **options)]


FORMS = {
    "PKCS #8": (private(RSA), "RS256", None),
    "PKCS #1": (private(RSA, TRADITIONAL), "PS512", None),
    "SEC 1": (private(P256, TRADITIONAL), "ES256", None),
    "SEC 1 with its parameters": (EC_PARAMETERS + private(P256, TRADITIONAL), "ES256", None),
    "encrypted PKCS #8": (private(P256, password=PASSWORD), "ES256", PASSWORD),
    "encrypted PKCS #8 of RSA": (private(RSA, password=PASSWORD), "RS256", PASSWORD),
    "encrypted, Proc-Type": (private(RSA, TRADITIONAL, PASSWORD), "RS256", PASSWORD),
    "encrypted, Proc-Type, EC": (private(P256, TRADITIONAL, PASSWORD), "ES256", PASSWORD),
    "public key": (public(P256), "ES256", None),
    "public key, PKCS #1": (public(RSA, PKCS1), "RS256", None),
    "certificate": (certificate(RSA), "RS256", None),
    "certificate as X509": (
        certificate(P256).replace(b" CERTIFICATE", b" X509 CERTIFICATE"), "ES256", None,
    ),
    "certificate of Ed25519": (certificate(ED25519), "EdDSA", None),
    "key and certificate": (EC_PRIVATE + certificate(P256), "ES256", None),
    "certificate and key": (certificate(P256) + EC_PRIVATE, "ES256", None),
    "key and public key": (EC_PRIVATE + public(P256), "ES256", None),
    "public key and key": (public(P256) + EC_PRIVATE, "ES256", None),
    "public key and certificate": (public(P256) + certificate(P256), "ES256", None),
    "key and request": (EC_PRIVATE + request(P256), "ES256", None),
    "key twice": (EC_PRIVATE + private(P256, TRADITIONAL), "ES256", None),
    "certificate twice": (certificate(P256) + certificate(P256), "ES256", None),
    "key, certificate and chain": (
        EC_PRIVATE + certificate(P256, RSA) + certificate(RSA), "ES256", None,
    ),
    "chain before its key": (
        certificate(P256, RSA) + certificate(RSA) + EC_PRIVATE, "ES256", None,
    ),
    "public key, certificate, chain": (
        public(P256) + certificate(P256, RSA) + certificate(RSA), "ES256", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_read_in_each_form_that_tools_write(form: str) -> None:
    pem, algorithm, password = FORMS[form]
    pair = {"RS": RSA, "PS": RSA, "ES": P256, "Ed": ED25519}[algorithm[:2]]
    key = Key.from_pem(pem, algorithm, password=password)
    assert key.kid == Key.from_pem(public(pair), algorithm).kid
    assert key.can_sign == (b"PRIVATE KEY" in pem)
    assert kids(pem, algorithm, password=password) == [key.kid]


def _bag(pem: bytes) -> bytes:
    return (
        b"Bag Attributes\n    friendlyName: a: b\n    localKeyID: 54 69 6D 65\n"
        b"Key Attributes: <No Attributes>\n" + pem + b"subject=CN = a\n\nissuer=CN = b\n"
    )


SURROUNDED = {
    "CRLF": lambda pem: pem.replace(b"\n", b"\r\n"),
    "CR": lambda pem: pem.replace(b"\n", b"\r"),
    "blanks before and after": lambda pem: b"\n\n \t" + pem + b" \n\n\t",
    "no line break at the end": lambda pem: pem.rstrip(),
    "byte order mark": lambda pem: b"\xef\xbb\xbf" + pem,
    "byte order mark in a str": lambda pem: "\ufeff" + pem.decode(),
    "UTF-16 of Windows": lambda pem: pem.decode().encode("utf-16"),
    "UTF-16, big-endian": lambda pem: b"\xfe\xff" + pem.decode().encode("utf-16-be"),
    "indentation of YAML": lambda pem: b"".join(
        b"    " + line + b"\n" for line in pem.split(b"\n")
    ),
    "member of YAML": lambda pem: b"key: |\n" + b"".join(b"  " + x for x in pem.splitlines(True)),
    "blanks at the ends of lines": lambda pem: pem.replace(b"\n", b"  \n"),
    "empty lines between": lambda pem: pem.replace(b"\n", b"\n\n"),
    "bag attributes": _bag,
    "comments": lambda pem: b"# the key of 2026: https://example.com\n" + pem + b"# end\n",
    "text of a certificate": lambda pem: b"Certificate:\n    Data:\n  Version: 3 (0x2)\n" + pem,
    "one long line": lambda pem: re.sub(rb"([A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/=])", rb"\1", pem),
    "str": lambda pem: pem.decode(),
    "NUL at the end": lambda pem: pem + b"\0",
}


@pytest.mark.parametrize("way", SURROUNDED)
def test_what_stands_around_a_block_and_in_its_margins_is_passed_over(way: str) -> None:
    changed: Any = SURROUNDED[way]
    for pem in (EC_PRIVATE, public(P256), certificate(P256)):
        assert Key.from_pem(changed(pem), "ES256").kid == KID
    assert kids(changed(EC_PRIVATE + certificate(P256, RSA) + certificate(RSA))) == [KID]


@pytest.mark.parametrize("way", ["CRLF", "indentation of YAML", "blanks at the ends of lines"])
def test_a_key_encrypted_by_the_old_way_keeps_its_headers(way: str) -> None:
    changed: Any = SURROUNDED[way]
    pem = changed(private(P256, TRADITIONAL, PASSWORD))
    assert Key.from_pem(pem, "ES256", password=PASSWORD).kid == KID


def test_files_joined_without_a_line_break_between_them_are_read() -> None:
    joined = EC_PRIVATE.rstrip() + certificate(P256).rstrip() + public(P256)
    assert b"----------BEGIN" in joined
    assert kids(joined) == [KID]


def test_the_dates_of_a_certificate_are_not_looked_at() -> None:
    assert Key.from_pem(certificate(P256), "ES256").kid == KID  # it ended in January 2026


def test_each_of_several_keys_is_taken_and_none_is_lost() -> None:
    second = Key.from_pem(public(OTHER_P256), "ES256")
    both = EC_PRIVATE + private(OTHER_P256)
    keys = KeySet.from_pem(both, "ES256")
    assert [key.kid for key in keys] == [KID, second.kid]
    assert keys.signing is not None
    assert keys.signing.kid == KID
    for pem in (both, EC_PRIVATE + public(OTHER_P256), public(P256) + public(OTHER_P256)):
        assert kids(pem) == [KID, second.kid]
        with pytest.raises(ConfigurationError) as caught:
            Key.from_pem(pem, "ES256")
        assert str(caught.value) == "pem holds 2 keys: KeySet.from_pem takes both"
    three = both + private(RSA)
    with pytest.raises(ConfigurationError) as caught:
        Key.from_pem(three, "ES256")
    assert str(caught.value) == "pem holds 3 keys: KeySet.from_pem takes all"


def test_several_keys_of_different_kinds_are_told_apart() -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeySet.from_pem(EC_PRIVATE + RSA_PRIVATE, "ES256")
    assert str(caught.value) == (
        "ES256 needs an elliptic-curve key on P-256, and pem holds an RSA key: hand over keys of "
        "different kinds in a pem each"
    )


def test_one_kid_is_not_given_to_several_keys() -> None:
    pem = EC_PRIVATE + private(OTHER_P256)
    with pytest.raises(ConfigurationError) as caught:
        KeySet.from_pem(pem, "ES256", kid="a")
    assert str(caught.value) == (
        "pem holds 2 keys, and kid names one: leave it out, and each has its thumbprint"
    )
    assert kids(EC_PRIVATE + public(P256), kid="a") == ["a"]


def test_a_private_key_that_is_encrypted_is_read_beside_a_plain_one() -> None:
    pem = private(P256, password=PASSWORD) + private(OTHER_P256)
    assert len(kids(pem, password=PASSWORD)) == 2
    assert kids(private(P256, password=PASSWORD) + certificate(P256), password=PASSWORD) == [KID]


def test_the_key_of_an_authority_never_becomes_one_of_ours() -> None:
    chain = certificate(P256, OTHER_P256) + certificate(OTHER_P256)
    for pem in (chain, certificate(OTHER_P256) + certificate(P256, OTHER_P256)):
        for make in (Key.from_pem, KeySet.from_pem):
            with pytest.raises(ConfigurationError) as caught:
                make(pem, "ES256")
            assert str(caught.value) == (
                "pem holds 2 certificates: hand over the one whose key signs"
            )
    three = chain + certificate(RSA)
    with pytest.raises(ConfigurationError, match="pem holds 3 certificates: hand over the one"):
        Key.from_pem(three, "ES256")
    for key in (EC_PRIVATE, public(P256)):
        assert kids(key + chain) == [KID]


@pytest.mark.parametrize("key", [EC_PRIVATE, public(P256)], ids=["private", "public"])
def test_a_certificate_of_another_key_is_not_passed_over(key: bytes) -> None:
    for pem in (key + certificate(OTHER_P256), certificate(RSA) + key):
        with pytest.raises(ConfigurationError) as caught:
            Key.from_pem(pem, "ES256")
        assert str(caught.value) == (
            "pem holds a certificate of another key than the key beside it: hand over the one "
            "that is meant"
        )


def test_the_algorithm_is_that_of_the_kind_where_none_is_given() -> None:
    for name, pair in PAIRS.items():
        for pem in (private(pair), public(pair), certificate(pair)):
            assert [parts.algorithm for parts in parse_pems(pem, None)] == [name.split()[0]]
    both = parse_pems(EC_PRIVATE + RSA_PRIVATE, None)
    assert [parts.algorithm for parts in both] == ["ES256", "RS256"]


def test_a_manager_signs_and_verifies_by_the_keys_of_a_pem() -> None:
    keys = KeySet.from_pem(EC_PRIVATE + public(OTHER_P256), "ES256")
    with SessionManager(keys, issuer="i", audience="a") as manager:
        token = manager.create(subject="ann").access_token
    resource = KeySet.from_pem(certificate(P256), "ES256")
    with SessionManager(resource, issuer="i", audience="a") as manager:
        assert manager.read(token)["sub"] == "ann"


@pytest.mark.parametrize(
    "cut, reason",
    [
        (lambda pem: pem[:-1], None),  # a line break
        (lambda pem: pem[:-2], "is cut off"),
        (lambda pem: b"> " + pem, "other text in it"),
        (lambda pem: pem[: len(pem) // 2], "is cut off: it has a line of -----BEGIN"),
        (lambda pem: pem[30:], "is cut off: it has a line of -----END"),
        (lambda pem: b"\n".join(pem.split(b"\n")[:1]), "is cut off"),
        (lambda pem: pem[:-40] + public(OTHER_P256), "is cut off|other text"),
        (lambda pem: pem + pem[:60], "is cut off"),
        (lambda pem: pem[:60] + pem[64:], "is damaged"),
        (lambda pem: pem.replace(b"PRIVATE KEY-----\nM", b"PRIVATE KEY-----\n*M"), "not base64"),
        (lambda pem: pem.replace(b"END PRIVATE", b"END EC PRIVATE"), "is cut off"),
    ],
)
def test_a_damaged_block_is_refused_whatever_stands_beside_it(cut: Any, reason: str | None) -> None:
    for whole in (b"", certificate(P256), private(OTHER_P256)):
        pem = whole + cut(EC_PRIVATE)
        if reason is None:
            assert KID in kids(pem)
            continue
        for make in (Key.from_pem, KeySet.from_pem):
            with pytest.raises(ConfigurationError, match=reason):
                make(pem, "ES256")


def test_a_text_longer_than_any_of_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="longer than 1 MiB"):
        Key.from_pem(EC_PRIVATE + b"#" * 2**20, "ES256")
    with pytest.raises(ConfigurationError, match="more than 512 blocks"):
        Key.from_pem(EC_PARAMETERS * 513, "ES256")


PARTS = [
    EC_PRIVATE, public(P256), certificate(P256), private(OTHER_P256), public(OTHER_P256),
    certificate(OTHER_P256), EC_PARAMETERS, request(P256), private(P256, password=PASSWORD),
    private(P256, TRADITIONAL, PASSWORD), public(ED25519), b"# comment\n", b"\r\n",
    b"-----BEGIN PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----\n", b"\\n", b"\xff",
]  # fmt: skip
SECRETS = Secrets(PASSWORD)
for _part in PARTS[:10]:
    SECRETS.add(*(line for line in _part.splitlines() if len(line) == 64))


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Draw some good blocks, joined, cut and spliced."""
    text = b"".join(draw(st.lists(st.sampled_from(PARTS), max_size=4)))
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted(draw(st.integers(0, len(text))) for _ in range(2))
        middle = draw(st.sampled_from([b"", b"\n", b"A", b"-", text[start:end] * 2]))
        text = text[:start] + middle + text[end:]
    return text


def attempt(
    make: Callable[..., Any], *arguments: Any, **options: Any
) -> tuple[ConfigurationError | None, Any]:
    try:
        return None, make(*arguments, **options)
    except ConfigurationError as error:
        return error, None


@given(
    pem=st.one_of(st.binary(max_size=300), st.text(max_size=100), mutations()),
    algorithm=st.sampled_from(["ES256", "ES256", "EdDSA", "RS256", "HS256"]),
    password=st.sampled_from([None, PASSWORD, "", b"wrong"]),
)
def test_whatever_is_handed_over_is_a_key_or_a_refusal_that_tells_nothing(
    pem: Any, algorithm: str, password: Any
) -> None:
    for make in (Key.from_pem, KeySet.from_pem):
        refusal, made = attempt(make, pem, algorithm, password=password)
        if refusal is not None:
            assert refusal.__context__ is None
            assert exposed_by(refusal, SECRETS) == []
            continue
        for key in [made] if isinstance(made, Key) else made:
            assert key.algorithm == algorithm
            if key.can_sign:
                assert key.verify(b"message", key.sign(b"message"))


@given(pem=mutations())
def test_no_whole_key_of_a_text_is_lost(pem: bytes) -> None:
    """A set has each private key that stands whole in a text which is taken."""
    try:
        taken = set(kids(pem))
    except ConfigurationError:
        return
    for part, pair in ((EC_PRIVATE, P256), (private(OTHER_P256), OTHER_P256)):
        if b"\n" + part in b"\n" + pem:
            assert Key.from_pem(public(pair), "ES256").kid in taken

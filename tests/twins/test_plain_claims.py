"""What the claims of a token show does not depend on how they were read. Both twins.

The compiled twin reads a payload in plain form (``ext/token/plain_json.pxd``) in place, and the
claims that it gives make their dict when they must. Invariant: whatever was signed as a payload,
and in whatever order its claims are asked for, both twins and Python's own JSON reader give the
same answers, with the same types, in the same order; and they refuse in the same words.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.support import KEY
from tests.twins.asked_claims import (
    GOOD,
    REMEMBERING,
    SID,
    USES,
    VERIFIERS,
    check_alike,
    signed,
)
from tests.twins.differential import NOW, TWINS, make_verifier

NAMES = ["iss", "aud", "sub", "sid", "gen", "jti", "exp", "iat", "nbf", "role", "", "a", "z" * 40]
NUMBERS = [
    "0", "-0", "-1", "00", "01", "-01", "7", "999999999999999", "1000000000000000",
    "-999999999999999", "-1000000000000000", "1e2", "1.0", "1.5", "0.0", "-", "+1", ".5",
    "4294967294", "4294967295",
    str(NOW), str(NOW + 4), str(NOW + 6), str(2**53), str(2**53 + 1), str(2**63), str(2**64),
    "9" * 400, "1" + "0" * 308 + ".0", "NaN", "Infinity", "-Infinity", "1_0", "0x1",
]  # fmt: skip
CHARACTERS = [
    "a", "b", "i", "uid1", " ", "~", "\x7f", "\\n", "\\u0061", "\\ud800", "\\u0000", "\\/", "\x00",
    "\x1f", "\n", "\t", "é", "\U0001f600", "\ud800", "'", ":", ",", "{", "}", "[", "]", "\\",
    "x" * 7, "y" * 8, "x" * 15, "y" * 16,
]  # fmt: skip


def quoted(pieces: list[str]) -> str:
    return f'"{"".join(pieces)}"'


PLAIN_TEXTS = st.text("abcdefghi 0~!:,{}[]/", max_size=20).map(lambda text: f'"{text}"')
TEXTS = st.lists(st.sampled_from(CHARACTERS), max_size=4).map(quoted) | PLAIN_TEXTS
SINGLE = st.one_of(
    TEXTS,
    PLAIN_TEXTS,
    st.sampled_from(NUMBERS),
    st.integers(-(10**16), 10**16).map(str),
    st.sampled_from(["true", "false", "null", "True", "nul", "truefalse", "{}", "[]", "[[]]", ""]),
    st.sampled_from(['"i"', '"a"', f'"{SID}"', f'"{"x" * 255}"', f'"{"x" * 256}"']),
)
LISTS = st.lists(TEXTS, max_size=3).map(lambda items: f"[{','.join(items)}]")
VALUES = SINGLE | LISTS | st.lists(SINGLE, max_size=3).map(lambda items: f"[{','.join(items)}]")
MEMBERS = st.tuples(st.sampled_from(NAMES).map(lambda name: f'"{name}"') | TEXTS, VALUES).map(
    ":".join
)
PIECES = [
    b" ", b"\n", b"\t", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xff", b'"', b"\\", b",", b":", b"{",
    b"}", b"[", b"]", b"0", b"-", b".", b"e", b"a", b"null", b"\xed\xa0\x80", b"\xc3\xa9",
    b"\xef\xbb\xbf",
]  # fmt: skip


@st.composite
def payloads(draw: Any) -> bytes:
    """Draw the text of an object, mostly with the claims of a good token, perhaps then damaged."""
    members = list(GOOD)
    for _ in range(draw(st.integers(0, 2))):
        members.pop(draw(st.integers(0, len(members) - 1)))
    for member in draw(st.lists(MEMBERS, max_size=4)):
        members.insert(draw(st.integers(0, len(members))), member)
    text = "{" + ",".join(members) + "}"
    payload = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        start = draw(st.integers(0, len(payload)))
        end = start + draw(st.integers(0, 2))
        piece = draw(st.sampled_from([b"", *PIECES]))
        payload = payload[:start] + piece + payload[end:]
    return payload


def object_of(*more: str, without: str = "") -> str:
    """Return the text of an object with the claims of a good token and more."""
    members = [member for member in GOOD if not without or not member.startswith(f'"{without}"')]
    return "{" + ",".join([*members, *more]) + "}"


ASKED = st.sampled_from([*NAMES, "tenant", "é", "ro", "\ud800", 7, None, ()])
STEPS = st.lists(st.tuples(st.sampled_from(sorted(USES)), ASKED), max_size=6)


@given(payload=payloads(), steps=STEPS)
def test_claims_are_alike_however_the_payload_is_written_and_whatever_is_asked_first(
    payload: bytes, steps: list[tuple[str, Any]]
) -> None:
    claims = check_alike(payload, steps, VERIFIERS)
    event("refused" if claims is None else "accepted")


@given(members=st.lists(MEMBERS, max_size=2), steps=st.lists(STEPS, min_size=2, max_size=4))
def test_claims_of_a_remembered_token_are_alike_at_each_read(
    members: list[str], steps: list[list[tuple[str, Any]]]
) -> None:
    payload = object_of(*members).encode("utf-8", "surrogatepass")
    for some in steps:
        check_alike(payload, some, REMEMBERING)


NEARLY_PLAIN = {
    "a name twice": object_of('"role":"user"', '"role":"admin"'),
    "a registered name twice": object_of('"sub":"root"'),
    "a name twice, one of them escaped": object_of('"s\\u0075b":"root"'),
    "the empty name twice": object_of('"":1', '"":1'),
    "a comma behind the last": object_of()[:-1] + ",}",
    "a comma before the first": "{," + object_of()[1:],
    "two commas": object_of("", '"a":1'),
    "a comma behind the last of an array": object_of('"a":["b",]'),
    "text behind": object_of() + "x",
    "another object behind": object_of() + "{}",
    "a zero byte behind": object_of() + "\0",
    "a zero byte in a text": object_of('"a":"\0"'),
    "a line break in a text": object_of('"a":"\n"'),
    "a digit too many": object_of('"a":01'),
    "no digit": object_of('"a":-'),
    "no value": object_of('"a":'),
    "no colon": object_of('"a"'),
    "no end": object_of()[:-1],
    "a text without end": object_of('"a":"b')[:-1],
    "an array without end": object_of('"a":["b"')[:-1],
    "half a word": object_of('"a":tru'),
    "more than a word": object_of('"a":trueish'),
    "no subject": object_of(without="sub"),
    "an empty subject": object_of('"sub":""', without="sub"),
    "a subject of 256 characters": object_of(f'"sub":"{"x" * 256}"', without="sub"),
    "a number for a subject": object_of('"sub":7', without="sub"),
    "no session": object_of(without="sid"),
    "a session too short": object_of('"sid":"AAAA"', without="sid"),
    "a session not in base64url": object_of(f'"sid":"{"+" * 16}"', without="sid"),
    "another issuer": object_of('"iss":"j"', without="iss"),
    "an issuer that begins alike": object_of('"iss":"ii"', without="iss"),
    "no audience": object_of('"aud":[]', without="aud"),
    "an empty audience": object_of('"aud":["a",""]', without="aud"),
    "an empty text for an audience": object_of('"aud":""', without="aud"),
    "another audience": object_of('"aud":["c","aa"]', without="aud"),
    "a negative expiry": object_of('"exp":-1', without="exp"),
    "a text for an expiry": object_of('"exp":"4000000000"', without="exp"),
    "null for an expiry": object_of('"exp":null', without="exp"),
    "a token that has expired": object_of(f'"exp":{NOW - 5}', without="exp"),
    "true for a time of issue": object_of('"iat":true', without="iat"),
    "a time of issue that lies ahead": object_of(f'"iat":{NOW + 6}', without="iat"),
    "a beginning that lies ahead": object_of(f'"nbf":{NOW + 6}'),
    "null for a beginning": object_of('"nbf":null'),
    "a generation too large": object_of(f'"gen":{2**32 - 1}'),
    "a negative generation": object_of('"gen":-1'),
    "a text for a generation": object_of('"gen":"1"'),
    "a number for a token's id": object_of('"jti":1'),
    "an array for an issuer": object_of('"iss":["i"]', without="iss"),
    "an object in an audience": object_of('"aud":["a",{}]', without="aud"),
}


@pytest.mark.parametrize("payload", NEARLY_PLAIN.values(), ids=NEARLY_PLAIN)
def test_what_only_looks_like_a_good_payload_is_refused_in_the_same_words(payload: str) -> None:
    assert check_alike(payload.encode(), [], VERIFIERS) is None


ACCEPTED = {
    "the plainest": object_of(),
    "one audience": object_of('"aud":"b"', without="aud"),
    "the last audience of many": object_of('"aud":["c","d","aa","a"]', without="aud"),
    "a subject of 255 characters": object_of(f'"sub":"{"x" * 255}"', without="sub"),
    "a subject in front": "{" + '"sub":"u",' + object_of(without="sub")[1:],
    "a subject at the end": object_of('"sub":"last"', without="sub"),
    "all of the registered claims": object_of(
        '"gen":4294967294', '"jti":""', f'"nbf":{NOW + 5}', '"nothing":null'
    ),
    "each kind of value": object_of(
        '"a":""', '"b":"~ !"', '"c":0', '"d":-5', '"e":999999999999999', '"f":true', '"g":false',
        '"h":null', '"i":[]', '"j":["",":,[]{}"]', '"":1',
    ),
    "32 members": object_of(*(f'"{number}":{number}' for number in range(26))),
    "33 members": object_of(*(f'"{number}":{number}' for number in range(27))),
    "16 digits": object_of('"a":1000000000000000'),
    "a negative zero": object_of('"a":-0'),
    "white space": object_of().replace(",", ", "),
    "an escape": object_of('"a":"\\n"'),
    "delete": object_of('"a":"\x7f"'),
    "letters beyond ASCII": object_of('"é":"é"'),
    "an object": object_of('"a":{"b":[{}]}'),
    "an array of arrays": object_of('"a":[[],["b"]]'),
    "an array of numbers": object_of('"a":[1,2]'),
    "a date with a fraction": object_of(f'"exp":{NOW + 9}.5', without="exp"),
    "a huge integer": object_of(f'"a":{10**30}'),
}  # fmt: skip

PLAIN = [ACCEPTED[name] for name in ("the plainest", "each kind of value", "32 members")]
NOT_PLAIN = [
    ACCEPTED[name]
    for name in ("33 members", "16 digits", "a negative zero", "white space", "an escape", "delete")
]


@pytest.mark.parametrize("payload", ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.parametrize("first", sorted(USES))
def test_whatever_is_asked_first_all_else_is_answered_alike(payload: str, first: str) -> None:
    names = [*json.loads(payload), "tenant"]
    for verifiers in (VERIFIERS, REMEMBERING):
        for name in names[:3] + names[-2:]:
            steps = [(first, name), *((use, other) for use in ("item", "get") for other in names)]
            assert check_alike(payload.encode(), steps, verifiers) is not None


def test_the_subject_is_right_wherever_it_stands_in_the_payload() -> None:
    for offset in range(7):
        for length in range(1, 256, 1 if offset < 3 else 17):
            subject = "".join(chr(33 + (place % 90)) for place in range(length))
            subject = subject.replace('"', "!").replace("\\", "!")
            for before in (f'"a":"{"x" * offset}"', ""):
                members = [before, f'"sub":"{subject}"'] if before else [f'"sub":"{subject}"']
                token = signed(object_of(*members, without="sub"))
                for verifier in VERIFIERS.values():
                    assert verifier.verify(token).subject == subject


def test_an_issuer_or_audience_that_is_not_plain_is_found_all_the_same() -> None:
    for text in ('a"b', "a\\b", "é", "\x7f", "a\nb", ""):
        for implementation in TWINS:
            verifier = verifier_for(implementation, text)
            claims = {**json.loads(object_of()), "iss": text}
            for ascii_only in (True, False):
                given_claims = json.dumps(claims, ensure_ascii=ascii_only)
                assert verifier.verify(signed(given_claims))["iss"] == text
                claims["aud"] = text or "a"
                assert verifier.verify(signed(json.dumps(claims)))["aud"] == claims["aud"]


def verifier_for(implementation: str, text: str) -> Any:
    """Return a verifier of the tokens of this issuer, for an audience of the same name or "a"."""
    table, verifier = (
        importlib.import_module(f"tokenwheel._{implementation}.{module}")
        for module in ("revocations", "verifier")
    )
    options = {"leeway": 0, "largest_leeway": 0, "cache_size": 2, "clock": lambda: NOW}
    revocations = table.RevocationTable(clock=options["clock"])
    return verifier.Verifier(
        [KEY], issuer=text, audience=(text, "a"), revocations=revocations, **options
    )


@pytest.mark.parametrize("implementation", TWINS)
def test_claims_hold_the_token_that_was_verified_whatever_becomes_of_its_text(
    implementation: str,
) -> None:
    class Shown(str):
        __slots__ = ()

    class Octets(bytes):
        pass

    verifier = make_verifier(implementation, [KEY], cache_size=9)
    texts = [signed(object_of(f'"n":"{number}"')) for number in range(4)]
    forms = [texts[0], texts[1].encode(), Shown(texts[2]), Octets(texts[3].encode())]
    claims = [verifier.verify(form) for form in forms]
    del texts, forms
    assert [other["n"] for other in claims] == ["0", "1", "2", "3"]
    assert [other.to_dict()["n"] for other in claims] == ["0", "1", "2", "3"]
    verifier.set_keys([])
    assert [other.subject for other in claims] == ["uid1"] * 4


def test_what_is_handed_out_of_the_claims_changes_nothing_of_them() -> None:
    for verifier in VERIFIERS.values():
        for ask in (USES["item"], USES["get"]):
            claims = verifier.verify(signed(object_of('"roles":["a"]')))
            for _ in range(3):
                ask(claims, "roles").append("admin")
                ask(claims, "aud").clear()
            assert claims == json.loads(object_of('"roles":["a"]'))


def test_claims_of_a_token_are_made_only_once() -> None:
    for verifier in VERIFIERS.values():
        claims = verifier.verify(signed(object_of()))
        with pytest.raises(AttributeError, match="cannot be changed"):
            claims.__init__({**json.loads(object_of()), "sub": "root"})
        assert claims == json.loads(object_of())
        with pytest.raises(TypeError, match="unhashable type"):
            verifier.verify(signed(object_of()))[[]]


@pytest.mark.skipif("native" not in TWINS, reason="the pure twin has one way only")
def test_a_plain_payload_is_read_without_a_json_parser_and_what_is_not_plain_with_it() -> None:
    script = f"""
from types import SimpleNamespace
import msgspec.json
read, real = [], msgspec.json.Decoder().decode
msgspec.json.Decoder = lambda: SimpleNamespace(decode=lambda text: read.append(text) or real(text))
from tests.support import KEY
from tests.twins.differential import make_verifier
verifier = make_verifier("native", [KEY])
read.clear()
for token in {[signed(text) for text in PLAIN]!r}:
    claims = verifier.verify(token)
    claims.subject, claims.session_id, claims["sub"], dict(claims), claims.get("z")
assert not [text for text in read if b"iss" in text], read
for token in {[signed(text) for text in NOT_PLAIN]!r}:
    read.clear()
    dict(verifier.verify(token))
    assert [text for text in read if b"iss" in text], token
"""
    subprocess.run([sys.executable, "-c", script], check=True)

"""What is read, refused and written as JSON, by msgspec and where that is missing.

What was recorded here was written by orjson 3.13, which tokenwheel used before. Storages hold what
was computed over such octets.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import random
import re
import struct
import sys
from collections.abc import Callable, Iterator
from math import isfinite, isinf
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenwheel import json_text
from tokenwheel._pure.json_object import parse_object


def without_msgspec() -> ModuleType:
    """Return the module as it is where msgspec can't be imported."""
    spec = importlib.util.spec_from_file_location("tokenwheel.json_text_again", json_text.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"msgspec": None, "msgspec.json": None}):
        spec.loader.exec_module(module)
    assert not module.is_msgspec_there
    return module


BY_JSON = without_msgspec()
LIBRARIES = [
    pytest.param(
        json_text,
        id="msgspec",
        marks=pytest.mark.skipif(not json_text.is_msgspec_there, reason="no msgspec"),
    ),
    pytest.param(BY_JSON, id="json"),
]
each_library = pytest.mark.parametrize("library", LIBRARIES)
both_libraries = pytest.mark.skipif(not json_text.is_msgspec_there, reason="no msgspec")

RECORDED = [
    (
        {
            "iss": "auth",
            "aud": ["a", "b"],
            "sub": "jürgen \u2028\x7f",
            "sid": "A" * 16,
            "iat": 1700000000,
            "big": [2**63, 2**64 - 1, -(2**63)],
            "x": [1e16, -1e22, 1.5e300, 5e-324, 1e-5, -1.5e-5, 1e-6, 0.0001, -0.0, 1e15],
            "y": (123456789012345680.0, 0.1),
        },
        (
            b'{"iss":"auth","aud":["a","b"],"sub":"j\xc3\xbcrgen \xe2\x80\xa8\x7f","sid":"AAAAAAAA'
            b'AAAAAAAA","iat":1700000000,"big":[9223372036854775808,18446744073709551615,-92233720368547758'
            b'08],"x":[1e+16,-1e+22,1.5e+300,5e-324,0.00001,-0.000015,1e-6,0.0001,-0.0,'
            b'1000000000000000.0],"y":[1.2345678901234568e+17,0.1]}'
        ),
    ),
    (
        [None, 'Par\x00is\b\t\n\x0b\f\r\x1f"\\/', "😀\uffff"],
        b'[null,"Par\\u0000is\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/","\xf0\x9f\x98\x80\xef\xbf\xbf"]',
    ),
    (
        {"b": 1, "a": {"z": True, "é": False, "\U00010000": None, "\uffff": [], "": {}}},
        b'{"b":1,"a":{"z":true,"\xc3\xa9":false,"\xf0\x90\x80\x80":null,"\xef\xbf\xbf":[],"":{}}}',
    ),
]
EVERY_CHARACTER = "64d61d2c2e7b4d91f583c47fae4272b667c509b4f0a8583e9ef92a373f9aed87"
MANY_NUMBERS = "6f82873d68a2c86a9a81881880658f5871efc4db41ea0613215a5dfb500587f6"


@each_library
@pytest.mark.parametrize("value, octets", RECORDED)
def test_what_is_written_is_what_was_written_before(
    library: ModuleType, value: Any, octets: bytes
) -> None:
    assert library.dumps(value) == octets


@each_library
def test_sorted_names_are_in_the_order_of_their_characters_at_every_level(
    library: ModuleType,
) -> None:
    for number, written in ((1, b"1"), (1e16, b"1e+16")):
        value = {"b": number, "a": [{"z": 1, "é": 2, "\U00010000": 3, "\uffff": 4, "": 5, "Z": 6}]}
        assert library.dumps(value, sort_names=True) == (
            b'{"a":[{"":5,"Z":6,"z":1,"\xc3\xa9":2,"\xef\xbf\xbf":4,"\xf0\x90\x80\x80":3}],"b":%s}'
            % written
        )


@each_library
def test_each_character_is_written_as_before(library: ModuleType) -> None:
    written = hashlib.sha256()
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            written.update(library.dumps(chr(code)))
    assert written.hexdigest() == EVERY_CHARACTER


def many_numbers() -> Iterator[float]:
    draw = random.Random(7519)
    for _ in range(20_000):
        number: float = struct.unpack("<d", draw.randbytes(8))[0]
        if isfinite(number):
            yield number
        yield draw.random() * 10.0 ** draw.randint(-12, 24)
        yield float(draw.randint(-(10**18), 10**18))
        yield float(f"{draw.randint(-999, 999)}e{draw.randint(-330, 305)}")


@each_library
def test_each_number_is_written_as_before(library: ModuleType) -> None:
    written = hashlib.sha256()
    for number in many_numbers():
        written.update(library.dumps(number) + b"\n")
    assert written.hexdigest() == MANY_NUMBERS


@each_library
def test_a_number_is_written_alike_whatever_texts_stand_beside_it(library: ModuleType) -> None:
    for text in ("", "e", "1e5", "1e+5", '1e5"', "\\1e-5", "e1"):
        for number, spelt in ((1e16, "1e+16"), (1e-7, "1e-7"), (1.5, "1.5"), (7, "7")):
            shown = json.dumps(text)
            assert library.dumps([text, number]).decode() == f"[{shown},{spelt}]"
            assert library.dumps({text: number}).decode() == f"{{{shown}:{spelt}}}"


@each_library
def test_integers_of_any_size_are_written_up_to_the_digits_that_python_writes(
    library: ModuleType,
) -> None:
    for number in (2**64, -(2**63) - 1, 10**400, 10**4299, -(10**4299)):
        assert library.dumps([number, 1e16]) == f"[{number},1e+16]".encode()
        assert library.dumps([number]) == f"[{number}]".encode()
    for value in ([10**4300], [10**4300, 1e16], {"a": -(10**5000)}):
        with pytest.raises(ValueError, match="4300 digits"):
            library.dumps(value)


@each_library
def test_half_of_a_surrogate_pair_is_not_written(library: ModuleType) -> None:
    for value in ("\ud800", {"\udfff": 1}, ["\udc00\ud800", 1e16]):
        with pytest.raises(UnicodeEncodeError):
            library.dumps(value)


# Reading.

READ = [
    *(b"0", b"-0", b"-0.0", b"1e5", b"1E+5", b"10.0", b"1e-400", b"5e-324", b"2e-324"),
    *(b"1.7976931348623157e308", b"0." + b"9" * 400, b"1.5e-" + b"0" * 400 + b"1"),
    *(b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809"),
    *(b"9" * 30, b"9" * 309, b"9" * 4300, b"-" + b"9" * 4299, b"123456789012345678901234567.5"),
    *(b"true", b"null", b"false", b"[]", b"{}", b" {} ", b"\t[\n1 , 2\r]", b'{"a":\n1}'),
    *(b'"\x7f"', b'"\\u0000"', b'"\\/"', b'"\\ud83d\\ude00"', b'"\\uD83D\\uDE00x"'),
    *(b'"\xf0\x9f\x98\x80"', b'"\\\\ud800"', b'"\\\\\\\\udc00"', b'"\\\\\\ud83d\\ude00"'),
    *(b'"\\b\\f\\n\\r\\t\\"\\\\"', b'"\xe2\x80\xa8"', b'"\xef\xbb\xbf"', b'"\xf4\x8f\xbf\xbf"'),
    *(b"[" * 500 + b"]" * 500, b'{"a":' * 300 + b"1" + b"}" * 300, b'["[[[[", "{{{{"]'),
    *(
        b"[" + b"[]," * 600 + b"{}]",
        b'["' + b"[{" * 600 + b'"]',
        b'["x"' + b',"[\\"["' * 600 + b"]",
    ),
]
REFUSED = [
    *(b"", b" ", b"NaN", b"Infinity", b"-Infinity", b"[NaN]", b"nan", b"None", b"undefined"),
    *(b"1e400", b"-1e400", b"1e309", b"1.7976931348623159e308", b"9" * 400 + b".5"),
    *(b"9" * 400 + b"e1", b"1e" + b"9" * 400, b"[1, -1e999]", b'{"a": 1e400, "a": 1}'),
    *(b"01", b"-01", b"0" + b"9" * 400, b"1.", b".5", b"+1", b"1e", b"1e+", b"-", b"--1"),
    *(b"0x1", b"1_000", b"\xd9\xa1", b"1 2", b"{} x", b"{}{}", b"[1,2]]", b"{}\x00", b"\x00"),
    *(b"[1,]", b"[,1]", b"[1 2]", b'{"a":1,}', b'{"a" 1}', b'{"a"}', b"{1:2}", b"{null:1}"),
    *(b"'a'", b'"abc', b'"', b'"\\', b"tru", b"nul", b"True", b"[", b"{", b'{"a":', b"]"),
    *(b'"\x01"', b'"\t"', b'"\n"', b'"\x00"', b'"\\x"', b'"\\u12"', b'"\\u12G4"', b'"\\u 123"'),
    *(b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'"\\ud800\\ud800"', b'"\\udc00\\ud800"'),
    *(b'"\\ud83d" ', b'["\\ud83d","\\ude00"]', b'{"\\uDFFF":1}', b'"\\\\\\ud800"', b'"\\ud800x"'),
    *(b'{"a":"\\ud800","a":1}', b'"\\ud83d\\\\ude00"', b'"\\ud83d\\n"'),
    *(b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x80"', b"\xff"),
    *(b"\xef\xbb\xbf{}", b"\xef\xbb\xbf", "{}".encode("utf-16"), "{}".encode("utf-16-le")),
    *(b"\x0b{}", b"\xa0{}", b"\xc2\xa0{}", b"\x0c1", b"/* */{}", b"{} //", b"# {}"),
    *(b"9" * 4301, b"-" + b"9" * 5000, b'[{"a":' + b"9" * 4301 + b"}]"),
    *(
        b"[" * 501 + b"]" * 501,
        b'{"a":[' * 251 + b'"]"' + b"]}" * 251,
        b"[" * 10_000 + b"]" * 10_000,
    ),
    *(b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
]


def outcome(call: Callable[[bytes], Any], text: bytes) -> str:
    try:
        return repr(call(text))
    except ValueError:
        return "refused"


@each_library
@pytest.mark.parametrize("text", READ, ids=lambda text: str(text[:24]))
def test_json_is_read_as_python_reads_it(library: ModuleType, text: bytes) -> None:
    assert repr(library.loads(text)) == repr(json.loads(text.decode()))


@each_library
@pytest.mark.parametrize("text", REFUSED, ids=lambda text: str(text[:24]))
def test_what_is_no_json_is_refused(library: ModuleType, text: bytes) -> None:
    assert outcome(library.loads, text) == "refused"


@each_library
def test_how_many_digits_python_reads_is_the_applications_choice(library: ModuleType) -> None:
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(700)
        assert library.loads(b"9" * 700) == int("9" * 700)
        assert outcome(library.loads, b"9" * 701) == "refused"
        sys.set_int_max_str_digits(0)
        assert library.loads(b"[-%s]" % (b"9" * 9000)) == [1 - 10**9000]
        assert outcome(library.loads_quickly, b"9" * 4301) == "refused"
        assert outcome(library.loads_quickly, b"-" + b"9" * 4300) == "refused"
        assert library.loads_quickly(b"-" + b"9" * 4299) == 1 - 10**4299
    finally:
        sys.set_int_max_str_digits(before)


@each_library
def test_the_text_is_not_blamed_where_the_caller_has_gone_too_deep(library: ModuleType) -> None:
    """A token that is good must not be refused for where it is read."""

    def go_deeper() -> None:
        try:
            go_deeper()
        except RecursionError:
            pass
        # So near to the end, there may be no room for the call itself.
        for call in (library.loads, parse_object):
            with contextlib.suppress(RecursionError):
                assert call(b'{"a": [[[[1]]]]}') == {"a": [[[[1]]]]}

    go_deeper()


def parsed(library: ModuleType, text: bytes, loads: Any = None) -> Any:
    with mock.patch("tokenwheel._pure.json_object.loads_quickly", library.loads_quickly):
        return parse_object(text, loads)


names = st.sampled_from(["a", "b", "", "é", "\\u0061", "\\ud83d\\ude00", ":", "\\\\", '\\"'])
numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["NaN", "-Infinity", "1e400", "-0", "-0.0", "01", "9" * 4301, "9" * 400]),
)
strings = st.one_of(
    st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text().map(json.dumps),
    st.lists(
        st.sampled_from(
            ["\\", "u", "d83d", "\\ud83d", "\\ude00", "\\uD800", "\\n", "a", "\t", "\\\\", "\x7f"]
        )
    ).map(lambda parts: f'"{"".join(parts)}"'),
)


def containers(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blanks = st.sampled_from(["", "", " ", "\n\t"])
    members = st.tuples(names, items, blanks).map(lambda m: f'"{m[0]}"{m[2]}:{m[2]}{m[1]}')
    return st.one_of(
        st.tuples(st.lists(items, max_size=4), blanks).map(
            lambda drawn: f"[{(drawn[1] + ',').join(drawn[0])}]"
        ),
        st.lists(members, max_size=4).map(lambda drawn: f"{{{','.join(drawn)}}}"),
    )


texts = st.recursive(
    st.one_of(numbers, strings, st.sampled_from(["true", "false", "null", "nul"])),
    containers,
    max_leaves=8,
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    text = bytearray(draw(texts))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        text[place : place + draw(st.integers(0, 2))] = draw(
            st.one_of(
                st.binary(max_size=2), st.sampled_from([b'"', b"\\", b",", b"]", b"}", b"\xed\xa0"])
            )
        )
    return bytes(text)


@both_libraries
@given(text=st.one_of(texts, damaged(), st.binary(max_size=12)))
def test_both_libraries_read_and_refuse_the_same(text: bytes) -> None:
    for name in ("loads", "loads_quickly"):
        by_msgspec, by_json = getattr(json_text, name), getattr(BY_JSON, name)
        assert outcome(by_msgspec, text) == outcome(by_json, text)
    for loads in (None, json_text.loads):
        assert repr(parsed(json_text, text, loads)) == repr(parsed(BY_JSON, text, loads))


def strictly(text: bytes) -> Any:
    """Return what a text is by ``json``, as PyJWT reads it, and refuse what the checks are for."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) < len(found):
            raise ValueError("a name twice")
        return dict(found)

    def number(digits: str) -> float:
        if isinf(float(digits)):
            raise ValueError("too large")
        return float(digits)

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    value = json.loads(
        text.decode(), object_pairs_hook=pairs, parse_float=number, parse_constant=refuse
    )
    json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError for half of a pair
    return value


@each_library
@given(text=st.one_of(texts, damaged()))
def test_an_object_is_read_as_pyjwt_reads_it_or_refused_for_one_of_the_reasons(
    library: ModuleType, text: bytes
) -> None:
    try:
        expected = strictly(text)
    except (ValueError, RecursionError):
        expected = None
    found = parsed(library, text, library.loads)
    assert repr(found) == repr(expected if type(expected) is dict else None)


plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda items: st.one_of(
        st.lists(items), st.lists(items).map(tuple), st.dictionaries(st.text(), items)
    ),
)


@both_libraries
@given(value=plain, sort_names=st.booleans())
def test_both_libraries_write_the_same_and_it_comes_back(value: Any, sort_names: bool) -> None:
    written = json_text.dumps(value, sort_names=sort_names)
    assert written == BY_JSON.dumps(value, sort_names=sort_names)
    assert repr(json_text.loads(written)) == repr(json.loads(written))
    assert json.loads(written) == json.loads(json.dumps(value))
    assert not re.search(rb"[ \n]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", written))

"""What stands for a plain value: subclasses of its type that say of themselves what they are not.

Each has the characters, the number or the members of the plain value, and lies in all else, or
raises when it is asked. So a door that takes a value for what it is answers alike for all of them.
"""

from __future__ import annotations

import enum
from collections import OrderedDict, UserDict
from types import MappingProxyType
from typing import Any, NoReturn

from hypothesis import strategies as st

from tests.liars import Agreeing, Impostor, Number, Pairs, Seconds, Text, TwoFaced, TwoFacedDict

__all__ = ["Asked", "answer", "disguised", "disguised_json", "nonsense"]


class Asked(Exception):
    """A value's own code was run."""


def _raise(*_: Any, **__: Any) -> NoReturn:
    raise Asked


_ASKED = (
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__str__"),
    *("__format__", "__len__", "__iter__", "__contains__", "__getitem__", "__bool__"),
    *("__int__", "__index__", "__float__", "__add__", "__radd__", "__sub__", "__rsub__"),
    *("__hash__", "encode", "isascii", "lower", "split", "strip", "is_integer", "__conform__"),
)
RaisingText = type("RaisingText", (str,), dict.fromkeys(_ASKED, _raise))
RaisingNumber = type("RaisingNumber", (int,), dict.fromkeys(_ASKED, _raise))
RaisingSeconds = type("RaisingSeconds", (float,), dict.fromkeys(_ASKED, _raise))


def _enum_of_texts(text: str) -> Any:
    """Return a text as the member of an Enum, whose str() is another."""
    return enum.Enum("Named", {"MEMBER": text}, type=str)["MEMBER"]


def _enum_of_numbers(number: int) -> Any:
    return enum.IntEnum("Counted", {"MEMBER": number})["MEMBER"]


_TEXTS = (Text, Agreeing, RaisingText, _enum_of_texts)
_NUMBERS = (Number, RaisingNumber, _enum_of_numbers)
_DOUBLES = (Seconds, RaisingSeconds)
_MAPPINGS = (OrderedDict, UserDict, MappingProxyType, TwoFacedDict)


def disguised(value: Any) -> st.SearchStrategy[Any]:
    """Return what stands for a plain text, number or mapping; a sequence as another one of such."""
    kind = type(value)
    if kind is str:
        return st.sampled_from(_TEXTS).map(lambda make: make(value))
    if kind is int:
        return st.sampled_from(_NUMBERS).map(lambda make: make(value))
    if kind is float:
        return st.sampled_from(_DOUBLES).map(lambda make: make(value))
    if kind is dict:
        return st.sampled_from(_MAPPINGS).map(lambda make: make(value))
    if kind in (list, tuple) and value:
        return st.tuples(*(st.just(item) | disguised(item) for item in value)).map(kind)
    if isinstance(value, tuple):  # A Revocation, or another NamedTuple.
        items = st.tuples(*(st.just(item) | disguised(item) for item in value))
        return items.map(lambda fields: kind(*fields)) | items
    return st.just(value)


def disguised_json(value: Any) -> st.SearchStrategy[Any]:
    """Return what stands for plain JSON: each text and number in it may be disguised."""
    if isinstance(value, list):
        return st.tuples(*map(disguised_json, value)).map(list)
    if isinstance(value, dict):
        names = st.tuples(*(st.just(name) | st.just(Text(name)) for name in value))
        values = st.tuples(*map(disguised_json, value.values()))
        return st.builds(lambda names, values: dict(zip(names, values)), names, values)  # noqa: B905
    return st.just(value) | disguised(value)


class Index:
    """A number by its ``__index__`` alone."""

    def __index__(self) -> int:
        return 5

    __int__ = __index__


class Truth:
    """What is neither true nor false."""

    def __bool__(self) -> NoReturn:
        raise Asked


class Unreadable:
    """An object each attribute of which raises."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Asked


def nonsense() -> tuple[Any, ...]:
    """Return values that hardly any parameter has a use for, made anew."""
    return (*_HARMLESS, TwoFaced({"a": 1}), Pairs(1), bytearray(b"x"), [], {}, set(), [1])


_HARMLESS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 5, 2**31, 2**63, 2**64, -(2**64), 10**400),
    *(0.0, -1.0, 1.5, float("nan"), float("inf"), -float("inf"), 1e300, 1j),
    *("", "x", "\0", "\ud800", "é", "A" * 16, "A" * 15 + "B", "A" * 17, "x" * 10_000),
    *(b"", b"A" * 16, memoryview(b"x")),
    *((), ("A" * 16, 1.0), ("A" * 16, 1.0, None), [("A" * 16, 1.0, 0)]),
    *(Text(""), Text("\ud800"), Number(-1), Number(2**64), Seconds("nan"), Seconds("inf")),
    *(RaisingText("x"), RaisingNumber(2**64), RaisingSeconds("nan")),
    *(Impostor(str), Impostor(int), Impostor(float), Impostor(dict), Impostor(list)),
    Pairs(("a", 1), ("a", 2)),
    *(Index(), Truth(), Unreadable(), object(), str, int, Text, lambda: None, len),
)


def answer(call: Any, *arguments: Any, **options: Any) -> Any:
    """Return what a call answers, or which error it raises and how that is said."""
    try:
        return call(*arguments, **options)
    except Exception as error:
        return type(error), str(error)

"""JSON texts, read and written: the one place that knows the library which does it.

That is msgspec. Where it can't be imported, the standard library's ``json`` takes its place, behind
checks that leave no difference: neither in what is read, refused and written, nor in the octets.
Nothing here knows what a value is for.

Integers have any size, as Python's have. What is written depends on neither the library nor its
version, since storages hold what was computed over those octets. So a number with an exponent,
which each library spells in its own way, is spelt here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from math import isinf
from typing import Any, NoReturn, TypeAlias

from .exact import NotPlain, TooLarge

__all__ = [
    "digits_of",
    "dumps",
    "is_msgspec_there",
    "is_nested_deeper",
    "loads",
    "loads_quickly",
    "members_once",
]

# What reads, what writes, and what writes with the names sorted.
_Library: TypeAlias = tuple[Callable[[bytes], Any], Callable[[Any], bytes], Callable[[Any], bytes]]

_DEEPEST = 64  # levels, of which a token and a context have half
# Levels beyond which nothing is read. How many Python reads depends on its version: 3.14 goes by
# the size of the thread's stack, which holds thousands, and what comes after has no such guard.
_DEEPEST_READ = 500
_LONGEST_INTEGER = 4300  # characters of the integers that msgspec reads
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL
)
# Each text is searched for the first, since that is quick, and few have it.
_LIKE_AN_EXPONENT = re.compile(rb"e[-+0-9]")
_EXPONENT = re.compile(rb"[0-9]e[-+0-9]")


def members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object: an ``object_pairs_hook`` for ``json.loads``.

    Raises:
        ValueError: a name stands there twice. Which of the two counts depends on who reads.
    """
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member stands twice in an object")
    return members


def loads(text: bytes) -> Any:
    """Return what a JSON text is, with integers of any size.

    Raises:
        ValueError: it is not JSON in UTF-8, is nested in more than 500 levels, or too deeply for
            Python, or holds half of a surrogate pair, a number beyond the largest double, or an
            integer of more digits than Python reads (``sys.set_int_max_str_digits``).
    """
    if len(text) > _DEEPEST_READ and is_nested_deeper(text, _DEEPEST_READ):
        raise ValueError("the JSON is nested too deeply")
    try:
        try:
            return loads_quickly(text)
        except ValueError:  # It may be for an integer that is too long.
            return _read(text, _any_integers)
    except RecursionError:
        if not is_nested_deeper(text, _DEEPEST):
            raise  # It is the caller who has no levels left.
        raise ValueError("the JSON is nested too deeply") from None


def dumps(value: Any, *, sort_names: bool = False) -> bytes:
    """Return a value as JSON in UTF-8, without white space.

    Args:
        value: plain JSON that has been checked: see ``copy_plain`` of ``_impl``.
        sort_names: True to have the names of each object in the order of their characters, and not
            in their own.

    Raises:
        ValueError: an integer has more digits than Python writes, or a text has half of a surrogate
            pair.
    """
    text = _write_sorted(value) if sort_names else _write(value)
    if _LIKE_AN_EXPONENT.search(text) and _EXPONENT.search(text):
        return _spelt(value, sort_names).encode()
    return text


def is_nested_deeper(text: bytes, levels: int) -> bool:
    """Return True for a text with more arrays and objects within each other than so many."""
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    depth = 0
    for octet in _STRING.sub(b"", text):
        if octet in b"[{":
            depth += 1
            if depth > levels:
                return True
        elif octet in b"]}":
            depth -= 1
    return False


def digits_of(number: int, most: int) -> int:
    """Return how many characters an integer has as JSON.

    Raises:
        TooLarge: these are surely more than ``most``.
        NotPlain: these are more than Python reads.
    """
    if number.bit_length() > 4 * most:  # A digit has less than four bits.
        raise TooLarge
    try:
        return len(str(number))
    except ValueError:
        raise NotPlain(
            f"has an integer of more than {sys.get_int_max_str_digits()} digits"
        ) from None


# Numbers with an exponent.


def _spelt(value: Any, sort_names: bool) -> str:
    """Return a value as JSON by Python alone, which takes some ten times as long."""
    kind = type(value)
    if kind is float:
        return _spelt_number(value)
    if kind is dict:
        names = sorted(value) if sort_names else value
        members = (f"{_spelt(name, False)}:{_spelt(value[name], sort_names)}" for name in names)
        return f"{{{','.join(members)}}}"
    if kind is list or kind is tuple:
        return f"[{','.join(_spelt(item, sort_names) for item in value)}]"
    return _in_own_order.encode(value)


def _spelt_number(number: float) -> str:
    """Return a number as it has been written since the first release, be it ``1e+16`` or ``1e-6``.

    Its digits are the fewest that no other number has, as those of its ``repr`` are.
    """
    mantissa, _, exponent = repr(number).partition("e")
    if not exponent:
        return mantissa
    if exponent == "-05":
        sign = "-" * mantissa.startswith("-")
        return f"{sign}0.0000{mantissa.lstrip('-').replace('.', '')}"
    return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"


# By the standard library.


def _usual_integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError("an integer is too long")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise ValueError("a number is beyond the largest double")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError("JSON has no NaN and no infinities")


def _decoder(integer_of: Callable[[str], int]) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=_finite_number, parse_int=integer_of, parse_constant=_refuse_constant
    )


def _encoder(*, sort_names: bool) -> json.JSONEncoder:
    return json.JSONEncoder(
        ensure_ascii=False,
        check_circular=False,
        allow_nan=False,
        separators=(",", ":"),
        sort_keys=sort_names,
    )


_any_integers = _decoder(int)
_usual_integers = _decoder(_usual_integer)
_in_own_order = _encoder(sort_names=False)
_in_sorted_order = _encoder(sort_names=True)


def _read(text: bytes, decoder: json.JSONDecoder) -> Any:
    value = decoder.decode(text.decode())
    if any(escape.lastgroup for escape in _ESCAPE.finditer(text)):
        raise ValueError("a text holds half of a surrogate pair")
    return value


def _by_json() -> _Library:
    return (
        lambda text: _read(text, _usual_integers),
        lambda value: _in_own_order.encode(value).encode(),
        lambda value: _in_sorted_order.encode(value).encode(),
    )


# By msgspec.


def _by_msgspec() -> _Library | None:
    """Return what reads and writes, or None where msgspec can't be imported."""
    try:
        from msgspec.json import Decoder, Encoder
    except ImportError:
        return None
    return Decoder().decode, Encoder().encode, Encoder(order="deterministic").encode


_chosen = _by_msgspec()
is_msgspec_there = _chosen is not None
loads_quickly, _write, _write_sorted = _chosen or _by_json()
"""The first returns what :func:`loads` returns, of a text that anybody may have sent.

It raises RecursionError where the text is nested too deeply for Python, and refuses integers of
more than 4,300 characters, whatever Python reads. The second returns what :func:`dumps` returns, of
a value without a ``float`` in it.
"""

"""JSON with integers of more than 64 bits, read and written as they stand.

orjson reads such an integer as the nearest double, or not at all where there is none, and it does
not write one. Everything else is left to orjson, which alone says what is JSON and what is not.
Nothing here knows what a value is for.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import orjson

from .exact import NotPlain, TooLarge

__all__ = ["SMALLEST_ROUNDED", "digits_of", "dumps", "loads", "loads_exactly"]

SMALLEST_ROUNDED = 2.0**63
"""From here on, and below its negative, a double that orjson has read may be a rounded integer."""
_DEEPEST = 64  # levels, of which a token and a context have half
# The alternative of a string comes first, so that no digits in one are taken for an integer. It
# takes in one without an end, too: so no character is looked at twice.
_STRING_OR_LARGE = re.compile(
    rb'"(?:[^"\\]|\\.)*+"?|(?<![0-9.eE+-])-?[0-9]{309,}+(?![.eE])', re.DOTALL
)


def loads(text: bytes) -> Any:
    """Return what a JSON text is, with integers of any size.

    Raises:
        ValueError: it is not JSON, is nested too deeply for Python, or holds an integer of more
            digits than Python reads (``sys.set_int_max_str_digits``).
    """
    try:
        parsed = orjson.loads(text)
    except ValueError:
        return loads_exactly(text)
    return loads_exactly(text) if _may_be_rounded(parsed) else parsed


def loads_exactly(text: bytes) -> Any:
    """Return what :func:`loads` returns, of a text that may hold a large integer.

    Reading takes several times as long as by orjson.

    Raises:
        ValueError: as of :func:`loads`.
    """
    # The largest double has 309 digits. Without such integers, orjson reads all that is JSON.
    orjson.loads(_STRING_OR_LARGE.sub(_shortened, text))
    try:
        return json.loads(text.decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def dumps(value: Any, option: int = 0) -> bytes:
    """Return a plain value as JSON, with integers of any size.

    Args:
        value: what orjson writes, and integers of more than 64 bits.
        option: options of orjson.

    Raises:
        TypeError: the value holds something else.
        ValueError: an integer has more digits than Python writes.
    """
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return orjson.dumps(_with_fragments(value, _DEEPEST), option=option)


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


def _shortened(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0].startswith(b'"') else b"0"


def _may_be_rounded(value: Any) -> bool:
    """Return True where a value read by orjson holds a double so large that it may be rounded."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            waiting += value.values()
        elif type(value) is list:
            waiting += value
        elif type(value) is float and abs(value) >= SMALLEST_ROUNDED:
            return True
    return False


def _with_fragments(value: Any, levels: int) -> Any:
    """Return a value whose large integers are in the form in which orjson takes them."""
    if type(value) is int and not -(2**63) <= value < 2**64:
        return orjson.Fragment(b"%d" % value)
    if levels == 0:
        return value
    if type(value) is dict:
        return {name: _with_fragments(item, levels - 1) for name, item in value.items()}
    if type(value) is list:
        return [_with_fragments(item, levels - 1) for item in value]
    return value

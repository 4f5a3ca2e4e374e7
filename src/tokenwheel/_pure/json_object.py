"""JSON objects in which no name stands twice and nothing is nested beyond reason.

Only the form of an object belongs here, and never what its members mean. The readable twin of
``json_object.pxd``.

Two readers of an object with a name twice may take different values (RFC 8259, section 4), and
parsers keep the last without a word. So the members of what was parsed are counted, and the colons
of its text outside of strings: there is one a member.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from ..json_text import is_nested_deeper, loads_quickly

__all__ = ["MAX_NESTING", "parse_object"]

_Loads: TypeAlias = Callable[[bytes], Any]

MAX_NESTING = 32  # levels of JSON objects and arrays, the outermost being the first
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def parse_object(text: bytes, loads: _Loads | None = None) -> dict[str, Any] | None:
    """Return the object that a JSON text is, or None if it is anything else.

    It is anything else, too, if an object in it has a name twice or it is nested too deeply.

    Args:
        text: the JSON.
        loads: reads again what was refused, since integers in it may be of any size. It is slower,
            and no work for a text that anybody may have sent.
    """
    try:
        parsed = loads_quickly(text)
    except RecursionError:
        if is_nested_deeper(text, MAX_NESTING):
            return None
        raise  # It is the caller who has no levels left.
    except ValueError:
        parsed = _read_again(text, loads)
    if type(parsed) is not dict:
        return None
    members = _count_members(parsed, 1)
    # Strings can hold colons, so there may be more colons than members. If there are no more, that
    # settles it without a look at the strings.
    if members < 0 or (
        members != text.count(b":") and members != _STRING.sub(b"", text).count(b":")
    ):
        return None
    return parsed


def _read_again(text: bytes, loads: _Loads | None) -> Any:
    if loads is None:
        return None
    try:
        return loads(text)
    except ValueError:
        return None


def _count_members(value: Any, depth: int) -> int:
    """Return how many members the objects in a value have in all, or -1 if it is nested too deeply.

    A text with more members than these had a name twice in one object, whose later value would have
    hidden the earlier one.

    Args:
        value: an object or an array.
        depth: the level of the value, the outermost being the first.
    """
    if depth > MAX_NESTING:
        return -1
    members = 0
    if type(value) is dict:
        members = len(value)
        value = value.values()
    for item in value:
        if type(item) is dict or type(item) is list:
            members_of_item = _count_members(item, depth + 1)
            if members_of_item < 0:
                return -1
            members += members_of_item
    return members

"""Private copies of the plain JSON that a caller hands in.

Each object in it is looked at once. The copy is what is checked, and all that is used afterwards:
what the caller, another thread or a lying mapping does to the original reaches nobody. A text
counts by its characters and a number by its value, whatever subclass they are of, such as an Enum:
an encoder might take them for something else. Any other value must be exactly of a type JSON has.
The readable twin of ``plain_json.pyx``.

Levels and size are bounded. A list may hold itself, and thirty lists that each hold the next one
twice are a billion values.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from ..errors import InvalidArgument
from ..exact import (
    NotPlain,
    TooLarge,
    members_of,
    nested_members_of,
    plain_of,
    type_name_of,
)
from ..json_text import digits_of
from .json_object import MAX_NESTING

__all__ = ["LARGEST_PAYLOAD", "MAX_NESTING", "copy_plain"]

LARGEST_PAYLOAD = 6144  # bytes of JSON: 8 KiB as base64url
_PLAIN = frozenset({str, int, dict, list, float, bool, tuple, type(None)})


class _Room:
    """How many bytes of JSON there is room for yet. What is taken is never more than JSON takes."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLarge


def copy_plain(mapping: object, whole: str, member: str, most: int) -> dict[str, Any]:
    """Return a private copy of a mapping that holds plain JSON, with arrays as lists.

    Args:
        mapping: any mapping. It counts as the first level of nesting.
        whole: what an error calls it.
        member: what an error calls a member, before the member's name.
        most: the bytes of JSON that it may have at most. More of them may be let through, as long
            as it has fewer values and characters.

    Raises:
        InvalidArgument: it would not come back from JSON as it is; says why.
    """
    members = members_of(mapping, whole, most)
    room = _Room(most)
    copied: dict[str, Any] = {}
    for name, value in members.items():
        if not name.isascii() and not _is_unicode(name):
            raise InvalidArgument(f"{whole} must have names without lone surrogates")
        try:
            room.take(len(name) + 3)  # two quotes and a colon
            copied[name] = _copy(value, 2, room)
        except TooLarge:
            raise InvalidArgument(f"{whole} must have at most {most} bytes of JSON") from None
        except NotPlain as error:
            raise InvalidArgument(f"{member} {name!r} {error}") from None
    return copied


def _copy(value: Any, depth: int, room: _Room) -> Any:
    """Return a private copy of a value at this depth.

    Raises:
        NotPlain: it is not plain JSON, or too large.
    """
    if type(value) not in _PLAIN:
        value = plain_of(value)
    kind = type(value)
    if kind is str:
        room.take(len(value) + 2)
        if not value.isascii() and not _is_unicode(value):
            raise NotPlain("has a text with a lone surrogate")
        return value
    room.take(1)
    if value is None or kind is bool:
        return value
    if kind is int:
        if not -(2**63) <= value < 2**64:
            room.take(digits_of(value, room.left) - 1)
        return value
    if kind is float:
        if not isfinite(value):
            raise NotPlain("has a number that JSON cannot hold (NaN or an infinity)")
        return value
    if kind is not dict and kind is not list and kind is not tuple:
        raise NotPlain(f"has a value of type {type_name_of(value)}, which is not JSON")
    if depth > MAX_NESTING:
        raise NotPlain(f"is nested deeper than {MAX_NESTING} levels")
    if len(value) > room.left:  # Each item takes a byte, and more.
        raise TooLarge
    if kind is not dict:
        return [_copy(item, depth + 1, room) for item in tuple(value)]
    copied = {}
    for name, item in nested_members_of(value).items():
        if not _is_unicode(name):
            raise NotPlain("has an object with a name that is not a str of valid Unicode")
        room.take(len(name) + 3)
        copied[name] = _copy(item, depth + 1, room)
    return copied


def _is_unicode(text: str) -> bool:
    """Return True where the text has a UTF-8 form, which a lone surrogate has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""What a caller hands in, taken for what it is and not for what it says of itself.

A subclass of ``str`` may compare as another text than its characters, a mapping may show other
names at a second look, and ``__class__`` may name a type that an object is not of. So each thing
is looked at once here, and becomes an object of the plain type. That one is checked, and is all
that is used. Nothing here knows what a value is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, TypeGuard, TypeVar

from .errors import InvalidArgument
from .seconds import whole_seconds_of

__all__ = [
    "NotPlain",
    "TooLarge",
    "as_given",
    "bytes_of",
    "is_instance",
    "items_of",
    "members_of",
    "named",
    "nested_members_of",
    "number_of",
    "plain_of",
    "seconds_of",
    "text_of",
    "text_or_bytes_of",
    "texts_of",
    "type_name_of",
    "whole_number_of",
]

V = TypeVar("V")

_MOST_BITS_SHOWN = 64
_MOST_TEXTS = 8192  # more than an access token of 8 KiB has room for
_name_of_type = type.__dict__["__name__"].__get__


class NotPlain(Exception):
    """A value is not plain JSON. The text says why, as what is said of the value."""


class TooLarge(NotPlain):
    """A value is larger as JSON than there is room for."""


def text_of(value: object) -> str | None:
    """Return the characters of a ``str`` or of a subclass, or None for anything else."""
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def bytes_of(value: object) -> bytes | None:
    """Return the octets of a ``bytes`` or of a subclass, or None for anything else.

    A ``bytearray`` and a ``memoryview`` are something else: what they hold can change.
    """
    if type(value) is bytes:
        return value
    if not is_instance(value, bytes):
        return None
    octets: bytes = bytes.__getitem__(value, slice(None))
    return octets


def text_or_bytes_of(value: object) -> str | bytes | None:
    """Return a text or octets of a subclass as those of the plain type; else None."""
    text = text_of(value)
    return bytes_of(value) if text is None else text


def is_instance(value: object, kind: type[V]) -> TypeGuard[V]:
    """Return True where a value is of this type or of a subclass, whatever it calls its class."""
    return issubclass(type(value), kind)


def whole_number_of(value: object) -> int | None:
    """Return the number that an ``int`` or a subclass is, or None for anything else and a bool."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[return-value]
    if kind is bool or not issubclass(kind, int):
        return None
    return int.__int__(value)  # type: ignore[arg-type]


def number_of(value: object) -> int | float | None:
    """Return the number that an ``int``, a ``float`` or a subclass of these is.

    Return None for anything else, and for a bool.
    """
    if issubclass(type(value), float):
        return float.__float__(value)  # type: ignore[arg-type]
    return whole_number_of(value)


def seconds_of(value: object) -> int | float | None:
    """Return the seconds that a number or a ``timedelta`` of whole seconds stands for, else None.

    A timedelta counts by its days and seconds, whatever a subclass says of them.
    """
    whole = whole_seconds_of(value)
    return number_of(value) if whole is None else whole


def as_given(value: object) -> str:
    """Return the end of a message that says what a number or a lifetime must be.

    It says what was given: a number or a lifetime itself, and of anything else the type.
    """
    if issubclass(type(value), timedelta):
        return f"and is a timedelta of {timedelta.total_seconds(value)} seconds"  # type: ignore[arg-type]
    number = number_of(value)
    if number is None:
        return f"not {named(value)}"
    # More digits than Python would write are of no use to anybody.
    is_long = type(number) is int and number.bit_length() > _MOST_BITS_SHOWN
    return "and is far out of it" if is_long else f"and is {number}"


def plain_of(value: V) -> V:
    """Return a text or a number of a subclass as one of the plain type, else the value as it is."""
    plain: Any = text_of(value)
    if plain is None:
        plain = number_of(value)
    return value if plain is None else plain


def texts_of(value: object) -> tuple[str, ...] | None:
    """Return the texts in a text or in a sequence of texts, looked at once.

    Return None where that is anything else, is empty, or holds an empty text.
    """
    text = text_of(value)
    if text is not None:
        return (text,) if text else None
    texts = [text_of(item) for item in items_of(value, _MOST_TEXTS) or ()]
    named = tuple(text for text in texts if text)
    return named if 0 < len(named) == len(texts) else None


def items_of(value: object, most: int) -> tuple[Any, ...] | None:
    """Return the items of a sequence, looked at once. They are the caller's own.

    Return None where the value is no sequence, is a text or octets, cannot be read, or has more
    items than ``most``.
    """
    if issubclass(type(value), str | bytes | bytearray | memoryview):
        return None
    try:
        if not isinstance(value, Sequence):
            return None
        items = tuple(islice(value, most + 1))
    except Exception:  # any: the sequence is the caller's own
        return None
    return items if len(items) <= most else None


def type_name_of(value: object) -> str:
    """Return the name of a value's type."""
    name: str = _name_of_type(type(value))
    return name


def named(value: object) -> str:
    """Return how a message names what should have been something else.

    That is by its type, or as the class that it is where it should have been an instance.
    """
    is_class = issubclass(type(value), type)
    return f"the class {_name_of_type(value)}" if is_class else type_name_of(value)


def members_of(mapping: object, whole: str, most: int) -> dict[str, Any]:
    """Return the members of a mapping, looked at once, under the characters of their names.

    The values are the caller's own.

    Args:
        mapping: what the caller handed in.
        whole: what an error calls it.
        most: the members that it may have at most.

    Raises:
        InvalidArgument: it is no mapping, cannot be read, has a name that is no ``str``, has a name
            twice, or has too many members.
    """
    pairs: list[tuple[object, Any]] | None = None
    try:
        if type(mapping) is dict:
            if len(mapping) <= most:
                pairs = list(mapping.copy().items())  # Another thread may change it meanwhile.
        elif isinstance(mapping, Mapping):
            pairs = [(name, value) for name, value in islice(mapping.items(), most + 1)]
        else:
            raise InvalidArgument(f"{whole} must be a mapping, not {named(mapping)}")
    except InvalidArgument:
        raise
    except Exception as error:
        raise InvalidArgument(f"{whole} must be a mapping whose items can be read") from error
    if pairs is None or len(pairs) > most:
        raise InvalidArgument(f"{whole} must have at most {most} bytes of JSON")
    members: dict[str, Any] = {}
    for given_name, value in pairs:
        name = text_of(given_name)
        if name is None:
            raise InvalidArgument(f"{whole} must have names of type str")
        if name in members:
            raise InvalidArgument(f"{whole} must not have a name twice")
        members[name] = value
    return members


def nested_members_of(mapping: dict[Any, Any]) -> dict[str, Any]:
    """Return the members that a dict has at this moment, under the characters of their names.

    Raises:
        NotPlain: it has a name that is no ``str``, or a name twice.
    """
    try:
        pairs = list(mapping.copy().items())  # Another thread may change it meanwhile.
    except Exception:  # any: a name that is compared runs code of the caller
        raise NotPlain("has an object whose names cannot be read") from None
    members: dict[str, Any] = {}
    for given_name, value in pairs:
        name = text_of(given_name)
        if name is None:
            raise NotPlain("has an object with a name that is not a str of valid Unicode")
        if name in members:
            raise NotPlain("has an object with a name twice")
        members[name] = value
    return members

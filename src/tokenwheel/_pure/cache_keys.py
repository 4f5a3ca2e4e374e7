"""Keys as the dict of an ExpiringCache holds them: their hash and equality can be relied on.

Only the wrapping of keys belongs here, and nothing of entries or time. A ``str``, ``bytes`` or
``int`` is its own place, since no code of a user's runs in its hash or its comparison. Any other
key is wrapped, so that an entry can be removed even if its key's hash has changed or its
comparison raises. A lookup compares keys. A change to the dict comes after one, and compares
nothing but places: no code of a user's runs in the midst of it.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["PLAIN", "Changing", "WrappedKey"]

PLAIN = frozenset({str, bytes, int})  # types whose hash and equality run no code of a user's


class Changing:
    """Whether a dict of entries is being changed, for the places in it to know."""

    __slots__ = ("has_wrapped", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        self.has_wrapped = False
        """Whether there may be a :class:`WrappedKey` in the dict, whose comparison runs code."""


class WrappedKey:
    """A key that keeps the hash it had. While the dict is being changed, it equals itself alone."""

    __slots__ = ("changing", "hash", "key")

    def __init__(self, key: Hashable, changing: Changing) -> None:
        self.key = key
        self.hash = hash(key)
        self.changing = changing
        changing.has_wrapped = True

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self is other or self.changing.is_on:
            return self is other
        if type(other) is not WrappedKey:
            return bool(other == self.key)
        return self.key is other.key or bool(self.key == other.key)

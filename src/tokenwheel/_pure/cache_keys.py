"""Keys as the dict of an ExpiringCache holds them: their hash and equality can be relied on.

Only the wrapping of keys belongs here, and nothing of entries or time. A ``str``, ``bytes`` or
``int`` is its own place, since no code of a user's runs in its hash or its comparison. Any other
key is wrapped, so that an entry can be removed even if its key's hash has changed or its
comparison raises.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

__all__ = ["WrappedKey", "place_of"]

_PLAIN = frozenset({str, bytes, int})  # types whose hash and equality run no code of a user's


class WrappedKey:
    """A key that keeps the hash it had and that, while it is being removed, equals itself alone."""

    __slots__ = ("hash", "is_leaving", "key")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.hash = hash(key)
        self.is_leaving = False

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self.is_leaving:
            return self is other
        if type(other) is not WrappedKey:
            return bool(other == self.key)
        return not other.is_leaving and (self.key is other.key or bool(self.key == other.key))


def place_of(key: Any) -> Any:
    """Return the object under which the dict of entries holds ``key``.

    Raises:
        TypeError: the key is not hashable.
    """
    return key if type(key) in _PLAIN else WrappedKey(key)

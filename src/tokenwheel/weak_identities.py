"""A dictionary of objects that are held weakly and told apart by identity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, overload
from weakref import ref

__all__ = ["WeakIdentityDictionary"]

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class WeakIdentityDictionary(Generic[K, V]):
    """Know something of objects, and forget it as they go.

    No object has to be hashable, and two that call each other equal are two: a class that an
    application derives may define ``__eq__`` as it likes. Safe to share between threads. A loop
    goes over what was there when it began, and the dictionary may change meanwhile.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[ref[K], V]] = {}

    def __setitem__(self, key: K, value: V) -> None:
        entries, identity = self._entries, id(key)

        def forget(gone: ref[K]) -> None:
            entry = entries.get(identity)
            if entry is not None and entry[0] is gone:
                del entries[identity]

        entries[identity] = ref(key, forget), value

    def __contains__(self, key: object) -> bool:
        return id(key) in self._entries

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: D | None = None) -> V | D | None:
        """Return what is known of an object, or a default."""
        entry = self._entries.get(id(key))
        return default if entry is None else entry[1]

    def __iter__(self) -> Iterator[K]:
        return iter([key for key, _ in self.items()])

    def items(self) -> list[tuple[K, V]]:
        """Return the objects and what is known of each, in the order in which they were added."""
        entries = self._entries.copy().values()
        return [(key, value) for reference, value in entries if (key := reference()) is not None]

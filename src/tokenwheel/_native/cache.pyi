from collections.abc import Callable, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from datetime import timedelta
from types import GenericAlias
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

from typing_extensions import disjoint_base

from ..events import RemovalReason

__all__ = ["ExpiringCache"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

@disjoint_base
class ExpiringCache(MutableMapping[_K, _V], Generic[_K, _V]):
    """A mapping whose entries expire by themselves.

    An expired entry can no longer be read. It is removed by one of the next operations: no thread
    runs in the background. Several threads may use the cache at once. What the ``__hash__`` or
    ``__eq__`` of a key raises reaches the caller, as from a dict, and the cache is as it was.

    Args:
        maxsize: how many entries the cache holds at most, or None for no limit. A full cache
            evicts the entry that expires soonest, and of several the one set longest ago.
        ttl: the lifetime, in seconds or as a timedelta of whole seconds, of an entry that is set
            without one of its own, or None if such an entry never expires.
        on_remove: called as ``on_remove(key, value, reason)`` for each entry that was removed,
            when the operation that removed it is done. It may use the cache in any way. What it
            raises is logged.
        clock: returns the time in seconds, by default that of ``time.monotonic`` as it stands at
            each call. freezegun moves it, and time-machine does not.

    Raises:
        ConfigurationError: an argument cannot be used.
    """

    def __new__(cls, *arguments: object, **options: object) -> Self: ...
    def __init__(
        self,
        maxsize: int | None = None,
        *,
        ttl: float | timedelta | None = None,
        on_remove: Callable[[_K, _V, RemovalReason], object] | None = None,
        clock: Callable[[], float] = ...,
    ) -> None: ...
    @overload
    def get(self, key: _K, default: None = None) -> _V | None:
        """Return the value of the entry under ``key``, or ``default`` if there is no live one."""
    @overload
    def get(self, key: _K, default: _V | _T) -> _V | _T: ...
    def __getitem__(self, key: _K, /) -> _V: ...
    def __contains__(self, key: object, /) -> bool: ...
    def ttl(self, key: _K) -> float | None:
        """Return the seconds that an entry has left to live, or None if it never expires.

        Raises:
            KeyError: there is no live entry under ``key``.
        """
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_K]: ...
    def keys(self) -> KeysView[_K]:
        """Return a view of the keys of live entries, which follows the cache as it changes."""
    def items(self) -> ItemsView[_K, _V]:
        """Return a view of the live entries as ``(key, value)``, which follows the cache."""
    def values(self) -> ValuesView[_V]:
        """Return a view of the values of live entries, which follows the cache as it changes."""
    def __eq__(self, other: object, /) -> bool: ...
    def set(self, key: _K, value: _V, ttl: float | timedelta | None = ...) -> None:
        """Set ``key`` to ``value`` for ``ttl`` seconds.

        An entry that is there already is replaced. A full cache evicts the entry that expires
        soonest to make room for another key.

        Args:
            key: any hashable object.
            value: any object.
            ttl: from 0.001 seconds to 100 years, as a number of seconds or a timedelta of whole
                seconds, or None if the entry is never to expire. If left out, the ``ttl`` that the
                cache was made with.

        Raises:
            InvalidArgument: ``ttl`` is not such a number.
        """
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    @overload
    def setdefault(self: ExpiringCache[_K, _T | None], key: _K, default: None = None) -> _T | None:
        """Return the value under ``key``. If there is no live entry, set it to ``default`` first.

        Such a new entry lives for the ``ttl`` that the cache was made with.
        """
    @overload
    def setdefault(self, key: _K, default: _V) -> _V: ...
    def touch(self, key: _K, ttl: float | timedelta | None) -> bool:
        """Let the entry under ``key`` expire ``ttl`` seconds from now, and keep its value.

        Args:
            key: the entry's key.
            ttl: from 0.001 seconds to 100 years, as a number of seconds or a timedelta of whole
                seconds, or None if the entry is never to expire.

        Returns:
            True if there was a live entry, else False.

        Raises:
            InvalidArgument: ``ttl`` is not such a number.
        """
    def __delitem__(self, key: _K, /) -> None: ...
    @overload
    def pop(self, key: _K) -> _V:
        """Delete the entry under ``key`` and return its value.

        If there is no live entry, ``default`` is returned if it is given.

        Raises:
            KeyError: there is no live entry, and no ``default`` was given.
        """
    @overload
    def pop(self, key: _K, default: _V) -> _V: ...
    @overload
    def pop(self, key: _K, default: _T) -> _V | _T: ...
    def popitem(self) -> tuple[_K, _V]:
        """Delete an arbitrary live entry and return it as ``(key, value)``.

        Raises:
            KeyError: there is no live entry.
        """
    def expire(self) -> int:
        """Remove every entry that has expired. Return how many were removed."""
    def clear(self) -> None:
        """Remove every entry."""
    __reversed__: None
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __reduce__(self) -> NoReturn: ...
    def __reduce_ex__(self, protocol: object, /) -> NoReturn: ...
    def _nbytes(self) -> int:
        """Bytes held, keys and values not counted; the pure twin estimates."""
    def _check(self) -> None:
        """Verify every invariant, for tests."""

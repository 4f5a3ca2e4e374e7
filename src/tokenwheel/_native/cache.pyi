from collections.abc import Callable, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from types import GenericAlias
from typing import Any, Generic, NoReturn, TypeVar, overload

from typing_extensions import disjoint_base

from ..events import RemovalReason

__all__ = ["ExpiringCache"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

@disjoint_base
class ExpiringCache(MutableMapping[_K, _V], Generic[_K, _V]):
    """A mapping whose entries end by themselves.

    ``maxsize`` bounds the entries: a full cache evicts the one that expires soonest. ``ttl`` is the lifetime, in seconds, of an
    entry set without one of its own; ``None`` means for ever. ``on_remove(key, value, reason)`` is called after each removal,
    when the operation that caused it is done: it may use the cache in any way.
    """

    def __init__(
        self,
        maxsize: int | None = None,
        *,
        ttl: float | None = None,
        on_remove: Callable[[_K, _V, RemovalReason], object] | None = None,
        clock: Callable[[], float] = ...,
    ) -> None: ...
    @overload
    def get(self, key: _K, default: None = None) -> _V | None:
        """The value of a live entry, else ``default``."""
    @overload
    def get(self, key: _K, default: _V | _T) -> _V | _T: ...
    def __getitem__(self, key: _K, /) -> _V: ...
    def __contains__(self, key: object, /) -> bool: ...
    def ttl(self, key: _K) -> float | None:
        """Seconds left to the entry, ``None`` if it never expires; ``KeyError`` if there is none."""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_K]: ...
    def keys(self) -> KeysView[_K]: ...
    def items(self) -> ItemsView[_K, _V]: ...
    def values(self) -> ValuesView[_V]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def set(self, key: _K, value: _V, ttl: float | None = ...) -> None:
        """Set the entry, to live for ``ttl`` seconds; without one, for the cache's own ``ttl``. ``None`` means for ever."""
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    @overload
    def setdefault(self: ExpiringCache[_K, _T | None], key: _K, default: None = None) -> _T | None:
        """The value of a live entry; if there is none, set the key to ``default`` first."""
    @overload
    def setdefault(self, key: _K, default: _V) -> _V: ...
    def touch(self, key: _K, ttl: float | None) -> bool:
        """Let a live entry end ``ttl`` seconds from now, ``None`` for never; whether there was one."""
    def __delitem__(self, key: _K, /) -> None: ...
    @overload
    def pop(self, key: _K) -> _V:
        """Delete a live entry and return its value; without one, ``default`` or ``KeyError``."""
    @overload
    def pop(self, key: _K, default: _V) -> _V: ...
    @overload
    def pop(self, key: _K, default: _T) -> _V | _T: ...
    def popitem(self) -> tuple[_K, _V]:
        """Delete some live entry and return its key and value; ``KeyError`` if there is none."""
    def expire(self) -> int:
        """Reclaim every entry that is due now; how many there were."""
    def clear(self) -> None:
        """Delete every entry."""
    __reversed__: None
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __reduce__(self) -> NoReturn: ...
    def __reduce_ex__(self, protocol: object, /) -> NoReturn: ...
    def _nbytes(self) -> int:
        """Bytes held, keys and values not counted; the pure twin estimates."""
    def _check(self) -> None:
        """Verify every invariant, for tests."""

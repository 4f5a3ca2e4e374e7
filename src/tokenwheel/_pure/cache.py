"""ExpiringCache: a mapping whose entries expire by themselves. The readable twin of ``cache.pyx``.

Only the mapping, its clock and its lock belong here. ``table.py`` keeps the entries, ``removed.py``
tells of those that were removed, and ``cache_keys.py`` knows how a dict can hold any key.

One order makes it safe. An operation first asks the clock and looks the key up, then changes
everything in one go, and only then calls ``on_remove`` and releases what it removed, with no lock
held. So a callback and a ``__del__`` may use this very cache. What was removed waits in a queue,
which the outermost operation works off: an operation within a callback only adds to it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    KeysView,
    MutableMapping,
    ValuesView,
)
from datetime import timedelta
from math import inf
from operator import itemgetter
from typing import Any, Generic, NoReturn, Self, TypeVar, cast

from ..errors import ConfigurationError, InvalidArgument
from ..events import RemovalReason
from ..fork_safety import hold_lock_during_fork
from ..seconds import checked_clock, duration_of, monotonic_time
from .cache_keys import PLAIN, Changing, WrappedKey
from .removed import RemovedQueue
from .table import ExpiringTable

__all__ = ["ExpiringCache"]

K = TypeVar("K")
V = TypeVar("V")

_SHORTEST = 0.001  # seconds: 1 ms, a tick of the wheel
_LONGEST = 100 * 31_557_600  # seconds: 100 years of 365.25 days
_WRITE_BUDGET = 12  # steps of maintenance with each change: more than one change can ever cause
_READ_BUDGET = 4  # with a read, and only when something is due
_MISSING: Any = object()


class ExpiringCache(MutableMapping[K, V], Generic[K, V]):
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

    __slots__ = ("__weakref__", "_is_made", "_lifetime", "_lock", "_now", "_removed", "_table")

    def __new__(cls, *arguments: object, **options: object) -> Self:
        self = super().__new__(cls)
        self._begin()
        return self

    def _begin(self) -> None:
        """Hold nothing, and refuse whatever is asked before ``__init__``."""
        self._is_made = False
        self._now: Callable[[], float] = _refuse_unmade
        self._lock = threading.RLock()
        hold_lock_during_fork(self, "_lock", is_innermost=True)
        self._removed: RemovedQueue[K, V] = RemovedQueue(None)
        self._table = ExpiringTable(None, self._removed, Changing())

    def __init__(
        self,
        maxsize: int | None = None,
        *,
        ttl: float | timedelta | None = None,
        on_remove: Callable[[K, V, RemovalReason], object] | None = None,
        clock: Callable[[], float] = monotonic_time,
    ) -> None:
        most = _entries_of(maxsize)
        try:
            lifetime = _lifetime(ttl)
        except InvalidArgument as error:
            raise ConfigurationError(str(error)) from None
        if on_remove is not None and not callable(on_remove):
            raise ConfigurationError("on_remove must be callable, or None")
        if not callable(clock):
            raise ConfigurationError("clock must be callable")
        # Whoever is in the midst of a lookup relies on the table that was there.
        if self._is_made:
            raise ConfigurationError("an ExpiringCache can be constructed only once")
        self._is_made = True
        self._lifetime = lifetime
        self._now = checked_clock(clock)
        self._removed = RemovedQueue(on_remove)
        self._table = ExpiringTable(most, self._removed, self._table.changing)

    # Reading

    def get(self, key: K, default: Any = None) -> Any:
        """Return the value of the entry under ``key``, or ``default`` if there is no live one."""
        table = self._table
        value: Any = _MISSING
        if type(key) in PLAIN and not table.changing.has_wrapped:
            # No lock is needed, as no code of a user's runs here. The order counts: an entry is
            # given its value before its expiry, and loses its sequence before its value.
            now = self._now()
            entry = table.entries.get(key)
            if entry is not None and now < entry.expires_at:
                value = entry.value
                if entry.sequence < 0:  # It was removed meanwhile.
                    value = _MISSING
        else:
            place, now = self._place(key), self._now()
            with self._lock:
                entry = table.find(place)
                if entry is not None and now < entry.expires_at:
                    value = entry.value
        if now >= table.wheel.next_due:
            with self._lock:
                table.reclaim(now, _READ_BUDGET)
        if self._removed.removals:
            self._removed.settle()
        return default if value is _MISSING else value

    def __getitem__(self, key: K) -> V:
        value = self._read(key)
        if value is _MISSING:
            raise KeyError(key)
        return cast(V, value)

    def __contains__(self, key: object) -> bool:
        return self._read(key) is not _MISSING

    def ttl(self, key: K) -> float | None:
        """Return the seconds that an entry has left to live, or None if it never expires.

        Raises:
            KeyError: there is no live entry under ``key``.
        """
        place, now = self._place(key), self._now()
        table = self._table
        with self._lock:
            entry = table.find(place)
            expires_at = -inf if entry is None else entry.expires_at
            if now >= table.wheel.next_due:
                table.reclaim(now, _READ_BUDGET)
        if self._removed.removals:
            self._removed.settle()
        if expires_at <= now:
            raise KeyError(key)
        return None if expires_at == inf else expires_at - now

    def __len__(self) -> int:
        self.expire()
        return len(self._table.entries)

    def __iter__(self) -> Iterator[K]:
        return map(itemgetter(0), _Walk(self))

    def keys(self) -> KeysView[K]:
        """Return a view of the keys of live entries, which follows the cache as it changes."""
        return KeysView(self)

    def items(self) -> ItemsView[K, V]:
        """Return a view of the live entries as ``(key, value)``, which follows the cache."""
        return _LiveItems(self)

    def values(self) -> ValuesView[V]:
        """Return a view of the values of live entries, which follows the cache as it changes."""
        return _LiveValues(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._table.entries)} entries>"

    # Changing

    def set(self, key: K, value: V, ttl: float | timedelta | None = _MISSING) -> None:
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
        lifetime = None if ttl is _MISSING else _lifetime(ttl)
        table = self._table
        place = key if type(key) in PLAIN else self._place(key)
        now = self._now()
        if lifetime is None:
            lifetime = self._lifetime
        with self._lock:
            replaced = table.set(place, value, now, now + lifetime)
            if now >= table.wheel.next_due:
                table.reclaim(now, _WRITE_BUDGET)
        del replaced  # Only now, as that may run code of a user's.
        if self._removed.removals:
            self._removed.settle()

    def __setitem__(self, key: K, value: V) -> None:
        self.set(key, value)

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the value under ``key``. If there is no live entry, set it to ``default`` first.

        Such a new entry lives for the ``ttl`` that the cache was made with.
        """
        table = self._table
        place, now = self._place(key), self._now()
        # All in one go: of several threads at once each gets the value that one of them has set.
        with self._lock:
            entry = table.find(place)
            value = default
            if entry is not None and entry.expires_at > now:
                value = entry.value
            else:
                table.set(place, default, now, now + self._lifetime)
            table.reclaim(now, _WRITE_BUDGET)
        if self._removed.removals:
            self._removed.settle()
        return value

    def touch(self, key: K, ttl: float | timedelta | None) -> bool:
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
        lifetime = _lifetime(ttl)
        place, now = self._place(key), self._now()
        with self._lock:
            entry = self._table.find(place)
            is_live = entry is not None and entry.expires_at > now
            if entry is not None and is_live:
                self._table.touch(entry, now, now + lifetime)
            self._table.reclaim(now, _WRITE_BUDGET)
        if self._removed.removals:
            self._removed.settle()
        return is_live

    def __delitem__(self, key: K) -> None:
        if self._delete(key) is _MISSING:
            raise KeyError(key)

    def pop(self, key: K, default: Any = _MISSING) -> Any:
        """Delete the entry under ``key`` and return its value.

        If there is no live entry, ``default`` is returned if it is given.

        Raises:
            KeyError: there is no live entry, and no ``default`` was given.
        """
        value = self._delete(key)
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Delete an arbitrary live entry and return it as ``(key, value)``.

        Raises:
            KeyError: there is no live entry.
        """
        now = self._now()
        with self._lock:
            item = self._table.pop(now)
            self._table.reclaim(now, _WRITE_BUDGET)
        if self._removed.removals:
            self._removed.settle()
        if item is None:
            raise KeyError("the cache is empty")
        return item

    def expire(self) -> int:
        """Remove every entry that has expired. Return how many were removed."""
        now = self._now()
        with self._lock:
            before = len(self._table.entries)
            self._table.reclaim_all(now)
            count = before - len(self._table.entries)
        if self._removed.removals:
            self._removed.settle()
        return count

    def clear(self) -> None:
        """Remove every entry."""
        now = self._now()
        with self._lock:
            self._table.clear(now)
        if self._removed.removals:
            self._removed.settle()

    # Refusals and views of the inside

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "an ExpiringCache cannot be copied or pickled: "
            "its entries belong to one clock in one process"
        )

    def __reduce__(self) -> NoReturn:
        self.__reduce_ex__(2)

    __reversed__ = None

    def _nbytes(self) -> int:
        """Return an estimate of the bytes held, keys and values not counted."""
        return 320 * len(self._table.entries)

    def _check(self) -> None:
        """Assert that every invariant holds, for tests."""
        with self._lock:
            self._table.check()

    # What the operations above are made of

    def _place(self, key: Any) -> Any:
        return key if type(key) in PLAIN else WrappedKey(key, self._table.changing)

    def _read(self, key: Any) -> Any:
        return ExpiringCache.get(self, key, _MISSING)

    def _delete(self, key: Any) -> Any:
        """Delete the entry under ``key``. Return its value, or ``_MISSING`` if it was not live."""
        table = self._table
        place = key if type(key) in PLAIN else self._place(key)
        now = self._now()
        value = _MISSING
        with self._lock:
            entry = table.find(place)
            if entry is not None:
                if entry.expires_at > now:
                    value = entry.value
                table.remove(entry, now, RemovalReason.DELETED)
            if now >= table.wheel.next_due:
                table.reclaim(now, _WRITE_BUDGET)
        if self._removed.removals:
            self._removed.settle()
        return value


class _Walk(Iterator[tuple[Any, Any]]):
    """An iterator over live entries: each one that stays throughout once, whatever else changes.

    Threads may share it, which a generator doesn't allow.
    """

    __slots__ = ("_cache", "_entries")

    def __init__(self, cache: ExpiringCache[Any, Any]) -> None:
        self._cache = cache
        with cache._lock:
            self._entries = deque(cache._table.entries.values())

    def __next__(self) -> tuple[Any, Any]:
        while True:
            try:
                entry = self._entries.popleft()
            except IndexError:
                raise StopIteration from None
            now = self._cache._now()
            item = entry.key, entry.value
            # Only now, since another thread may remove it at any moment.
            if entry.sequence >= 0 and entry.expires_at > now:
                return item


class _LiveItems(ItemsView[K, V]):
    """A view of live entries, which passes over one that expires before it has been read."""

    __slots__ = ()
    _mapping: ExpiringCache[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return _Walk(self._mapping)


class _LiveValues(ValuesView[V]):
    """A view of live values, which passes over an entry that expires before it has been read."""

    __slots__ = ()
    _mapping: ExpiringCache[Any, V]

    def __iter__(self) -> Iterator[V]:
        return map(itemgetter(1), _Walk(self._mapping))

    def __contains__(self, value: object) -> bool:
        return any(held is value or held == value for held in self)


def _refuse_unmade() -> NoReturn:
    raise ConfigurationError("an ExpiringCache must be constructed before it is used")


_LIFETIME_RULE = (
    f"ttl must be a number of seconds from {_SHORTEST} to {_LONGEST} (100 years), "
    "a timedelta of whole seconds, or None for never"
)


def _lifetime(ttl: object) -> float:
    if ttl is None:
        return inf
    seconds = ttl if type(ttl) is float else duration_of(ttl)
    if not _SHORTEST <= seconds <= _LONGEST:
        raise InvalidArgument(_LIFETIME_RULE)
    return seconds


def _entries_of(maxsize: object) -> int | None:
    """Return how many entries a cache holds at most, as the ``maxsize`` it was given says."""
    if maxsize is None:
        return None
    kind = type(maxsize)
    most = 0
    if issubclass(kind, int) and kind is not bool:
        most = int.__index__(maxsize)  # type: ignore[arg-type]
    if most < 1:
        raise ConfigurationError(
            "maxsize must be a whole number greater than 0, or None for no limit"
        )
    return most

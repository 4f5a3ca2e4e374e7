"""ExpiringCache: a mapping whose entries end by themselves. The readable twin of ``ext/cache.pyx``.

A dict finds entries by key, the timer wheel (``wheel.py``) by when they are due, and, in a bounded cache, a heap by which ends first.

The rules that make it safe: an operation asks the clock first and looks the key up, then changes everything in one go, and
only then calls ``on_remove`` and releases what it removed, with no lock held: a callback and a ``__del__`` may use this very
cache. What was removed waits in a queue, which the outermost operation works off; one within a callback only adds to it.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, ItemsView, Iterator, MutableMapping, ValuesView
from math import inf
from typing import Any, Generic, NoReturn, TypeVar, cast

from ..errors import ConfigurationError, InvalidArgument
from ..events import RemovalReason
from .wheel import Timer, TimerWheel

__all__ = ["ExpiringCache"]

logger = logging.getLogger("tokenwheel")

K = TypeVar("K")
V = TypeVar("V")

_SHORTEST = 0.001  # seconds: 1 ms, a tick of the wheel
_LONGEST = 100 * 31_557_600  # seconds: 100 years of 365.25 days
_FURTHEST_CLOCK = 1e11  # seconds: where the wheel's ticks are still exact
_WRITE_BUDGET = 12  # steps of maintenance with each change: more than one change can ever cause
_READ_BUDGET = 4  # with a read, and only when something is due
_PLAIN = frozenset({str, bytes, int})  # types whose hash and equality run no code of a user's
_MISSING: Any = object()


class _Key:
    """A key of any other type: keeps the hash it had, and, while it is being removed, equals itself alone."""

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
        if type(other) is not _Key:
            return bool(other == self.key)
        return not other.is_leaving and (self.key is other.key or bool(self.key == other.key))


class _Entry(Timer):
    __slots__ = ("place", "sequence", "value")

    def __init__(self, place: Any, value: Any, expires_at: float, sequence: int) -> None:
        super().__init__(expires_at)
        self.place = place  # the key, as the dict of entries has it
        self.value = value
        self.sequence = sequence  # grows each time an entry is set; -1 once removed

    @property
    def key(self) -> Any:
        return self.place.key if type(self.place) is _Key else self.place


class ExpiringCache(MutableMapping[K, V], Generic[K, V]):
    """A mapping whose entries end by themselves.

    ``maxsize`` bounds the entries: a full cache evicts the one that expires soonest. ``ttl`` is the lifetime, in seconds, of an
    entry set without one of its own; ``None`` means for ever. ``on_remove(key, value, reason)`` is called after each removal,
    when the operation that caused it is done: it may use the cache in any way.
    """

    __slots__ = (
        "__weakref__", "_clock", "_draining", "_entries", "_heap", "_lifetime", "_lock", "_maxsize", "_on_remove", "_removed",
        "_sequence", "_wheel",
    )  # fmt: skip

    def __init__(
        self,
        maxsize: int | None = None,
        *,
        ttl: float | None = None,
        on_remove: Callable[[K, V, RemovalReason], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if maxsize is not None and (
            isinstance(maxsize, bool) or not isinstance(maxsize, int) or maxsize < 1
        ):
            raise ConfigurationError(
                "maxsize must be a whole number greater than 0, or None for no limit"
            )
        if ttl is not None and not _is_lifetime(ttl):
            raise ConfigurationError(_LIFETIME_RULE)
        if on_remove is not None and not callable(on_remove):
            raise ConfigurationError("on_remove must be callable, or None")
        if not callable(clock):
            raise ConfigurationError("clock must be callable")
        if hasattr(self, "_entries"):
            raise ConfigurationError("an ExpiringCache can be constructed only once")
        self._maxsize = maxsize
        self._lifetime = ttl
        self._on_remove = on_remove
        self._clock = clock
        self._lock = threading.RLock()
        self._entries: dict[Any, _Entry] = {}
        self._wheel = TimerWheel()
        self._heap: list[
            tuple[float, int, _Entry]
        ] = []  # of a bounded cache; holds stale ones until they surface
        self._sequence = 0
        self._removed: deque[tuple[K, V, RemovalReason]] = deque()
        self._draining = False

    # Reading

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a live entry, else ``default``."""
        value = self._read(key)
        return default if value is _MISSING else value

    def __getitem__(self, key: K) -> V:
        value = self._read(key)
        if value is _MISSING:
            raise KeyError(key)
        return cast(V, value)

    def __contains__(self, key: object) -> bool:
        return self._read(key) is not _MISSING

    def ttl(self, key: K) -> float | None:
        """Seconds left to the entry, ``None`` if it never expires; ``KeyError`` if there is none."""
        place, now = _place_of(key), self._now()
        with self._lock:
            entry = self._entries.get(place)
            expires_at = -inf if entry is None else entry.expires_at
            self._maintain(now)
        self._settle()
        if expires_at <= now:
            raise KeyError(key)
        return None if expires_at == inf else expires_at - now

    def __len__(self) -> int:
        self.expire()
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self._walk())

    def items(self) -> ItemsView[K, V]:
        return _LiveItems(self)

    def values(self) -> ValuesView[V]:
        return _LiveValues(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._entries)} entries>"

    # Changing

    def set(self, key: K, value: V, ttl: float | None = _MISSING) -> None:
        """Set the entry, to live for ``ttl`` seconds; without one, for the cache's own ``ttl``. ``None`` means for ever."""
        lifetime = _lifetime(self._lifetime if ttl is _MISSING else ttl)
        place, now = _place_of(key), self._now()
        with self._lock:
            entry = self._entries.get(place)
            self._wheel.observe(now)
            if entry is not None and entry.expires_at > now:
                self._removed.append((entry.key, entry.value, RemovalReason.REPLACED))
                entry.value = value
                self._move(entry, now + lifetime, is_fresh=True)
            else:
                self._insert(entry, place, value, now, now + lifetime)
            self._reclaim(now, _WRITE_BUDGET)
        self._settle()

    def __setitem__(self, key: K, value: V) -> None:
        self.set(key, value)

    def setdefault(self, key: K, default: Any = None) -> Any:
        """The value of a live entry; if there is none, set the key to ``default`` first."""
        value = self._read(key)
        if value is _MISSING:
            self.set(key, default)
            return default
        return value

    def touch(self, key: K, ttl: float | None) -> bool:
        """Let a live entry end ``ttl`` seconds from now, ``None`` for never; whether there was one."""
        lifetime = _lifetime(ttl)
        place, now = _place_of(key), self._now()
        with self._lock:
            entry = self._entries.get(place)
            is_live = entry is not None and entry.expires_at > now
            if entry is not None and is_live:
                self._wheel.observe(now)
                self._move(entry, now + lifetime, is_fresh=False)
            self._reclaim(now, _WRITE_BUDGET)
        self._settle()
        return is_live

    def __delitem__(self, key: K) -> None:
        if self._delete(key) is _MISSING:
            raise KeyError(key)

    def pop(self, key: K, default: Any = _MISSING) -> Any:
        """Delete a live entry and return its value; without one, ``default`` or ``KeyError``."""
        value = self._delete(key)
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Delete some live entry and return its key and value; ``KeyError`` if there is none."""
        now = self._now()
        item = None
        with self._lock:
            while self._entries and item is None:
                _, entry = self._entries.popitem()
                self._wheel.cancel(entry)
                if entry.expires_at > now:
                    item = entry.key, entry.value
                self._let_go(
                    entry, RemovalReason.EXPIRED if item is None else RemovalReason.DELETED
                )
            self._reclaim(now, _WRITE_BUDGET)
        self._settle()
        if item is None:
            raise KeyError("the cache is empty")
        return item

    def expire(self) -> int:
        """Reclaim every entry that is due now; how many there were."""
        now = self._now()
        with self._lock:
            before = len(self._entries)
            self._reclaim(now, inf)
            for timer in self._wheel.due_within_tick(now):
                self._remove(cast(_Entry, timer), RemovalReason.EXPIRED)
            count = before - len(self._entries)
        self._settle()
        return count

    def clear(self) -> None:
        """Delete every entry."""
        now = self._now()
        with self._lock:
            removed = list(self._entries.values())
            self._entries.clear()
            self._heap.clear()
            self._wheel = TimerWheel()
            for entry in removed:
                self._let_go(
                    entry,
                    RemovalReason.EXPIRED if entry.expires_at <= now else RemovalReason.DELETED,
                )
        self._settle()

    # Refusals and views of the inside

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "an ExpiringCache cannot be copied or pickled: its entries belong to one clock in one process"
        )

    def __reduce__(self) -> NoReturn:
        self.__reduce_ex__(2)

    __reversed__ = None

    def _nbytes(self) -> int:
        """Bytes held, keys and values not counted: an estimate."""
        return 320 * len(self._entries)

    def _check(self) -> None:
        """Verify every invariant, for tests."""
        with self._lock:
            self._wheel.check()
            for place, entry in self._entries.items():
                assert place is entry.place, "an entry is kept under another key"
                assert (entry.slot >= 0) == (entry.expires_at != inf), (
                    "the wheel holds what never expires, or lacks what does"
                )
            assert self._maxsize is None or len(self._entries) <= self._maxsize, (
                "there are too many entries"
            )
            ranked = {id(one[2]) for one in self._heap if self._is_current(one)}
            assert len(ranked) == (0 if self._maxsize is None else len(self._entries)), (
                "the heap lacks an entry"
            )

    # What the operations above are made of

    def _now(self) -> float:
        reading = self._clock()
        try:
            now = float(reading)
        except (TypeError, ValueError, OverflowError):
            raise InvalidArgument("clock must return a number of seconds") from None
        if not -_FURTHEST_CLOCK <= now <= _FURTHEST_CLOCK:
            raise InvalidArgument(
                "clock must return a finite number of seconds, at most 100 billion from zero"
            )
        return now

    def _read(self, key: Any) -> Any:
        place, now = _place_of(key), self._now()
        with self._lock:
            entry = self._entries.get(place)
            value = _MISSING if entry is None or entry.expires_at <= now else entry.value
            self._maintain(now)
        self._settle()
        return value

    def _insert(
        self, stale: _Entry | None, place: Any, value: Any, now: float, expires_at: float
    ) -> None:
        """Adds an entry in place of an expired one under the same key or, in a full cache, of the soonest to expire."""
        if stale is None and self._maxsize is not None and len(self._entries) >= self._maxsize:
            stale = self._soonest()
        if stale is not None:
            self._remove(
                stale, RemovalReason.EXPIRED if stale.expires_at <= now else RemovalReason.EVICTED
            )
        self._sequence += 1
        entry = self._entries[place] = _Entry(place, value, expires_at, self._sequence)
        self._wheel.schedule(entry)
        self._rank(entry)

    def _move(self, entry: _Entry, expires_at: float, *, is_fresh: bool) -> None:
        """Gives the entry another expiry; a fresh one counts as set just now."""
        self._wheel.cancel(entry)
        entry.expires_at = expires_at
        self._wheel.schedule(entry)
        if is_fresh:
            self._sequence += 1
            entry.sequence = self._sequence
        self._rank(entry)

    def _delete(self, key: Any) -> Any:
        """Deletes the entry; its value, or what stands for none if it was not live."""
        place, now = _place_of(key), self._now()
        value = _MISSING
        with self._lock:
            entry = self._entries.get(place)
            if entry is not None:
                is_live = entry.expires_at > now
                if is_live:
                    value = entry.value
                self._remove(entry, RemovalReason.DELETED if is_live else RemovalReason.EXPIRED)
            self._reclaim(now, _WRITE_BUDGET)
        self._settle()
        return value

    def _remove(self, entry: _Entry, reason: RemovalReason) -> None:
        place = entry.place
        if type(place) is _Key:
            place.is_leaving = True
        del self._entries[place]
        self._wheel.cancel(entry)
        self._let_go(entry, reason)

    def _let_go(self, entry: _Entry, reason: RemovalReason) -> None:
        """Queues what an entry held, to be told of and released once the change is complete; the heap may keep the bare entry a while."""
        self._removed.append((entry.key, entry.value, reason))
        entry.place = entry.value = None
        entry.sequence = -1

    def _soonest(self) -> _Entry:
        """The entry that expires first; of several the one set longest ago."""
        while not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][2]

    def _rank(self, entry: _Entry) -> None:
        if self._maxsize is None:
            return
        heapq.heappush(self._heap, (entry.expires_at, entry.sequence, entry))
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [one for one in self._heap if self._is_current(one)]
            heapq.heapify(self._heap)

    @staticmethod
    def _is_current(ranked: tuple[float, int, _Entry]) -> bool:
        expires_at, sequence, entry = ranked
        return entry.sequence == sequence and entry.expires_at == expires_at

    def _reclaim(self, now: float, budget: float) -> None:
        """Removes what is due, in at most so many steps."""
        for timer in self._wheel.due(now, budget):
            if timer.expires_at <= now:
                self._remove(cast(_Entry, timer), RemovalReason.EXPIRED)
            else:
                self._wheel.schedule(timer)

    def _maintain(self, now: float) -> None:
        if now >= self._wheel.next_due:
            self._reclaim(now, _READ_BUDGET)

    def _settle(self) -> None:
        """Tells of what has been removed, and releases it."""
        if not self._removed or self._draining:
            return
        self._draining = True
        try:
            while self._removed:
                key, value, reason = self._removed.popleft()
                if self._on_remove is None:
                    continue
                try:
                    self._on_remove(key, value, reason)
                except Exception:
                    logger.exception(
                        "on_remove of an ExpiringCache raised; the entry is removed all the same"
                    )
        finally:
            self._draining = False

    def _walk(self) -> Iterator[tuple[K, V]]:
        """The live entries; those that were there all along exactly once, whatever else changes meanwhile."""
        with self._lock:
            entries = list(self._entries.values())
        for entry in entries:
            now = self._now()
            if entry.sequence >= 0 and entry.expires_at > now:
                yield entry.key, entry.value


class _LiveItems(ItemsView[K, V]):
    """Unlike its base, not surprised by an entry that ends between being found and being read."""

    __slots__ = ()
    _mapping: ExpiringCache[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._walk()


class _LiveValues(ValuesView[V]):
    """As above."""

    __slots__ = ()
    _mapping: ExpiringCache[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._walk())

    def __contains__(self, value: object) -> bool:
        return any(one is value or one == value for one in self)


_LIFETIME_RULE = (
    f"ttl must be a number of seconds from {_SHORTEST} to {_LONGEST} (100 years), or None for never"
)


def _is_lifetime(ttl: object) -> bool:
    return (
        isinstance(ttl, int | float) and not isinstance(ttl, bool) and _SHORTEST <= ttl <= _LONGEST
    )


def _lifetime(ttl: object) -> float:
    if ttl is None:
        return inf
    if not _is_lifetime(ttl):
        raise InvalidArgument(_LIFETIME_RULE)
    return cast(float, ttl)


def _place_of(key: Any) -> Any:
    """The key as the dict of entries takes it."""
    return key if type(key) in _PLAIN else _Key(key)

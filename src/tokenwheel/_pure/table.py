"""The table of an ExpiringCache: entries by key, by when they are due, and by which expires first.

Keeping the dict, the timer wheel and the heap in step belongs here. No clock is read and no lock
taken: the cache owns both, and says what time it is. The readable twin of ``table.pxd``.

A removed entry goes to the queue (``removed.py``) in the same step in which the dict, the wheel and
the heap lose it. A key's comparison may use the cache that the table belongs to. So a lookup that
finds the table changed after one starts again, and a change compares no keys.
"""

from __future__ import annotations

from math import inf
from typing import Any, cast

from ..events import RemovalReason
from .cache_keys import Changing, WrappedKey
from .heap import ExpiryHeap, RankedTimer
from .removed import RemovedQueue
from .wheel import TimerWheel

__all__ = ["Entry", "ExpiringTable"]


# An Enum's members are slow to look up.
_REPLACED = RemovalReason.REPLACED
_EXPIRED = RemovalReason.EXPIRED


class Entry(RankedTimer):
    """A value, and where the dict of entries has it."""

    __slots__ = ("place", "value")

    def __init__(self, place: Any, value: Any, expires_at: float, sequence: int) -> None:
        # Each one set here: calls up the line of classes would take longer than all the rest.
        self.expires_at = expires_at
        self.slot = -1
        self.sequence = sequence
        self.place = place
        self.value = value

    @property
    def key(self) -> Any:
        return self.place.key if type(self.place) is WrappedKey else self.place


class ExpiringTable:
    """Entries with an expiry, in seconds of the owner's clock, or at infinity.

    Args:
        maxsize: how many entries the table holds at most, or None for no limit.
        removed: the queue that takes what is removed.
        changing: what the places know the table's changes by.
    """

    __slots__ = (
        "_heap",
        "_maxsize",
        "_removed",
        "_sequence",
        "_version",
        "changing",
        "entries",
        "wheel",
    )

    def __init__(
        self, maxsize: int | None, removed: RemovedQueue[Any, Any], changing: Changing
    ) -> None:
        self.entries: dict[Any, Entry] = {}
        self.wheel = TimerWheel()
        self._heap: ExpiryHeap[Entry] | None = None if maxsize is None else ExpiryHeap()
        self._maxsize = inf if maxsize is None else maxsize
        self._removed = removed
        self._sequence = 0
        self._version = 0  # grows with every entry that comes or goes
        self.changing = changing

    def find(self, place: Any) -> Entry | None:
        """Return the entry under a place that equals ``place``, expired or not; None without one.

        Nothing of a user's runs between the lookup that counts and the return.
        """
        while True:
            version = self._version
            entry = self.entries.get(place)
            if version == self._version:
                return entry

    def set(self, place: Any, value: Any, now: float, expires_at: float) -> Any:
        """Put a value at ``place``, instead of what is there.

        A full table loses the entry that expires soonest if another place is to be filled.

        Returns:
            What was replaced and may run code of a user's once nobody holds it any more, which must
            not be while a lock is held.
        """
        entry = self.find(place)
        if entry is not None and entry.expires_at > now:
            replaced = entry.value
            if self._removed.is_heard:
                self._removed.removals.append((entry.key, replaced, _REPLACED))
            entry.value = value
            self._sequence += 1
            entry.sequence = self._sequence
            self._move(entry, now, expires_at)
            return replaced
        self.wheel.observe(now)
        if entry is None and self._heap is not None and len(self.entries) >= self._maxsize:
            entry = self._heap.soonest()
        if entry is not None:
            self.remove(entry, now, RemovalReason.EVICTED)
        self._sequence += 1
        self._version += 1
        entry = Entry(place, value, expires_at, self._sequence)
        self.changing.is_on = True
        self.entries[place] = entry
        self.changing.is_on = False
        self.wheel.schedule(entry)
        if self._heap is not None:
            self._heap.push(entry, len(self.entries))
        return None

    def touch(self, entry: Entry, now: float, expires_at: float) -> None:
        """Give a live entry another expiry. Its age among its equals stays what it was."""
        self._move(entry, now, expires_at)

    def remove(self, entry: Entry, now: float, reason: RemovalReason) -> None:
        """Remove an entry, for ``reason`` or, if its time is over, because it has expired."""
        self._version += 1
        self.changing.is_on = True
        del self.entries[entry.place]
        self.changing.is_on = False
        self.wheel.cancel(entry)
        self._let_go(entry, now, reason)

    def pop(self, now: float) -> tuple[Any, Any] | None:
        """Remove an arbitrary live entry. Return its key and value, or None if there is none.

        Expired entries that are met on the way are removed too.
        """
        self._version += 1
        while self.entries:
            _, entry = self.entries.popitem()
            self.wheel.cancel(entry)
            item = entry.key, entry.value
            is_live = entry.expires_at > now
            self._let_go(entry, now, RemovalReason.DELETED)
            if is_live:
                return item
        return None

    def clear(self, now: float) -> None:
        """Remove every entry."""
        entries = list(self.entries.values())
        self._version += 1
        self.entries = {}
        self.wheel = TimerWheel()
        if self._heap is not None:
            self._heap.clear()
        for entry in entries:
            self._let_go(entry, now, RemovalReason.DELETED)

    def reclaim(self, now: float, budget: float) -> None:
        """Remove entries that are due, in at most ``budget`` steps of the wheel."""
        for timer in self.wheel.due(now, budget):
            if timer.expires_at <= now:
                self.remove(cast(Entry, timer), now, RemovalReason.EXPIRED)
            else:
                self.wheel.schedule(timer)

    def reclaim_all(self, now: float) -> None:
        """Remove every entry that has expired."""
        self.reclaim(now, inf)
        for timer in self.wheel.due_within_tick(now):
            self.remove(cast(Entry, timer), now, RemovalReason.EXPIRED)

    def _move(self, entry: Entry, now: float, expires_at: float) -> None:
        """Give an entry another expiry.

        One that expires later than before stays where the wheel has it, and is put further ahead
        when its turn comes. So an entry that is set again and again costs the wheel nothing.
        """
        if entry.slot >= 0 and entry.expires_at <= expires_at < inf:
            entry.expires_at = expires_at
        else:
            self.wheel.observe(now)
            self.wheel.cancel(entry)
            entry.expires_at = expires_at
            self.wheel.schedule(entry)
        if self._heap is not None:
            self._heap.push(entry, len(self.entries))

    def _let_go(self, entry: Entry, now: float, reason: RemovalReason) -> None:
        """Queue what an entry held, to be told of and released once the change is complete.

        The entry is left bare, since a stale node of the heap may keep it for a while.
        """
        self._removed.removals.append(
            (entry.key, entry.value, _EXPIRED if entry.expires_at <= now else reason)
        )
        entry.sequence = -1  # First, for whoever reads without the lock.
        entry.place = entry.value = None

    def check(self) -> None:
        """Assert that every invariant holds, for tests."""
        self.wheel.check()
        for place, entry in self.entries.items():
            assert place is entry.place, "an entry is kept under another key"
            assert (entry.slot >= 0) == (entry.expires_at != inf), (
                "the wheel holds what never expires, or lacks what does"
            )
        assert len(self.entries) <= self._maxsize, "there are too many entries"
        assert self._heap is None or self._heap.count() == len(self.entries), (
            "the heap lacks an entry"
        )

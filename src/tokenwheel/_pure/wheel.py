"""The timer wheel: which timers are due, in constant time each.

The readable twin of ``ext/table/wheel.pxd``.

Only the order of time belongs here: no clock, no lock, and no knowledge of what a timer is for.

Theory: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), scheme 7. Time is
counted in ticks of 1 ms. There are seven levels of 64 slots each. A slot of level n spans 64**n
ticks, so the wheel reaches 2**42 ms = 139 years ahead. A timer's level is that of the highest
six-bit digit in which its tick differs from the wheel's current one, and that digit names its slot.
So, below the top level, occupied slots always lie ahead of the current digit, the lowest occupied
level holds what comes first, and a bitmap for each level finds it. When the hand reaches a slot
above level 0, its timers are *cascaded*, each to where it then belongs. That happens to a timer at
most seven times.

Rules that hold between calls:

- A timer lies in a slot that the hand reaches no later than the timer's own tick. Being early is
  harmless, since the caller compares the exact expiry, in seconds, and schedules again what is not
  yet due.
- A live timer's tick is later than the clock's, and an expired timer's is at most one later: it is
  ``floor(expires) + 1``.
- The hand never passes a timer, and never moves back. Where the clock does, ``_offset`` makes up
  the difference.
- Work is done in steps, one timer each, within a budget. An unfinished cascade is remembered, and
  continued first.
- A timer beyond reach waits in the furthest slot, and is placed anew when the hand gets there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import floor, inf

__all__ = ["Timer", "TimerWheel"]

_DIGIT = 6  # bits
_SLOTS = 1 << _DIGIT
_LEVELS = 7
_TOP = _LEVELS - 1
# By the place of the highest bit in which a timer's tick differs from the hand's, counted from one.
_LEVEL_BY_BITS = [min(max(bits - 1, 0) // _DIGIT, _TOP) for bits in range(64)]
_TURN = 1 << (_DIGIT * _LEVELS)  # ticks of a whole turn of the top level: 139 years


class Timer:
    """Something that falls due at ``expires_at``, in seconds. At infinity it never does."""

    __slots__ = ("expires_at", "slot")

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.slot = -1
        """Where the wheel holds the timer: ``level * 64 + digit``, or -1 while it does not."""


class TimerWheel:
    """Timers by when they are due. Every time is in seconds, finite, and within 1e11 of zero."""

    __slots__ = ("_cascading", "_current", "_occupied", "_offset", "_slots", "next_due")

    def __init__(self) -> None:
        self._current = 0  # the hand: every timer before it has been handed out
        self._offset = 0  # ticks by which the wheel is ahead of the clock
        self._occupied = [0] * _LEVELS
        # The occupied slots, each with its timers in order of arrival. A plain dict is slow to find
        # its first item once many have gone.
        self._slots: dict[int, OrderedDict[Timer, None]] = {}
        self._cascading = -1  # the slot whose cascade is unfinished
        self.next_due = inf
        """The clock's time, in seconds, until which nothing falls due."""

    def schedule(self, timer: Timer) -> None:
        """Put a timer on the wheel, unless its expiry is infinite. It must not be there yet."""
        if timer.expires_at == inf:
            return
        tick = self._tick(timer)
        self._place(timer, tick)
        due = (tick - self._offset) / 1000
        if due < self.next_due:  # noqa: PLR1730 (min() takes longer)
            self.next_due = due

    def cancel(self, timer: Timer) -> None:
        """Take the timer off the wheel, if it is there."""
        number = timer.slot
        if number < 0:
            return
        slot = self._slots[number]
        del slot[timer]
        timer.slot = -1
        if not slot:
            del self._slots[number]
            self._occupied[number // _SLOTS] &= ~(1 << number % _SLOTS)

    def observe(self, now: float) -> int:
        """Take note of the clock's time. Return the tick up to which timers are due."""
        clock = floor(now * 1000)
        target = clock + self._offset
        if target < self._current:
            # Digits alone matter, so whole turns can be dropped: numbers stay small.
            self._current %= _TURN
            self._offset = self._current - clock
            self.next_due = now
            return self._current
        if not self._slots:
            self._current = target
        return target

    def due(self, now: float, budget: float = inf) -> Iterator[Timer]:
        """Take timers whose tick has come off the wheel and yield them, in up to ``budget`` steps.

        A timer may come a tick early: the caller must schedule again what is not yet due.
        """
        target = self.observe(now)
        while True:
            if self._cascading < 0:
                number, tick = self._first_slot()
                if number < 0 or tick > target:
                    self._current = max(self._current, target)
                    self.next_due = inf if number < 0 else (tick - self._offset) / 1000
                    return
                self._current = tick
                if number >= _SLOTS:
                    self._cascading = number
                elif budget > 0:
                    budget -= 1
                    timer = next(iter(self._slots[number]))
                    self.cancel(timer)
                    yield timer
                    continue
                else:
                    break
            while self._cascading in self._slots and budget > 0:
                budget -= 1
                timer = next(iter(self._slots[self._cascading]))
                self.cancel(timer)
                self._place(timer, self._tick(timer))
            if self._cascading in self._slots:
                break
            self._cascading = -1
        self.next_due = (self._current - self._offset) / 1000

    def due_within_tick(self, now: float) -> list[Timer]:
        """Take timers that expired within the tick now running off the wheel, and return them.

        They all lie in the next slot once ``due`` has yielded everything before it.
        """
        number, tick = self._first_slot()
        if number < 0 or tick > self._current + 1:
            return []
        expired = [timer for timer in self._slots[number] if timer.expires_at <= now]
        for timer in expired:
            self.cancel(timer)
        return expired

    def _tick(self, timer: Timer) -> int:
        tick = floor(timer.expires_at * 1000) + 1 + self._offset
        return max(tick, self._current)

    def _place(self, timer: Timer, tick: int) -> None:
        """Append the timer to the slot of a tick, which must not be before the current one."""
        furthest = self._current + ((_SLOTS - 1) << (_DIGIT * _TOP))
        if tick > furthest:  # noqa: PLR1730 (min() takes longer)
            tick = furthest
        level = _LEVEL_BY_BITS[(tick ^ self._current).bit_length()]
        digit = tick >> (level * _DIGIT) & (_SLOTS - 1)
        timer.slot = number = level * _SLOTS + digit
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = OrderedDict()
            self._occupied[level] |= 1 << digit
        slot[timer] = None

    def _first_slot(self) -> tuple[int, int]:
        """Return the occupied slot that comes first with its tick, or (-1, 0) if there is none.

        No cascade may be unfinished.
        """
        for level in range(_TOP):
            bits = self._occupied[level]
            if bits:
                digit = (bits & -bits).bit_length() - 1
                shift = _DIGIT * level
                start = self._current >> (shift + _DIGIT) << (shift + _DIGIT)
                return level * _SLOTS + digit, start | digit << shift
        bits = self._occupied[_TOP]
        if not bits:
            return -1, 0
        # The top level is a ring: the slot after the current one comes first, and the current one
        # itself is never occupied.
        turns = self._current >> (_DIGIT * _TOP)
        for ahead in range(1, _SLOTS):
            digit = (turns + ahead) % _SLOTS
            if bits >> digit & 1:
                return _TOP * _SLOTS + digit, (turns + ahead) << (_DIGIT * _TOP)
        raise AssertionError("the current slot of the top level is occupied")

    def check(self) -> None:
        """Assert that every invariant holds, for tests."""
        for number, slot in self._slots.items():
            level, digit = divmod(number, _SLOTS)
            shift = _DIGIT * level
            hand = self._current >> shift & (_SLOTS - 1)
            start = (self._current >> (shift + _DIGIT) << (shift + _DIGIT)) + (digit << shift)
            if level == _TOP and digit < hand:
                start += _TURN
            assert slot, "an empty slot is kept"
            assert self._occupied[level] >> digit & 1, "an occupied slot is missing in its bitmap"
            if number != self._cascading:
                behind = (
                    digit < hand
                    if level == 0
                    else digit == hand
                    if level == _TOP
                    else digit <= hand
                )
                assert not behind, "an occupied slot lies behind the hand"
            for timer in slot:
                assert timer.slot == number, "a timer does not know its slot"
                assert start <= self._tick(timer), "a timer lies in too late a slot"
        occupied = sum(bits.bit_count() for bits in self._occupied)
        assert occupied == len(self._slots), "a bitmap names an empty slot"
        assert self._current >= 0, "the hand is before the beginning of time"

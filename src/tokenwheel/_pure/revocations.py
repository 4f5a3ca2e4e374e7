"""The table of revoked sessions: the readable twin of ``revocations.pyx``.

Only entries and their time belong here. Nothing here knows a token, a storage or a feed.

An entry says of a session id which generations are refused (those below ``before``), and until
when. Entries merge by maximum: the higher ``before`` counts, and the later end. So repeated, late
and reordered messages are harmless. No entry is ever dropped before its end.

An entry is over when its end has come by the table's clock, and refuses nothing from then on. It is
forgotten when its end has come by the slowest clock (``slow_clock.py``): a clock that was ahead may
be put right, and the token that the entry refuses be unexpired again.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from ..errors import ConfigurationError, InvalidArgument
from ..exact import text_of, whole_number_of
from ..fork_safety import hold_lock_during_fork
from ..seconds import FURTHEST, checked_clock, number_of, reading, steady_time, wall_time
from ..slow_clock import SlowClock
from .wheel import Timer, TimerWheel

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["LARGEST_GENERATION", "LONGEST_LIFETIME", "RevocationTable"]

LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days
LARGEST_GENERATION = 2**32 - 2
_EVERY_GENERATION = 2**32 - 1
_REVOKE_BUDGET = 16  # steps of maintenance with each entry, which costs at most 8 in its life
_ENTRY_BYTES = 320  # of a Python object, its number, its text and its places in two dicts, roughly
_LONGEST_TRUST = 1  # seconds for which a doorbell that stays the same is taken at its word
_NO_DOORBELL = "doorbell must be None or a buffer of eight bytes"
_NO_REVOCATION = "revocations must be an iterable of (session_id, expires_at, before)"
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{16}")


class _Entry(Timer):
    __slots__ = ("before", "session_id")

    def __init__(self, session_id: str, before: int, expires_at: float) -> None:
        super().__init__(expires_at)
        self.session_id = session_id
        self.before = before


class RevocationTable:
    """The sessions whose access tokens are refused, each up to a generation and until a time.

    A session counts generations, and each of its access tokens carries the number of its own. To
    revoke is to refuse the generations below a number, or all of them. Several threads may use the
    table at once.

    Args:
        clock: returns Unix time in seconds, by default that of ``time.time`` as it stands at each
            call: freezegun and time-machine move it.
        before_lookup: called without arguments before each lookup, so that revocations made
            elsewhere can be taken in first, or None. What it raises, the lookup raises. See
            :meth:`watch`.
        timer: returns seconds that no one sets, by default the system's, which no test moves. By
            it the table knows a clock that was put ahead for a while, and forgets nothing
            meanwhile.

    Raises:
        ConfigurationError: an argument cannot be called, or this table has been made already.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_doorbell",
        "_entries",
        "_heard",
        "_is_changing",
        "_is_made",
        "_lock",
        "_looked_at",
        "_news",
        "_now",
        "_over",
        "_report",
        "_slow_clock",
        "_timer",
        "_waiting",
        "_wheel",
    )

    def __new__(cls, *arguments: object, **options: object) -> Self:
        self = super().__new__(cls)
        self._begin()
        return self

    def _begin(self) -> None:
        """Hold nothing, and refuse whatever is asked before ``__init__``."""
        self._is_made = False
        self._clock: Callable[[], float] | None = None
        self._now: Callable[[], float] = _refuse_unmade
        self._timer: Callable[[], float] | None = None
        self._slow_clock = SlowClock()
        self._over = 0  # how many were over and kept when that was last counted
        self._news: Callable[[], object] | None = None  # what is called before each lookup
        self._report: Callable[[tuple[str, int | None]], object] | None = None
        self._doorbell: memoryview | None = None
        self._heard = b""
        self._looked_at = -inf
        # A finalizer that the garbage collector runs may revoke in the midst of a change.
        self._lock = threading.RLock()
        self._is_changing = False
        self._waiting: deque[tuple[str, int, float, float, float]] = deque()
        self._entries: dict[str, _Entry] = {}
        self._wheel = TimerWheel()

    def __init__(
        self,
        clock: Callable[[], float] = wall_time,
        before_lookup: Callable[[], object] | None = None,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        if not callable(clock):
            raise ConfigurationError("clock must be a callable that returns Unix seconds")
        if not callable(timer):
            raise ConfigurationError("timer must be a callable that returns seconds")
        _check_news(before_lookup)
        if self._is_made:
            raise ConfigurationError("a RevocationTable can be constructed only once")
        self._is_made = True
        self._clock = clock
        self._now = checked_clock(clock)
        self._timer = timer
        self._news = before_lookup
        hold_lock_during_fork(self, "_lock")

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that the table was made with, which returns Unix time in seconds."""
        return cast(Callable[[], float], self._clock)

    @property
    def before_lookup(self) -> Callable[[], object] | None:
        """What is called before each lookup, so that news can be taken in first, or None."""
        return self._news

    @before_lookup.setter
    def before_lookup(self, call: Callable[[], object] | None) -> None:
        _check_news(call)
        self._news = call

    def revoke(self, session_id: str, ttl: float, *, before: int | None = None) -> None:
        """Refuse a session's access tokens for ``ttl`` seconds.

        If the session is revoked already, the higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            ttl: seconds, more than 0 and at most 100 years.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
            MemoryError: there is no memory for another entry. Nothing was changed: no entry is ever
                dropped to make room.
        """
        seconds = _seconds("ttl", ttl, 0, LONGEST_LIFETIME)
        if seconds == 0:
            raise InvalidArgument("ttl must be more than 0 seconds")
        now = self._now()
        self._add(session_id, before, now, now + seconds)

    def revoke_until(
        self, session_id: str, expires_at: float, *, before: int | None = None
    ) -> None:
        """Refuse a session's access tokens until a Unix time.

        A time that has passed already refuses nothing. If the session is revoked already, the
        higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            expires_at: Unix time in seconds, from 0 to 1e11.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
            MemoryError: there is no memory for another entry. Nothing was changed: no entry is ever
                dropped to make room.
        """
        now = self._now()
        self._add(session_id, before, now, _seconds("expires_at", expires_at, 0, FURTHEST))

    def revoke_each(self, revocations: Iterable[tuple[str, float, int | None]]) -> None:
        """Refuse the access tokens of several sessions, by one reading of the clock.

        Args:
            revocations: ``(session_id, expires_at, before)`` for each session. Its generations
                below ``before``, or all of them if that is None, are refused until the Unix time
                ``expires_at``, in seconds.

        Raises:
            InvalidArgument: a revocation cannot be used. Those before it have taken effect.
            MemoryError: there is no memory for another entry. The revocations before it have taken
                effect.
        """
        now = self._now()
        for revocation in _each_of(revocations):
            try:
                session_id, expires_at, before = revocation
            except Exception:
                raise InvalidArgument(_NO_REVOCATION) from None
            self._add(session_id, before, now, _seconds("expires_at", expires_at, 0, FURTHEST))

    def is_revoked(self, session_id: str, generation: int = 0) -> bool:
        """Return True if a session's access tokens of ``generation`` are refused now.

        Args:
            session_id: the session's id, 16 base64url characters.
            generation: the number that the token carries, from 0 to 2**32 - 2.

        Raises:
            InvalidArgument: ``session_id`` or ``generation`` is not of that form.
        """
        # An id that is in the table needs no further check.
        if type(session_id) is not str or session_id not in self._entries:
            session_id = _checked_id(session_id)
        if type(generation) is not int:
            generation = whole_number_of(generation)  # type: ignore[assignment]
        if generation is None or not 0 <= generation <= LARGEST_GENERATION:
            raise InvalidArgument(f"generation must be an int from 0 to {LARGEST_GENERATION}")
        now = self._now()
        if self._news is not None:
            return self._refuses(session_id, generation, now, inf)
        entry = self._entries.get(session_id)
        return entry is not None and generation < entry.before and now < entry.expires_at

    def lowest_generation(self, session_id: str) -> int | None:
        """Return the lowest generation of a session whose access tokens are not refused now.

        Only what the table knows counts: ``before_lookup`` is not called.

        Args:
            session_id: the session's id, 16 base64url characters.

        Returns:
            The generation: 0 where none is refused. None where every generation is refused.

        Raises:
            InvalidArgument: ``session_id`` is not of that form.
        """
        session_id = _checked_id(session_id)
        now = self._now()
        entry = self._entries.get(session_id)
        if entry is None or now >= entry.expires_at:
            return 0
        return None if entry.before == _EVERY_GENERATION else entry.before

    def _refuses(self, session_id: str, generation: int, now: float, by_caller: float) -> bool:
        """Return True if a generation of a session is refused.

        Args:
            session_id: the session's id, already checked.
            generation: the generation, already checked.
            now: what the table's clock has just told.
            by_caller: the time by the caller's clock. An entry must be over by both.
        """
        if self._news is not None:
            doorbell = self._doorbell
            if (
                doorbell is None
                or doorbell.tobytes() != self._heard
                or not self._looked_at <= now < self._looked_at + _LONGEST_TRUST
            ):
                self._take_news(now)
        entry = self._entries.get(session_id)
        return (
            entry is not None
            and generation < entry.before
            and min(now, by_caller) < entry.expires_at
        )

    def watch(self, doorbell: Buffer | None) -> None:
        """Call ``before_lookup`` only when a doorbell has rung, instead of before each lookup.

        A doorbell is eight bytes of memory, shared with whoever rings it by changing them. The next
        lookup calls ``before_lookup`` in any case. After that, one calls it if the bytes have
        changed, or if they have been taken at their word for a second.

        Args:
            doorbell: a buffer of eight bytes, or None to call ``before_lookup`` before each lookup.

        Raises:
            ConfigurationError: ``doorbell`` is neither None nor a buffer of eight bytes.
        """
        try:
            watched = None if doorbell is None else memoryview(doorbell)
        except Exception:
            raise ConfigurationError(_NO_DOORBELL) from None
        if watched is not None and (watched.nbytes != 8 or not watched.c_contiguous):
            raise ConfigurationError(_NO_DOORBELL)
        self._doorbell = watched
        self._looked_at = -inf

    def _take_news(self, now: float) -> None:
        doorbell = self._doorbell
        ring = b"" if doorbell is None else doorbell.tobytes()
        news = self._news
        if news is not None:
            news()
        if self._doorbell is doorbell:  # Another doorbell has yet to be listened to.
            self._heard, self._looked_at = ring, now

    def _report_to(self, report: Callable[[tuple[str, int | None]], object] | None) -> None:
        """Call ``report((session_id, before))`` with each revocation that refuses more than before.

        Args:
            report: must neither wait nor call the table, which may be in the midst of a change.
                None to call nothing.
        """
        self._report = report

    def expire(self) -> int:
        """Forget revocations that are over. Return how many ended since the last call.

        One that is over is kept for as long as the clock may still be put back to before its end.
        """
        now, steady = self._now(), self._steady()
        with self._lock:
            counted = len(self._entries) - self._over
            return max(counted - self._live(now, steady), 0)

    def __len__(self) -> int:
        now, steady = self._now(), self._steady()
        with self._lock:
            return self._live(now, steady)

    @property
    def nbytes(self) -> int:
        """The memory that the table takes, in bytes. The pure implementation estimates it."""
        return len(self._entries) * _ENTRY_BYTES

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._entries)} sessions>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")

    def _check(self) -> None:
        """Assert that every invariant holds, for tests."""
        with self._lock:
            self._wheel.check()
            for session_id, entry in self._entries.items():
                assert entry.session_id == session_id, "an entry is kept under another session's id"
                assert entry.slot >= 0, "an entry is not on the wheel"

    def _observe(self, now: float) -> bool:
        """Take note of the clock. Return True where it was put back since the last time."""
        steady = self._steady()
        with self._lock:
            return self._slow_clock.observe(now, steady)

    def _steady(self) -> float:
        timer = self._timer
        if timer is None:
            raise ConfigurationError("a RevocationTable must be constructed before it is used")
        return reading(timer())

    def _slowest(self, now: float, steady: float) -> float:
        """Return the time by which entries are forgotten."""
        return self._slow_clock.read(now, steady)

    def _live(self, now: float, steady: float) -> int:
        """Forget what no clock can find alive any more. Return how many entries refuse tokens."""
        slow = self._slowest(now, steady)
        if not self._is_changing:
            self._is_changing = True
            try:
                self._reclaim(slow)
                for timer in self._wheel.due_within_tick(slow):
                    self._forget(timer)
            finally:
                self._is_changing = False
            self._merge_waiting()
        self._over = 0
        if slow < now:
            self._over = sum(entry.expires_at <= now for entry in list(self._entries.values()))
        return len(self._entries) - self._over

    def _add(self, session_id: str, before: int | None, now: float, expires_at: float) -> None:
        lowest = _generation_before(before)
        session_id = _checked_id(session_id)
        steady = self._steady()
        with self._lock:
            self._waiting.append((session_id, lowest, now, steady, expires_at))
            self._merge_waiting()

    def _merge_waiting(self) -> None:
        """Take in what waits. Within another change nothing is done: that one gets to it."""
        if self._is_changing:
            return
        self._is_changing = True
        try:
            while self._waiting:
                self._merge(*self._waiting.popleft())
        finally:
            self._is_changing = False

    def _merge(
        self, session_id: str, lowest: int, now: float, steady: float, expires_at: float
    ) -> None:
        slow = self._slowest(now, steady)
        if expires_at <= slow:
            return
        entry = self._entries.get(session_id)
        if entry is not None and (
            entry.expires_at <= slow or entry.expires_at <= now < expires_at
        ):  # It is over, so that what it refused must not be merged with what is refused now.
            self._wheel.cancel(entry)
            entry = None
        is_raised = entry is None or lowest > entry.before
        if entry is None:
            entry = self._entries[session_id] = _Entry(session_id, lowest, expires_at)
            self._wheel.observe(slow)
            self._wheel.schedule(entry)
        else:
            entry.before = max(entry.before, lowest)
            if expires_at > entry.expires_at:
                self._wheel.cancel(entry)
                entry.expires_at = expires_at
                self._wheel.schedule(entry)
        self._reclaim(slow, _REVOKE_BUDGET)
        if is_raised and self._report is not None:
            self._report((session_id, None if lowest == _EVERY_GENERATION else lowest))

    def _reclaim(self, now: float, budget: float = inf) -> None:
        """Forget what is over, in at most ``budget`` steps."""
        for timer in self._wheel.due(now, budget):
            if timer.expires_at <= now:
                self._forget(timer)
            else:
                self._wheel.schedule(timer)

    def _forget(self, timer: Timer) -> None:
        del self._entries[cast(_Entry, timer).session_id]


def _refuse_unmade() -> NoReturn:
    raise ConfigurationError("a RevocationTable must be constructed before it is used")


def _each_of(revocations: Iterable[Any]) -> Iterator[Any]:
    try:
        return iter(revocations)
    except Exception:  # any: the iterable is the caller's own
        raise InvalidArgument(_NO_REVOCATION) from None


def _checked_id(session_id: object) -> str:
    """Return a session id as a plain ``str``, so that no subclass has a say in what it equals."""
    text = session_id if type(session_id) is str else text_of(session_id)
    if text is None or len(text) != 16 or not _SESSION_ID.fullmatch(text):
        raise InvalidArgument("session_id must be 16 base64url characters")
    return text


def _generation_before(before: object) -> int:
    if before is None:
        return _EVERY_GENERATION
    lowest = whole_number_of(before)
    if lowest is None or not 0 < lowest <= LARGEST_GENERATION:
        raise InvalidArgument(f"before must be None or an int from 1 to {LARGEST_GENERATION}")
    return lowest


def _check_news(before_lookup: object) -> None:
    if before_lookup is not None and not callable(before_lookup):
        raise ConfigurationError("before_lookup must be None or a callable without arguments")


def _seconds(name: str, seconds: object, least: float, most: float) -> float:
    number = number_of(seconds)
    if not least <= number <= most:
        raise InvalidArgument(f"{name} must be a number of seconds from {least:g} to {most:g}")
    return number

"""The table of revoked sessions: the readable twin of ``ext/revocations.pyx``.

An entry says of a session id which generations are refused (those below ``before``), and until when. Entries merge by
maximum, so that repeated, late or reordered messages are harmless: the higher generation counts, and the later end. None is
ever dropped before its end. Nothing here knows a token, a storage or a feed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, NoReturn, cast

from ..errors import ConfigurationError, InvalidArgument
from ..fork_safety import hold_lock_during_fork
from .wheel import Timer, TimerWheel

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["LARGEST_GENERATION", "LONGEST_LIFETIME", "RevocationTable"]

LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days
LARGEST_GENERATION = 2**32 - 2
_EVERY_GENERATION = 2**32 - 1
_FURTHEST_CLOCK = 1e11  # seconds: where the timer wheel's ticks are still exact
_REVOKE_BUDGET = (
    16  # steps of maintenance beside each new entry; an entry costs at most eight in its life
)
_ENTRY_BYTES = 320  # of a Python object, its number, its text and its places in two dicts, roughly
_LONGEST_TRUST = 1  # seconds for which a doorbell that stays the same is taken at its word
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{16}")


class _Entry(Timer):
    __slots__ = ("before", "session_id")

    def __init__(self, session_id: str, before: int, expires_at: float) -> None:
        super().__init__(expires_at)
        self.session_id = session_id
        self.before = before


class RevocationTable:
    """Which sessions' access tokens are refused, and below which generation.

    Args:
        clock: returns Unix seconds.
        before_lookup: called before each lookup, so that news from elsewhere can be taken in first; see :meth:`watch`.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_doorbell",
        "_entries",
        "_heard",
        "_lock",
        "_looked_at",
        "_wheel",
        "before_lookup",
    )

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        before_lookup: Callable[[], object] | None = None,
    ) -> None:
        if not callable(clock):
            raise ConfigurationError("clock must be a callable that returns Unix seconds")
        if before_lookup is not None and not callable(before_lookup):
            raise ConfigurationError("before_lookup must be None or a callable without arguments")
        self._clock = clock
        self.before_lookup = before_lookup
        self._doorbell: memoryview | None = None
        self._heard = 0
        self._looked_at = -inf
        self._lock = threading.Lock()
        hold_lock_during_fork(self, "_lock")
        self._entries: dict[str, _Entry] = {}
        self._wheel = TimerWheel()

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    def revoke(self, session_id: str, ttl: float, *, before: int | None = None) -> None:
        """Refuses a session's generations below ``before``, or all of them, for ``ttl`` seconds.

        Where there is an entry already, the higher generation and the later end count.

        Args:
            session_id: 16 base64url characters.
            ttl: seconds, more than 0 and at most 100 years.
            before: 1 to 2**32 - 2, or None for every generation.

        Raises:
            InvalidArgument: an argument that cannot be used.
            MemoryError: no room; nothing was changed. No entry is ever dropped to make some.
        """
        seconds = _seconds("ttl", ttl, 0, LONGEST_LIFETIME)
        if seconds == 0:
            raise InvalidArgument("ttl must be more than 0 seconds")
        now = self._now()
        self._add(session_id, before, now, now + seconds)

    def revoke_until(
        self, session_id: str, expires_at: float, *, before: int | None = None
    ) -> None:
        """The same until a Unix time. One that is past already refuses nothing.

        Raises:
            InvalidArgument, MemoryError: as :meth:`revoke`.
        """
        now = self._now()
        self._add(session_id, before, now, _seconds("expires_at", expires_at, 0, _FURTHEST_CLOCK))

    def revoke_each(self, revocations: Iterable[tuple[str, float, int | None]]) -> None:
        """The same for each ``(session_id, expires_at, before)`` of an iterable, all by one reading of the clock.

        Raises:
            InvalidArgument, MemoryError: as :meth:`revoke`; those before it were revoked.
        """
        now = self._now()
        for session_id, expires_at, before in revocations:
            self._add(
                session_id, before, now, _seconds("expires_at", expires_at, 0, _FURTHEST_CLOCK)
            )

    def is_revoked(self, session_id: str, generation: int = 0) -> bool:
        """Whether access tokens of that generation of the session are refused now.

        Raises:
            InvalidArgument: a session id that is not 16 base64url characters, or a generation that is not an int from 0 to 2**32 - 2.
        """
        session_id = _checked_id(session_id)
        if type(generation) is not int or not 0 <= generation <= LARGEST_GENERATION:
            raise InvalidArgument(f"generation must be an int from 0 to {LARGEST_GENERATION}")
        return self._refuses(session_id, generation, None)

    def _refuses(self, session_id: str, generation: int, now: float | None) -> bool:
        """The same, of an id and a generation that need no checking, at a time its own clock told; None: that it must."""
        if now is None:
            now = self._now()
        if self.before_lookup is not None:
            doorbell = self._doorbell
            if (
                doorbell is None
                or doorbell[0] != self._heard
                or not self._looked_at <= now < self._looked_at + _LONGEST_TRUST
            ):
                self._take_news(now)
        entry = self._entries.get(session_id)
        return entry is not None and generation < entry.before and now < entry.expires_at

    def watch(self, doorbell: Buffer | None) -> None:
        """Calls ``before_lookup`` only where these eight bytes have changed since, or a second has passed; None: before each lookup again.

        Raises:
            ConfigurationError: not a buffer of eight bytes.
        """
        try:
            seen = None if doorbell is None else memoryview(doorbell).cast("B").cast("Q")
            if seen is not None and len(seen) != 1:
                raise TypeError
        except TypeError:
            raise ConfigurationError("doorbell must be None or a buffer of eight bytes") from None
        self._doorbell = seen
        self._looked_at = -inf

    def _take_news(self, now: float) -> None:
        doorbell = self._doorbell
        ring = 0 if doorbell is None else doorbell[0]
        if self.before_lookup is not None:
            self.before_lookup()
        if self._doorbell is doorbell:  # Another one has yet to be listened to.
            self._heard, self._looked_at = ring, now

    def expire(self) -> int:
        """Gives back the memory of every revocation that is over; how many there were."""
        now = self._now()
        with self._lock:
            before = len(self._entries)
            self._reclaim(now)
            for timer in self._wheel.due_within_tick(now):
                self._forget(timer)
            return before - len(self._entries)

    def __len__(self) -> int:
        self.expire()
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """How much memory the table takes, in bytes: an estimate."""
        return len(self._entries) * _ENTRY_BYTES

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._entries)} sessions>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")

    def _check(self) -> None:
        """Verifies every invariant, for tests."""
        with self._lock:
            self._wheel.check()
            for session_id, entry in self._entries.items():
                assert entry.session_id == session_id, "an entry is kept under another session's id"
                assert entry.slot >= 0, "an entry is not on the wheel"

    def _now(self) -> float:
        return _seconds("the clock's reading", self._clock(), -_FURTHEST_CLOCK, _FURTHEST_CLOCK)

    def _add(self, session_id: str, before: int | None, now: float, expires_at: float) -> None:
        lowest = _generation_before(before)
        session_id = _checked_id(session_id)
        if expires_at <= now:
            return
        with self._lock:
            entry = self._entries.get(session_id)
            if entry is not None and entry.expires_at <= now:
                self._wheel.cancel(
                    entry
                )  # It is over: what it refused is no longer to be remembered.
                entry = None
            if entry is None:
                entry = self._entries[session_id] = _Entry(session_id, lowest, expires_at)
                self._wheel.observe(now)
                self._wheel.schedule(entry)
            else:
                entry.before = max(entry.before, lowest)
                if expires_at > entry.expires_at:
                    self._wheel.cancel(entry)
                    entry.expires_at = expires_at
                    self._wheel.schedule(entry)
            self._reclaim(now, _REVOKE_BUDGET)

    def _reclaim(self, now: float, budget: float = float("inf")) -> None:
        """Forgets what is over, in at most so many steps."""
        for timer in self._wheel.due(now, budget):
            if timer.expires_at <= now:
                self._forget(timer)
            else:
                self._wheel.schedule(timer)

    def _forget(self, timer: Timer) -> None:
        del self._entries[cast(_Entry, timer).session_id]


def _checked_id(session_id: object) -> str:
    """A plain ``str``, so that no subclass has a say in what it equals."""
    if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
        raise InvalidArgument("session_id must be 16 base64url characters")
    return session_id if type(session_id) is str else str.__str__(session_id)


def _generation_before(before: object) -> int:
    if before is None:
        return _EVERY_GENERATION
    if type(before) is not int or not 0 < before <= LARGEST_GENERATION:
        raise InvalidArgument(f"before must be None or an int from 1 to {LARGEST_GENERATION}")
    return before


def _seconds(name: str, seconds: object, least: float, most: float) -> float:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not least <= seconds <= most
    ):
        raise InvalidArgument(f"{name} must be a number of seconds from {least:g} to {most:g}")
    return float(seconds)

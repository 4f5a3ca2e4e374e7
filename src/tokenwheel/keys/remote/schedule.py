"""When keys are to be fetched next, and until when those held may be relied on.

A fetch is due at regular intervals, which the answers choose within bounds, and once more where a
token names a key that isn't known. Such early fetches are counted apart: at most one begins in each
cooldown, whatever tokens come. After a failure another attempt is made soon.

Nothing here fetches anything or reads a clock: times come in as seconds of a timer.
"""

from __future__ import annotations

from math import inf

__all__ = ["Schedule"]

_FIRST_PAUSE = 1.0  # seconds until the second attempt at a first fetch
_LARGEST_DOUBLING = 12  # 2**12 seconds are more than any cooldown


class Schedule:
    """Know when to fetch. The caller sees to it that one thread at a time changes it.

    Args:
        min_refresh: seconds between two regular fetches, at least.
        max_refresh: seconds between two regular fetches, at most.
        cooldown: seconds between two early fetches, and until the next attempt after a failure.
        max_age: seconds for which keys may be relied on after a good answer.
        timeout: seconds that a fetch may take.

    Attributes:
        good_at: when the last good answer came; None before the first.
        good_until: until when the keys may be relied on.
        failures: since then, one after another.
        fetches: that have begun in all.
        last_error: why the last one has failed; None after a good answer.
        wants_early: True while an early fetch is asked for and has not begun.
        began_at: when the first fetch began; infinite before that.
    """

    __slots__ = (
        "_begun_at",
        "_cooldown",
        "_due_at",
        "_early_at",
        "_early_from",
        "_last_pause",
        "_longest",
        "_margin",
        "_max_age",
        "_shortest",
        "_wanted_at",
        "began_at",
        "failures",
        "fetches",
        "good_at",
        "good_until",
        "last_error",
        "wants_early",
    )

    def __init__(
        self,
        *,
        min_refresh: float,
        max_refresh: float,
        cooldown: float,
        max_age: float,
        timeout: float,
    ) -> None:
        # Early enough that there is time to try again before the keys are too old.
        self._longest = min(max_refresh, 0.75 * max_age)
        self._shortest = min(min_refresh, self._longest)
        self._cooldown = cooldown
        self._last_pause = min(cooldown, max_age / 4)
        self._max_age = max_age
        self._margin = min(timeout + 1.0, max_age / 8)
        self._due_at = -inf
        self._begun_at = -inf  # the last fetch
        self._early_at = -inf
        self._early_from = -inf
        self.good_at: float | None = None
        self.good_until = -inf
        self.failures = 0
        self.fetches = 0
        self.last_error: str | None = None
        self.wants_early = False
        self._wanted_at: float | None = None
        self.began_at = inf

    @property
    def is_fetching(self) -> bool:
        """True while a fetch goes on."""
        return self._due_at == inf

    def due_at(self) -> float:
        """Return when the next fetch is to begin; infinite while one goes on."""
        if self._due_at == inf:
            return inf
        if self._wanted_at is not None:
            return self._wanted_at
        if not self.wants_early:
            return self._due_at
        # It may have been asked for just before another one began.
        return min(self._due_at, max(self._early_at, self._early_from))

    def want_early(self, now: float) -> None:
        """Ask for an early fetch. Before the first answer one is due anyway."""
        if self.good_at is not None:
            self._early_at = max(now, self._early_from)
            self.wants_early = True

    def want_now(self, now: float) -> None:
        """Ask for a fetch at once, or after the one that goes on, whatever the cooldown says."""
        self._wanted_at = now

    def begin(self, now: float) -> None:
        """Note that a fetch begins, which is also the early one that was asked for."""
        self.fetches += 1
        self.began_at = min(self.began_at, now)
        if self.wants_early and now >= self._early_from:
            self._early_from = now + self._cooldown
        self.wants_early = False
        self._wanted_at = None
        self._due_at = inf
        self._begun_at = now

    def break_off(self) -> None:
        """Note that the fetch that goes on will not end, so that another one is due."""
        if self.is_fetching:
            self._due_at = self._begun_at

    def succeed(self, now: float, lifetime: float | None) -> None:
        """Note a good answer.

        Args:
            now: when it came.
            lifetime: the seconds for which it stays fresh; None where it doesn't say.
        """
        interval = self._shortest if lifetime is None else lifetime
        self._due_at = now + max(self._shortest, min(interval, self._longest))
        self.good_at = now
        self.good_until = now + self._max_age
        self.failures = 0
        self.last_error = None

    def fail(self, now: float, reason: str) -> None:
        """Note that a fetch has failed, and why."""
        self.failures += 1
        self.last_error = reason
        pause = self._last_pause
        if self.good_at is None:
            doubling = min(self.failures - 1, _LARGEST_DOUBLING)
            pause = min(_FIRST_PAUSE * 2**doubling, self._cooldown)
        self._due_at = now + pause
        # One more attempt is made shortly before the keys are too old.
        last_chance = self.good_until - self._margin
        if now < last_chance < self._due_at:
            self._due_at = last_chance

    def is_last_chance(self, now: float) -> bool:
        """Return True where the keys will be too old before another attempt could help."""
        return now >= self.good_until - self._margin

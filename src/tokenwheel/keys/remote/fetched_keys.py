"""What is known of the keys at a URL: which they are, since when, and why there are no newer ones.

What is to be said of a set, or of why there is none, is logged once and not at each fetch. Nothing
here fetches anything. The caller sees to it that one thread at a time changes what is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, NamedTuple

from ..forms.jwks import KeyList
from .answers import Answer, check_answer, read_key_set
from .freshness import freshness_lifetime
from .key_url import KeyUrl
from .schedule import Schedule
from .succession import Succession

__all__ = ["FetchedKeys", "RemoteKeysStats"]

logger = logging.getLogger("tokenwheel")

_MOST_TOLD = 1024  # reasons of which it is remembered that they stand in the log
_FIELDS = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "tokenwheel",
}


class RemoteKeysStats(NamedTuple):
    """How the keys of a URL stand in this process."""

    age: float | None
    """Seconds since the URL last said what the keys are; None before it first did."""
    failures: int
    """Fetches that have failed since then."""
    next_try: float
    """Seconds until the next fetch; 0 where it is due or going on."""
    fetches: int
    """Fetches that have begun in all."""
    last_error: str | None
    """Why the last fetch has failed; None where it has not."""


class FetchedKeys:
    """Know the keys of one URL.

    Args:
        url: the URL.
        algorithms: those that are taken; None for all.
        schedule: when to fetch.
        succession: which keys are good.
        timer: returns seconds that never run back.
        clock: returns Unix seconds.
    """

    def __init__(
        self,
        url: KeyUrl,
        algorithms: Sequence[str] | None,
        schedule: Schedule,
        succession: Succession,
        timer: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self.url = url
        self.schedule = schedule
        self.succession = succession
        self.timer = timer
        self._clock = clock
        self._algorithms = algorithms
        self._etag: str | None = None
        self._body: bytes | None = None
        self._lifetime: float | None = None
        self._told: set[tuple[str, str]] = set()

    def stats(self) -> RemoteKeysStats:
        """Return how the keys stand."""
        schedule, now = self.schedule, self.timer()
        age = None if schedule.good_at is None else max(now - schedule.good_at, 0.0)
        left = 0.0 if schedule.is_fetching else max(schedule.due_at() - now, 0.0)
        return RemoteKeysStats(age, schedule.failures, left, schedule.fetches, schedule.last_error)

    def headers(self) -> dict[str, str]:
        """Return the header of the next request. It is the caller's own, who may change it."""
        known = {} if self._etag is None else {"If-None-Match": self._etag}
        return {**_FIELDS, **known}

    def read(self, response: Any) -> tuple[Answer, KeyList | None]:
        """Return what a response says, and the keys that it lists. Nothing is changed yet.

        Instead of the keys it is None where these are as they were.

        Raises:
            FetchFailed: it is of no use.
        """
        answer = check_answer(response, was_conditional=self._etag is not None)
        if answer.body is None or answer.body == self._body:
            return answer, None
        return answer, read_key_set(answer.body, self._algorithms)

    def take_over(self, answer: Answer, listed: KeyList | None) -> None:
        """Know from now on what an answer says.

        Raises:
            FetchFailed: it is an old copy.
        """
        now, unix_now, schedule = self.timer(), self._clock(), self.schedule
        lifetime = freshness_lifetime(answer.fields, unix_now)
        if listed is not None:
            warning = self.succession.take(
                [entry.key for entry in listed.keys],
                listed.updated_at,
                now=now,
                unix_now=unix_now,
                is_last_chance=schedule.is_last_chance(now),
            )
            if warning is not None:
                self.tell_once("set", warning)
            for passed in listed.passed_over:
                level = logging.WARNING if passed.is_mistake else logging.INFO
                self.tell_once(passed.kid, f"{passed.kid} is passed over: {passed.why}", level)
        if answer.body is not None:
            self._etag, self._body = answer.etag, answer.body
        elif lifetime is None:  # A 304 may leave out what the answer before has said.
            lifetime = self._lifetime
        self._lifetime = lifetime
        if schedule.failures:
            logger.info("the keys of %s can be fetched again", self.url)
            self._told = {(what, why) for what, why in self._told if what != "failure"}
        schedule.succeed(now, lifetime)

    def fail(self, reason: str) -> None:
        """Note why a fetch has failed."""
        self.schedule.fail(self.timer(), reason)
        self.tell_failure(reason)

    def tell_failure(self, reason: str) -> None:
        """Log why a fetch has failed, once until one succeeds."""
        self.tell_once("failure", f"could not be fetched: {reason}")

    def tell_once(self, what: str, why: str, level: int = logging.WARNING) -> None:
        """Log something, unless it stands in the log already."""
        if (what, why) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((what, why))
            logger.log(level, "the keys of %s: %s", self.url, why)

    def why_none(self, now: float) -> str:
        """Return why no keys may be relied on."""
        schedule = self.schedule
        reason = schedule.last_error or "no fetch has ended"
        if schedule.good_at is not None:
            return (
                f"the keys are too old: {self.url} has given none for "
                f"{now - schedule.good_at:.0f} seconds ({reason})"
            )
        waited = 0.0 if schedule.began_at == inf else now - schedule.began_at
        return (
            f"the keys of {self.url} have not been fetched yet, and not for {waited:.0f} seconds "
            f"({reason})"
        )

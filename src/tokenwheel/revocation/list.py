"""RevocationList: which sessions' tokens are refused, as ``read`` asks it.

The table is in memory; a feed ties it to those of other processes. What is revoked here holds here
first, and is told to the others then. Where telling them fails, the caller hears of it and this
process goes on refusing: never the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from inspect import isawaitable
from types import CoroutineType
from typing import Any, NamedTuple

from .._impl import RevocationTable
from ..conformance import check_conforms, conforms, is_coroutine_function
from ..errors import ConfigurationError, StorageUnavailable, TokenwheelError
from ..exact import plain_of
from ..hidden import clears_locals
from ..seconds import number_of, reading
from .protocol import DoorbellFeed, ReplayingFeed, Revocation, RevocationFeed, RewindingFeed

__all__ = ["RevocationList", "RevocationStats"]

_UNREACHABLE = "the revocation feed could not be reached or answered an error"
_NOT_AWAITED = (
    "the feed's {} has to be awaited, and nothing does here: "
    "AsyncSessionManager awaits publish and close"
)
_FEED_METHODS = ("start", "publish", "poll", "close")


class RevocationStats(NamedTuple):
    """How a list stands."""

    entries: int
    """Sessions some of whose access tokens are refused now."""
    nbytes: int
    """Memory they take, in bytes; estimated by the pure implementation."""


class RevocationList(RevocationTable):
    """What ``read`` consults. Safe to share between managers and threads of one process.

    Args:
        feed: ties this list to those of other processes; with None it stands alone.
        clock: returns Unix seconds.
        timer: returns seconds that no one sets. By it a clock that was put ahead for a while is
            known, and nothing is forgotten meanwhile.

    Raises:
        ConfigurationError: an option makes no sense.
        StorageUnavailable: the feed could not replay what is already revoked.
    """

    def __init__(
        self,
        feed: RevocationFeed | None = None,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        if feed is not None:
            try:
                _check_feed(feed)
            except ConfigurationError:
                del feed  # It may be a server's URL, with a password in it.
                raise
        before_lookup = None if feed is None else feed.poll
        super().__init__(clock=clock, before_lookup=before_lookup, timer=timer)
        self._feed = feed
        if feed is None:
            # Without news to be had, the table's own answer spares each refresh a call.
            vars(self)["lowest_generation"] = super().lowest_generation
        self._watched: Any = None  # the buffer, as the feed gave it
        if feed is not None:
            _call(feed, "start", self.revoke_each)
            self._watch_doorbell()

    def revoke(self, session_id: str, ttl: float, *, before: int | None = None) -> None:
        """Refuse a session's access tokens for ``ttl`` seconds, here and wherever the feed reaches.

        If the session is revoked already, the higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            ttl: seconds, more than 0 and at most 100 years.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument that cannot be used.
            ConfigurationError: the feed has to be awaited; an async manager does.
            StorageUnavailable: the feed failed. In this process the session is refused all the
                same. The call can be made again.
        """
        # The table and the feed look at the same ones, so they must not answer as they like.
        session_id, ttl, before = plain_of(session_id), plain_of(ttl), plain_of(before)
        super().revoke(session_id, ttl, before=before)
        if self._feed is not None:
            expires_at = reading(self.clock()) + number_of(ttl)
            _call(self._feed, "publish", [Revocation(session_id, expires_at, before)])

    def publish(self, revocations: Sequence[Revocation], now: float) -> Any:
        """Refuse access tokens in this process, then tell the feed.

        Args:
            revocations: what is refused, and until when by the caller's clock.
            now: Unix seconds by the caller's clock. Where this list's clock shows another time, an
                entry is kept until it is over by both.

        Returns:
            What the feed's ``publish`` returned, to be awaited where it is awaitable.
        """
        revocations = list(revocations)
        self.refuse(revocations, now)
        return None if self._feed is None else self._feed.publish(revocations)

    def refuse(self, revocations: Sequence[Revocation], now: float) -> None:
        """Refuse access tokens in this process, and tell no feed.

        The caller tells the feed, or has a storage do so. Arguments are those of :meth:`publish`.

        Raises:
            InvalidArgument: ``now``, or what this list's clock tells, is no time.
        """
        ahead = max(reading(self.clock()) - reading(now), 0)
        self.revoke_each(
            revocation._replace(expires_at=revocation.expires_at + ahead)
            for revocation in revocations
        )

    def lowest_generation(self, session_id: str) -> int | None:
        """Return the lowest generation of a session whose access tokens are not refused now.

        Revocations made elsewhere are taken in first. Where the feed fails at that, what this
        process knows has to do.

        Args:
            session_id: the session's id, 16 base64url characters.

        Returns:
            The generation: 0 where none is refused. None where every generation is refused.

        Raises:
            InvalidArgument: ``session_id`` is not of that form.
        """
        with suppress(Exception):  # Where the feed has failed, whoever reads is told.
            if not self.is_revoked(session_id):
                return 0
        return super().lowest_generation(session_id)

    async def replay(self) -> None:
        """Have a feed that must be awaited take in what is already revoked, if it hasn't yet.

        An async manager awaits this before anything else.

        Raises:
            StorageUnavailable: the feed could not be reached, or answered an error.
        """
        if conforms(self._feed, ReplayingFeed):
            try:
                await self._feed.replay()
            except TokenwheelError:
                raise
            except Exception as error:
                raise StorageUnavailable(_UNREACHABLE) from error

    @property
    def feed(self) -> RevocationFeed | None:
        """The feed that ties this list to those of other processes, or None."""
        return self._feed

    def stats(self) -> RevocationStats:
        """Return how many revocations live now, and the memory they take.

        Returns:
            ``entries``, a number of sessions, and ``nbytes``, in bytes. Both are this process's.
        """
        return RevocationStats(len(self), self.nbytes)

    def close(self) -> Any:
        """Stop the feed. Can be called again.

        Returns:
            What the feed's ``close`` returned, to be awaited where it is awaitable.
        """
        answer = None if self._feed is None else self._feed.close()
        self._watch_doorbell()  # which may be gone
        return answer

    def _take_news(self, now: float) -> None:
        if self._observe(now) and conforms(self._feed, RewindingFeed):
            # What seemed over when it was heard may not be over.
            self._feed.rewind()
        super()._take_news(now)
        self._watch_doorbell()

    def _watch_doorbell(self) -> None:
        doorbell = self._feed.doorbell if conforms(self._feed, DoorbellFeed) else None
        if doorbell is not self._watched:
            self._watched = doorbell
            self.watch(doorbell)


@clears_locals
def _check_feed(feed: RevocationFeed) -> None:
    check_conforms("feed", feed, RevocationFeed, _FEED_METHODS)
    if is_coroutine_function(feed.poll):  # It would never bring anything, and never say so.
        raise ConfigurationError(_NOT_AWAITED.format("poll"))


def _call(feed: RevocationFeed, name: str, *arguments: Any) -> None:
    try:
        answer = getattr(feed, name)(*arguments)
    except TokenwheelError:
        raise
    except Exception as error:
        raise StorageUnavailable(_UNREACHABLE) from error
    if isawaitable(answer):
        if isinstance(answer, CoroutineType):
            answer.close()
        raise ConfigurationError(_NOT_AWAITED.format(name))

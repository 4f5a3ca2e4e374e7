"""What is refused of a session, until when, and how the other processes hear of it, step by step.

A revocation must outlive every access token that it covers, and not by much: it takes memory in
each process. The record of a session says when its last access token expires. Of a session without
one, or with a damaged one, all that is known is how long an access token of the service may live.
The storage keeps that, where it can (``AccessLifetimeStorage``): any process may have issued the
token. Before a process issues one that lives longer than it knows to be kept, it has that kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from itertools import islice
from math import floor
from typing import Any, TypeVar

from .._impl import ExpiringCache
from ..errors import StorageUnavailable
from ..models import SessionRecord
from ..revocation.heard import CLOCK_MARGIN
from ..revocation.protocol import Revocation
from ..seconds import checked_clock
from .arguments import LONGEST_LIFETIME, ShownToken
from .longest import Longest
from .options import Lifecycle
from .steps import KeepAccessLifetime, Refuse, Revoke, Step
from .unknown_sessions import UnknownSessions

__all__ = ["LARGEST_GENERATION", "Flow", "RevokingFlow", "representable"]

LARGEST_GENERATION = 2**32 - 2
_MORE_THAN_WERE_EVER_REFUSED = 1024  # generations: more than restrictions of one session
_MOST_UNREAD = 4096  # sessions that are refused at once though they could not be looked up
_PUBLISHED_AT_ONCE = 16  # revocations that earlier calls could not publish, beside a later one
_SHORTEST_LIFETIME = 0.001  # seconds: the least that an ExpiringCache takes

T = TypeVar("T")
Flow = Generator[Step[Any], Any, T]


class RevokingFlow:
    """The steps by which access tokens are refused, here and in other processes.

    Args:
        lifecycle: the manager's options for the life of a session.
        clock: returns Unix seconds.
        lowest_generation: returns the lowest generation of a session whose access tokens this
            process does not refuse, None where it refuses all.
        issuer: the ``iss`` of access tokens.
        keeps_access_lifetime: the storage keeps how long access tokens live at most.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        clock: Callable[[], float],
        lowest_generation: Callable[[str], int | None],
        *,
        issuer: str,
        keeps_access_lifetime: bool,
    ) -> None:
        self._options = lifecycle
        self._clock = checked_clock(clock)
        self._lowest_generation = lowest_generation
        self._issuer = issuer
        self._keeps_access_lifetime = keeps_access_lifetime
        self._unpublished: ExpiringCache[str, Revocation] = ExpiringCache(clock=clock)
        self._unread: ExpiringCache[str, None] = ExpiringCache(clock=clock)
        self._unknown = UnknownSessions(clock)
        self._longest_access = Longest(lifecycle.access_ttl)
        self._longest_session = Longest(max(lifecycle.refresh_ttl, lifecycle.access_ttl))
        # The longest lifetime of an access token that the storage is known to keep.
        self._kept_access = 0 if keeps_access_lifetime else LONGEST_LIFETIME

    def _keep_access_lifetime(self, seconds: int) -> Flow[None]:
        """Have kept that access tokens live as long as the one that is about to be issued."""
        seconds = max(seconds, self._options.access_ttl)
        self._know_access_lifetime((yield from KeepAccessLifetime(self._issuer, seconds)))
        self._kept_access = max(self._kept_access, seconds)

    def _longest_of_service(self) -> Flow[int]:
        """Return for how many seconds an access token may live, whichever process has issued it."""
        if self._keeps_access_lifetime:
            with suppress(StorageUnavailable):
                kept = yield from KeepAccessLifetime(self._issuer, 0)
                if self._know_access_lifetime(kept):
                    if kept < self._kept_access:  # An older backup may have been restored.
                        yield from self._keep_access_lifetime(self._kept_access)
                    return self._longest_access.seconds
        return max(self._longest_session.seconds, self._longest_access.seconds)

    def _know_access_lifetime(self, kept: object) -> bool:
        """Take note of what the storage keeps. Return True where that can be a lifetime."""
        if type(kept) is not int or not 0 < kept <= LONGEST_LIFETIME:
            return False
        self._longest_access.note(kept)
        return True

    def _revoke_unknown(
        self, subject: str, session_id: str, now: float, *, is_genuine: bool = False
    ) -> Flow[None]:
        """Revoke a session that the storage may have lost, or that there never was.

        It lasts for as long as a token of it could live.

        Args:
            subject: who names the session.
            session_id: the session.
            now: Unix seconds.
            is_genuine: there was such a session, since a verified token of it was shown.

        Raises:
            InvalidArgument: the subject has had too many such revoked. Nothing was.
        """
        longest = yield from self._longest_of_service()
        revocation = self._revocation_of_all(session_id, longest, now)
        is_new = self._unknown.admit(
            subject, session_id, revocation.expires_at, now, is_genuine=is_genuine
        )
        # What could not be published is refused here, and is not known to others.
        if is_new or session_id in self._unpublished:
            yield from self._publishing(Revoke([revocation], now), [revocation], now)

    def _refuse_unread(self, session_id: str, now: float) -> Flow[None]:
        """Refuse here the access tokens issued so far to a session that could not be looked up.

        A refresh token of it was shown, which may be a forged one. While the storage is down anyone
        can make such up, so only so many are believed: each takes memory.
        """
        if session_id in self._unread or len(self._unread) < _MOST_UNREAD:
            revocation = self._revocation_unread(session_id, now)
            lasting = max(revocation.expires_at - now, _SHORTEST_LIFETIME)
            self._unread.set(session_id, None, min(lasting, LONGEST_LIFETIME))
            yield from Refuse([revocation], now)

    def _publishing(self, step: Step[T], revocations: Sequence[Revocation], now: float) -> Flow[T]:
        """Have a step done that publishes. Where it fails, keep what the others may not know."""
        try:
            answer = yield from step
        except StorageUnavailable:
            self._keep_unpublished(revocations, now)
            raise
        for revocation in revocations:
            self._unpublished.pop(revocation.session_id, None)
        return answer

    def _keep_unpublished(self, revocations: Sequence[Revocation], now: float) -> None:
        for revocation in revocations:
            lasting = min(revocation.expires_at - now, LONGEST_LIFETIME)
            if lasting >= _SHORTEST_LIFETIME:
                self._unpublished.set(revocation.session_id, revocation, lasting)

    def _publish_the_rest(self, now: float) -> Flow[None]:
        """Tell the others some of what earlier calls could not. What fails now is tried again."""
        rest = list(islice(self._unpublished.values(), _PUBLISHED_AT_ONCE))
        if rest:
            with suppress(StorageUnavailable):
                yield from self._publishing(Revoke(rest, now), rest, now)

    def _revocation_of(self, record: SessionRecord, before: int, now: float) -> Revocation:
        last = record.access_expires_at
        if last <= record.last_used_at:  # Then, at the latest, a token was issued that lives.
            last = floor(now) + max(self._longest_access.seconds, self._longest_session.seconds)
        return Revocation(record.id, self._until(last, now), representable(before))

    def _revocation_of_all(self, session_id: str, longest: int, now: float) -> Revocation:
        """Return the revocation of a session of which only the id is known.

        The clock of whoever has issued its last access token may have been ahead.
        """
        return Revocation(session_id, self._until(floor(now) + longest + CLOCK_MARGIN, now), None)

    def _revocation_of_shown(self, session_id: str, shown: ShownToken, now: float) -> Revocation:
        """Return what is refused before the session of a verified access token is looked up."""
        until = self._until(max(self._access_ends_by(now), shown.expires_at), now)
        return Revocation(session_id, until, representable(shown.generation + 1))

    def _revocation_unread(self, session_id: str, now: float) -> Revocation:
        """Return what is refused of a session that could not be looked up.

        Its generation is not known, but is hardly so far above what is refused already. The next
        refresh goes on with the generation named here.
        """
        before = self._more_than_ever(self._lowest_generation(session_id))
        until = self._until(self._access_ends_by(now), now)
        return Revocation(session_id, until, representable(before))

    def _until(self, last_expires_at: float, now: float) -> float:
        """Return the end of a revocation, by when the last access token it covers expires."""
        last = min(max(last_expires_at, 0), now + LONGEST_LIFETIME)
        return last + self._options.revocation_margin

    def _access_ends_by(self, now: float) -> float:
        """Return when the last access token has expired that can have been issued by now."""
        return floor(now) + min(self._longest_access.seconds, self._longest_session.seconds)

    def _more_than_ever(self, lowest: int | None) -> int | None:
        return None if lowest is None else lowest + _MORE_THAN_WERE_EVER_REFUSED


def representable(before: int | None) -> int | None:
    """Return ``before`` as a revocation can hold it: None, for all, past the last generation."""
    return None if before is None or before > LARGEST_GENERATION else before

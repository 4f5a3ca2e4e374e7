"""How sessions end before their time, and how their access tokens are refused, step by step.

The order is what keeps a crash harmless. A session is revoked before it is deleted, and restricted
in the revocation list before its generation is raised in the storage. A stop between the two leaves
tokens refused and a call that can be made again. Listeners hear of a thing last.

**Nothing is left half done.** What is refused is every token issued so far: the generations up to
that of the record, and never all of them while the storage may still hold the session. So after a
stop the session is not lost: its next refresh sees that the record's generation is refused, and
goes on with the lowest one that is not (``_replace_restricted``). That completes the call as a
restriction. What a call refused here and could not tell the others is told beside the next calls
that get through (``_publish_the_rest``).

**Where the storage cannot be asked**, a caller who shows a verified token is believed before
anything is asked, and one who shows a refresh token only once the storage has failed: it may be a
forged one. For anybody else nothing is refused.

All changes are compare-and-swap on the record's version. Where another node was faster, the record
is read again and the decision taken anew. Each round means that somebody else got further, so the
rounds come to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from itertools import islice
from math import floor
from typing import Any, TypeVar

from .._impl import ExpiringCache
from ..errors import StorageUnavailable
from ..events import (
    AllSessionsInvalidated,
    Event,
    Listeners,
    SessionEvent,
    SessionInvalidated,
)
from ..models import Session, SessionRecord
from ..revocation.protocol import Revocation
from .arguments import (
    LONGEST_LIFETIME,
    ShownToken,
    check_identity,
    check_session_id,
    check_subject,
    is_refresh_token,
    shown_token,
)
from .options import Lifecycle
from .seal import Seal
from .steps import (
    Delete,
    Notify,
    Publisher,
    Read,
    ReadAll,
    Refuse,
    Replace,
    Revoke,
    RevokeAndDelete,
    RevokeAndReplace,
    Step,
)

__all__ = ["EndingFlow", "Flow"]

_LARGEST_GENERATION = 2**32 - 2
_MORE_THAN_WERE_EVER_REFUSED = 1024  # generations: more than restrictions of one session
_PUBLISHED_AT_ONCE = 16  # revocations that earlier calls could not publish, beside a later one
_SHORTEST_LIFETIME = 0.001  # seconds: the least that an ExpiringCache takes

T = TypeVar("T")
Flow = Generator[Step[Any], Any, T]


class EndingFlow:
    """The steps of the methods that end or restrict sessions. They need no key.

    Args:
        lifecycle: the manager's options for the life of a session.
        listeners: who is told of events.
        clock: returns Unix seconds.
        seal: seals what is stored, and tells which records are the service's own.
        publisher: the storage and the feed, where the one publishes to the other. To revoke and to
            change the storage is then one step instead of two.
        lowest_generation: returns the lowest generation of a session whose access tokens this
            process does not refuse, None where it refuses all.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        listeners: Listeners,
        clock: Callable[[], float],
        seal: Seal,
        publisher: Publisher | None,
        lowest_generation: Callable[[str], int | None],
    ) -> None:
        self._options = lifecycle
        self._listeners = listeners
        self._clock = clock
        self._seal = seal
        self._publisher = publisher
        self._lowest_generation = lowest_generation
        self._unpublished: ExpiringCache[str, Revocation] = ExpiringCache(clock=clock)
        self._longest_access = lifecycle.access_ttl
        self._longest_session = max(lifecycle.refresh_ttl, lifecycle.access_ttl)

    def delete_one(self, subject: object, session_id: object) -> Flow[bool]:
        """End a session of this subject. Return True where it lived."""
        subject = check_subject(subject)
        checked_id = check_session_id(session_id)
        now = self._clock()
        try:
            record = yield from Read(checked_id, now)
        except StorageUnavailable:
            # Not before: the refresh token may be a forged one, of somebody else's session.
            if is_refresh_token(session_id):
                yield from Refuse([self._revocation_unread(checked_id, now)], now)
            raise
        if record is None:
            yield from self._revoke_unknown(checked_id, now)
            return False
        if record.subject != subject or not self._seal.is_own(record):
            return False
        ended = yield from self._end([record], now)
        lived = [record for record in ended if record.ends_at > now]
        for record in lived:
            yield from self._tell(SessionEvent.SESSION_INVALIDATED, record, SessionInvalidated)
        return bool(lived)

    def delete_all(self, subject: object) -> Flow[int]:
        """End every session of this subject. Return how many of them lived."""
        subject = check_subject(subject)
        now = self._clock()
        records = yield from self._read_all(subject, now)
        ended = yield from self._end(records, now)
        lived = [record for record in ended if record.ends_at > now]
        if self._listeners.want(SessionEvent.ALL_SESSIONS_INVALIDATED):
            sessions = tuple(record.to_session() for record in lived)
            yield from Notify(AllSessionsInvalidated(subject, sessions))
        return len(lived)

    def restrict_one(self, claims: object) -> Flow[None]:
        """Refuse the access tokens issued so far to the session of these claims."""
        subject, session_id = check_identity(claims)
        now = self._clock()
        shown = shown_token(claims)
        refused = []
        if shown is not None:
            refused = [self._revocation_of_shown(session_id, shown, now)]
            yield from Refuse(refused, now)
        try:
            record = yield from Read(session_id, now)
        except StorageUnavailable:
            self._keep_unpublished(refused, now)
            raise
        if record is None:
            yield from self._revoke_unknown(session_id, now)
        elif record.subject == subject and self._seal.is_own(record):
            yield from self._restrict(record, now)
        elif refused:
            yield from self._publishing(Revoke(refused, now), refused, now)
        yield from self._publish_the_rest(now)

    def restrict_all(self, subject: object) -> Flow[None]:
        """Refuse the access tokens issued so far to every session of this subject."""
        now = self._clock()
        records = yield from self._read_all(check_subject(subject), now)
        for record in records:
            yield from self._restrict(record, now)
        yield from self._publish_the_rest(now)

    def _end(self, records: Sequence[SessionRecord], now: float) -> Flow[list[SessionRecord]]:
        """Revoke the access tokens of sessions, then delete these.

        Those that changed in between are revoked and deleted again.

        Return the records that were deleted here, and not by somebody else meanwhile.
        """
        ended: list[SessionRecord] = []
        while records:
            revocations = [self._revocation_of(record, record.generation + 1) for record in records]
            if self._publisher is not None:
                step = RevokeAndDelete(self._publisher, records, now, revocations)
                ids = yield from self._publishing(step, revocations, now)
            else:
                yield from self._publishing(Revoke(revocations, now), revocations, now)
                ids = yield from Delete(records, now)
            deleted = frozenset(ids)
            remaining = []
            for record in records:
                if record.id in deleted:
                    ended.append(record)
                    continue
                current = yield from self._read_again(record, now)
                if current is not None:
                    remaining.append(current)
            records = remaining
        yield from self._publish_the_rest(now)
        return ended

    def _restrict(self, record: SessionRecord | None, now: float) -> Flow[None]:
        """Refuse the access tokens issued so far, and raise the generation for those to come."""
        while record is not None:
            # A call that ended half way may have left more refused than the record tells.
            lowest = self._lowest_generation(record.id) or 0
            raised = self._seal.sealed(
                record._replace(
                    version=record.version + 1, generation=max(record.generation + 1, lowest)
                )
            )
            if (yield from self._replace_restricted(record, raised, now)):
                return
            record = yield from self._read_again(record, now)

    def _replace_restricted(
        self, record: SessionRecord, raised: SessionRecord, now: float
    ) -> Flow[bool]:
        """Replace a record by one of a higher generation, and refuse the generations before.

        Return False where somebody else has changed it meanwhile.
        """
        revocations = [self._revocation_of(record, raised.generation)]
        if self._publisher is not None:
            step = RevokeAndReplace(self._publisher, raised, now, revocations)
            return (yield from self._publishing(step, revocations, now))
        yield from self._publishing(Revoke(revocations, now), revocations, now)
        return (yield from Replace(raised, now))

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
            lasting = revocation.expires_at - now
            if lasting >= _SHORTEST_LIFETIME:
                self._unpublished.set(revocation.session_id, revocation, lasting)

    def _publish_the_rest(self, now: float) -> Flow[None]:
        """Tell the others some of what earlier calls could not. What fails now is tried again."""
        rest = list(islice(self._unpublished.values(), _PUBLISHED_AT_ONCE))
        if rest:
            with suppress(StorageUnavailable):
                yield from self._publishing(Revoke(rest, now), rest, now)

    def _revocation_of(self, record: SessionRecord, before: int) -> Revocation:
        until = record.access_expires_at + self._options.revocation_margin
        return Revocation(record.id, until, _representable(before))

    def _revocation_of_shown(self, session_id: str, shown: ShownToken, now: float) -> Revocation:
        """Return what is refused before the session of a verified access token is looked up."""
        until = max(self._access_ends_by(now), min(shown.expires_at, now + LONGEST_LIFETIME))
        until += self._options.revocation_margin
        return Revocation(session_id, until, _representable(shown.generation + 1))

    def _revocation_unread(self, session_id: str, now: float) -> Revocation:
        """Return what is refused of a session that could not be looked up.

        Its generation is not known, but is hardly so far above what is refused already. The next
        refresh goes on with the generation named here.
        """
        lowest = self._lowest_generation(session_id)
        before = None if lowest is None else lowest + _MORE_THAN_WERE_EVER_REFUSED
        until = self._access_ends_by(now) + self._options.revocation_margin
        return Revocation(session_id, until, _representable(before))

    def _access_ends_by(self, now: float) -> float:
        """Return when the last access token has expired that can have been issued by now."""
        return floor(now) + min(self._longest_access, self._longest_session)

    def _revoke_unknown(self, session_id: str, now: float) -> Flow[None]:
        """Revoke a session that the storage has lost, for as long as a token of it could live."""
        until = floor(now) + self._longest_session + self._options.revocation_margin
        revocations = [Revocation(session_id, until, None)]
        yield from self._publishing(Revoke(revocations, now), revocations, now)

    def _read_all(self, subject: str, now: float) -> Flow[list[SessionRecord]]:
        """Return the records of a subject that are this service's own."""
        records = yield from ReadAll(subject, now)
        return [record for record in records if self._seal.is_own(record)]

    def _read_again(self, record: SessionRecord, now: float) -> Flow[SessionRecord | None]:
        """Return the record as somebody else has left it, after a swap that failed."""
        current = yield from Read(record.id, now)
        if current is not None and current.version == record.version:
            raise StorageUnavailable(
                "the session storage refused a change of a record that nobody else had changed"
            )
        if current is None or not self._seal.is_own(current):
            return None
        return current

    def _tell(
        self, event: SessionEvent, record: SessionRecord, make: Callable[[Session], Event]
    ) -> Flow[None]:
        if self._listeners.want(event):
            yield from Notify(make(record.to_session()))


def _representable(before: int | None) -> int | None:
    """Return ``before`` as a revocation can hold it: None, for all, past the last generation."""
    return None if before is None or before > _LARGEST_GENERATION else before

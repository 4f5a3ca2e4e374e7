"""How sessions end before their time, and how their access tokens are refused, step by step.

The order is what keeps a crash harmless. A session is revoked before it is deleted, and restricted
in the revocation list before its generation is raised in the storage. A stop between the two leaves
tokens refused and a call that can be made again. Listeners hear of a thing last.

**Nothing is left half done.** What is refused is every token issued so far: the generations up to
that of the record, and never all of them while the storage may still hold the session. So after a
stop the session is not lost: its next refresh sees that the record's generation is refused, and
goes on with the lowest one that is not (``_replace_restricted``). That completes the call as a
restriction. What a call refused here and could not tell the others is told beside the next calls
that get through (``revoking.py``).

**A damaged record** is no caller's fault and keeps no other session from ending. What could be read
of it is enough to refuse all its access tokens and to delete it, and then the call has done what it
promised. Where that is not so, the call ends all the rest first and says what is damaged then.

**Where the storage cannot be asked**, a caller who shows a verified token is believed before
anything is asked, and one who shows a refresh token only once the storage has failed: it may be a
forged one. For anybody else nothing is refused.

All changes are compare-and-swap on the record's version. Where another node was faster, the record
is read again and the decision taken anew. Each round means that somebody else got further, so the
rounds come to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import StorageUnavailable
from ..events import (
    AllSessionsInvalidated,
    Event,
    Listeners,
    SessionEvent,
    SessionInvalidated,
)
from ..models import Session, SessionRecord
from .arguments import (
    check_identity,
    check_session_id,
    check_subject,
    is_refresh_token,
    shown_token,
)
from .damaged_sessions import DamagedSessionsFlow
from .options import Lifecycle
from .reading import DamagedRecord, Reader, damaged
from .refresh_tokens import session_id_of
from .revoking import LARGEST_GENERATION, Flow
from .seal import Seal
from .steps import (
    Delete,
    Notify,
    Publisher,
    Refuse,
    Replace,
    Revoke,
    RevokeAndDelete,
    RevokeAndReplace,
)

__all__ = ["Ended", "EndingFlow", "Flow"]


class Ended(NamedTuple):
    """What has become of sessions that were to end."""

    records: list[SessionRecord]
    """Those that were deleted here, and not by somebody else meanwhile."""
    failure: StorageUnavailable | None
    """Why one of them could not be ended."""


class EndingFlow(DamagedSessionsFlow):
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
        storage_is_checked: the storage itself tells which of its records are damaged.
        keeps_access_lifetime: the storage keeps how long access tokens live at most.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        listeners: Listeners,
        clock: Callable[[], float],
        seal: Seal,
        publisher: Publisher | None,
        lowest_generation: Callable[[str], int | None],
        *,
        storage_is_checked: bool,
        keeps_access_lifetime: bool,
    ) -> None:
        super().__init__(
            lifecycle,
            clock,
            lowest_generation,
            issuer=seal.issuer,
            keeps_access_lifetime=keeps_access_lifetime,
        )
        self._listeners = listeners
        self._seal = seal
        self._reader = Reader(seal, storage_is_checked=storage_is_checked)
        self._publisher = publisher

    def delete_one(self, subject: object, session_id: object) -> Flow[bool]:
        """End a session of this subject. Return True where it lived."""
        by_token = is_refresh_token(session_id)
        session_id = session_id_of(session_id)  # No error from here on shows the refresh token.
        subject = check_subject(subject)
        checked_id = check_session_id(session_id)
        now = self._clock()
        try:
            record = yield from self._reader.read(checked_id, now)
        except StorageUnavailable:
            # Not before: the refresh token may be a forged one, of somebody else's session.
            if by_token:
                yield from Refuse([self._revocation_unread(checked_id, now)], now)
            raise
        if record is None:
            yield from self._revoke_unknown(subject, checked_id, now)
            return False
        if not self._reader.is_own(record):
            return False
        if isinstance(record, DamagedRecord):
            listed = yield from self._listed_of(subject, record, now)
            if listed is None:
                return False
            if not (yield from self._end_damaged(listed, now)):
                raise damaged(listed)
            return True
        if record.subject != subject:
            return False
        ended = yield from self._end([record], now)
        if ended.failure is not None:
            raise ended.failure
        lived = [record for record in ended.records if record.ends_at > now]
        for record in lived:
            yield from self._tell(SessionEvent.SESSION_INVALIDATED, record, SessionInvalidated)
        return bool(lived)

    def delete_all(self, subject: object) -> Flow[int]:
        """End every session of this subject. Return how many of them lived."""
        subject = check_subject(subject)
        now = self._clock()
        found = yield from self._reader.read_all(subject, now)
        ended = yield from self._end(found.records, now)
        lived = [record for record in ended.records if record.ends_at > now]
        left = yield from self._end_each_damaged(found.damaged, subject, now)
        if self._listeners.want(SessionEvent.ALL_SESSIONS_INVALIDATED):
            sessions = tuple(record.to_session() for record in lived)
            yield from Notify(AllSessionsInvalidated(subject, sessions))
        if ended.failure is not None:
            raise ended.failure
        if left:
            raise damaged(*left)
        return len(lived) + len(found.damaged)

    def restrict_one(self, claims: object) -> Flow[None]:
        """Refuse the access tokens issued so far to the session of these claims."""
        try:
            subject, session_id = check_identity(claims)
            shown = shown_token(claims)
        finally:
            del claims  # Their 'sid' may be a refresh token.
        now = self._clock()
        refused = []
        if shown is not None:
            refused = [self._revocation_of_shown(session_id, shown, now)]
            yield from Refuse(refused, now)
        try:
            record = yield from self._reader.read(session_id, now)
        except StorageUnavailable:
            self._keep_unpublished(refused, now)
            raise
        if record is None:
            is_genuine = shown is not None
            yield from self._revoke_unknown(subject, session_id, now, is_genuine=is_genuine)
        elif not self._reader.is_own(record):
            if refused:
                yield from self._publishing(Revoke(refused, now), refused, now)
        elif isinstance(record, DamagedRecord):
            listed = yield from self._listed_of(subject, record, now)
            if listed is not None:
                yield from self._revoke_damaged(listed, now, all_generations=False)
                raise damaged(listed)
        elif record.subject == subject:
            failure = yield from self._restrict(record, now)
            if failure is not None:
                raise failure
        yield from self._publish_the_rest(now)

    def restrict_all(self, subject: object) -> Flow[None]:
        """Refuse the access tokens issued so far to every session of this subject."""
        subject = check_subject(subject)
        now = self._clock()
        found = yield from self._reader.read_all(subject, now)
        failure: StorageUnavailable | None = None
        for record in found.records:
            failure = (yield from self._restrict(record, now)) or failure
        for unread in found.damaged:
            if unread.record.subject == subject and unread.session_id is not None:
                yield from self._revoke_damaged(unread, now, all_generations=False)
        yield from self._publish_the_rest(now)
        if failure is not None:
            raise failure
        if found.damaged:
            raise damaged(*found.damaged)

    def _end(self, records: Sequence[SessionRecord], now: float) -> Flow[Ended]:
        """Revoke the access tokens of sessions, then delete these.

        Those that changed in between are revoked and deleted again.
        """
        ended: list[SessionRecord] = []
        failure: StorageUnavailable | None = None
        while records:
            revocations = [
                self._revocation_of(record, record.generation + 1, now) for record in records
            ]
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
                current = yield from self._look_again(record, now)
                if isinstance(current, StorageUnavailable):
                    failure = current
                elif current is not None:
                    remaining.append(current)
            records = remaining
        yield from self._publish_the_rest(now)
        return Ended(ended, failure)

    def _restrict(
        self, record: SessionRecord | None, now: float
    ) -> Flow[StorageUnavailable | None]:
        """Refuse the access tokens issued so far, and raise the generation for those to come.

        Return why the record could not be changed; None where it was, or where it has gone.
        """
        while record is not None:
            # A call that ended half way may have left more refused than the record tells.
            generation = max(record.generation + 1, self._lowest_generation(record.id) or 0)
            if generation > LARGEST_GENERATION:
                exhausted = DamagedRecord(record, "generation")
                yield from self._revoke_damaged(exhausted, now, all_generations=True)
                return damaged(exhausted)
            raised = self._seal.sealed(
                record._replace(version=record.version + 1, generation=generation)
            )
            if (yield from self._replace_restricted(record, raised, now)):
                return None
            current = yield from self._look_again(record, now)
            if isinstance(current, StorageUnavailable):
                return current
            record = current
        return None

    def _replace_restricted(
        self, record: SessionRecord, raised: SessionRecord, now: float
    ) -> Flow[bool]:
        """Replace a record by one of a higher generation, and refuse the generations before.

        Return False where somebody else has changed it meanwhile.
        """
        revocations = [self._revocation_of(record, raised.generation, now)]
        if self._publisher is not None:
            step = RevokeAndReplace(self._publisher, raised, now, revocations)
            return (yield from self._publishing(step, revocations, now))
        yield from self._publishing(Revoke(revocations, now), revocations, now)
        return (yield from Replace(raised, now))

    def _look_again(
        self, record: SessionRecord, now: float
    ) -> Flow[SessionRecord | StorageUnavailable | None]:
        """Return the record as somebody else has left it, after a swap that failed.

        Return an error where it cannot go on from there: others still may.
        """
        current = yield from self._reader.read(record.id, now)
        if current is None or not self._reader.is_own(current):
            return None
        if isinstance(current, DamagedRecord):
            return damaged(current)
        if current.version == record.version:
            return StorageUnavailable(
                "the session storage refused a change of a record that nobody else had changed"
            )
        return current

    def _check_change(self, record: SessionRecord, now: float) -> Flow[None]:
        """Check that a swap failed because somebody else was faster, and that one can go on."""
        current = yield from self._look_again(record, now)
        if isinstance(current, StorageUnavailable):
            raise current

    def _tell(
        self, event: SessionEvent, record: SessionRecord, make: Callable[[Session], Event]
    ) -> Flow[None]:
        if self._listeners.want(event):
            yield from Notify(make(record.to_session()))

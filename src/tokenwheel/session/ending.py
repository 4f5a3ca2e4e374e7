"""How sessions end before their time, and how their access tokens are refused, step by step.

The order is what keeps a crash harmless. A session is revoked before it is deleted, and restricted
in the revocation list before its generation is raised in the storage (``restricting.py``). A stop
between the two leaves tokens refused and a call that can be made again. Listeners hear of a thing
last.

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
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import StorageUnavailable
from ..events import (
    AllSessionsInvalidated,
    InvalidationReason,
    Listeners,
    SessionEvent,
    SessionInvalidated,
)
from ..models import Session, SessionRecord
from .arguments import check_kept, check_session_id, check_subject, is_refresh_token
from .options import Lifecycle
from .reading import DamagedRecord, damaged
from .refresh_tokens import RefreshToken, is_of_family, parse_refresh_token, session_id_of
from .restricting import RestrictingFlow
from .revoking import Flow
from .seal import Seal
from .steps import Delete, Notify, Publisher, Revoke, RevokeAndDelete

__all__ = ["Ended", "EndingFlow"]


class Ended(NamedTuple):
    """What has become of sessions that were to end."""

    records: list[SessionRecord]
    """Those that were deleted here, and not by somebody else meanwhile."""
    failure: StorageUnavailable | None
    """Why one of them could not be ended."""


class EndingFlow(RestrictingFlow):
    """The steps of the methods that end sessions. They need no key.

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
            seal,
            publisher,
            lowest_generation,
            storage_is_checked=storage_is_checked,
            keeps_access_lifetime=keeps_access_lifetime,
        )
        self._listeners = listeners

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
                yield from self._refuse_unread(checked_id, now)
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
            yield from self._tell_ended(record, "deleted")
        return bool(lived)

    def end(self, refresh_token: object) -> Flow[Session | None]:
        """End the session to which a refresh token was issued. Return it, or None for no such."""
        presented = parse_refresh_token(refresh_token)
        del refresh_token  # No error that is raised from here on shows it.
        if presented is None:
            return None
        now = self._clock()
        try:
            record = yield from self._reader.read(presented.session_id, now)
        except StorageUnavailable:
            yield from self._refuse_unread(presented.session_id, now)
            raise
        if record is None or not self._reader.is_own(record):
            return None
        if isinstance(record, DamagedRecord):
            yield from self._end_presented_damaged(presented, record, now)
            return None
        if not is_of_family(presented, record) or record.ends_at <= now:
            return None
        ended = yield from self._end([record], now)
        if ended.failure is not None:
            raise ended.failure
        if not ended.records:
            return None  # Another call was faster.
        (last,) = ended.records
        yield from self._tell_ended(last, "deleted")
        return last.to_session()

    def delete_all(self, subject: object, keep: object = None) -> Flow[int]:
        """End every session of this subject but ``keep``. Return how many of them lived."""
        try:
            kept_id = check_kept(keep)
        finally:
            del keep  # It may be a refresh token.
        subject = check_subject(subject)
        now = self._clock()
        listed = yield from self._reader.read_all(subject, now)
        found = listed.without(kept_id, subject)
        ended = yield from self._end(found.records, now)
        lived = [record for record in ended.records if record.ends_at > now]
        left = yield from self._end_each_damaged(found.damaged, subject, now)
        if self._listeners.want(SessionEvent.ALL_SESSIONS_INVALIDATED):
            sessions = tuple(record.to_session() for record in lived)
            kept = kept_id if listed.has(kept_id, subject, now) else None
            yield from Notify(AllSessionsInvalidated(subject, sessions, kept))
        if ended.failure is not None:
            raise ended.failure
        if left:
            raise damaged(*left)
        return len(lived) + len(found.damaged)

    def _end_presented_damaged(
        self, presented: RefreshToken, found: DamagedRecord, now: float
    ) -> Flow[None]:
        """End a session whose record is damaged, where its family secret still tells that it is.

        Raises:
            StorageUnavailable: the record is damaged. The session has been ended, unless nobody can
                tell whether the refresh token was issued to it. A mere guess raises nothing.
        """
        family_hash = found.record.family_hash
        if isinstance(family_hash, bytes) and len(family_hash) == len(presented.family_hash):
            if not is_of_family(presented, found.record):
                return
            yield from self._end_damaged(found, now)
        raise damaged(found)

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

    def _tell_ended(self, record: SessionRecord, reason: InvalidationReason) -> Flow[None]:
        if self._listeners.want(SessionEvent.SESSION_INVALIDATED):
            yield from Notify(SessionInvalidated(record.to_session(), reason))

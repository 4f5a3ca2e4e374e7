"""How sessions end before their time, and how their access tokens are refused, step by step.

The order is what keeps a crash harmless. A session is revoked before it is deleted, and restricted
in the revocation list before its generation is raised in the storage. A stop between the two leaves
tokens refused and a call that can be made again. Listeners hear of a thing last.

All changes are compare-and-swap on the record's version. Where another node was faster, the record
is read again and the decision taken anew. Each round means that somebody else got further, so the
rounds come to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from math import floor
from typing import Any, TypeVar

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
from .arguments import check_identity, check_session_id, check_subject
from .options import Lifecycle
from .steps import (
    Delete,
    Notify,
    Publisher,
    Read,
    ReadAll,
    Replace,
    Revoke,
    RevokeAndDelete,
    RevokeAndReplace,
    Step,
)

__all__ = ["EndingFlow", "Flow"]

T = TypeVar("T")
Flow = Generator[Step[Any], Any, T]


class EndingFlow:
    """The steps of the methods that end or restrict sessions. They need no key.

    Args:
        lifecycle: the manager's options for the life of a session.
        listeners: who is told of events.
        clock: returns Unix seconds.
        publisher: the storage and the feed, where the one publishes to the other. To revoke and to
            change the storage is then one step instead of two.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        listeners: Listeners,
        clock: Callable[[], float],
        publisher: Publisher | None,
    ) -> None:
        self._options = lifecycle
        self._listeners = listeners
        self._clock = clock
        self._publisher = publisher
        self._longest_session = max(lifecycle.refresh_ttl, lifecycle.access_ttl)

    def delete_one(self, subject: object, session_id: object) -> Flow[bool]:
        """End a session of this subject. Return True where it lived."""
        subject = check_subject(subject)
        checked_id = check_session_id(session_id)
        now = self._clock()
        record = yield from Read(checked_id, now)
        if record is None:
            yield from self._revoke_unknown(checked_id, now)
            return False
        if record.subject != subject:
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
        records = yield from ReadAll(subject, now)
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
        record = yield from Read(session_id, now)
        if record is None:
            yield from self._revoke_unknown(session_id, now)
        elif record.subject == subject:
            yield from self._restrict(record, now)

    def restrict_all(self, subject: object) -> Flow[None]:
        """Refuse the access tokens issued so far to every session of this subject."""
        now = self._clock()
        records = yield from ReadAll(check_subject(subject), now)
        for record in records:
            yield from self._restrict(record, now)

    def _end(self, records: Sequence[SessionRecord], now: float) -> Flow[list[SessionRecord]]:
        """Revoke the access tokens of sessions, then delete these.

        Those that changed in between are revoked and deleted again.

        Return the records that were deleted here, and not by somebody else meanwhile.
        """
        ended: list[SessionRecord] = []
        while records:
            revocations = [
                Revocation(record.id, self._covered_until(record), None) for record in records
            ]
            if self._publisher is not None:
                ids = yield from RevokeAndDelete(self._publisher, records, now, revocations)
            else:
                yield from Revoke(revocations, now)
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
        return ended

    def _restrict(self, record: SessionRecord | None, now: float) -> Flow[None]:
        """Refuse the access tokens issued so far, and raise the generation for those to come."""
        while record is not None:
            raised = record._replace(version=record.version + 1, generation=record.generation + 1)
            revocations = [Revocation(record.id, self._covered_until(record), raised.generation)]
            if self._publisher is not None:
                replaced = yield from RevokeAndReplace(self._publisher, raised, now, revocations)
            else:
                yield from Revoke(revocations, now)
                replaced = yield from Replace(raised, now)
            if replaced:
                return
            record = yield from self._read_again(record, now)

    def _covered_until(self, record: SessionRecord) -> float:
        return record.access_expires_at + self._options.revocation_margin

    def _revoke_unknown(self, session_id: str, now: float) -> Flow[None]:
        """Revoke a session that the storage has lost, for as long as a token of it could live."""
        until = floor(now) + self._longest_session + self._options.revocation_margin
        yield from Revoke([Revocation(session_id, until, None)], now)

    def _read_again(self, record: SessionRecord, now: float) -> Flow[SessionRecord | None]:
        """Return the record as somebody else has left it, after a swap that failed."""
        current = yield from Read(record.id, now)
        if current is not None and current.version == record.version:
            raise StorageUnavailable(
                "the session storage refused a change of a record that nobody else had changed"
            )
        return current

    def _tell(
        self, event: SessionEvent, record: SessionRecord, make: Callable[[Session], Event]
    ) -> Flow[None]:
        if self._listeners.want(event):
            yield from Notify(make(record.to_session()))

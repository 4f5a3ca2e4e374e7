"""The life of a session, as generators: what to do, in which order, with no I/O of its own.

A flow yields steps (``steps.py``) and is sent their answers. A driver (``driver.py``) has them
carried out, blocking or awaiting; the error of a step that failed is thrown back in. So the order
of things is written once, and is tested without a storage or an event loop.

A token is signed before the storage is told of it, and handed out only after. Listeners hear of a
thing last. How a session is refreshed is told in ``refreshing.py``, and how it ends before its time
in ``ending.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor

from .._impl import digest
from ..errors import StorageUnavailable, TooManySessions
from ..events import Listeners, SessionCreated, SessionEvent
from ..jwt import AccessTokens
from ..models import Session, SessionTokens, new_record, new_tokens
from .arguments import check_claims, check_context, check_lifetime, check_subject
from .options import Lifecycle
from .reading import damaged
from .refresh_tokens import new_refresh_token
from .refreshing import RefreshingFlow
from .revoking import Flow
from .seal import Seal
from .steps import Delete, Insert, Notify, Publisher

__all__ = ["SessionFlow"]

_ROOM_IN_VAIN = 100  # times in a row: more than logins elsewhere take the room that there was


class SessionFlow(RefreshingFlow):
    """The steps of each method of the managers.

    Args:
        lifecycle: the manager's options for the life of a session.
        tokens: issues the access tokens.
        listeners: who is told of events.
        clock: returns Unix seconds.
        takes_async: what the application gives to be called may be awaitable.
        compares_devices: the refresh hook compares devices and does nothing else, as the default
            one does.
        seal: seals what is stored, and tells which records are the service's own.
        session_id_prefix: gives the bytes with which the ids of a subject's sessions begin, where
            the storage has a say in that.
        publisher: the storage and the feed, where the one publishes to the other. To revoke and to
            change the storage is then one step instead of two.
        storage_is_checked: the storage itself tells which of its records are damaged.
        keeps_access_lifetime: the storage keeps how long access tokens live at most.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        tokens: AccessTokens,
        listeners: Listeners,
        clock: Callable[[], float],
        *,
        seal: Seal,
        takes_async: bool = False,
        compares_devices: bool = False,
        session_id_prefix: Callable[[str], bytes] | None = None,
        publisher: Publisher | None = None,
        storage_is_checked: bool = False,
        keeps_access_lifetime: bool = False,
    ) -> None:
        super().__init__(
            lifecycle,
            listeners,
            clock,
            seal,
            publisher,
            tokens.lowest_generation,
            storage_is_checked=storage_is_checked,
            keeps_access_lifetime=keeps_access_lifetime,
        )
        self._tokens = tokens
        self._takes_async = takes_async
        self._compares_devices = compares_devices
        self._session_id_prefix = session_id_prefix

    def create(
        self,
        claims: object,
        subject: object,
        context: object,
        access_ttl: object,
        refresh_ttl: object,
    ) -> Flow[SessionTokens]:
        """Open a session. Return its tokens."""
        options = self._options
        self._tokens.check_signing()
        subject = check_subject(subject)
        checked_claims = check_claims(claims)
        access_seconds = check_lifetime("access_ttl", access_ttl, options.access_ttl)
        session_seconds = check_lifetime("refresh_ttl", refresh_ttl, options.refresh_ttl)
        origin = check_context(context)
        now = self._clock()
        prefix = b"" if self._session_id_prefix is None else self._session_id_prefix(subject)
        refresh_token = new_refresh_token(options.secret_length, prefix)
        session_id = refresh_token.session_id
        issued_at = floor(now)
        expires_at = floor(now + session_seconds)
        ends_at = expires_at
        if options.idle_ttl is not None:
            ends_at = min(expires_at, floor(now + options.idle_ttl))
        access_expires_at = min(issued_at + access_seconds, ends_at)
        record = new_record(
            1,  # version
            session_id,
            subject,
            self._seal.issuer,
            now,  # created_at
            expires_at,
            ends_at,
            now,  # last_used_at
            0,  # generation
            access_expires_at,
            refresh_token.family_hash,
            digest(refresh_token.secret),  # secret_hash
            None,  # previous_hash
            None,  # salt
            None,  # rotated_at
            origin,  # context
            None,  # mac
        )
        record = self._seal.sealed(record)
        if access_seconds > self._kept_access:
            yield from self._keep_access_lifetime(access_seconds)
        refresh_token.issued = new_tokens(
            self._tokens.issue(
                subject, session_id, checked_claims, 0, issued_at, access_expires_at
            ),
            refresh_token.to_text(),
            session_id,
            access_expires_at,
            ends_at,
        )
        if refresh_ttl is not None:
            self._longest_session.note(session_seconds)
        if access_ttl is not None:
            self._longest_access.note(access_seconds)
        in_vain = 0
        while not (yield from Insert(record, options.max_sessions, now)):
            in_vain = 0 if (yield from self._make_room(subject, now)) else in_vain + 1
            if in_vain == _ROOM_IN_VAIN:
                raise StorageUnavailable(
                    "the session storage refused a session of a subject that has fewer than "
                    "max_sessions of this issuer"
                )
        if self._listeners.want(SessionEvent.SESSION_CREATED):
            yield from Notify(SessionCreated(record.to_session()))
        return refresh_token.issued

    def read_all(self, subject: object) -> Flow[dict[str, Session]]:
        """Return the active sessions of a subject by session id.

        Where a record is damaged, raise: a list without it would pass for a complete one.
        """
        now = self._clock()
        found = yield from self._reader.read_all(check_subject(subject), now)
        if found.damaged:
            raise damaged(*found.damaged)
        return {record.id: record.to_session() for record in found.records if record.ends_at > now}

    def _make_room(self, subject: str, now: float) -> Flow[bool]:
        """Make room for one more session. Return False where there was some already.

        What nobody can refresh goes first: records that are not believed, and damaged ones. Then
        the oldest session is ended, if that is wanted.

        Raises:
            TooManySessions: all of them live, and none is to be ended.
        """
        most = self._options.max_sessions or 0
        too_many = TooManySessions(
            f"the subject already has the {most} sessions that max_sessions allows"
        )
        evicts = self._options.when_full == "evict_oldest"
        if not evicts and not self._seal.has_key:
            raise too_many
        found = yield from self._reader.read_all(subject, now)
        if found.broken:
            yield from Delete(found.broken, now)
            return True
        live = [record for record in found.records if record.ends_at > now]
        if not evicts:
            if len(live) + len(found.damaged) >= most:
                raise too_many
            return False
        live.sort(key=lambda record: (record.created_at, record.id))
        left = yield from self._end_each_damaged(found.damaged, subject, now)
        kept = [record for record in left if record.record.subject == subject]
        surplus = len(live) + len(kept) - most + 1
        if surplus > len(live):  # What cannot be ended keeps every other session out.
            raise damaged(*kept)
        if surplus <= 0:
            return len(found.damaged) > len(left)
        evicted, failure = yield from self._end(live[:surplus], now)
        for record in evicted:
            yield from self._tell_ended(record, "evicted")
        if failure is not None:
            raise failure
        return True

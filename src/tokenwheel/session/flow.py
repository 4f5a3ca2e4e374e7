"""The life of a session, as generators: what to do, in which order, with no I/O of its own.

A flow yields steps, each the name of an operation and its arguments, and is sent the answer. A driver (``manager.py``) carries
the steps out, blocking or awaiting; an operation that fails is thrown back in. So the order of things is written once, and can
be tested without a storage or an event loop.

The order is what keeps a crash harmless. A session is revoked before it is deleted, and restricted in the revocation
list before its generation is raised in the storage: stopping between the two leaves tokens refused and a call that can be made again. A
token is signed before the storage is told of it, and handed out only after. Listeners hear of a thing last.

All changes are compare-and-swap on the record's version. Where another node was faster, the record is read again and the
decision taken anew; each round means that somebody else got further, so no round is lost for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from hmac import compare_digest
from math import floor
from typing import Any, Final, Literal, TypeVar

from .._impl import digest
from ..errors import (
    ContextMismatch,
    RefreshTokenReused,
    SessionNotFound,
    StorageUnavailable,
    TokenwheelError,
    TooManySessions,
)
from ..events import (
    AllSessionsInvalidated,
    Event,
    Listeners,
    RefreshTokenReuse,
    SessionCreated,
    SessionEvent,
    SessionInvalidated,
    SessionRefreshed,
)
from ..jwt import AccessTokens
from ..models import Session, SessionRecord, SessionTokens
from ..revocation.protocol import Revocation
from .arguments import (
    check_claims,
    check_context,
    check_identity,
    check_lifetime,
    check_session_id,
    check_subject,
)
from .options import Lifecycle
from .refresh_tokens import (
    RefreshToken,
    new_refresh_token,
    new_salt,
    parse_refresh_token,
    successor,
)

__all__ = [
    "DELETE",
    "END",
    "HOOK",
    "INSERT",
    "NOTIFY",
    "READ",
    "READ_ALL",
    "REPLACE",
    "RESTRICT",
    "REVOKE",
    "Flow",
    "SessionFlow",
    "Step",
    "failure",
]

INSERT: Final = "insert"
READ: Final = "read"
READ_ALL: Final = "read_all"
REPLACE: Final = "replace"
DELETE: Final = "delete"
REVOKE: Final = "revoke"
END: Final = "end"
RESTRICT: Final = "restrict"
HOOK: Final = "hook"
NOTIFY: Final = "notify"

T = TypeVar("T")
Step = tuple[str, tuple[Any, ...]]
Flow = Generator[Step, Any, T]

_NOT_FOUND = "no session is open under this refresh token"


def failure(operation: str, error: Exception) -> Exception:
    """What an operation's error means to the caller of the manager; the error itself becomes its cause."""
    if isinstance(error, TokenwheelError):
        return error
    meaning: Exception
    if operation == HOOK:
        meaning = ContextMismatch("the refresh hook refused the context this refresh comes from")
    elif operation == REVOKE:
        meaning = StorageUnavailable(
            "the revocation feed could not be reached or answered an error; the call can be made again"
        )
    else:
        meaning = StorageUnavailable(
            "the session storage could not be reached or answered an error; the call can be made again"
        )
    meaning.__cause__ = error
    return meaning


class SessionFlow:
    """One method a method of the managers. ``now`` is the manager's clock, in Unix seconds.

    Args:
        compares_devices: the refresh hook does that and nothing else, as the default one does.
        id_prefix: with which bytes the id of a subject's new session begins, where the storage wants to have a say in that.
        at_once: to revoke and to change the storage is one step, END or RESTRICT, instead of two.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        tokens: AccessTokens,
        listeners: Listeners,
        clock: Callable[[], float],
        *,
        compares_devices: bool = False,
        id_prefix: Callable[[str], bytes] | None = None,
        at_once: bool = False,
    ) -> None:
        self._options = lifecycle
        self._compares_devices = compares_devices
        self._id_prefix = id_prefix
        self._at_once = at_once
        self._tokens = tokens
        self._listeners = listeners
        self._clock = clock
        self._longest_session = max(lifecycle.refresh_ttl, lifecycle.access_ttl)

    def create(
        self,
        claims: object,
        subject: object,
        context: object,
        access_ttl: object,
        refresh_ttl: object,
    ) -> Flow[SessionTokens]:
        options = self._options
        self._tokens.check_signing()
        subject = check_subject(subject)
        checked_claims = check_claims(claims)
        access_seconds = check_lifetime("access_ttl", access_ttl, options.access_ttl)
        session_seconds = check_lifetime("refresh_ttl", refresh_ttl, options.refresh_ttl)
        origin = check_context(context)
        now = self._clock()
        expires_at = floor(now + session_seconds)
        ends_at = self._end_of(expires_at, now)
        refresh_token = new_refresh_token(
            options.secret_length, b"" if self._id_prefix is None else self._id_prefix(subject)
        )
        access_expires_at = min(floor(now) + access_seconds, ends_at)
        record = SessionRecord(
            1,
            refresh_token.session_id,
            subject,
            now,
            expires_at,
            ends_at,
            now,
            0,
            access_expires_at,
            digest(refresh_token.family),
            digest(refresh_token.secret),
            None,
            None,
            None,
            origin,
        )
        answer = self._tokens_for(
            record, refresh_token.to_text(), access_expires_at, now, checked_claims
        )
        self._longest_session = max(self._longest_session, session_seconds)
        while not (yield INSERT, (record, options.max_sessions, now)):
            if options.when_full == "reject":
                raise TooManySessions(
                    f"the subject already has the {options.max_sessions} sessions that max_sessions allows"
                )
            yield from self._evict_oldest(subject, now)
        if self._listeners.want(SessionEvent.SESSION_CREATED):
            yield NOTIFY, (SessionCreated(record.to_session()),)
        return answer

    def read_all(self, subject: object) -> Flow[dict[str, Session]]:
        now = self._clock()
        records: Iterable[SessionRecord] = yield READ_ALL, (check_subject(subject), now)
        return {record.id: record.to_session() for record in records if record.ends_at > now}

    def update(
        self,
        refresh_token: object,
        claims: object,
        subject: object,
        context: object,
        access_ttl: object,
    ) -> Flow[SessionTokens]:
        options = self._options
        self._tokens.check_signing()
        wanted_subject = None if subject is None else check_subject(subject)
        checked_claims = check_claims(claims)
        access_seconds = check_lifetime("access_ttl", access_ttl, options.access_ttl)
        origin = check_context(context)
        presented = parse_refresh_token(refresh_token)
        if presented is None:
            raise SessionNotFound(_NOT_FOUND)
        while True:
            now = self._clock()
            record: SessionRecord | None = yield READ, (presented.session_id, now)
            if record is None or not _opens(presented, record, wanted_subject, now):
                raise SessionNotFound(_NOT_FOUND)
            standing = self._standing(presented, record, now)
            if standing == "reused":
                yield from self._take_down(record, now)
            if (
                record.context.device is not None or not self._compares_devices
            ):  # Else there is nothing to compare.
                yield HOOK, (record.to_session(), origin)
            ends_at = max(self._end_of(record.expires_at, now), record.ends_at)
            access_expires_at = min(floor(now) + access_seconds, ends_at)
            following, secret_hash, previous_hash, salt, rotated_at = self._rotate(
                presented, record, standing, now
            )
            changed = SessionRecord(
                record.version + 1,
                record.id,
                record.subject,
                record.created_at,
                record.expires_at,
                ends_at,
                max(now, record.last_used_at),
                record.generation,
                max(access_expires_at, record.access_expires_at),
                record.family_hash,
                secret_hash,
                previous_hash,
                salt,
                rotated_at,
                record.context,
            )
            answer = self._tokens_for(changed, following, access_expires_at, now, checked_claims)
            if (yield REPLACE, (changed, now)):
                if self._listeners.want(SessionEvent.SESSION_REFRESHED):
                    yield NOTIFY, (SessionRefreshed(changed.to_session()),)
                return answer
            yield from self._read_again(record, now)

    def delete_one(self, subject: object, session_id: object) -> Flow[bool]:
        subject = check_subject(subject)
        wanted = check_session_id(session_id)
        now = self._clock()
        record: SessionRecord | None = yield READ, (wanted, now)
        if record is None:
            yield from self._revoke_unknown(wanted, now)
            return False
        if record.subject != subject:
            return False
        ended = yield from self._end([record], now)
        lived = [one for one in ended if one.ends_at > now]
        for one in lived:
            yield from self._tell(SessionEvent.SESSION_INVALIDATED, one, SessionInvalidated)
        return bool(lived)

    def delete_all(self, subject: object) -> Flow[int]:
        subject = check_subject(subject)
        now = self._clock()
        records: Sequence[SessionRecord] = yield READ_ALL, (subject, now)
        ended = yield from self._end(records, now)
        lived = [record for record in ended if record.ends_at > now]
        if self._listeners.want(SessionEvent.ALL_SESSIONS_INVALIDATED):
            yield (
                NOTIFY,
                (AllSessionsInvalidated(subject, tuple(record.to_session() for record in lived)),),
            )
        return len(lived)

    def restrict_one(self, claims: object) -> Flow[None]:
        subject, session_id = check_identity(claims)
        now = self._clock()
        record: SessionRecord | None = yield READ, (session_id, now)
        if record is None:
            yield from self._revoke_unknown(session_id, now)
        elif record.subject == subject:
            yield from self._restrict(record, now)

    def restrict_all(self, subject: object) -> Flow[None]:
        now = self._clock()
        records: Iterable[SessionRecord] = yield READ_ALL, (check_subject(subject), now)
        for record in records:
            yield from self._restrict(record, now)

    # What the methods above are made of.

    def _end_of(self, expires_at: int, now: float) -> int:
        """When a session used at ``now`` ends, if it isn't used again."""
        idle = self._options.idle_ttl
        return expires_at if idle is None else min(expires_at, floor(now + idle))

    def _tokens_for(
        self,
        record: SessionRecord,
        refresh_token: str,
        access_expires_at: int,
        now: float,
        claims: Mapping[str, Any],
    ) -> SessionTokens:
        access_token = self._tokens.issue(
            record.subject, record.id, record.generation, floor(now), access_expires_at, claims
        )
        return SessionTokens(
            access_token, refresh_token, record.id, access_expires_at, record.ends_at
        )

    def _standing(
        self, presented: RefreshToken, record: SessionRecord, now: float
    ) -> Literal["current", "retried", "reused"]:
        """What a refresh token of the right family is: the current one, the one before it within its grace, or one long replaced."""
        hashed = digest(presented.secret)
        if compare_digest(hashed, record.secret_hash):
            return "current"
        if (
            record.previous_hash is not None
            and record.rotated_at is not None
            and compare_digest(hashed, record.previous_hash)
            and max(now - record.rotated_at, 0) < self._options.reuse_grace
        ):
            return "retried"
        return "reused"

    def _rotate(
        self, presented: RefreshToken, record: SessionRecord, standing: str, now: float
    ) -> tuple[str, bytes, bytes | None, bytes | None, float | None]:
        """The refresh token to hand out, and what the record has to know of it: the four fields of rotation, in their order."""
        as_it_is = record.secret_hash, record.previous_hash, record.salt, record.rotated_at
        if standing == "retried" and record.salt is not None:
            return presented.followed_by(successor(presented.secret, record.salt)), *as_it_is
        if not self._options.rotate:
            return presented.to_text(), *as_it_is
        salt = new_salt()
        following = successor(presented.secret, salt)
        return presented.followed_by(following), digest(following), record.secret_hash, salt, now

    def _take_down(self, record: SessionRecord, now: float) -> Flow[None]:
        """A replaced refresh token came back: the thief or the owner holds another one, and nobody can tell which. Both lose."""
        for one in (yield from self._end([record], now)):
            yield from self._tell(SessionEvent.SESSION_INVALIDATED, one, SessionInvalidated)
            yield from self._tell(SessionEvent.REFRESH_TOKEN_REUSED, one, RefreshTokenReuse)
        raise RefreshTokenReused(
            "a refresh token was used again after its successor had been handed out, so its session was ended"
        )

    def _evict_oldest(self, subject: str, now: float) -> Flow[None]:
        records: Iterable[SessionRecord] = yield READ_ALL, (subject, now)
        live = sorted(
            (record for record in records if record.ends_at > now),
            key=lambda record: (record.created_at, record.id),
        )
        surplus = len(live) - (self._options.max_sessions or 0) + 1
        if surplus > 0:
            for record in (yield from self._end(live[:surplus], now)):
                yield from self._tell(SessionEvent.SESSION_INVALIDATED, record, SessionInvalidated)

    def _end(self, records: Sequence[SessionRecord], now: float) -> Flow[list[SessionRecord]]:
        """Revokes the access tokens of sessions, then deletes them; again for those that changed in between. Those it deleted."""
        ended: list[SessionRecord] = []
        while records:
            revocations = [
                Revocation(record.id, self._covered_until(record), None) for record in records
            ]
            if self._at_once:
                deleted = frozenset((yield END, (records, now, revocations)))
            else:
                yield REVOKE, (revocations, now)
                deleted = frozenset((yield DELETE, (records, now)))
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
        """Refuses the access tokens issued so far, and raises the generation for those to come."""
        while record is not None:
            raised = record._replace(version=record.version + 1, generation=record.generation + 1)
            revocations = [Revocation(record.id, self._covered_until(record), raised.generation)]
            if self._at_once:
                is_replaced = yield RESTRICT, (raised, now, revocations)
            else:
                yield REVOKE, (revocations, now)
                is_replaced = yield REPLACE, (raised, now)
            if is_replaced:
                return
            record = yield from self._read_again(record, now)

    def _covered_until(self, record: SessionRecord) -> float:
        return record.access_expires_at + self._options.revocation_margin

    def _revoke_unknown(self, session_id: str, now: float) -> Flow[None]:
        """For a session the storage has lost: nobody knows how long its tokens live, so as long as any could."""
        until = floor(now) + self._longest_session + self._options.revocation_margin
        yield REVOKE, ([Revocation(session_id, until, None)], now)

    def _read_again(self, record: SessionRecord, now: float) -> Flow[SessionRecord | None]:
        """The record as somebody else has left it, after a swap that failed."""
        current: SessionRecord | None = yield READ, (record.id, now)
        if current is not None and current.version == record.version:
            raise StorageUnavailable(
                "the session storage refused a change of a record that nobody else had changed"
            )
        return current

    def _tell(
        self, event: SessionEvent, record: SessionRecord, make: Callable[[Session], Event]
    ) -> Flow[None]:
        if self._listeners.want(event):
            yield NOTIFY, (make(record.to_session()),)


def _opens(presented: RefreshToken, record: SessionRecord, subject: str | None, now: float) -> bool:
    """Whether the presented token is of this session's family, and the session is open to whoever presents it."""
    is_family = compare_digest(digest(presented.family), record.family_hash)
    return is_family and record.ends_at > now and (subject is None or record.subject == subject)

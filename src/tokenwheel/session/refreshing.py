"""How a session is refreshed, step by step.

The refresh token is judged first, then the refresh hook is asked, then the application for its
claims, where it would rather be asked than say. Nothing is signed or changed before. A refresh
token that comes back too late ends its session instead (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

from ..errors import RefreshTokenReused, SessionNotFound
from ..events import RefreshTokenReuse, SessionEvent, SessionRefreshed
from ..jwt import AccessTokens
from ..models import SessionContext, SessionRecord, SessionTokens, new_record, new_tokens
from .arguments import (
    ClaimsCallable,
    check_claims,
    check_claims_callable,
    check_context,
    check_lifetime,
    check_subject,
)
from .ending import EndingFlow
from .reading import DamagedRecords
from .refresh_tokens import (
    RefreshToken,
    Standing,
    is_of_family,
    parse_refresh_token,
    rotate,
    standing_of,
)
from .revoking import Flow
from .steps import AskClaims, AskHook, Notify, Read, Replace

__all__ = ["RefreshingFlow"]

_NOT_FOUND = "no session is open under this refresh token"


class RefreshingFlow(EndingFlow):
    """The steps of ``update``."""

    _tokens: AccessTokens
    _compares_devices: bool
    _takes_async: bool

    def update(
        self,
        refresh_token: object,
        claims: object,
        subject: object,
        context: object,
        access_ttl: object,
    ) -> Flow[SessionTokens]:
        """Refresh a session. Return its new tokens."""
        presented = parse_refresh_token(refresh_token)
        del refresh_token  # No error that is raised from here on shows it.
        required_subject, payload, ask, access_seconds, origin = self._check_update(
            claims, subject, context, access_ttl
        )
        options = self._options
        idle_ttl = options.idle_ttl
        asked_under = -1  # the generation under which the claims were asked for
        if presented is None:
            raise SessionNotFound(_NOT_FOUND)
        now = arrived_at = self._clock()
        while True:
            record = yield from self._read_opened(presented, required_subject, now)
            if record.last_used_at > now:
                self._tokens.verifier.clocks_apart.see(record.last_used_at, now)
            # Whoever came in time has done so, however long hook and callable have taken since.
            standing = standing_of(presented, record, arrived_at, options.reuse_grace)
            if standing == "reused":
                yield from self._take_down(record, now)
            # It is looked at before the callable is asked: a restriction that comes after refuses
            # what the callable may have known before.
            generation = self._next_generation(record)
            # A hook that only compares devices has nothing to compare where the login named none.
            asks_hook = record.context.device is not None or not self._compares_devices
            if asks_hook:
                yield from AskHook(record.to_session(), origin)
            if ask is not None and asked_under != generation:
                payload = check_claims((yield from AskClaims(ask, record.to_session())))
                asked_under = generation
            if asks_hook or ask is not None:  # They may have taken their time.
                now = self._clock()
                if record.ends_at <= now:
                    raise SessionNotFound(_NOT_FOUND)
            issued_at = floor(now)
            ends_at = record.expires_at
            if idle_ttl is not None:  # A node whose clock is behind takes away nothing.
                ends_at = max(record.ends_at, min(ends_at, floor(now + idle_ttl)))
            access_expires_at = min(issued_at + access_seconds, ends_at)
            changed = self._refreshed(
                presented, record, standing, now, generation, ends_at, access_expires_at
            )
            if changed is None:
                raise SessionNotFound(_NOT_FOUND)
            if access_seconds > self._kept_access:
                yield from self._keep_access_lifetime(access_seconds)
            presented.issued = new_tokens(
                self._tokens.issue(
                    record.subject,
                    record.id,
                    payload,
                    generation,
                    issued_at,
                    access_expires_at,
                    # A node whose clock is behind puts no login after the token.
                    min(floor(record.created_at), issued_at),
                ),
                presented.following,
                record.id,
                access_expires_at,
                ends_at,
            )
            if generation == record.generation:
                replaced = yield from Replace(changed, now)
            else:  # A call that ended half way refuses what the record lets through.
                replaced = yield from self._replace_restricted(record, changed, now)
            if replaced:
                if self._listeners.want(SessionEvent.SESSION_REFRESHED):
                    retried = standing == "retried"
                    yield from Notify(SessionRefreshed(changed.to_session(), retried))
                return presented.issued
            yield from self._check_change(record, now)
            now = self._clock()

    def _check_update(
        self,
        claims: object,
        subject: object,
        context: object,
        access_ttl: object,
    ) -> tuple[str | None, Mapping[str, Any], ClaimsCallable | None, int, SessionContext]:
        """Return the arguments of ``update``, checked and taken apart.

        The claims are given, or there is a callable that is to be asked for them.
        """
        self._tokens.check_signing()
        required_subject = None if subject is None else check_subject(subject)
        ask = None
        if type(claims) is not dict:
            ask = check_claims_callable(claims, takes_async=self._takes_async)
        given = check_claims(claims if ask is None else None)
        access_seconds = self._options.access_ttl
        if access_ttl is not None:
            access_seconds = check_lifetime("access_ttl", access_ttl, access_seconds)
            self._longest_access.note(access_seconds)
        return required_subject, given, ask, access_seconds, check_context(context)

    def _read_opened(
        self, presented: RefreshToken, subject: str | None, now: float
    ) -> Flow[SessionRecord]:
        """Return the record of a session that isn't over, to which a refresh token was issued.

        Raises:
            SessionNotFound: there is none, or it is another subject's.
            StorageUnavailable: the record is damaged.
        """
        try:
            record = yield from Read(presented.session_id, now)
        except DamagedRecords as error:
            if not self._seal.is_own(error.damaged[0].record):
                raise SessionNotFound(_NOT_FOUND) from None
            raise
        if record is None or not self._seal.is_own(record):
            raise SessionNotFound(_NOT_FOUND)
        self._reader.check(record, presented.session_id)
        if not is_of_family(presented, record) or record.ends_at <= now:
            raise SessionNotFound(_NOT_FOUND)
        if subject is not None and record.subject != subject:
            raise SessionNotFound(_NOT_FOUND)
        return record

    def _next_generation(self, record: SessionRecord) -> int:
        """Return the generation of the next access token, the lowest one that is not refused.

        Raises:
            SessionNotFound: all are. The session was ended while the storage did not know it.
        """
        lowest = self._lowest_generation(record.id)
        if lowest is None:
            raise SessionNotFound(_NOT_FOUND)
        generation = record.generation
        if generation < lowest:  # noqa: PLR1730 (max() takes longer)
            generation = lowest
        return generation

    def _refreshed(
        self,
        presented: RefreshToken,
        record: SessionRecord,
        standing: Standing,
        now: float,
        generation: int,
        ends_at: int,
        access_expires_at: int,
    ) -> SessionRecord | None:
        """Return the record to store, or None where there is none.

        The refresh token to hand out is then in ``following`` of the presented one.

        Args:
            presented: the refresh token; it is the current one, or is retried.
            record: the session.
            standing: what :func:`standing_of` says.
            now: Unix seconds.
            generation: the generation of the access token that is to be issued.
            ends_at: when the session ends as it stands now.
            access_expires_at: when that access token expires.
        """
        rotated = rotate(presented, record, standing, now, self._seal, self._options.rotate)
        if rotated is None:
            return None
        secret_hash, previous_hash, salt, rotated_at = rotated
        changed = new_record(
            record.version + 1,
            record.id,
            record.subject,
            self._seal.issuer,
            record.created_at,
            record.expires_at,
            ends_at,
            max(now, record.last_used_at),
            generation,
            max(access_expires_at, record.access_expires_at),
            presented.family_hash,
            secret_hash,
            previous_hash,
            salt,
            rotated_at,
            record.context,
            record.mac,
        )
        return self._seal.sealed(changed)

    def _take_down(self, record: SessionRecord, now: float) -> Flow[None]:
        """End a session of which a replaced refresh token came back.

        The thief or the owner holds another one, and nobody can tell which. Both lose.
        """
        records, failure = yield from self._end([record], now)
        if failure is not None:
            raise failure
        for ended in records:
            yield from self._tell_ended(ended, "reused")
            if self._listeners.want(SessionEvent.REFRESH_TOKEN_REUSED):
                yield from Notify(RefreshTokenReuse(ended.to_session()))
        raise RefreshTokenReused(
            "a refresh token was used again after its successor had been handed out, "
            "so its session was ended"
        )

"""What an operator does to the sessions of services that go on running.

It takes a storage and a feed, through which every process hears of an end, and none of a service's
keys. Records that are sealed under a ``storage_key`` are ended as well: a refresh token is told by
the hash of its family secret. Several services may share a storage. What is asked for a subject is
done for each of them, or for the one that is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..exact import is_instance
from ..keys import Key, KeySet
from ..models import Session, SessionRecord
from ..revocation import RevocationList
from ..seconds import wall_time
from ..storage.damaged import DamagedRecords
from .arguments import check_session_id, check_subject
from .manager import AsyncSessionManager, SessionManager
from .refresh_tokens import SESSION_ID_LENGTH

__all__ = ["Operator"]

_LARGEST_LEEWAY = (
    86_400  # seconds: what the service's managers tolerate is not known here, so as much as any may
)
_NO_SERVICE = "tokenwheel"  # an issuer to act for where nothing says which

_ANY_SESSION = "A" * SESSION_ID_LENGTH


def _as_it_is(answer: Any) -> Any:
    return answer


class Operator:
    """List, end and count sessions, of whatever service they are.

    Args:
        storage: where the services keep their sessions.
        revocations: a list with the feed of the services.
        issuer: act for this service alone. None: for every one with sessions there.
        manager: a manager of one of the services. It ends that service's sessions itself, so that
            its listeners hear of it.
        wait: returns the answer to a call that may be an awaitable. It is needed where the storage,
            the feed or the manager is async.
    """

    def __init__(
        self,
        storage: Any,
        revocations: RevocationList,
        *,
        issuer: str | None = None,
        manager: SessionManager | AsyncSessionManager | None = None,
        wait: Callable[[Any], Any] = _as_it_is,
    ) -> None:
        self._storage = storage
        self._revocations = revocations
        self._issuer = issuer
        self._manager = manager
        self._wait = wait

    def read_all(self, subject: str) -> list[Session]:
        """Return the sessions of a subject, the oldest first.

        Raises:
            InvalidArgument: what cannot be a subject.
            StorageUnavailable: the storage could not be asked.
        """
        found: dict[str, Session] = {}
        for issuer in self._issuers_of(check_subject(subject)):
            found |= self._wait(self._keyless(issuer).read_all(subject))
        return sorted(found.values(), key=lambda session: (session.created_at, session.id))

    def end_one(self, subject: str, session_id: str) -> int:
        """End a session of a subject. Return how many were ended: 1 or 0.

        Raises:
            InvalidArgument: what cannot be a subject, or a session id.
            StorageUnavailable: the storage or the feed could not be asked.
        """
        subject, session_id = check_subject(subject), check_session_id(session_id)
        return sum(
            self._end(issuer, "delete_one", subject, session_id)
            for issuer in self._issuers([self._read(session_id)])
        )

    def end_all(self, subject: str) -> int:
        """End every session of a subject. Return how many were ended.

        Raises:
            InvalidArgument: what cannot be a subject.
            StorageUnavailable: the storage or the feed could not be asked.
        """
        issuers = self._issuers_of(check_subject(subject))
        return sum(self._end(issuer, "delete_all", subject) for issuer in issuers)

    def end_by_refresh_token(self, refresh_token: str) -> int:
        """End the session that a refresh token was issued to. Return how many were ended: 1 or 0.

        Raises:
            StorageUnavailable: the storage or the feed could not be asked.
        """
        record = self._read(refresh_token[:SESSION_ID_LENGTH])
        issuers = [] if record is None else self._issuers([record])
        return sum(self._end(issuer, "end", refresh_token) for issuer in issuers)

    def count(self) -> dict[str, int]:
        """Return how many sessions and how many revocations live now.

        Raises:
            ConfigurationError: the storage doesn't count its sessions.
            StorageUnavailable: the storage or the feed could not be asked.
        """
        if not hasattr(self._storage, "count"):
            raise ConfigurationError("the storage has no method that counts its sessions")
        if is_instance(self._manager, AsyncSessionManager):
            self._wait(self._revocations.replay())
        self._revocations.lowest_generation(_ANY_SESSION)  # Some feeds read nothing before that.
        sessions = self._wait(self._storage.count(wall_time()))
        return {"sessions": sessions, "revocations": len(self._revocations)}

    def _end(self, issuer: str, method: str, *arguments: str) -> int:
        """Call a method that ends sessions, of a manager of this service. Return how many ended."""
        ended = 0
        if self._manager is not None and self._manager._seal.issuer == issuer:
            ended = _number(self._wait(getattr(self._manager, method)(*arguments)))
            if ended and method != "delete_all":
                return ended
        # The service's own manager leaves what another secret has sealed, as none of its sessions.
        return ended + _number(self._wait(getattr(self._keyless(issuer), method)(*arguments)))

    def _read(self, session_id: str) -> SessionRecord | None:
        try:
            record: SessionRecord | None = self._wait(self._storage.read(session_id, wall_time()))
        except DamagedRecords as error:
            return error.damaged[0].record
        return record

    def _issuers_of(self, subject: str) -> list[str]:
        """Return the issuers of the services with sessions of this subject."""
        if self._issuer is not None:
            return [self._issuer]
        try:
            records = self._wait(self._storage.read_all(subject, wall_time()))
        except DamagedRecords as error:
            records = [*error.readable, *(damaged.record for damaged in error.damaged)]
        return self._issuers(records)

    def _issuers(self, records: Sequence[SessionRecord | None]) -> list[str]:
        """Return the named issuer, or those of records."""
        if self._issuer is not None:
            return [self._issuer]
        named = {record.issuer for record in records if record is not None}
        return sorted(issuer for issuer in named if isinstance(issuer, str) and issuer) or [
            self._default_issuer()
        ]

    def _default_issuer(self) -> str:
        return _NO_SERVICE if self._manager is None else self._manager._seal.issuer

    def _keyless(self, issuer: str) -> SessionManager | AsyncSessionManager:
        """Return a manager for this service's sessions that verifies no token."""
        is_async = is_instance(self._manager, AsyncSessionManager)
        kind = AsyncSessionManager if is_async else SessionManager
        return kind(
            KeySet.from_jwk(Key.generate("EdDSA").to_jwk()),
            issuer=issuer,
            audience="sessions",
            storage=self._storage,
            revocations=self._revocations,
            leeway=_LARGEST_LEEWAY,
        )


def _number(ended: object) -> int:
    """Return how many sessions ended, by what a manager's method answered."""
    return ended if type(ended) is int else int(ended is not None and ended is not False)

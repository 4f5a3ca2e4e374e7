"""Sessions in the memory of one process.

They lie in an :class:`~tokenwheel.ExpiringCache` by session id, with an index by subject.

The lock makes each call one atomic step. It is held for well under a microsecond a call and never
while waiting for anything, so an event loop may call this storage directly.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from operator import attrgetter

from .._impl import ExpiringCache
from ..errors import InvalidArgument
from ..events import RemovalReason
from ..models import SessionRecord
from ..seconds import FURTHEST
from .given import (
    given_lifetime,
    given_limit,
    given_now,
    given_record,
    given_records,
    given_text,
)

__all__ = ["MemoryStorage"]

_SHORTEST_LIFETIME = 0.001  # seconds, the least an ExpiringCache takes


class MemoryStorage:
    """The default storage: keeps sessions for one process, and forgets them with it."""

    is_checked = True
    """Nothing damages what it keeps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0.0
        self._records: ExpiringCache[str, SessionRecord] = ExpiringCache(
            on_remove=self._forget,
            clock=partial(attrgetter("_now"), self),  # A method of Python's own takes longer.
        )
        self._ids_by_subject: dict[str, set[str]] = {}
        self._access_lifetimes: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<MemoryStorage of {len(self)} sessions>"

    def __len__(self) -> int:
        """Return how many sessions are kept, as of the last call."""
        with self._lock:
            return len(self._records)

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        record = given_record(record)
        if record.context.device is not None:
            record = _apart(record)
        if limit is not None:
            limit = given_limit(limit)
        if type(now) is not float or not -FURTHEST <= now <= FURTHEST:
            now = given_now(now)
        session_id, subject = record.id, record.subject
        with self._lock:
            self._now = now
            if limit is not None:
                live = self._live(subject)
                if sum(other.issuer == record.issuer for other in live) >= limit:
                    return False
            if session_id in self._records:
                raise KeyError("a session with this id exists already")
            self._keep(session_id, record)
            ids = self._ids_by_subject.get(subject)
            if ids is None:
                self._ids_by_subject[subject] = {session_id}
            else:
                ids.add(session_id)
            return True

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        # What a manager hands over is at once seen to be plain.
        if type(session_id) is not str or not session_id.isascii():
            session_id = given_text("session_id", session_id)
        if type(now) is not float or not -FURTHEST <= now <= FURTHEST:
            now = given_now(now)
        with self._lock:
            self._now = now
            record = self._records.get(session_id)
        if record is None or record.context.device is None:
            return record
        return _apart(record)

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        subject, now = given_text("subject", subject), given_now(now)
        with self._lock:
            self._now = now
            records = self._live(subject)
        return [record if record.context.device is None else _apart(record) for record in records]

    def replace(self, record: SessionRecord, now: float) -> bool:
        record = given_record(record)
        if record.context.device is not None:
            record = _apart(record)
        if type(now) is not float or not -FURTHEST <= now <= FURTHEST:
            now = given_now(now)
        session_id = record.id
        with self._lock:
            self._now = now
            stored = self._records.get(session_id)
            if stored is None or stored.version != record.version - 1:
                return False
            self._keep(session_id, record)
            return True

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        records, now = given_records(records), given_now(now)
        with self._lock:
            self._now = now
            deleted = []
            for record in records:
                stored = self._records.get(record.id) if type(record.id) is str else None
                # Of another type it is another version, whatever it says when it is asked.
                if (
                    stored is not None
                    and type(stored.version) is type(record.version)
                    and stored.version == record.version
                ):
                    del self._records[record.id]
                    deleted.append(record.id)
            return deleted

    def keep_access_lifetime(self, issuer: str, seconds: int) -> int:
        issuer, seconds = given_text("issuer", issuer), given_lifetime(seconds)
        with self._lock:
            kept = max(self._access_lifetimes.get(issuer, 0), seconds)
            if kept:
                self._access_lifetimes[issuer] = kept
            return kept

    def _keep(self, session_id: str, record: SessionRecord) -> None:
        lifetime = record.ends_at - self._now
        if lifetime < _SHORTEST_LIFETIME:  # noqa: PLR1730 (max() takes longer)
            lifetime = _SHORTEST_LIFETIME
        self._records.set(session_id, record, lifetime)

    def _live(self, subject: str) -> list[SessionRecord]:
        # Looking at one may forget another, so the ids are copied first.
        ids = tuple(self._ids_by_subject.get(subject, ()))
        records = (self._records.get(session_id) for session_id in ids)
        return [record for record in records if record is not None]

    def _forget(self, session_id: str, record: SessionRecord, reason: RemovalReason) -> None:
        if reason is RemovalReason.REPLACED:
            return
        ids = self._ids_by_subject[record.subject]
        ids.discard(session_id)
        if not ids:
            del self._ids_by_subject[record.subject]


def _apart(record: SessionRecord) -> SessionRecord:
    """Return a record that shares nothing with this one that anybody could change.

    Raises:
        InvalidArgument: its context holds what cannot be copied.
    """
    try:
        return record._replace(context=deepcopy(record.context))
    except Exception as error:  # any: what is in it may be somebody else's
        raise InvalidArgument("a context must hold texts and plain JSON") from error

"""Sessions in the memory of one process.

They lie in a dict by session id, with an index by subject. An
:class:`~tokenwheel.ExpiringCache` says when to look whether a session is over. A refresh that puts
the end off leaves that moment as it is, and the look finds the later end.

The lock makes each change one atomic step, and ``read`` needs none. It is held for well under a
microsecond a call and never while waiting for anything, so an event loop may call this storage
directly.
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
from ..fork_safety import hold_lock_during_fork
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

# Seconds, within what an ExpiringCache takes.
_SHORTEST_LOOK = 0.001
_LONGEST_LOOK = 1e9


class MemoryStorage:
    """The default storage: keeps sessions for one process, and forgets them with it."""

    is_checked = True
    """Nothing damages what it keeps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Under it the lock of ``_looks`` is taken, which is an innermost one.
        hold_lock_during_fork(self, "_lock")
        self._now = 0.0
        self._records: dict[str, SessionRecord] = {}
        self._looks: ExpiringCache[str, None] = ExpiringCache(
            on_remove=self._look,
            clock=partial(attrgetter("_now"), self),  # A method of Python's own takes longer.
        )
        self._ids_by_subject: dict[str, set[str]] = {}
        self._access_lifetimes: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<MemoryStorage of {len(self)} sessions>"

    def __len__(self) -> int:
        """Return how many sessions are kept, as of the last call that took the lock."""
        with self._lock:
            self._looks.expire()
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
                live = self._all_live(subject)
                if sum(other.issuer == record.issuer for other in live) >= limit:
                    return False
            if self._live(session_id) is not None:
                raise KeyError("a session with this id exists already")
            if session_id in self._records:
                self._forget(session_id)
            self._look_when_over(session_id, record)
            self._records[session_id] = record
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
        record = self._records.get(session_id)
        if record is None or record.ends_at <= now:
            return None
        return record if record.context.device is None else _apart(record)

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        subject, now = given_text("subject", subject), given_now(now)
        with self._lock:
            self._now = now
            records = self._all_live(subject)
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
            if stored is None or stored.ends_at <= now or stored.version != record.version - 1:
                return False
            self._records[session_id] = record
            if record.ends_at < stored.ends_at:
                self._look_when_over(session_id, record)
            else:  # Whoever refreshes and never logs in must see to those that are over, too.
                self._looks.get(session_id)
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
                    self._forget(record.id)
                    deleted.append(record.id)
            return deleted

    def keep_access_lifetime(self, issuer: str, seconds: int) -> int:
        issuer, seconds = given_text("issuer", issuer), given_lifetime(seconds)
        with self._lock:
            kept = max(self._access_lifetimes.get(issuer, 0), seconds)
            if kept:
                self._access_lifetimes[issuer] = kept
            return kept

    def _look_when_over(self, session_id: str, record: SessionRecord) -> None:
        lifetime = min(max(record.ends_at - self._now, _SHORTEST_LOOK), _LONGEST_LOOK)
        self._looks.set(session_id, None, lifetime)

    def _look(self, session_id: str, _: None, reason: RemovalReason) -> None:
        """Forget a session that is over. One that was refreshed is looked at again."""
        record = self._records.get(session_id)
        if reason is not RemovalReason.EXPIRED or record is None:
            return
        if record.ends_at > self._now:
            self._look_when_over(session_id, record)
        else:
            self._forget(session_id)

    def _live(self, session_id: str) -> SessionRecord | None:
        record = self._records.get(session_id)
        return None if record is None or record.ends_at <= self._now else record

    def _all_live(self, subject: str) -> list[SessionRecord]:
        records = map(self._live, self._ids_by_subject.get(subject, ()))
        return [record for record in records if record is not None]

    def _forget(self, session_id: str) -> None:
        subject = self._records.pop(session_id).subject
        self._looks.pop(session_id, None)
        ids = self._ids_by_subject[subject]
        ids.discard(session_id)
        if not ids:
            del self._ids_by_subject[subject]


def _apart(record: SessionRecord) -> SessionRecord:
    """Return a record that shares nothing with this one that anybody could change.

    Raises:
        InvalidArgument: its context holds what cannot be copied.
    """
    try:
        return record._replace(context=deepcopy(record.context))
    except Exception as error:  # any: what is in it may be somebody else's
        raise InvalidArgument("a context must hold texts and plain JSON") from error

"""Records as a storage hands them over, told apart from those that cannot be believed.

What was stored may have been damaged, whatever the storage. It never reaches a check that is meant
for callers. A record that is damaged is found here, and what to do with it is decided in
``ending.py`` and ``flow.py``. No step is carried out here.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from ..errors import StorageUnavailable
from ..models import SessionRecord
from ..storage.damaged import DamagedRecord, DamagedRecords, damage_of
from .seal import Seal
from .steps import Read, ReadAll, Step

__all__ = ["DamagedRecord", "DamagedRecords", "Found", "Reader", "damaged", "report_ended"]

logger = logging.getLogger("tokenwheel")


class Found(NamedTuple):
    """The records that a service has of a subject."""

    records: list[SessionRecord]
    damaged: list[DamagedRecord]
    broken: list[SessionRecord]
    """Those that nobody with the ``storage_key`` has written. They serve nothing."""

    def has(self, session_id: str | None, subject: str, now: float) -> bool:
        """Return True where the subject has a session of this id that isn't over, or is damaged."""
        return any(
            record.id == session_id and record.ends_at > now for record in self.records
        ) or any(
            found.session_id == session_id and found.record.subject == subject
            for found in self.damaged
            if session_id is not None
        )

    def without(self, session_id: str | None, subject: str) -> Found:
        """Return all but the subject's session of this id; all of them where there is none."""
        if session_id is None:
            return self
        return Found(
            [record for record in self.records if record.id != session_id],
            [
                found
                for found in self.damaged
                if found.session_id != session_id or found.record.subject != subject
            ],
            self.broken,
        )


class Reader:
    """Reads records, and tells which ones can be believed.

    Args:
        seal: tells which records are the service's own.
        storage_is_checked: the storage itself tells which of its records are damaged.
    """

    def __init__(self, seal: Seal, *, storage_is_checked: bool) -> None:
        self._seal = seal
        self._storage_is_checked = storage_is_checked

    def read(
        self, session_id: str, now: float
    ) -> Generator[Step[Any], Any, SessionRecord | DamagedRecord | None]:
        """Read a session, of whatever service.

        Return its record, what could be read of it, or None where there is none.
        """
        try:
            record = yield from Read(session_id, now)
        except DamagedRecords as error:
            return error.damaged[0]
        if record is None:
            return None
        damage = self._damage_of(record, session_id)
        return record if damage is None else DamagedRecord(record._replace(id=session_id), damage)

    def read_all(self, subject: str, now: float) -> Generator[Step[Any], Any, Found]:
        """Read the service's sessions of a subject. Return the records, the damaged ones apart.

        A record of another subject is among the damaged ones: whoever listed it here was wrong.
        """
        found = Found([], [], [])
        unreadable: Sequence[DamagedRecord] = ()
        try:
            listed = yield from ReadAll(subject, now)
        except DamagedRecords as error:
            listed, unreadable = error.readable, error.damaged
        for unread in unreadable:
            if self.is_own(unread):
                found.damaged.append(unread)
            elif self._seal.is_of_service(unread.record):
                found.broken.append(unread.record)
        for record in listed:
            if not self._seal.is_own(record):
                if self._seal.is_of_service(record):
                    found.broken.append(record)
                continue
            damage = self._damage_of(record, record.id)
            if damage is None and record.subject != subject:
                damage = "listed under another subject"
            if damage is None:
                found.records.append(record)
            else:
                found.damaged.append(DamagedRecord(record, damage))
        return found

    def is_own(self, found: SessionRecord | DamagedRecord) -> bool:
        """Return True where a record is this service's, as far as that can be told.

        With a ``storage_key`` no damaged record is: nobody knows who has damaged it.
        """
        return self._seal.is_own(found.record if isinstance(found, DamagedRecord) else found)

    def check(self, record: SessionRecord, session_id: str) -> None:
        """Check that a record can be believed.

        Raises:
            StorageUnavailable: it is damaged; says which session, and what of it.
        """
        if self._storage_is_checked and record.id == session_id:
            return
        damage = self._damage_of(record, session_id)
        if damage is not None:
            raise damaged(DamagedRecord(record, damage))

    def _damage_of(self, record: SessionRecord, session_id: str) -> str | None:
        if record.id != session_id:
            return "id"
        return None if self._storage_is_checked else damage_of(record)


def damaged(*records: DamagedRecord) -> StorageUnavailable:
    """Return the error which says that these records are damaged."""
    return StorageUnavailable(
        f"the session storage is damaged: {', '.join(map(str, records))} cannot be believed"
    )


def report_ended(record: DamagedRecord) -> None:
    """Tell the operator of a damaged record that is gone now, with its session."""
    logger.warning("%s was damaged; the session has been ended", record)

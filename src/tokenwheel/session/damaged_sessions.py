"""What is done, step by step, about sessions whose records are damaged.

Nothing that such a record says is believed but its id, and whose it is. Its access tokens are
refused for as long as one of the service can live, so nobody needs to know when they expire.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import StorageUnavailable
from .reading import DamagedRecord, Reader, damaged, report_ended
from .revoking import LARGEST_GENERATION, Flow, RevokingFlow, representable
from .steps import Delete, Revoke

__all__ = ["DamagedSessionsFlow"]


class DamagedSessionsFlow(RevokingFlow):
    """The steps by which sessions with damaged records are refused and ended."""

    _reader: Reader

    def _revoke_damaged(
        self, found: DamagedRecord, now: float, *, all_generations: bool
    ) -> Flow[None]:
        """Refuse the access tokens of a session whose record is damaged.

        Args:
            found: what could be read of the record. It tells the id.
            now: Unix seconds.
            all_generations: False to refuse the tokens issued so far only. The next refresh goes on
                with the generation named here, should the record be mended.
        """
        longest = yield from self._longest_of_service()
        revocation = self._revocation_of_all(found.record.id, longest, now)
        last = found.record.access_expires_at
        if found.damage != "access_expires_at" and type(last) is int:
            until = max(revocation.expires_at, self._until(last, now))
            revocation = revocation._replace(expires_at=until)
        if not all_generations:
            generation, lowest = found.record.generation, self._lowest_generation(found.record.id)
            if type(generation) is int and 0 <= generation <= LARGEST_GENERATION:
                before = None if lowest is None else max(generation + 1, lowest)
            else:
                before = self._more_than_ever(lowest)
            revocation = revocation._replace(before=representable(before))
        yield from self._publishing(Revoke([revocation], now), [revocation], now)

    def _end_each_damaged(
        self, records: Sequence[DamagedRecord], subject: str, now: float
    ) -> Flow[list[DamagedRecord]]:
        """End the sessions of a subject whose records are damaged. Return those that are left.

        What is another subject's is among these.
        """
        left = []
        for found in records:
            is_own = found.record.subject == subject
            if not is_own or not (yield from self._end_damaged(found, now)):
                left.append(found)
        return left

    def _end_damaged(self, found: DamagedRecord, now: float) -> Flow[bool]:
        """Refuse all access tokens of a session whose record is damaged, then delete the record.

        Return True where both were done. A record whose id cannot be read is deleted, and its
        tokens cannot be refused.
        """
        if found.session_id is not None:
            yield from self._revoke_damaged(found, now, all_generations=True)
        try:
            deleted = yield from Delete([found.record], now)
        except StorageUnavailable:
            return False
        if found.session_id is None or found.session_id not in deleted:
            return False
        report_ended(found)
        return True

    def _listed_of(
        self, subject: str, found: DamagedRecord, now: float
    ) -> Flow[DamagedRecord | None]:
        """Return a damaged record as one of this subject, or None where it is another's.

        Where the record doesn't tell whose it is, the storage may list it for the subject.

        Raises:
            StorageUnavailable: nobody knows whose it is. Its access tokens are refused, as those of
                a session that the storage has lost, and the record is left.
        """
        if found.record.subject == subject:
            return found
        if found.damage != "subject" and isinstance(found.record.subject, str):
            return None
        listed = yield from self._reader.read_all(subject, now)
        for record in listed.damaged:
            if record.session_id == found.session_id and record.record.subject == subject:
                return record
        yield from self._revoke_unknown(subject, found.record.id, now)
        raise damaged(found)

"""How access tokens are refused while their session lives on, step by step.

A session is restricted in the revocation list before its generation is raised in the storage. What
else keeps a crash harmless is told in ``ending.py``.

All changes are compare-and-swap on the record's version. Where another node was faster, the record
is read again and the decision taken anew. Each round means that somebody else got further, so the
rounds come to an end.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import StorageUnavailable
from ..models import SessionRecord
from .arguments import check_identity, check_kept, check_subject, shown_token
from .damaged_sessions import DamagedSessionsFlow
from .options import Lifecycle
from .reading import DamagedRecord, Reader, damaged
from .revoking import LARGEST_GENERATION, Flow
from .seal import Seal
from .steps import Publisher, Refuse, Replace, Revoke, RevokeAndReplace

__all__ = ["RestrictingFlow"]


class RestrictingFlow(DamagedSessionsFlow):
    """The steps of the methods that restrict sessions. They need no key.

    Args:
        lifecycle: the manager's options for the life of a session.
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
            lowest_generation,
            issuer=seal.issuer,
            keeps_access_lifetime=keeps_access_lifetime,
        )
        self._seal = seal
        self._reader = Reader(seal, storage_is_checked=storage_is_checked)
        self._publisher = publisher

    def restrict_one(self, claims: object) -> Flow[None]:
        """Refuse the access tokens issued so far to the session of these claims."""
        try:
            subject, session_id = check_identity(claims)
            shown = shown_token(claims)
        finally:
            del claims  # Their 'sid' may be a refresh token.
        now = self._clock()
        refused = []
        if shown is not None:
            refused = [self._revocation_of_shown(session_id, shown, now)]
            yield from Refuse(refused, now)
        try:
            record = yield from self._reader.read(session_id, now)
        except StorageUnavailable:
            self._keep_unpublished(refused, now)
            raise
        if record is None:
            is_genuine = shown is not None
            yield from self._revoke_unknown(subject, session_id, now, is_genuine=is_genuine)
        elif not self._reader.is_own(record):
            if refused:
                yield from self._publishing(Revoke(refused, now), refused, now)
        elif isinstance(record, DamagedRecord):
            listed = yield from self._listed_of(subject, record, now)
            if listed is not None:
                yield from self._revoke_damaged(listed, now, all_generations=False)
                raise damaged(listed)
        elif record.subject == subject:
            failure = yield from self._restrict(record, now)
            if failure is not None:
                raise failure
        yield from self._publish_the_rest(now)

    def restrict_all(self, subject: object, keep: object = None) -> Flow[None]:
        """Refuse the access tokens issued so far to every session of this subject but ``keep``."""
        try:
            kept_id = check_kept(keep)
        finally:
            del keep  # It may be a refresh token.
        subject = check_subject(subject)
        now = self._clock()
        found = (yield from self._reader.read_all(subject, now)).without(kept_id, subject)
        failure: StorageUnavailable | None = None
        for record in found.records:
            failure = (yield from self._restrict(record, now)) or failure
        for unread in found.damaged:
            if unread.record.subject == subject and unread.session_id is not None:
                yield from self._revoke_damaged(unread, now, all_generations=False)
        yield from self._publish_the_rest(now)
        if failure is not None:
            raise failure
        if found.damaged:
            raise damaged(*found.damaged)

    def _restrict(
        self, record: SessionRecord | None, now: float
    ) -> Flow[StorageUnavailable | None]:
        """Refuse the access tokens issued so far, and raise the generation for those to come.

        Return why the record could not be changed; None where it was, or where it has gone.
        """
        while record is not None:
            # A call that ended half way may have left more refused than the record tells.
            generation = max(record.generation + 1, self._lowest_generation(record.id) or 0)
            if generation > LARGEST_GENERATION:
                exhausted = DamagedRecord(record, "generation")
                yield from self._revoke_damaged(exhausted, now, all_generations=True)
                return damaged(exhausted)
            raised = self._seal.sealed(
                record._replace(version=record.version + 1, generation=generation)
            )
            if (yield from self._replace_restricted(record, raised, now)):
                return None
            current = yield from self._look_again(record, now)
            if isinstance(current, StorageUnavailable):
                return current
            record = current
        return None

    def _replace_restricted(
        self, record: SessionRecord, raised: SessionRecord, now: float
    ) -> Flow[bool]:
        """Replace a record by one of a higher generation, and refuse the generations before.

        Return False where somebody else has changed it meanwhile.
        """
        revocations = [self._revocation_of(record, raised.generation, now)]
        if self._publisher is not None:
            step = RevokeAndReplace(self._publisher, raised, now, revocations)
            return (yield from self._publishing(step, revocations, now))
        yield from self._publishing(Revoke(revocations, now), revocations, now)
        return (yield from Replace(raised, now))

    def _look_again(
        self, record: SessionRecord, now: float
    ) -> Flow[SessionRecord | StorageUnavailable | None]:
        """Return the record as somebody else has left it, after a swap that failed.

        Return an error where it cannot go on from there: others still may.
        """
        current = yield from self._reader.read(record.id, now)
        if current is None or not self._reader.is_own(current):
            return None
        if isinstance(current, DamagedRecord):
            return damaged(current)
        if current.version == record.version:
            return StorageUnavailable(
                "the session storage refused a change of a record that nobody else had changed"
            )
        return current

    def _check_change(self, record: SessionRecord, now: float) -> Flow[None]:
        """Check that a swap failed because somebody else was faster, and that one can go on."""
        current = yield from self._look_again(record, now)
        if isinstance(current, StorageUnavailable):
            raise current

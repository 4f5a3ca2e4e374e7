"""All of a storage in tables of a SQL database but its statements, and how they are carried out.

What is done in one transaction is a function of :class:`~.protocol.Statements`. It is the same in
both colours, since an async backend has blocking code awaited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidArgument
from ..models import SessionRecord
from ..revocation.message import pack
from ..storage.damaged import is_session_id, whole_records
from ..storage.given import (
    given_lifetime,
    given_limit,
    given_now,
    given_record,
    given_records,
    given_text,
)
from ..storage.lifetimes import lifetime_in
from .protocol import Database, Statements
from .removal import Removal
from .rows import changes_of, record_in, row_of, subject_hash

__all__ = ["LOCKS", "TableStorage"]

_PLACE = "the database"  # that holds damaged records, where there are some

LOCKS = 1024
"""How many locks there are, for the subjects of all services together. Two that share one wait."""


class TableStorage:
    """Keep sessions in a table. A storage is made from this, and brings a database.

    Args:
        database: where the tables are.
    """

    is_checked = True
    """A record that is damaged is told from the others."""
    is_durable = True
    """Who has access to the database reads or writes sessions: see a manager's ``storage_key``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._removal = Removal(
            lambda statements, ended_before, most: statements.remove_sessions(ended_before, most)
        )

    @property
    def is_async(self) -> bool:
        """True where the methods return awaitables, which only an async manager awaits."""
        return self._database.is_async

    @property
    def waits(self) -> bool:
        """True where calls wait for the network, so that an async manager needs worker threads."""
        return not self._database.is_async

    @property
    def timeout(self) -> float:
        """Seconds that a call may take, whatever the server does."""
        return self._database.timeout

    def publishes_to(self, feed: Any) -> bool:
        """Return True if ``replace`` and ``delete`` can publish to this feed as they commit.

        They can where both reach the same tables by the same engine or alias.
        """
        try:
            place = getattr(getattr(feed, "database", None), "place", None)
        except Exception:  # any: the feed may be the user's own
            return False
        return place is not None and place == self._database.place

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> Any:
        """Add a session, unless its subject has ``limit`` live ones of its issuer.

        Return True if it was added.

        Raises:
            Exception: the driver's errors; also where a session with this id exists already.
        """
        record, limit, now = given_record(record), given_limit(limit), given_now(now)
        row = row_of(record)
        hashed: str = row["subject_hash"]

        def work(statements: Statements) -> bool:
            if limit is not None:
                statements.lock(int(hashed[:8], 16) % LOCKS)
                issuers = statements.issuers(hashed, now)
                if sum(issuer == record.issuer for issuer in issuers) >= limit:
                    return False
            statements.insert_session(row)
            return True

        removal = self._removal.beside_write(now)
        return self._database.run(work, alone=limit is None, afterwards=removal)

    def read(self, session_id: str, now: float) -> Any:
        """Return the record of a session, or None where there is none.

        Raises:
            DamagedRecords: the record is damaged.
        """
        session_id = given_text("session_id", session_id)
        if not is_session_id(session_id):  # Nor is every text one that a database takes.
            return _nothing() if self.is_async else None

        def work(statements: Statements) -> SessionRecord | None:
            row = statements.session(session_id)
            record = None if row is None else whole_records([record_in(row)], _PLACE)[0]
            return record if record is not None and record.id == session_id else None

        return self._database.run(work, alone=True)

    def read_all(self, subject: str, now: float) -> Any:
        """Return the records of a subject's live sessions, in any order.

        Raises:
            DamagedRecords: some of the records are damaged; has the others.
        """
        subject, now = given_text("subject", subject), given_now(now)
        hashed = subject_hash(subject)

        def work(statements: Statements) -> list[SessionRecord]:
            return whole_records(map(record_in, statements.sessions(hashed, now)), _PLACE)

        return self._database.run(work, alone=True)

    def replace(
        self, record: SessionRecord, now: float, feed: Any = None, revocations: Sequence[Any] = ()
    ) -> Any:
        """Write a new state of a session, where the stored version is ``record.version - 1``.

        Return True where it was written. With a feed and one revocation that is published in the
        same transaction.
        """
        record, now = given_record(record), given_now(now)
        changes = changes_of(record)
        published_at = feed.published_at() if revocations else now
        messages = feed.expect(revocations) if revocations else ()

        def work(statements: Statements) -> bool:
            is_replaced = statements.replace_session(changes, record.id, record.version - 1)
            if is_replaced and revocations:
                statements.append(revocations, published_at)
            elif revocations:
                feed.expect_no_more(messages)
            return is_replaced

        removal = feed.removal if revocations else self._removal
        afterwards = removal.beside_write(published_at)
        return self._database.run(work, alone=not revocations, afterwards=afterwards)

    def delete(
        self,
        records: Sequence[SessionRecord],
        now: float,
        feed: Any = None,
        revocations: Sequence[Any] = (),
    ) -> Any:
        """Delete each session whose stored version is that of its record. Return the deleted ids.

        With a feed and a revocation for each record, those of the sessions that are deleted are
        published in the same transaction.
        """
        records, now = given_records(records), given_now(now)
        if not all(map(_can_be_deleted, records)):
            raise InvalidArgument("a record's id or version cannot be one")
        published_at = feed.published_at() if revocations else now
        versions = {record.id: record.version for record in records}
        of_ids = dict(zip([record.id for record in records], revocations, strict=False))
        messages = feed.expect(revocations) if revocations else ()

        def work(statements: Statements) -> list[str]:
            deleted = list(statements.delete_sessions(versions))
            if revocations:
                published = [of_ids[session_id] for session_id in deleted]
                if published:
                    statements.append(published, published_at)
                feed.expect_no_more(set(messages) - set(map(pack, published)))
            return deleted

        is_alone = len(records) == 1 and type(records[0].version) is int and not revocations
        removal = feed.removal if revocations else self._removal
        afterwards = removal.beside_write(published_at)
        return self._database.run(work, alone=is_alone, afterwards=afterwards)

    def keep_access_lifetime(self, issuer: str, seconds: int) -> Any:
        """Keep the longest lifetime of an issuer's access tokens. Return what is kept, in seconds.

        It has no end of its own.
        """
        issuer, seconds = given_text("issuer", issuer), given_lifetime(seconds)
        name = f"access_lifetime:{hashlib.sha256(issuer.encode()).hexdigest()}"

        def work(statements: Statements) -> int:
            kept = statements.raise_value(name, seconds) if seconds else statements.value(name)
            return 0 if kept is None else lifetime_in(kept)

        return self._database.run(work, alone=not seconds)

    def count(self, now: float) -> Any:
        """Return the number of live sessions."""
        now = given_now(now)
        return self._database.run(lambda statements: statements.count_sessions(now), alone=True)

    def close(self) -> Any:
        """Let go of what the storage has opened, but not of the application's connections.

        Can be called again. Any other call raises from then on.
        """
        return self._database.close()


def _can_be_deleted(record: SessionRecord) -> bool:
    # A damaged version may be of any of these where a database holds what it is given.
    return type(record.id) is str and type(record.version) in (int, float, str, bytes)


async def _nothing() -> None:
    """Answer that there is nothing."""

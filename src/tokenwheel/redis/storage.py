"""Sessions on a Redis or Valkey server, for any number of machines.

A session is one value, under a name made of its id. The sessions of a subject are listed in an
index: a sorted set, scored by when they end. Both lie in one slot (``key_names.py``), so each
change of them is one script and one round trip. Only the calls of a storage belong here; the
scripts are in ``scripts.py``, and the bytes of a session in ``record.py``.

The server forgets a session by itself, ``CLOCK_MARGIN`` seconds after its end. Whoever lists, opens
or refreshes a session of the subject takes out of the index what is over by then, and the index
goes with the last of its sessions. So nothing has to listen to the server's notifications.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..errors import InvalidArgument
from ..failures import meaning_of
from ..hidden import ClearedLocals, clears_locals
from ..models import SessionRecord
from ..storage.damaged import DamagedRecord, DamagedRecords, is_session_id, is_subject, record_of
from ..storage.given import (
    given_lifetime,
    given_limit,
    given_now,
    given_record,
    given_records,
    given_text,
)
from ..storage.lifetimes import lifetime_in
from .client import Client, Conversation, RedisClient, call
from .deadline import TIMEOUT
from .entry import REVOCATIONS_PER_ENTRY
from .key_names import PREFIX, KeyNames, slot_of_id, slot_of_subject
from .record import (
    END_BYTES,
    ISSUER_PLACE,
    pack_issuer,
    pack_record,
    pack_version,
    unpack_end,
    unpack_record,
)
from .scripts import (
    CLOCK_MARGIN,
    DELETE,
    INSERT,
    KEEP_LIFETIME,
    READ_ALL,
    REPLACE,
    milliseconds,
)

__all__ = ["RedisStorage"]

_COUNTED_AT_ONCE = 1_000  # sessions
_LARGEST = 2**32 - 1  # a version, in the four bytes that hold it


class RedisStorage:
    """Keep sessions on a server that all machines of a service share.

    Of secrets it holds SHA-256 hashes only.

    Args:
        client: a client of redis-py or valkey-py, with any options: ``Redis``, ``RedisCluster`` or
            what ``Sentinel.master_for`` returns, blocking or asyncio's. Closing it stays the
            caller's task. With an asyncio client each method returns an awaitable, for
            ``AsyncSessionManager``. Beside a blocking client the storage opens connections of its
            own, with the client's options, up to as many as the client may open.
        prefix: what the names of all keys begin with, so that services can share a server.
        timeout: seconds, 0.1 to 3,600, that a call may take, whatever the client's options. The
            wait for a connection and connecting are part of it.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    @clears_locals
    def __init__(self, client: Client, *, prefix: str = PREFIX, timeout: float = TIMEOUT) -> None:
        self._client = RedisClient(client, timeout)
        self.timeout = self._client.timeout
        self._names = KeyNames(prefix)

    def __repr__(self) -> str:
        return f"<RedisStorage {self._names.prefix!r}>"

    is_checked = True
    """A record that is damaged is told from the others."""
    is_durable = True
    """Who has access to the server reads or writes sessions: see a manager's ``storage_key``."""
    db_system = "redis"
    """What traces of a call name as the kind of database, in the words of OpenTelemetry."""

    @property
    def is_async(self) -> bool:
        """True where the methods return awaitables, which only an async manager awaits."""
        return self._client.is_async

    @property
    def waits(self) -> bool:
        """True where calls wait for the network, so that an async manager needs worker threads."""
        return not self._client.is_async

    def session_id_prefix(self, subject: str) -> bytes:
        """Return the two bytes that the id of each session of this subject begins with.

        They name the slot that all of the subject's sessions share.
        """
        return slot_of_subject(given_text("subject", subject)).to_bytes(2, "big")

    def publishes_to(self, feed: Any) -> bool:
        """Return True if ``replace`` and ``delete`` can publish to this feed in their round trip.

        They can where it is a ``RedisFeed`` of this storage's client. On a cluster they can't,
        since a script there only reaches the keys of one slot.
        """
        try:
            client = getattr(feed, "client", None)
        except Exception:  # any: the feed may be the user's own
            return False
        return (
            isinstance(client, RedisClient)
            and client.adapted is self._client.adapted
            and not client.is_cluster
        )

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> Any:
        """Add a session, unless its subject has ``limit`` live ones of its issuer.

        Return True if it was added.

        Raises:
            KeyError: a session with this id exists already.
            InvalidArgument: an argument cannot be used. On a cluster that is also an id which does
                not begin with ``session_id_prefix``.
        """
        record, limit, now = given_record(record), given_limit(limit), given_now(now)
        _check_place(record)
        return self._client.run(self._insert(record, limit, now))

    def read(self, session_id: str, now: float) -> Any:
        """Return the record of a session, or None where there is none.

        Raises:
            DamagedRecords: the record is damaged.
        """
        return self._client.run(self._read(given_text("session_id", session_id)))

    def read_all(self, subject: str, now: float) -> Any:
        """Return the records of a subject's sessions, in any order.

        Raises:
            DamagedRecords: some of the records are damaged; has the others.
        """
        subject, now = given_text("subject", subject), given_now(now)
        return self._client.run(self._read_all(subject, now))

    def replace(
        self, record: SessionRecord, now: float, feed: Any = None, revocations: Sequence[Any] = ()
    ) -> Any:
        """Write a new state of a session, where the stored version is ``record.version - 1``.

        Return True where it was written. With a feed and one revocation the script then also
        publishes that.
        """
        record, now = given_record(record), given_now(now)
        _check_place(record)
        return self._client.run(self._replace(record, now, feed, revocations))

    def delete(
        self,
        records: Sequence[SessionRecord],
        now: float,
        feed: Any = None,
        revocations: Sequence[Any] = (),
    ) -> Any:
        """Delete each session whose stored version is that of its record. Return the deleted ids.

        With a feed and a revocation for each record the script also publishes the revocations of
        the sessions that it deletes.
        """
        records, now = given_records(records), given_now(now)
        if not all(map(_can_be_deleted, records)):
            raise InvalidArgument("a record's id, subject or version cannot be one")
        return self._client.run(self._delete(records, now, feed, revocations))

    def keep_access_lifetime(self, issuer: str, seconds: int) -> Any:
        """Keep the longest lifetime of an issuer's access tokens. Return what is kept, in seconds.

        Its key never expires.
        """
        issuer, seconds = given_text("issuer", issuer), given_lifetime(seconds)
        return self._client.run(self._keep_access_lifetime(issuer, seconds))

    def count(self, now: float) -> int:
        """Return the number of live sessions, by looking through all names of the server.

        The names are fetched a few at a time. This is for operators, with a blocking client.

        Raises:
            StorageUnavailable: the server could not be reached or answered an error.
        """
        now = given_now(now)
        live: int = 0
        names: list[Any] = []
        try:
            with ClearedLocals():
                for name in self._client.limited.scan_iter(
                    match=self._names.every_session, count=_COUNTED_AT_ONCE
                ):
                    names.append(name)
                    if len(names) == _COUNTED_AT_ONCE:
                        live += self._count_live(names, now)
                        names.clear()
                return live + self._count_live(names, now)
        except Exception as error:
            raise meaning_of(
                "the session storage could not be reached or answered an error", error
            ) from error

    def close(self) -> Any:
        """Close the storage's own connections, but not the client. Can be called again.

        A call that comes later opens new ones.

        Returns:
            None; with an asyncio client an awaitable of it.
        """
        self._client.close()
        return _nothing() if self.is_async else None

    def _count_live(self, names: Sequence[Any], now: float) -> int:
        pipeline = self._client.limited.pipeline(transaction=False)
        for name in names:
            pipeline.execute_command("GETRANGE", name, *END_BYTES, NEVER_DECODE=True)
        ends = map(unpack_end, pipeline.execute())
        return sum(end is not None and end > now for end in ends)

    def _insert(self, record: SessionRecord, limit: int | None, now: float) -> Conversation[bool]:
        if self._client.is_cluster and slot_of_id(record.id) != slot_of_subject(record.subject):
            raise InvalidArgument(
                "on a cluster the id of a session must begin with session_id_prefix(subject)"
            )
        arguments = (
            (self._names.session(record.id), self._names.index(record.subject)),
            self._names.head,
            *self._arguments_of_keep(record, now),
            repr(now),
            -1 if limit is None else limit,
            ISSUER_PLACE,
            pack_issuer(record.issuer),
            self._sees_all,
        )
        while not (answer := (yield from call(INSERT, *arguments))):
            if limit is None or not self._client.is_cluster:
                return False
            listed = yield from self._read_all(record.subject, now)
            live = sum(other.ends_at > now for other in listed if other.issuer == record.issuer)
            if live >= limit:
                return False
            # Some that the script counted are gone. Now the index lists these no longer.
        if answer < 0:
            raise KeyError("a session with this id exists already")
        return True

    def _read(
        self, session_id: str, subject: str | None = None
    ) -> Conversation[SessionRecord | None]:
        if not is_session_id(session_id):  # No session has it, and no slot follows from it.
            return None
        try:
            value = yield "GET", self._names.session(session_id)
        except Exception as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            value = b""  # A list, say, is no session.
        return None if value is None else unpack_record(session_id, value, subject)

    def _read_all(self, subject: str, now: float) -> Conversation[list[SessionRecord]]:
        index = self._names.index(subject)
        answer = yield from call(READ_ALL, (index,), self._names.head, _over(now), self._sees_all)
        records: list[SessionRecord] = []
        damaged: list[DamagedRecord] = []
        for name, value in zip(answer[::2], answer[1::2], strict=True):
            session_id = name.decode(errors="surrogateescape")
            if not is_session_id(session_id):  # Nor is it in the index by any doing of ours.
                damaged.append(DamagedRecord(record_of(id=session_id, subject=subject), "id"))
                continue
            try:
                if value is None:
                    record = yield from self._read(session_id, subject)
                else:
                    record = unpack_record(session_id, value, subject)
            except DamagedRecords as error:
                damaged += error.damaged
                continue
            if record is None:
                yield "ZREM", index, self._names.member(session_id)
            else:
                records.append(record)
        if damaged:
            raise DamagedRecords(records, damaged, "what the server holds")
        return records

    def _keep_access_lifetime(self, issuer: str, seconds: int) -> Conversation[int]:
        key = self._names.access_lifetime(issuer)
        return lifetime_in((yield from call(KEEP_LIFETIME, (key,), seconds)))

    def _replace(
        self, record: SessionRecord, now: float, feed: Any, revocations: Sequence[Any]
    ) -> Conversation[bool]:
        keys: tuple[Any, ...] = (self._names.session(record.id), self._names.index(record.subject))
        arguments = [pack_version(record.version - 1), *self._arguments_of_keep(record, now)]
        if not revocations:
            return bool((yield from call(REPLACE, keys, *arguments)))
        stream, lasting, messages = feed.entry_for(revocations)
        arguments += [b"".join(messages), lasting]
        replaced = bool((yield from call(REPLACE, (*keys, stream), *arguments)))
        if not replaced:
            feed.was_not_published(messages)
        return replaced

    def _delete(
        self, records: Sequence[SessionRecord], now: float, feed: Any, revocations: Sequence[Any]
    ) -> Conversation[list[str]]:
        if not revocations:
            return (yield from self._delete_each([(record, b"") for record in records], (), ""))
        stream, lasting, messages = feed.entry_for(revocations)
        pairs = list(zip(records, messages, strict=True))
        deleted = yield from self._delete_each(pairs, (stream,), lasting)
        gone = frozenset(deleted)
        feed.was_not_published([message for record, message in pairs if record.id not in gone])
        return deleted

    def _delete_each(
        self,
        pairs: Sequence[tuple[SessionRecord, bytes]],
        stream: tuple[str, ...],
        lasting: str,
    ) -> Conversation[list[str]]:
        """Delete sessions, a part of those of one subject at a time. Return the deleted ids."""
        deleted: list[str] = []
        for _, group in groupby(sorted(pairs, key=_subject_of), key=_subject_of):
            of_subject = list(group)
            for start in range(0, len(of_subject), REVOCATIONS_PER_ENTRY):
                chunk = of_subject[start : start + REVOCATIONS_PER_ENTRY]
                deleted += yield from self._delete_of_subject(chunk, stream, lasting)
        return deleted

    def _delete_of_subject(
        self,
        pairs: Sequence[tuple[SessionRecord, bytes]],
        stream: tuple[str, ...],
        lasting: str,
    ) -> Conversation[list[str]]:
        """Delete sessions of one subject by one script. Return the ids of those that it deleted.

        Args:
            pairs: the record of each session, and the message to publish where it is deleted.
            stream: the name of the stream to publish to, or nothing.
            lasting: for how long the stream keeps the messages, as the feed says it.
        """
        subject = pairs[0][0].subject
        keys = (
            self._names.index(subject),
            *(self._names.session(record.id) for record, _ in pairs),
            *stream,
        )
        arguments: list[Any] = []
        for record, message in pairs:
            arguments += pack_version(record.version), self._names.member(record.id), message
        places = yield from call(DELETE, keys, lasting, *arguments)
        return [pairs[place - 1][0].id for place in places]

    @property
    def _sees_all(self) -> str:
        """What the scripts are told of that name: see ``scripts.py``."""
        return "" if self._client.is_cluster else "1"

    def _arguments_of_keep(self, record: SessionRecord, now: float) -> tuple[Any, ...]:
        """Return what ``keep`` in the scripts is given."""
        return (
            self._names.member(record.id),
            pack_record(record),
            record.ends_at,
            milliseconds(record.ends_at - now),
            _over(now),
        )


async def _nothing() -> None:
    """Return None, to be awaited: an asyncio client's own connections are used."""


def _check_place(record: SessionRecord) -> None:
    """Check that keys follow from a record, and that its version can be compared.

    Raises:
        InvalidArgument: none do, or it can't.
    """
    if not _can_be_deleted(record) or not record.version:
        raise InvalidArgument("a record's id, subject or version cannot be one")


def _can_be_deleted(record: SessionRecord) -> bool:
    """Return True for a record of a manager's, and for a damaged one that names its key."""
    version: object = record.version
    is_version = type(version) is bytes or (type(version) is int and 0 <= version <= _LARGEST)
    return is_version and is_session_id(record.id) and is_subject(record.subject)


def _subject_of(pair: tuple[SessionRecord, bytes]) -> str:
    return pair[0].subject


def _over(now: float) -> str:
    """Return the end up to which sessions are over for every node."""
    return repr(now - CLOCK_MARGIN)

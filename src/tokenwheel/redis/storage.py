"""Sessions on a Redis or Valkey server, for any number of machines.

A session is one value under a name made of its id; the sessions of a subject are listed in a sorted set, scored by when they end. Both
lie in one slot (``key_names.py``), and what changes them is one script and one round trip. Only records belong here; the scripts are
those of ``scripts.py``.

The server forgets a session by itself, ``CLOCK_MARGIN`` after its end. Who lists, opens or refreshes a session of the subject takes out
of the index what is over by then, and the index goes with the last of its sessions; so it needs no notifications.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..errors import InvalidArgument, StorageUnavailable
from ..models import SessionRecord
from ..storage.context import pack_context, unpack_context
from .client import Client, Conversation, RedisClient, call
from .key_names import PREFIX, KeyNames, slot_of_id, slot_of_subject
from .scripts import CLOCK_MARGIN, DELETE, INSERT, READ_ALL, REPLACE, milliseconds

__all__ = ["RedisStorage"]

# Layout, version (at byte 1, where the scripts compare it), end (at byte 5), absolute end, end of its access tokens, made, last used,
# generation, bytes of the subject, what else there is, two hashes. Then the previous hash, the salt and its time, the subject, the context.
_HEAD = struct.Struct(">BIqqqddIHB32s32s")
_LAYOUT = 1
_VERSION = struct.Struct(">I")
_END = struct.Struct(">q")
_TIME = struct.Struct(">d")
_PREVIOUS, _SALT, _ROTATED = 1, 2, 4
_HASH_BYTES = 32
_SALT_BYTES = 16
_COUNTED_AT_ONCE = 1_000


class RedisStorage:
    """Keeps sessions on a server that all machines of a service share; of secrets it holds SHA-256 hashes only.

    Args:
        client: of redis-py or valkey-py: ``Redis``, ``RedisCluster`` or what ``Sentinel.master_for`` returns, blocking or asyncio's,
            with any options. It stays the caller's to close. With an asyncio client each method returns an awaitable, for
            ``AsyncSessionManager``.
        prefix: what the names of all keys begin with, so that services can share a server.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(self, client: Client, *, prefix: str = PREFIX) -> None:
        self._client = RedisClient(client)
        self._names = KeyNames(prefix)

    def __repr__(self) -> str:
        return f"<RedisStorage {self._names.prefix!r}>"

    @property
    def is_async(self) -> bool:
        """Whether the methods return awaitables."""
        return self._client.is_async

    @property
    def waits(self) -> bool:
        """For the network: an async manager calls a blocking one from a worker thread."""
        return not self._client.is_async

    def session_id_prefix(self, subject: str) -> bytes:
        """The two bytes with which the id of a session of this subject begins: the slot that all of the subject's sessions share."""
        return slot_of_subject(subject).to_bytes(2, "big")

    def publishes_to(self, feed: Any) -> bool:
        """Whether ``replace`` and ``delete`` can publish to this feed in the same round trip: a ``RedisFeed`` of the same client.

        On a cluster they can't, since a script there only reaches the keys of one slot.
        """
        client = getattr(feed, "client", None)
        return (
            isinstance(client, RedisClient)
            and client.adapted is self._client.adapted
            and not client.is_cluster
        )

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> Any:
        return self._client.run(self._insert(record, limit, now))

    def read(self, session_id: str, now: float) -> Any:
        return self._client.run(self._read(session_id))

    def read_all(self, subject: str, now: float) -> Any:
        return self._client.run(self._read_all(subject, now))

    def replace(
        self, record: SessionRecord, now: float, feed: Any = None, revocations: Sequence[Any] = ()
    ) -> Any:
        """With a feed and one revocation also publishes that, where the record was replaced."""
        return self._client.run(self._replace(record, now, feed, revocations))

    def delete(
        self,
        records: Sequence[SessionRecord],
        now: float,
        feed: Any = None,
        revocations: Sequence[Any] = (),
    ) -> Any:
        """With a feed and a revocation for each record also publishes those of the records that were deleted."""
        return self._client.run(self._delete(records, now, feed, revocations))

    def count(self, now: float) -> int:
        """How many sessions live: looks through all names of the server, a few at a time. For operators, with a blocking client.

        Raises:
            StorageUnavailable: the server could not be reached or answered an error.
        """
        counted: int = 0
        names: list[Any] = []
        try:
            for name in self._client.adapted.scan_iter(
                match=self._names.every_session, count=_COUNTED_AT_ONCE
            ):
                names.append(name)
                if len(names) == _COUNTED_AT_ONCE:
                    counted += self._count_live(names, now)
                    names.clear()
            return counted + self._count_live(names, now)
        except Exception as error:
            raise StorageUnavailable(
                "the session storage could not be reached or answered an error"
            ) from error

    def _count_live(self, names: Sequence[Any], now: float) -> int:
        pipeline = self._client.adapted.pipeline(transaction=False)
        for name in names:
            pipeline.execute_command("GETRANGE", name, 5, 12, NEVER_DECODE=True)
        ends = [_END.unpack(end)[0] for end in pipeline.execute() if len(end) == _END.size]
        return sum(end > now for end in ends)

    def _insert(self, record: SessionRecord, limit: int | None, now: float) -> Conversation[bool]:
        if self._client.is_cluster and slot_of_id(record.id) != slot_of_subject(record.subject):
            raise InvalidArgument(
                "on a cluster the id of a session must begin with session_id_prefix(subject)"
            )
        answer = yield from call(
            INSERT,
            (self._names.session(record.id), self._names.index(record.subject)),
            self._names.head,
            *self._kept(record, now),
            repr(now),
            -1 if limit is None else limit,
            self._sees_all,
        )
        if answer == 0 and limit is not None and self._client.is_cluster:
            listed = yield from self._read_all(record.subject, now)
            if (
                sum(one.ends_at > now for one in listed) < limit
            ):  # Some that were counted are gone, and now no longer listed.
                return (yield from self._insert(record, limit, now))
        if answer < 0:
            raise KeyError("a session with this id exists already")
        return bool(answer)

    def _read(self, session_id: str) -> Conversation[SessionRecord | None]:
        value = yield "GET", self._names.session(session_id)
        return None if value is None else _unpack(session_id, value)

    def _read_all(self, subject: str, now: float) -> Conversation[list[SessionRecord]]:
        index = self._names.index(subject)
        found = yield from call(READ_ALL, (index,), self._names.head, _over(now), self._sees_all)
        records = []
        for name, value in zip(found[::2], found[1::2], strict=True):
            session_id = name.decode("ascii")
            record = (
                (yield from self._read(session_id)) if value is None else _unpack(session_id, value)
            )
            if record is None:
                yield "ZREM", index, self._names.member(session_id)
            else:
                records.append(record)
        return records

    def _replace(
        self, record: SessionRecord, now: float, feed: Any, revocations: Sequence[Any]
    ) -> Conversation[bool]:
        keys: tuple[Any, ...] = (self._names.session(record.id), self._names.index(record.subject))
        arguments = [_VERSION.pack(record.version - 1), *self._kept(record, now)]
        if revocations:
            stream, lasting, messages = feed.entry_for(revocations)
            keys += (stream,)
            arguments += [b"".join(messages), lasting]
        return bool((yield from call(REPLACE, keys, *arguments)))

    def _delete(
        self, records: Sequence[SessionRecord], now: float, feed: Any, revocations: Sequence[Any]
    ) -> Conversation[list[str]]:
        deleted: list[str] = []
        lasting: int | str = ""
        messages: Sequence[bytes] = [b""] * len(records)
        stream: tuple[str, ...] = ()
        if revocations:
            name, lasting, messages = feed.entry_for(revocations)
            stream = (name,)
        paired = sorted(zip(records, messages, strict=True), key=lambda pair: pair[0].subject)
        for subject, pairs in groupby(paired, key=lambda pair: pair[0].subject):
            group = list(pairs)
            keys = (
                self._names.index(subject),
                *(self._names.session(record.id) for record, _ in group),
                *stream,
            )
            arguments = [
                one
                for record, message in group
                for one in (_VERSION.pack(record.version), self._names.member(record.id), message)
            ]
            places = yield from call(DELETE, keys, lasting, *arguments)
            deleted += [group[place - 1][0].id for place in places]
        return deleted

    @property
    def _sees_all(self) -> str:
        return "" if self._client.is_cluster else "1"

    def _kept(self, record: SessionRecord, now: float) -> tuple[Any, ...]:
        """What ``keep`` in the scripts is told."""
        return (
            self._names.member(record.id),
            _pack(record),
            record.ends_at,
            milliseconds(record.ends_at - now),
            _over(now),
        )


def _over(now: float) -> str:
    """Up to which end sessions are over for every node."""
    return repr(now - CLOCK_MARGIN)


def _pack(record: SessionRecord) -> bytes:
    subject = record.subject.encode()
    present, parts = 0, []
    for flag, one, length in (
        (_PREVIOUS, record.previous_hash, _HASH_BYTES),
        (_SALT, record.salt, _SALT_BYTES),
    ):
        if one is not None:
            if len(one) != length:
                raise InvalidArgument(
                    f"a record's hashes have {_HASH_BYTES} bytes, and its salt has {_SALT_BYTES}"
                )
            present |= flag
            parts.append(one)
    if record.rotated_at is not None:
        present |= _ROTATED
        parts.append(_TIME.pack(record.rotated_at))
    head = _HEAD.pack(
        _LAYOUT,
        record.version,
        record.ends_at,
        record.expires_at,
        record.access_expires_at,
        record.created_at,
        record.last_used_at,
        record.generation,
        len(subject),
        present,
        record.family_hash,
        record.secret_hash,
    )
    return b"".join((head, *parts, subject, pack_context(record.context)))


def _unpack(session_id: str, value: bytes) -> SessionRecord:
    try:
        (
            layout,
            version,
            ends_at,
            expires_at,
            access_expires_at,
            created_at,
            last_used_at,
            generation,
            length,
            present,
            family,
            secret,
        ) = _HEAD.unpack_from(value)
        if layout != _LAYOUT:
            raise ValueError("of a layout that is not known here")
        place = _HEAD.size
        previous = salt = rotated_at = None
        if present & _PREVIOUS:
            previous, place = value[place : place + _HASH_BYTES], place + _HASH_BYTES
        if present & _SALT:
            salt, place = value[place : place + _SALT_BYTES], place + _SALT_BYTES
        if present & _ROTATED:
            (rotated_at,), place = _TIME.unpack_from(value, place), place + _TIME.size
        subject, context = (
            value[place : place + length].decode(),
            unpack_context(value[place + length :]),
        )
    except (struct.error, ValueError, TypeError) as error:
        raise StorageUnavailable(
            "the server holds under the name of a session what cannot be one"
        ) from error
    return SessionRecord(
        version,
        session_id,
        subject,
        created_at,
        expires_at,
        ends_at,
        last_used_at,
        generation,
        access_expires_at,
        family,
        secret,
        previous,
        salt,
        rotated_at,
        context,
    )

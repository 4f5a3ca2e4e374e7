"""What a manager asks of a storage. Nothing here stores anything.

A storage keeps records by session id and finds those of a subject. It decides nothing: lifetimes, secrets and the order
of steps are the manager's. It needs no clock, since each call brings ``now`` (Unix seconds).

**One rule carries all of it: compare and swap.** ``replace`` and ``delete`` act only where the stored ``version`` is the one
their caller read, atomically. That is what makes two racing refreshes agree, and what keeps a session from being deleted
while a token is being issued that its revocation would not cover.

A call that cannot be carried out raises (any exception: the manager turns it into
:class:`~tokenwheel.errors.StorageUnavailable`) and has then changed nothing, or all of what it was asked to.
``tokenwheel.testing`` holds the suite that every storage must pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ..models import SessionRecord

__all__ = ["AsyncSessionStorage", "SessionStorage"]


@runtime_checkable
class SessionStorage(Protocol):
    """A storage whose calls block.

    Four attributes may be left out. ``waits``: True where calls may wait, for a disk or a network, so that an async manager makes them from
    worker threads. ``is_async``: True where methods return awaitables without being coroutine functions. ``session_id_prefix(subject)``:
    up to two bytes with which the ids of the subject's sessions begin. ``publishes_to(feed)``: True where ``replace`` and ``delete`` take
    a feed and revocations besides, one for each record, and publish those whose records they changed, in the same step.
    """

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        """Add a new session. False, and nothing added, where its subject already has ``limit`` sessions with ``ends_at > now``.

        Counting and adding are one atomic step. The id is new: a storage that holds it already raises.
        """
        ...

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        """The record of a session, or None. May or may not return one with ``ends_at <= now``."""
        ...

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        """The records of exactly this subject's sessions, compared character by character; in any order."""
        ...

    def replace(self, record: SessionRecord, now: float) -> bool:
        """Write a new state of a session, where the stored version is ``record.version - 1``; else False and nothing changed."""
        ...

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        """Delete each of these sessions whose stored version is still that of the record; the ids of those deleted."""
        ...


@runtime_checkable
class AsyncSessionStorage(Protocol):
    """The same, awaited. :class:`SessionStorage` says what each call does."""

    async def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool: ...

    async def read(self, session_id: str, now: float) -> SessionRecord | None: ...

    async def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]: ...

    async def replace(self, record: SessionRecord, now: float) -> bool: ...

    async def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]: ...

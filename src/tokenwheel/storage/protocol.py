"""What a manager asks of a storage. Nothing here stores anything.

A storage keeps records by session id and finds those of a subject. It decides nothing: lifetimes,
secrets and the order of steps are the manager's. It needs no clock, since each call brings ``now``
(Unix seconds).

**One rule carries all of it: compare and swap.** ``replace`` and ``delete`` act only where the
stored ``version`` is the one their caller read, atomically. That is what makes two racing refreshes
agree. It also keeps a session from being deleted while a token is being issued that its revocation
would not cover.

A call that cannot be carried out raises, and has then changed nothing, or all of what it was asked
to. Any exception will do: the manager turns it into :class:`~tokenwheel.errors.StorageUnavailable`.

Where records are damaged, ``read`` and ``read_all`` may raise
:class:`~tokenwheel.storage.DamagedRecords`, which has all that could be read. So whoever logs out
everywhere loses the other sessions, too. Any other exception says that nothing could be read.

Every storage has the methods of :class:`SessionStorage` or :class:`AsyncSessionStorage`. Beyond
these it may have optional powers, each a protocol of its own here. ``tokenwheel.testing`` holds the
suite that every storage must pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..models import SessionRecord

if TYPE_CHECKING:
    from ..revocation.protocol import Revocation, RevocationFeed

__all__ = [
    "AccessLifetimeStorage",
    "AsyncSessionStorage",
    "AwaitableStorage",
    "CheckedStorage",
    "ClosingStorage",
    "DurableStorage",
    "PlacedStorage",
    "PublishingStorage",
    "SessionStorage",
    "TimedStorage",
    "WaitingStorage",
]


@runtime_checkable
class SessionStorage(Protocol):
    """Keep sessions for a manager; each call blocks until it is done.

    A storage may have more powers than these methods: :class:`WaitingStorage`,
    :class:`TimedStorage`, :class:`AwaitableStorage`, :class:`ClosingStorage`,
    :class:`PlacedStorage`, :class:`PublishingStorage`, :class:`DurableStorage`,
    :class:`AccessLifetimeStorage` and :class:`CheckedStorage` say which.
    """

    def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        """Add a new session, unless its subject has ``limit`` of its issuer that live.

        These are the ones with the same ``issuer`` and with ``ends_at > now``.
        Counting and adding are one atomic step. The id is new: a storage that holds it already
        raises.

        Returns:
            True where the session was added; False where the limit kept it out and nothing changed.
        """
        ...

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        """Return the record of a session, or None where there is none.

        A record with ``ends_at <= now`` may be returned or not: the manager checks the end itself.
        """
        ...

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        """Return the records of this subject's sessions, of whatever issuer, in any order.

        Subjects are compared character by character.
        """
        ...

    def replace(self, record: SessionRecord, now: float) -> bool:
        """Write a new state of a session, where the stored version is ``record.version - 1``.

        Returns:
            True where it was written; False where the version was another one and nothing changed.
        """
        ...

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        """Delete each of these sessions whose stored version is still that of the record.

        Returns:
            The ids of the sessions that were deleted.
        """
        ...


@runtime_checkable
class AsyncSessionStorage(Protocol):
    """Keep sessions for an ``AsyncSessionManager``, which awaits each call.

    :class:`SessionStorage` says what each call does.
    """

    async def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        """Add a new session, as :meth:`SessionStorage.insert` does."""
        ...

    async def read(self, session_id: str, now: float) -> SessionRecord | None:
        """Return the record of a session, as :meth:`SessionStorage.read` does."""
        ...

    async def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        """Return the records of a subject, as :meth:`SessionStorage.read_all` does."""
        ...

    async def replace(self, record: SessionRecord, now: float) -> bool:
        """Write a new state of a session, as :meth:`SessionStorage.replace` does."""
        ...

    async def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        """Delete sessions, as :meth:`SessionStorage.delete` does."""
        ...


@runtime_checkable
class WaitingStorage(Protocol):
    """Say that blocking calls may wait, for a disk or a network.

    An async manager then makes them from worker threads, and its event loop goes on. Without this
    attribute it makes them on the event loop itself.
    """

    @property
    def waits(self) -> bool:
        """True where calls may wait."""
        ...


@runtime_checkable
class TimedStorage(Protocol):
    """Say for how long a blocking call may wait.

    An async manager that has more calls to make than threads lets a call wait for a thread as long,
    but 5 seconds at least. After that it refuses the call. Without this attribute it refuses the
    call after 30 seconds.
    """

    @property
    def timeout(self) -> float:
        """Seconds until a call that cannot be carried out raises."""
        ...


@runtime_checkable
class AwaitableStorage(Protocol):
    """Say that methods return awaitables though they are not coroutine functions.

    Only an ``AsyncSessionManager`` takes such a storage.
    """

    @property
    def is_async(self) -> bool:
        """True where methods return awaitables."""
        ...


@runtime_checkable
class ClosingStorage(Protocol):
    """Hold something open that is let go of in the end: a file, or connections of its own.

    The last manager of a process that closes calls ``close``. Connections that the user made stay
    the user's to close.
    """

    def close(self) -> Any:
        """Let go of what is open. Can be called again. Any other call raises from then on.

        May return an awaitable, for an async manager.
        """
        ...


@runtime_checkable
class CheckedStorage(Protocol):
    """Say that ``read`` and ``read_all`` tell damaged records from others by themselves.

    They raise :class:`~tokenwheel.storage.DamagedRecords`. Without this attribute a manager looks
    at each field of each record.
    """

    @property
    def is_checked(self) -> bool:
        """True where each record that is returned is as a manager has written it, in its form."""
        ...


@runtime_checkable
class DurableStorage(Protocol):
    """Say that sessions are kept where others than this process may write them or read them.

    A manager that has no ``storage_key`` then says so once in the log.
    """

    @property
    def is_durable(self) -> bool:
        """True where what is stored outlives the process."""
        ...


@runtime_checkable
class PlacedStorage(Protocol):
    """Have a say in how a session id begins, so that an id tells where its session is kept."""

    def session_id_prefix(self, subject: str) -> bytes:
        """Return up to two bytes with which the ids of this subject's new sessions begin."""
        ...


@runtime_checkable
class AccessLifetimeStorage(Protocol):
    """Keep how long the access tokens of a service live at most, where all its processes see it.

    A session may be lost: restored from an older backup, or dropped by a server. Its access tokens
    are refused all the same, for as long as one can live. With a storage of this power that is the
    longest ``access_ttl`` of any process, else the longest lifetime of a session.
    """

    def keep_access_lifetime(self, issuer: str, seconds: int) -> Any:
        """Raise what is kept for an issuer to ``seconds``, where that is more. Return what is kept.

        It is never lowered, and kept as long as the sessions are: without an end of its own.

        Args:
            issuer: the ``iss`` of the access tokens.
            seconds: how long a token lives that is about to be issued. 0 only asks.

        Returns:
            The longest lifetime, in seconds, or an awaitable of it. 0 where nothing is kept.
        """
        ...


@runtime_checkable
class PublishingStorage(Protocol):
    """Change a session and publish its revocation in the same step.

    That can be where feed and storage share a place.

    A manager whose feed the storage publishes to calls these methods instead of the plain ones. Its
    own process refuses the tokens before it does. A storage that answers one call in an awaitable
    does so here, too.
    """

    def publishes_to(self, feed: RevocationFeed) -> bool:
        """Return True where ``replace`` and ``delete`` can publish to this feed."""
        ...

    def replace(
        self,
        record: SessionRecord,
        now: float,
        feed: RevocationFeed,
        revocations: Sequence[Revocation],
        /,
    ) -> Any:
        """Write a new state of a session, and publish the one revocation where it was written."""
        ...

    def delete(
        self,
        records: Sequence[SessionRecord],
        now: float,
        feed: RevocationFeed,
        revocations: Sequence[Revocation],
        /,
    ) -> Any:
        """Delete sessions, and publish the revocations of those deleted: there is one a record."""
        ...

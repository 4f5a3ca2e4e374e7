"""What a feed must do, by which the processes and machines of a service tell of revocations.

A feed is an ordered, durable log. Revocations merge by maximum, so a feed may deliver one late,
twice, or in any order. What it may not do is lose one, or let ``publish`` return before every
process of this machine can have it. Nothing here sends anything.

Every feed has the methods of :class:`RevocationFeed`. Beyond these it may have optional powers,
each a protocol of its own here. ``tokenwheel.testing.FeedContract`` is the suite that every feed
must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

__all__ = [
    "Apply",
    "AwaitableFeed",
    "DoorbellFeed",
    "ReplayingFeed",
    "Revocation",
    "RevocationFeed",
    "Row",
    "WaitingFeed",
]

Row = tuple[str, float, int | None]
"""The fields of a :class:`Revocation`, without the time that it takes to make one."""
Apply = Callable[[Iterable[Row]], None]
"""Takes in any number of revocations at a time; what a feed hands them to."""


class Revocation(NamedTuple):
    """The fact that access tokens of a session are refused until ``expires_at``."""

    session_id: str
    """16 base64url characters."""
    expires_at: float
    """Unix seconds."""
    before: int | None
    """Tokens of a generation below this one are refused; None: those of every generation."""


@runtime_checkable
class RevocationFeed(Protocol):
    """Tell the :class:`~tokenwheel.RevocationList` of every process of each other's revocations.

    What ``publish`` raises reaches the caller of the manager as
    :class:`~tokenwheel.errors.StorageUnavailable`.

    A feed may have more powers than these methods: :class:`DoorbellFeed`, :class:`WaitingFeed`,
    :class:`AwaitableFeed` and :class:`ReplayingFeed` say which.
    """

    def start(self, apply: Apply) -> None:
        """Hand every revocation that lives to ``apply``, and keep ``apply`` for those to come.

        All that lives has been handed over when this returns. It is called once. ``apply`` takes
        any number of revocations at a time, and plain tuples of the three fields as well.
        """
        ...

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        """Make revocations durable, and visible to the next ``poll`` of this machine's processes.

        May return an awaitable, for an async manager. It is done when this returns, or was awaited.
        """
        ...

    def poll(self) -> None:
        """Hand what has arrived since the last call to ``apply``.

        It counts as read only then, since ``apply`` may raise. A list calls this before every
        lookup, so it must cost next to nothing where there is no news. A list that has a
        :class:`DoorbellFeed` calls it where the doorbell has rung, and once a second. While
        somebody subscribes to the list, it also does so from a thread of its own.

        Raises:
            StorageUnavailable: the feed is out of reach, and goes by nothing that it knows. This,
                like anything else that is raised, reaches the caller of ``read``.
        """
        ...

    def close(self) -> Any:
        """Stop whatever runs, and let go of what is open. Can be called again.

        May return an awaitable, for an async manager.
        """
        ...


@runtime_checkable
class DoorbellFeed(Protocol):
    """Have eight bytes of memory that change with every publication.

    A lookup then looks at these instead of asking the feed.
    """

    @property
    def doorbell(self) -> Any:
        """A buffer of eight bytes, or None.

        They change before a ``publish`` in any process of this machine returns.

        None where there is no doorbell, for a while or for ever: each lookup then asks the feed.
        """
        ...


@runtime_checkable
class WaitingFeed(Protocol):
    """Say that ``publish`` and ``close`` may wait, for a disk or a network.

    An async manager then calls them from worker threads, and its event loop goes on.
    """

    @property
    def waits(self) -> bool:
        """True where calls may wait."""
        ...


@runtime_checkable
class AwaitableFeed(Protocol):
    """Say that ``publish`` and ``close`` return awaitables though they are not coroutine functions.

    Only an ``AsyncSessionManager`` takes such a feed.
    """

    @property
    def is_async(self) -> bool:
        """True where ``publish`` and ``close`` return awaitables."""
        ...


@runtime_checkable
class ReplayingFeed(Protocol):
    """Take in what lives by awaiting it, since ``start`` cannot.

    An async manager awaits ``replay`` before anything else; until it has, ``poll`` raises.
    """

    async def replay(self) -> None:
        """Hand every revocation that lives to ``apply``, if that was not done yet."""
        ...


@runtime_checkable
class RewindingFeed(Protocol):
    """Hand over once more what lives.

    A list asks for it where its clock was put back: what seemed over when it came may not be over.
    """

    def rewind(self) -> None:
        """Hand every revocation that lives to ``apply`` once more.

        It may do so within a second, or at the next poll.
        """
        ...

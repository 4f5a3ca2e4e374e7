"""How the processes and machines of one service tell each other of revocations: the message, its bytes, and what a feed must do.

A message names a session, the lowest generation still good, and when it ends. It carries no claims and no secret, and merges by
maximum, so a feed may deliver it late, twice, or in any order. What it may not do is lose one, or let ``publish`` return before every
process of this machine can have it. Nothing here sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

__all__ = ["Revocation", "RevocationFeed"]


class Revocation(NamedTuple):
    """Access tokens of this session with a generation below ``before`` (None: of every generation) are refused until ``expires_at``."""

    session_id: str
    """16 base64url characters."""
    expires_at: float
    """Unix seconds."""
    before: int | None


@runtime_checkable
class RevocationFeed(Protocol):
    """What a :class:`~tokenwheel.RevocationList` needs of a feed. ``tokenwheel.testing.FeedContract`` checks one.

    Any exception from ``publish`` reaches the caller of the manager as :class:`~tokenwheel.errors.StorageUnavailable`.

    Four attributes may be left out. ``doorbell``: a buffer of eight bytes in memory that change before a ``publish`` anywhere on this
    machine returns, or None for a while or for ever; looking at it is all that an ordinary ``read`` then does. ``waits``: True where
    ``publish`` may block, for a disk or a network, so that an async manager calls it from a worker thread. ``is_async``: True where
    ``publish`` and ``close`` return awaitables without being coroutine functions. ``replay``: a coroutine function that takes in what
    lives, where ``start`` cannot; an async manager awaits it before anything else, and until it has, ``poll`` raises.
    """

    def start(self, apply: Callable[[Iterable[tuple[str, float, int | None]]], None]) -> None:
        """Hand every revocation that still lives to ``apply`` before returning, and keep ``apply`` for those to come. Called once.

        ``apply`` takes any number at a time, and plain tuples of the three fields as well.
        """
        ...

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        """Make these durable, and visible to the next ``poll`` of every process of this machine, before returning.

        May return an awaitable instead, for an async manager.
        """
        ...

    def poll(self) -> None:
        """Hand what has arrived since the last call to ``apply``, and only then count it as read, since ``apply`` may raise.

        Called before every lookup, unless the feed has a ``doorbell``: then where its eight bytes have changed, and once a second.
        Without news it must cost next to nothing. What it raises reaches the caller of ``read``, so where the feed is out of reach it
        raises :class:`~tokenwheel.errors.StorageUnavailable`, or goes on with what it knows.
        """
        ...

    def close(self) -> Any:
        """Stop whatever runs, and let go of what is open. Can be called again. May return an awaitable, for an async manager."""
        ...

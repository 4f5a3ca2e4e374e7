"""How the processes and machines of one service tell each other of revocations: the message, its bytes, and what a feed must do.

A message names a session, the lowest generation still good, and when it ends. It carries no claims and no secret, and merges by
maximum, so a feed may deliver it late, twice, or in any order. What it may not do is lose one, or let ``publish`` return before every
process of this machine can have it. Nothing here sends anything.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .._impl import decode, encode
from ..errors import InvalidArgument

__all__ = ["MESSAGE_BYTES", "Revocation", "RevocationFeed", "pack", "unpack", "unpack_each"]

_FORMAT = struct.Struct(
    ">B12sId"
)  # version, session id, generation (all ones: every one), end in Unix seconds; 25 bytes
MESSAGE_BYTES = _FORMAT.size
_VERSION = 1
_EVERY_GENERATION = 2**32 - 1
_FURTHEST_END = 1e11  # Unix seconds


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


def pack(revocation: Revocation) -> bytes:
    """The 25 bytes of a message.

    Raises:
        InvalidArgument: the revocation could not be taken by a list either.
    """
    problem = _problem(revocation)
    if problem is not None:
        raise InvalidArgument(f"a revocation's {problem}")
    before = _EVERY_GENERATION if revocation.before is None else revocation.before
    return _FORMAT.pack(_VERSION, decode(revocation.session_id), before, revocation.expires_at)


def unpack(message: bytes) -> Revocation:
    """The revocation in a message that came from outside.

    Raises:
        InvalidArgument: it is none, whatever it is instead.
    """
    if not isinstance(message, bytes) or len(message) != MESSAGE_BYTES:
        raise InvalidArgument(f"a revocation message has {MESSAGE_BYTES} bytes")
    return Revocation._make(unpack_each(message)[0])


def unpack_each(messages: bytes) -> list[tuple[str, float, int | None]]:
    """The revocations of one message after the other, at least one; as plain tuples, since there may be a million.

    Raises:
        InvalidArgument: one of them is none.
    """
    if not isinstance(messages, bytes) or not messages or len(messages) % MESSAGE_BYTES:
        raise InvalidArgument(f"revocation messages have {MESSAGE_BYTES} bytes each")
    revocations = []
    for version, session_id, before, expires_at in _FORMAT.iter_unpack(messages):
        if version != _VERSION:
            raise InvalidArgument(f"a revocation message of version {version} is not known here")
        if before == 0 or not 0 <= expires_at <= _FURTHEST_END:
            raise InvalidArgument(
                f"a revocation message has a generation above 0, and an end of at most {_FURTHEST_END:g} Unix seconds"
            )
        revocations.append(
            (encode(session_id), expires_at, None if before == _EVERY_GENERATION else before)
        )
    return revocations


def _problem(revocation: Revocation) -> str | None:
    """What keeps a list from taking a revocation; None where nothing does."""
    session_id, expires_at, before = revocation
    if not isinstance(session_id, str) or len(session_id) != 16:
        return "session_id must be 16 base64url characters"
    try:
        decode(session_id)
    except ValueError:
        return "session_id must be 16 base64url characters"
    if (
        isinstance(expires_at, bool)
        or not isinstance(expires_at, int | float)
        or not 0 <= expires_at <= _FURTHEST_END
    ):
        return f"expires_at must be a number of seconds from 0 to {_FURTHEST_END:g}"
    if before is not None and (type(before) is not int or not 0 < before < _EVERY_GENERATION):
        return f"before must be None or an int from 1 to {_EVERY_GENERATION - 1}"
    return None

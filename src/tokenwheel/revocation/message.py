"""A revocation as bytes for a wire, and back, checked on arrival.

A message names a session, the lowest generation still good, and when it ends. It carries no claims
and no secret.
"""

from __future__ import annotations

import struct

from .._impl import decode, encode
from ..errors import InvalidArgument
from .protocol import Revocation

__all__ = ["MESSAGE_BYTES", "pack", "unpack", "unpack_each"]

# The version, the session id, the generation (all ones for every generation), and the end in Unix
# seconds.
_FORMAT = struct.Struct(">B12sId")
MESSAGE_BYTES = _FORMAT.size
_VERSION = 1
_EVERY_GENERATION = 2**32 - 1
_FURTHEST_END = 1e11  # Unix seconds


def pack(revocation: Revocation) -> bytes:
    """Return the bytes of a message, ``MESSAGE_BYTES`` of them.

    Raises:
        InvalidArgument: a field cannot be used. A list would refuse it, too.
    """
    problem = _problem(revocation)
    if problem is not None:
        raise InvalidArgument(f"a revocation's {problem}")
    before = _EVERY_GENERATION if revocation.before is None else revocation.before
    return _FORMAT.pack(_VERSION, decode(revocation.session_id), before, revocation.expires_at)


def unpack(message: bytes) -> Revocation:
    """Return the revocation in a message that came from outside.

    Raises:
        InvalidArgument: it is no revocation message, of whatever type it is.
    """
    if not isinstance(message, bytes) or len(message) != MESSAGE_BYTES:
        raise InvalidArgument(f"a revocation message has {MESSAGE_BYTES} bytes")
    return Revocation._make(unpack_each(message)[0])


def unpack_each(messages: bytes) -> list[tuple[str, float, int | None]]:
    """Return the revocations of messages that lie one after the other, at least one.

    They are plain tuples of a :class:`Revocation`'s fields, since there may be a million.

    Raises:
        InvalidArgument: one of them is no revocation message.
    """
    if not isinstance(messages, bytes) or not messages or len(messages) % MESSAGE_BYTES:
        raise InvalidArgument(f"revocation messages have {MESSAGE_BYTES} bytes each")
    revocations = []
    for version, session_id, before, expires_at in _FORMAT.iter_unpack(messages):
        if version != _VERSION:
            raise InvalidArgument(f"a revocation message of version {version} is not known here")
        if before == 0 or not 0 <= expires_at <= _FURTHEST_END:
            raise InvalidArgument(
                f"a revocation message has a generation above 0, "
                f"and an end of at most {_FURTHEST_END:g} Unix seconds"
            )
        revocations.append(
            (encode(session_id), expires_at, None if before == _EVERY_GENERATION else before)
        )
    return revocations


def _problem(revocation: Revocation) -> str | None:
    """Return what keeps a list from taking a revocation; None where nothing does."""
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

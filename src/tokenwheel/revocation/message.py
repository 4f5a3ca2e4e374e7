"""A revocation as bytes for a wire, and back, checked on arrival.

A message names a session, the lowest generation still good, and when it ends. It carries no claims
and no secret.
"""

from __future__ import annotations

import struct

from .._impl import decode, encode
from ..errors import InvalidArgument
from ..exact import named, plain_of
from .protocol import Revocation

__all__ = [
    "MESSAGE_BYTES",
    "pack",
    "plain_revocation",
    "plain_revocations",
    "unpack",
    "unpack_each",
]

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
    session_id, expires_at, before = plain_revocation(revocation)
    problem = _problem(session_id, expires_at, before)
    if problem is not None:
        raise InvalidArgument(f"a revocation's {problem}")
    lowest = _EVERY_GENERATION if before is None else before
    return _FORMAT.pack(_VERSION, decode(session_id), lowest, expires_at)


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


def plain_revocation(revocation: object) -> Revocation:
    """Return a revocation whose fields are of the plain types, as far as they are of a subclass.

    Args:
        revocation: a Revocation, or another tuple of the three fields.

    Raises:
        InvalidArgument: it is neither.
    """
    if not issubclass(type(revocation), tuple) or tuple.__len__(revocation) != 3:  # type: ignore[arg-type]
        raise InvalidArgument(f"a revocation must be a Revocation, not {named(revocation)}")
    return Revocation._make(map(plain_of, tuple.__iter__(revocation)))  # type: ignore[arg-type]


def plain_revocations(revocations: object) -> list[Revocation]:
    """Return revocations of an iterable, looked at once: see :func:`plain_revocation`.

    Raises:
        InvalidArgument: it is no iterable, or holds something else.
    """
    try:
        looked_at = list(revocations)  # type: ignore[call-overload]
    except Exception as error:  # any: the iterable is the caller's own
        raise InvalidArgument(
            f"revocations must be a sequence of Revocation, not {named(revocations)}"
        ) from error
    return [plain_revocation(revocation) for revocation in looked_at]


def _problem(session_id: object, expires_at: object, before: object) -> str | None:
    """Return what keeps a list from taking a revocation; None where nothing does."""
    if type(session_id) is not str or len(session_id) != 16:
        return "session_id must be 16 base64url characters"
    try:
        decode(session_id)
    except ValueError:
        return "session_id must be 16 base64url characters"
    if type(expires_at) not in (int, float) or not 0 <= expires_at <= _FURTHEST_END:  # type: ignore[operator]
        return f"expires_at must be a number of seconds from 0 to {_FURTHEST_END:g}"
    if before is not None and (type(before) is not int or not 0 < before < _EVERY_GENERATION):
        return f"before must be None or an int from 1 to {_EVERY_GENERATION - 1}"
    return None

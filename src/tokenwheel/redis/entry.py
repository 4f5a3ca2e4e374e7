"""An entry of the stream, as a node writes it and as it understands one that comes.

An entry has two fields. ``r`` holds the messages of its revocations, one after the other
(``revocation/message.py``). ``e`` holds the moment when the last of them is over; the script that
appends an entry writes it, and only scripts read it (``scripts.py``).

Whatever lies in the stream was put there by somebody, so nothing in it is taken on trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import InvalidArgument
from ..revocation.message import pack, plain_revocations, unpack_each
from ..revocation.protocol import Revocation, Row
from .scripts import milliseconds

__all__ = ["REVOCATIONS_PER_ENTRY", "Understood", "decode_entry", "encode_entry"]

REVOCATIONS_PER_ENTRY = 250
"""How many revocations a node or a storage puts into one entry; what is more goes into several."""


class Understood(NamedTuple):
    """What a node has understood of the stream: messages, and the revocations that they hold."""

    messages: bytes
    revocations: list[Row]


def encode_entry(revocations: Sequence[Revocation], now: float) -> tuple[str, list[bytes]]:
    """Return what a node sends to have revocations appended as one entry.

    Args:
        revocations: at least one.
        now: Unix seconds, by the slowest clock.

    Returns:
        For how long the entry is kept and what time it is, each in milliseconds, as the scripts
        take it; and the message of each revocation.

    Raises:
        InvalidArgument: a revocation that no list could take.
    """
    revocations = plain_revocations(revocations)
    if not revocations:
        raise InvalidArgument("an entry of the stream has at least one revocation")
    messages = [pack(revocation) for revocation in revocations]
    last_end = max(revocation.expires_at for revocation in revocations)
    return f"{milliseconds(last_end - now)} {max(int(now * 1000), 0)}", messages


def decode_entry(fields: Any) -> Understood:
    """Return what the fields of an entry say.

    Args:
        fields: names and values in turn, as the server answers them.

    Raises:
        InvalidArgument: an entry that was not made by this library.
    """
    if not isinstance(fields, list) or len(fields) != 4 or (fields[0], fields[2]) != (b"r", b"e"):
        raise InvalidArgument("an entry of the stream has the fields r and e")
    messages = fields[1]
    return Understood(messages, unpack_each(messages))

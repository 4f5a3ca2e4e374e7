"""What a node remembers of the stream, so that it can put back what the server loses.

Only messages lie here. When a node puts them back is decided in ``stream_reader.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..revocation.message import MESSAGE_BYTES
from .scripts import CLOCK_MARGIN

__all__ = ["HeardRevocations"]

_MINUTE = 60  # seconds


class HeardRevocations:
    """Hold the message of every revocation that lives.

    Messages lie together by the minute in which they end, so forgetting takes no search.
    """

    def __init__(self) -> None:
        self._minutes: defaultdict[int, bytearray] = defaultdict(bytearray)

    def add(self, message: bytes, expires_at: float) -> None:
        """Remember a message until its revocation is over, at ``expires_at`` in Unix seconds."""
        self._minutes[int(expires_at // _MINUTE)] += message

    def forget(self, now: float) -> None:
        """Forget the messages that are over for every node, however wrong its clock may be."""
        over = (now - CLOCK_MARGIN) // _MINUTE
        for minute in [minute for minute in list(self._minutes) if minute < over]:
            del self._minutes[minute]

    def __iter__(self) -> Iterator[bytes]:
        for messages in list(self._minutes.values()):
            for start in range(0, len(messages), MESSAGE_BYTES):
                yield bytes(messages[start : start + MESSAGE_BYTES])

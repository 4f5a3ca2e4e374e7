"""What a process remembers of a feed's log, so that it can put back what the log loses.

Only messages lie here. When they are put back is decided by each feed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .message import MESSAGE_BYTES

__all__ = ["CLOCK_MARGIN", "HeardRevocations"]

CLOCK_MARGIN = 900
"""Seconds, 15 minutes: how far the clocks of two nodes, or of a node and the server, may differ."""

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

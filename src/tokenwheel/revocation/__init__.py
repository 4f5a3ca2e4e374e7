"""What ``read`` asks before it accepts a token, and how processes tell each other.

The first is ``list``; ``protocol`` says what a feed must do.

``message`` has the bytes of a revocation, for feeds that send it over a wire.
"""

from .list import RevocationList
from .protocol import (
    AwaitableFeed,
    DoorbellFeed,
    ReplayingFeed,
    Revocation,
    RevocationFeed,
    RewindingFeed,
    WaitingFeed,
)

__all__ = [
    "AwaitableFeed",
    "DoorbellFeed",
    "ReplayingFeed",
    "Revocation",
    "RevocationFeed",
    "RevocationList",
    "RewindingFeed",
    "WaitingFeed",
]

"""What ``read`` asks before it accepts a token (``list``), and how processes tell each other
(``protocol``).

``message`` has the bytes of a revocation, for feeds that send it over a wire.
"""

from .list import RevocationList
from .protocol import (
    AwaitableFeed,
    DoorbellFeed,
    ReplayingFeed,
    Revocation,
    RevocationFeed,
    WaitingFeed,
)

__all__ = [
    "AwaitableFeed",
    "DoorbellFeed",
    "ReplayingFeed",
    "Revocation",
    "RevocationFeed",
    "RevocationList",
    "WaitingFeed",
]

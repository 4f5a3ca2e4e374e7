"""What ``read`` asks before it accepts a token: ``list`` answers, ``feed`` says how the processes of a service tell each other."""

from .feed import Revocation, RevocationFeed
from .list import RevocationList
from .redis import FeedStats, RedisFeed
from .sqlite import SqliteFeed

__all__ = ["FeedStats", "RedisFeed", "Revocation", "RevocationFeed", "RevocationList", "SqliteFeed"]

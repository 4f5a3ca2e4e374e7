"""Sessions and revocations on a Redis or Valkey server, for any number of machines.

``client`` talks to the server, ``key_names`` says under which names things lie there, ``scripts`` what is done there
in one step. ``storage`` keeps sessions. ``feed`` tells of revocations: ``stream_reader`` says how a node reads the
stream, ``tail`` who reads it. Nothing here imports a client library: the user brings a client.
"""

from .feed import FeedStats, RedisFeed
from .storage import RedisStorage

__all__ = ["FeedStats", "RedisFeed", "RedisStorage"]

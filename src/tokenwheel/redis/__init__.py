"""Sessions and revocations on a Redis or Valkey server, for any number of machines.

Nothing here imports a client library: the user brings a client.

- ``client`` talks to the server, ``key_names`` says under which names things lie there, and
  ``scripts`` holds what the server does in one step.
- ``storage`` keeps sessions, each as the bytes that ``record`` makes of it.
- ``feed`` tells of revocations. ``stream_reader`` says how a node reads the stream of them, and
  ``entry`` what an entry of it holds.
"""

from ..revocation.stats import FeedStats
from .feed import RedisFeed
from .storage import RedisStorage

__all__ = ["FeedStats", "RedisFeed", "RedisStorage"]

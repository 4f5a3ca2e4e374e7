"""Sessions and revocations in a SQLite file, for the processes of one machine.

They are still there after a restart.

- ``database`` says how processes share the file, ``file_names`` under which name it is opened,
  ``new_file`` how it is made, and ``schema`` what is in it.
- ``storage`` keeps sessions.
- ``feed`` tells of revocations. ``log`` has their rows, ``log_reader`` how a process follows these,
  ``kept_clock`` when they may go. ``reachability`` says what becomes of lookups where the file
  can't be read.
- ``doorbell`` is rung when there are new ones, and ``doorbell_keeper`` makes it.
"""

from ..revocation.stats import FeedStats
from .feed import SqliteFeed
from .storage import SqliteStorage

__all__ = ["FeedStats", "SqliteFeed", "SqliteStorage"]

"""Sessions and revocations in a SQLite file, for the processes of one machine and for after a restart.

``database`` says how processes share the file, ``schema`` what is in it. ``storage`` keeps sessions. ``feed`` tells of
revocations, and rings the ``doorbell`` when there are new ones.
"""

from .feed import SqliteFeed
from .storage import SqliteStorage

__all__ = ["SqliteFeed", "SqliteStorage"]

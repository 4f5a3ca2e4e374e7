"""Sessions and revocations in a SQLite file, for the processes of one machine.

They are still there after a restart. ``database`` says how processes share the file, ``new_file``
how it is made, ``schema`` what is in it. ``storage`` keeps sessions. ``feed`` tells of revocations,
and rings the ``doorbell`` when there are new ones.
"""

from .feed import SqliteFeed
from .storage import SqliteStorage

__all__ = ["SqliteFeed", "SqliteStorage"]

"""Names and numbers that all processes must agree on which share the tables.

One may reach them through SQLAlchemy and the next through Django.
"""

from __future__ import annotations

__all__ = [
    "CHANNEL",
    "LOCK_CLASS",
    "LONGEST_LOCK",
    "SCHEMA_VERSION",
    "VERSION_NAME",
    "name_of_lock",
]

SCHEMA_VERSION = 1
"""The version of the tables that this release reads and writes."""
VERSION_NAME = "schema_version"
"""Under which the version stands in the table of values."""
CHANNEL = "tokenwheel_revocations"
"""On which PostgreSQL tells of new rows in the log (``NOTIFY``)."""
LOCK_CLASS = 0x746F6B77
"""The first of the two numbers of our advisory locks in PostgreSQL: ``tokw`` in ASCII."""
LONGEST_LOCK = "10s"
"""For how long such a lock is waited for.

A machine that was cut off keeps its locks until the server gives it up.
"""


def name_of_lock(number: int) -> str:
    """Return under which name in the table of values the row of a lock stands."""
    return f"lock:{number}"

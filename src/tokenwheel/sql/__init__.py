"""Sessions and revocations in PostgreSQL, MySQL, MariaDB or SQLite, reached by SQLAlchemy 2.

What all SQL databases have in common is in ``tokenwheel.tables``.

- ``metadata`` describes the tables, and ``schema`` makes them and knows their version.
- ``statements`` are the statements on them, and ``dialects`` and ``mysql`` what differs from
  one database to another.
- ``engines`` says which engine of an application can be used, and ``database`` how.
- ``storage`` keeps sessions, and ``feed`` tells of revocations.
- ``listening`` and ``async_listening`` wait for news over a connection of their own. ``apart`` says
  how that is made, and ``drivers`` what each driver tells.
"""

from .feed import SqlFeed
from .metadata import metadata
from .schema import create_all
from .storage import SqlStorage

__all__ = ["SqlFeed", "SqlStorage", "create_all", "metadata"]

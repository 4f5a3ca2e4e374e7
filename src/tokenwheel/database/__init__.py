"""One SQLite file: how processes share it (``file.py``), and what is in it (``schema.py``)."""

from .file import Database, Synchronous
from .schema import VERSION

__all__ = ["VERSION", "Database", "Synchronous"]

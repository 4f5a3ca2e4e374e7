"""Sessions in a database of a Django project."""

from __future__ import annotations

from ..tables.storage import TableStorage
from .installed import installed_database

__all__ = ["DjangoStorage"]


class DjangoStorage(TableStorage):
    """Keep sessions in a database that Django's ``DATABASES`` names.

    The app ``tokenwheel.django`` has to be installed and migrated there. Any database will do that
    Django supports. Of secrets the tables hold SHA-256 hashes only.

    Each call has a transaction of its own, on a connection of its own. So once a logout has
    returned it holds, and no rollback of the request undoes it. In a ``TestCase`` of Django the
    calls go over the connection of the test, which undoes them in the end.

    Args:
        using: the alias of the database. No database router is asked.
        timeout: seconds, 0.1 to 3,600, that a call may take, whatever the server does.

    Raises:
        ConfigurationError: an option makes no sense, or the app is not installed.
    """

    def __init__(self, using: str = "default", *, timeout: float = 5.0) -> None:
        database = installed_database(using, timeout)
        super().__init__(database)
        self._using = using
        self._system = database.system

    def __repr__(self) -> str:
        return f"<DjangoStorage {self._using!r}>"

    @property
    def db_system(self) -> str:
        """What traces name as the kind of database, in the words of OpenTelemetry."""
        return self._system()

"""The version of the tables, which is looked at before they are first used."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..tables.names import SCHEMA_VERSION, VERSION_NAME
from .models import Revocation, Session, Value
from .statements import DjangoStatements

__all__ = ["check_version"]

_TABLES = {model._meta.db_table for model in (Revocation, Session, Value)}


def check_version(statements: DjangoStatements) -> None:
    """Check that the tables are those that this release knows.

    Where their version is missing, it is written. Django's tests empty all tables, for example.

    Raises:
        ConfigurationError: the tables are not there, or are of another version.
        Exception: Django's errors.
    """
    connection = statements.connection
    if not _TABLES.issubset(connection.introspection.table_names()):
        raise ConfigurationError(
            "the database lacks the tables of tokenwheel: list 'tokenwheel.django' in "
            f"INSTALLED_APPS, and run manage.py migrate --database {connection.alias}"
        )
    version = statements.value(VERSION_NAME)
    if version is None:
        version = statements.raise_value(VERSION_NAME, SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the tables of tokenwheel are of version {version}, "
            f"and this tokenwheel knows none above {SCHEMA_VERSION}"
        )

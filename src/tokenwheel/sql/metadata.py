"""The tables of sessions, of revocations and of values, as SQLAlchemy describes tables.

An application that migrates its database by Alembic names :data:`metadata` beside its own in
``target_metadata``. The tables have the names and columns of those in ``tokenwheel.django``, so
services of both kinds can share them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.mysql import LONGBLOB

__all__ = ["metadata", "revocations", "sessions", "values"]

metadata = MetaData()
"""The three tables and their indexes, for Alembic's ``target_metadata``."""

# Ids and hashes are compared by their characters, also where a server's default ignores case.
_OF_MYSQL: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_bin"),
    )
}
# A context may take more than the 64 KiB of a BLOB there.
_LARGE = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")
# In SQLite only a column of this type is numbered by the database.
_POSITION = BigInteger().with_variant(Integer(), "sqlite")

sessions = Table(
    "tokenwheel_sessions",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("subject", String(255), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("last_used_at", Double, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("access_expires_at", BigInteger, nullable=False),
    Column("family_hash", LargeBinary, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary),
    Column("salt", LargeBinary),
    Column("rotated_at", Double),
    Column("context", _LARGE),
    Column("mac", LargeBinary),
    Column("subject_hash", String(64), nullable=False),
    Index("tokenwheel_sessions_subject", "subject_hash"),
    Index("tokenwheel_sessions_end", "ends_at"),
    **_OF_MYSQL,
)
"""A row for each session."""

revocations = Table(
    "tokenwheel_revocations",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=True),
    Column("mark", String(16), nullable=False),
    Column("session_id", String(16), nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("before", BigInteger),
    Column("published_at", Double, nullable=False),
    Index("tokenwheel_revocations_end", "expires_at"),
    sqlite_autoincrement=True,  # so that no position is given out twice
    **_OF_MYSQL,
)
"""The log of revocations: rows that are only ever appended, and removed when long over."""

values = Table(
    "tokenwheel_values",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("number", BigInteger, nullable=False),
    **_OF_MYSQL,
)
"""Whole numbers by name, such as the version of the tables."""

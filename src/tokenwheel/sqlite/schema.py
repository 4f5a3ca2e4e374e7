"""What is in the file: its tables, and the steps from an older version of them to a newer one.

A file that is not of this library is told by its application id, and left as it is.
"""

from __future__ import annotations

import sqlite3

from ..errors import ConfigurationError

__all__ = ["VERSION", "bring_up_to_date", "check_schema", "migrate", "rolled_back"]

APPLICATION_ID = 0x746F6B77  # "tokw", at byte 68 of the file

# Each brings the file from the version before it to its own. Version 0 is an empty file. A released
# migration is never changed.
MIGRATIONS = (
    # The tables.
    (
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            subject TEXT NOT NULL,
            created_at REAL NOT NULL,
            expires_at INTEGER NOT NULL,
            ends_at INTEGER NOT NULL,
            last_used_at REAL NOT NULL,
            generation INTEGER NOT NULL,
            access_expires_at INTEGER NOT NULL,
            family_hash BLOB NOT NULL,
            secret_hash BLOB NOT NULL,
            previous_hash BLOB,
            salt BLOB,
            rotated_at REAL,
            context BLOB
        ) WITHOUT ROWID
        """,
        "CREATE INDEX sessions_by_subject ON sessions (subject)",
        "CREATE INDEX sessions_by_end ON sessions (ends_at)",
        """
        CREATE TABLE revocations (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            session_id TEXT NOT NULL CHECK (length(session_id) = 16),
            before INTEGER,
            expires_at REAL NOT NULL
        )
        """,
        "CREATE INDEX revocations_by_end ON revocations (expires_at)",
    ),
    # What tells a log from another, and from an older state of itself. A process that has had the
    # file open since before inserts no mark, so the file does.
    (
        "ALTER TABLE revocations ADD COLUMN mark BLOB",
        "UPDATE revocations SET mark = randomblob(8)",
        """
        CREATE TRIGGER mark_revocation AFTER INSERT ON revocations WHEN NEW.mark IS NULL
        BEGIN
            UPDATE revocations SET mark = randomblob(8) WHERE position = NEW.position;
        END
        """,
        """
        CREATE TABLE slow_clock (
            boot TEXT PRIMARY KEY,
            least REAL NOT NULL,
            least_before REAL NOT NULL,
            since REAL NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    # Of which service a session is, and what tells that nobody else has written it. A session from
    # before is of none; its next refresh says of which.
    (
        "ALTER TABLE sessions ADD COLUMN issuer TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sessions ADD COLUMN mac BLOB",
    ),
    # How long access tokens live at most, whichever process issues them.
    (
        """
        CREATE TABLE IF NOT EXISTS access_lifetimes (
            issuer TEXT PRIMARY KEY,
            seconds INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
    ),
)
VERSION = len(MIGRATIONS)


def check_schema(connection: sqlite3.Connection) -> int:
    """Return the version of the file. Nothing is written.

    Raises:
        ConfigurationError: the file is another application's, or of a later version.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or objects):
        raise ConfigurationError(
            "the database file belongs to another application; it was left as it is"
        )
    if version > VERSION:
        raise ConfigurationError(
            f"the database file is of version {version}, "
            f"and this tokenwheel knows none above {VERSION}"
        )
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an older file up to date, all of it or nothing.

    Raises:
        ConfigurationError: the file is another application's, or of a later version.
    """
    if check_schema(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        bring_up_to_date(connection)
        connection.execute("COMMIT")
    except BaseException:
        rolled_back(connection)
        raise


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Bring an older file up to date within a transaction that writes.

    It may have become an older one while it was in use, when a backup of it was restored. Where it
    is up to date, as where another process was faster, nothing is done.

    Raises:
        ConfigurationError: the file is another application's, or of a later version.
    """
    version = check_schema(connection)
    if version == VERSION:
        return
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def rolled_back(connection: sqlite3.Connection) -> bool:
    """Undo the transaction of a connection, where SQLite has not done so itself.

    Returns:
        True where the connection can go on. False where SQLite could not undo the transaction: then
        the connection was closed, which undoes it.
    """
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        connection.close()
        return False
    return True

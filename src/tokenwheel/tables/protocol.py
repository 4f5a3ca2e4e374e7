"""What a backend must do for the tables of sessions and revocations. Nothing here does anything.

There are three tables:

- ``tokenwheel_sessions``: a row for each session. ``rows.SESSION_COLUMNS`` are its columns.
- ``tokenwheel_revocations``: rows that are only ever appended, and removed when long over.
  ``rows.LogRow`` has the columns. The database gives each row a ``position`` when it is inserted.
  Positions grow, but a transaction may commit after another one that has a higher position.
- ``tokenwheel_values``: whole numbers by name, such as the version of the tables.

All times are Unix seconds of the caller, in columns of double precision. The database's own clock
and time zone take no part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..revocation.protocol import Revocation
from .rows import LogRow

__all__ = ["Database", "Statements", "Wait", "Work"]


class Statements(Protocol):
    """Carry out single statements on one connection, within the transaction that runs there.

    Each method blocks. An async backend calls them where blocking calls are awaited.
    """

    def lock(self, number: int) -> None:
        """Hold the lock of this number until the transaction ends, waiting for it where need be.

        It is a row lock or an advisory lock of the transaction, and never one of a whole table.

        Args:
            number: from 0 to ``storage.LOCKS - 1``.
        """
        ...

    def issuers(self, subject_hash: str, now: float) -> Sequence[str]:
        """Return the issuer of each session of a subject with ``ends_at > now``."""
        ...

    def insert_session(self, row: Mapping[str, Any]) -> None:
        """Add a session. Raise the database's error where there is one of this id."""
        ...

    def session(self, session_id: str) -> Sequence[Any] | None:
        """Return the row of a session, in the order of ``SESSION_COLUMNS``, or None."""
        ...

    def sessions(self, subject_hash: str, now: float) -> Sequence[Sequence[Any]]:
        """Return the rows of a subject with ``ends_at > now`` or ``access_expires_at > now``."""
        ...

    def replace_session(self, row: Mapping[str, Any], session_id: str, version: Any) -> bool:
        """Set the columns in ``row`` where id and version are these. Return True if it was done."""
        ...

    def delete_sessions(self, versions: Mapping[str, Any]) -> Sequence[str]:
        """Delete each session whose version is the one given for its id.

        A thousand take a few statements, and one takes one where its version is a whole number. A
        damaged version is whatever was found. Return the ids of those that were deleted.
        """
        ...

    def remove_sessions(self, ended_before: float, most: int) -> int:
        """Remove sessions with ``ends_at <= ended_before``, the oldest first, ``most`` at most.

        Rows that another transaction has locked are left alone where the database can do that.
        Return how many were removed.
        """
        ...

    def count_sessions(self, now: float) -> int:
        """Return how many sessions have ``ends_at > now``."""
        ...

    def value(self, name: str) -> int | None:
        """Return the number kept under a name, or None."""
        ...

    def raise_value(self, name: str, number: int) -> int:
        """Keep ``number`` under a name, unless a higher one is kept. Return what is kept.

        Two transactions that do so at once lose neither number.
        """
        ...

    def append(self, revocations: Sequence[Revocation], published_at: float) -> None:
        """Add a row for each revocation, and wake all who listen once the transaction commits.

        Each row gets a ``mark`` of 16 random hexadecimal digits (``new_mark`` in ``rows``).
        """
        ...

    def log_rows(
        self, ranges: Sequence[tuple[int, int | None]], after: int, most: int
    ) -> Sequence[LogRow]:
        """Return rows of the log in the order of their positions, ``most`` at most.

        Args:
            ranges: the first and the last position of each range; None: no last one.
            after: positions up to this one are left out.
            most: how many rows at most.
        """
        ...

    def remove_revocations(self, ended_before: float, most: int) -> int:
        """Remove rows with ``expires_at <= ended_before``, the oldest first, ``most`` at most.

        The row with the highest position stays, so that who has taken it in finds it there.
        Return how many were removed.
        """
        ...

    def writers(self) -> Any:
        """Return what tells later whether all who write now have ended (:meth:`have_ended`)."""
        ...

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True if no row can come any more with a position from ``first`` to ``last``.

        That is so where each transaction that may have been given such a position, and was
        running when :meth:`writers` was called, has ended.
        """
        ...


Work = Callable[[Statements], Any]
"""What is done in one transaction."""


class Wait(NamedTuple):
    """Ask a connection of :meth:`Database.connect` to wait for news."""

    seconds: float
    """For how long at most, where the database wakes who listens."""
    poll_interval: float
    """For how long at most, where it doesn't."""


class Database(Protocol):
    """Reach the user's database, blocking or on an event loop."""

    @property
    def is_async(self) -> bool:
        """True where ``run`` and ``close`` return awaitables."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds that a call may take, whatever the server does."""
        ...

    @property
    def place(self) -> Any:
        """What is equal for two of these that reach the same tables over the same connections."""
        ...

    def run(self, work: Work, *, alone: bool = False, afterwards: Work | None = None) -> Any:
        """Carry out work in one transaction of a connection of its own, and commit.

        Where the work raises, nothing is changed. A transaction that the caller has open, on a
        connection of the application's, takes no part in this.

        Before the first work of a process the version of the tables is checked.

        Args:
            work: is given :class:`Statements`. It never waits for anything but the database.
            alone: True where the work is a single statement, which needs no transaction.
            afterwards: further work, once the first is committed, in a transaction of its own. Its
                failure is nobody's concern.

        Returns:
            What the work returned; an awaitable of it where ``is_async``.

        Raises:
            ConfigurationError: the tables are not there, or of another version.
            StorageUnavailable: the time was up.
            Exception: what the work or the driver raised.
        """
        ...

    def connect(self, patience: float) -> Any:
        """Return a ``LogConnection`` for a tail (``AsyncLogConnection`` where ``is_async``).

        It takes no place in the application's pool. What is sent over it is a :data:`Work`, which
        is carried out in a transaction of its own, or a :class:`Wait`. ``open`` raises where the
        server takes no writes, as a replica, whose news are old.

        Args:
            patience: seconds within which an answer must come.
        """
        ...

    def close(self) -> Any:
        """Let go of threads and whatever else was opened. Can be called again."""
        ...

"""Revocations between the processes of one machine: rows in a SQLite file, beside it a doorbell.

They are still there after a restart. Rows are only ever appended, and removed when they are over.
After each commit the doorbell is rung. A lookup that begins after ``publish`` has returned finds
the number changed, whichever process it runs in, and fetches the rows first. As long as nothing
happens, a lookup costs one load from memory.

The doorbell is only a hint; the table is the truth. A process looks at the table at least once a
second (``RevocationTable``), whatever the number says. A new doorbell may have taken the place of
an old one, whoever did that, and other processes listen to the old one until that second is over.
So ``publish`` waits out the rest of the second before it returns. It waits a whole one where it
cannot ring.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from math import inf

from ..errors import InvalidArgument, StorageUnavailable
from ..fork_safety import renew_after_fork
from ..revocation.message import pack
from ..revocation.protocol import Apply, Revocation, Row
from .database import Database, Synchronous
from .doorbell import Doorbell

__all__ = ["SqliteFeed"]

logger = logging.getLogger("tokenwheel")

# Rows that are over, removed beside each publication: more than one publication adds, but for a
# logout everywhere.
_REMOVED_AT_ONCE = 8
# Seconds: for how long a lookup may go without a look at the doorbell's file, and some.
_SETTLED_AFTER = 1.1
_TRIED_AGAIN_AFTER = 60  # seconds, where there can be no doorbell
_FETCHED_AT_ONCE = 1_000  # rows

_OVER = "SELECT position FROM revocations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
_REMOVE = f"DELETE FROM revocations WHERE position IN ({_OVER})"
_INSERT = "INSERT INTO revocations (session_id, expires_at, before) VALUES (?, ?, ?)"
_NEXT = "SELECT position FROM revocations WHERE position > ? ORDER BY position LIMIT ?"
_LAST_OF_NEXT = f"SELECT max(position) FROM ({_NEXT})"
_FETCH = (
    "SELECT session_id, expires_at, before FROM revocations "
    "WHERE position > ? AND position <= ? LIMIT ?"
)
_SEQUENCE = "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'"
_BEGIN_SEQUENCE = "INSERT INTO sqlite_sequence (name, seq) VALUES ('revocations', 0)"


class _NoBell(Exception):
    """Say that there is no doorbell's file, and that none can be made."""


class SqliteFeed:
    """Tie the :class:`~tokenwheel.RevocationList` of each process of a machine to one file.

    Safe over ``fork``, as in gunicorn's preload.

    Args:
        path: the file. Where there is none it is made, readable by its owner alone. A
            ``SqliteStorage`` may use the same one. The doorbell is the file with ``-doorbell``
            behind its name.
        timeout: seconds to wait for another process's write.
        synchronous: ``"FULL"``: a revocation survives a loss of power. ``"NORMAL"``: it survives
            the end of any process.
        clock: returns Unix seconds.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is
            one of a later version.
        StorageUnavailable: the file cannot be opened.
    """

    waits = True
    """Calls wait for the disk and for other processes, so an async manager needs worker threads."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        synchronous: Synchronous = "FULL",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(path, timeout=timeout, synchronous=synchronous)
        self._bell_path = self._database.path.with_name(f"{self._database.path.name}-doorbell")
        self._clock = clock
        self._lock = threading.Lock()
        self._apply: Apply | None = None
        self._position = 0
        self._bell: Doorbell | None = None
        self._no_bell_until = -inf
        self._has_complained = False
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<SqliteFeed {os.fspath(self._database.path)!r}>"

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when there is news.

        None where files cannot be mapped: each lookup then has to ask.
        """
        return None if self._bell is None else self._bell.number

    def start(self, apply: Apply) -> None:
        """Hand every live revocation to ``apply``, and keep ``apply`` for those to come.

        Raises:
            StorageUnavailable: the file cannot be read, or is damaged.
        """
        with self._lock:
            self._apply = apply
            self._look_at_bell()
            self._fetch()

    def publish(self, revocations: Sequence[Revocation]) -> None:
        """Append revocations in one transaction, then ring the doorbell.

        Returns once the next lookup of every process finds them.

        Raises:
            InvalidArgument: a revocation that no list could take.
            StorageUnavailable: the file cannot be written; nothing was published.
        """
        for revocation in revocations:
            pack(revocation)  # which refuses what cannot be sent
        if not revocations:
            return
        now = self._clock()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_REMOVE, (now, _REMOVED_AT_ONCE))
            connection.executemany(_INSERT, revocations)

        self._database.write(work)
        with self._lock:
            self._ring()
            self._look_at_bell()
            heard_by_all = self._ring()  # It may be another doorbell now.
        remaining = heard_by_all - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)

    def poll(self) -> None:
        """Hand the revocations to ``apply`` that have come since the last call.

        Raises:
            StorageUnavailable: the file cannot be read, or is damaged.
        """
        with self._lock:
            if self._apply is not None:
                self._look_at_bell()
                self._fetch()

    def close(self) -> None:
        """Let go of the file. Can be called again. Lookups then rely on what was known."""
        with self._lock:
            self._apply = None
        self._database.close()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with a lock of its own.

        Another thread of the parent may have held the old one.
        """
        self._lock = threading.Lock()

    def _fetch(self) -> None:
        while self._apply is not None:
            last, rows = self._database.read(self._select_next)
            if last is None:
                return
            try:
                self._apply(rows)
            except InvalidArgument as error:
                raise StorageUnavailable(
                    "the database file is damaged: it holds a revocation that nobody can have made"
                ) from error
            if last <= self._position:
                raise StorageUnavailable(
                    "the database file is damaged: its rows are not in their order"
                )
            self._position = last

    def _select_next(self, connection: sqlite3.Connection) -> tuple[int | None, list[Row]]:
        """Return the next rows, and the position of the last of them; None where there are none.

        The position is asked for first. No row can come below it afterwards, so the second
        statement brings all up to it.
        """
        (last,) = connection.execute(_LAST_OF_NEXT, (self._position, _FETCHED_AT_ONCE)).fetchone()
        if last is None:
            return None, []
        rows = connection.execute(_FETCH, (self._position, last, _FETCHED_AT_ONCE))
        return last, rows.fetchall()

    def _ring(self) -> float:
        """Ring the doorbell. Return the monotonic time by which every process has noticed."""
        if self._bell is not None:
            try:
                self._bell.ring()
            except OSError:
                pass
            else:
                return self._bell.in_place_since + _SETTLED_AFTER
        return time.monotonic() + _SETTLED_AFTER

    def _look_at_bell(self) -> None:
        """Open the doorbell's file, if the one that is open isn't it; make one if need be."""
        if self._bell is not None and self._bell.is_in_place():
            return
        if time.monotonic() < self._no_bell_until:
            return
        try:
            self._bell = self._find_bell() or self._database.write(self._make_bell)
            refusal = self._bell.refusal
        except _NoBell as error:
            self._bell = None
            self._no_bell_until = time.monotonic() + _TRIED_AGAIN_AFTER
            refusal = error
        if refusal is not None:
            self._complain(refusal)

    def _complain(self, refusal: Exception) -> None:
        """Log, once, that lookups go without a doorbell."""
        if not self._has_complained:
            self._has_complained = True
            reason = type(refusal.__cause__ or refusal).__name__
            logger.warning(
                "no file can be mapped beside the database (%s), "
                "so each read asks SQLite for revocations",
                reason,
            )

    def _find_bell(self) -> Doorbell | None:
        """Return the doorbell that is there, or None where there is none, or no sound one."""
        try:
            return Doorbell(self._bell_path)
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise _NoBell from error

    def _make_bell(self, connection: sqlite3.Connection) -> Doorbell:
        """Return a new doorbell, or the one that another process has made meanwhile.

        This runs under the write lock, so that one process makes it and the others find it.
        """
        bell = self._find_bell()
        if bell is not None:
            return bell
        is_first = connection.execute(_SEQUENCE).fetchone() is None
        if is_first:
            # The next doorbell to be made isn't the first, whether or not a row has come by then.
            connection.execute(_BEGIN_SEQUENCE)
        try:
            return Doorbell.replace(self._bell_path, is_first=is_first)
        except (OSError, ValueError) as error:
            raise _NoBell from error

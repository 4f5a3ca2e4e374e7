"""Revocations between the processes of one machine, and for after a restart: rows in a SQLite file, and a doorbell beside it.

Rows are only ever appended, and removed when they are over. After each commit the doorbell is rung. So a lookup that begins after
``publish`` returned finds the number changed, whichever process it runs in, and fetches the rows first; and as long as nothing happens, a
lookup costs one load from memory.

The doorbell is only a hint, the table is the truth. A process looks at it again at least once a second (``RevocationTable``), whatever the
number says. Where the doorbell took another's place less than that second ago, whoever did it, ``publish`` waits out the rest before it
returns: others may still listen to the old one. It waits as long where it cannot ring.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from math import inf

from ..errors import InvalidArgument, StorageUnavailable
from ..fork_safety import renew_after_fork
from ..revocation.message import pack
from ..revocation.protocol import Revocation
from .database import Database, Synchronous
from .doorbell import Doorbell

__all__ = ["SqliteFeed"]

Row = tuple[str, float, int | None]  # as a Revocation, without the time it takes to make one

logger = logging.getLogger("tokenwheel")

_REMOVED_AT_ONCE = 8  # rows that are over, beside each publication: more than one can add, but for a logout everywhere
_SETTLED_AFTER = (
    1.1  # seconds: what a lookup may go without looking at the doorbell's file, and some
)
_TRIED_AGAIN_AFTER = 60  # seconds: where there can be no doorbell
_FETCHED_AT_ONCE = 1_000
_LAST_OF_NEXT = "SELECT max(position) FROM (SELECT position FROM revocations WHERE position > ? ORDER BY position LIMIT ?)"
_FETCH = "SELECT session_id, expires_at, before FROM revocations WHERE position > ? AND position <= ? LIMIT ?"


class _NoBell(Exception):
    """There is no doorbell's file, and none can be made."""


class SqliteFeed:
    """Ties the :class:`~tokenwheel.RevocationList` of each process of a machine to one file. Safe over ``fork``, as in gunicorn's preload.

    Args:
        path: the file; made, readable by its owner alone, where there is none. A ``SqliteStorage`` may use the same one. The doorbell is
            the file with ``-doorbell`` behind its name.
        timeout: seconds to wait for another process's write.
        synchronous: ``"FULL"``: a revocation survives a loss of power. ``"NORMAL"``: it survives the end of any process.
        clock: returns Unix seconds.

    Raises:
        ConfigurationError: an option makes no sense, or the file is not one of this library, or is one of a later version.
        StorageUnavailable: the file cannot be opened.
    """

    waits = True
    """For the disk and for other processes: an async manager publishes from a worker thread."""

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
        self._apply: Callable[[Iterable[Row]], None] | None = None
        self._position = 0
        self._bell: Doorbell | None = None
        self._no_bell_until = -inf
        self._has_said_so = False
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<SqliteFeed {os.fspath(self._database.path)!r}>"

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when there is news; None where files cannot be mapped, so that each lookup has to ask."""
        return None if self._bell is None else self._bell.number

    def start(self, apply: Callable[[Iterable[Row]], None]) -> None:
        """Hands every live revocation to ``apply``, and keeps it for those to come."""
        with self._lock:
            self._apply = apply
            self._look_at_bell()
            self._fetch()

    def publish(self, revocations: Sequence[Revocation]) -> None:
        """Appends the rows in one transaction, then rings.

        Raises:
            InvalidArgument: a revocation that no list could take.
            StorageUnavailable: the file cannot be written; nothing was published.
        """
        for one in revocations:
            pack(one)  # which refuses what cannot be sent
        if not revocations:
            return
        now = self._clock()

        def work(connection: sqlite3.Connection) -> None:
            over = (
                "SELECT position FROM revocations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
            )
            connection.execute(
                f"DELETE FROM revocations WHERE position IN ({over})", (now, _REMOVED_AT_ONCE)
            )
            connection.executemany(
                "INSERT INTO revocations (session_id, expires_at, before) VALUES (?, ?, ?)",
                revocations,
            )

        self._database.write(work)
        with self._lock:
            self._ring()
            self._look_at_bell()
            heard_by_all = self._ring()  # Should it be another one now.
        remaining = heard_by_all - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)

    def poll(self) -> None:
        """Fetches the rows that have come since the last call.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        with self._lock:
            if self._apply is not None:
                self._look_at_bell()
                self._fetch()

    def close(self) -> None:
        """Lets go of the file. Can be called again; lookups then go by what was known."""
        with self._lock:
            self._apply = None
        self._database.close()

    def renew(self) -> None:
        self._lock = threading.Lock()  # Another thread of the parent may have held it.

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
        """Up to which position the next rows go, and what they say. Two looks, between which none can come below that position."""
        (last,) = connection.execute(_LAST_OF_NEXT, (self._position, _FETCHED_AT_ONCE)).fetchone()
        return last, [] if last is None else connection.execute(
            _FETCH, (self._position, last, _FETCHED_AT_ONCE)
        ).fetchall()

    def _ring(self) -> float:
        """Rings; when nobody is left who could not have heard it."""
        if self._bell is not None:
            try:
                self._bell.ring()
            except OSError:
                pass
            else:
                return self._bell.in_place_since + _SETTLED_AFTER
        return time.monotonic() + _SETTLED_AFTER

    def _look_at_bell(self) -> None:
        """Opens the doorbell's file, if the one that is open isn't it; makes one if need be."""
        if (
            self._bell is not None and self._bell.is_in_place()
        ) or time.monotonic() < self._no_bell_until:
            return
        refusal: Exception | None
        try:
            self._bell = self._find_bell() or self._database.write(self._make_bell)
            refusal = self._bell.refusal
        except _NoBell as error:
            self._bell, self._no_bell_until, refusal = (
                None,
                time.monotonic() + _TRIED_AGAIN_AFTER,
                error,
            )
        if refusal is not None and not self._has_said_so:
            self._has_said_so = True
            reason = type(refusal.__cause__ or refusal).__name__
            logger.warning(
                "no file can be mapped beside the database (%s), so each read asks SQLite for revocations",
                reason,
            )

    def _find_bell(self) -> Doorbell | None:
        try:
            return Doorbell(self._bell_path)
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise _NoBell from error

    def _make_bell(self, connection: sqlite3.Connection) -> Doorbell:
        """Under the write lock, so that one process makes it and the others find it."""
        found = self._find_bell()
        if found is not None:
            return found
        is_first = (
            connection.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'"
            ).fetchone()
            is None
        )
        if is_first:  # The next to be made is none, whether or not a row has come until then.
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('revocations', 0)")
        try:
            return Doorbell.replace(self._bell_path, is_first=is_first)
        except (OSError, ValueError) as error:
            raise _NoBell from error

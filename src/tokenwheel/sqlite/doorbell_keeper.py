"""The doorbell beside a database: who finds it, who makes it, and who rings it.

A process only looks for a doorbell where it must not wait. To make one takes the write lock, so
that one process makes it and the others find it. ``doorbell.py`` says what it is.
"""

from __future__ import annotations

import logging
import sqlite3
from math import inf
from pathlib import Path

from ..seconds import steady_time
from .doorbell import Doorbell

__all__ = ["DoorbellKeeper"]

logger = logging.getLogger("tokenwheel")

# Seconds: for how long a lookup may go without a look at the doorbell's file, and some.
_SETTLED_AFTER = 1.1
_TRIED_AGAIN_AFTER = 60  # seconds, where the doorbell cannot be opened

_SEQUENCE = "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'"
_BEGIN_SEQUENCE = "INSERT INTO sqlite_sequence (name, seq) VALUES ('revocations', 0)"


class DoorbellKeeper:
    """Hold the doorbell that this process listens to, if there is one.

    Only :meth:`is_there` and :meth:`make` may be called by several threads at once.

    Args:
        database: the path of the database. The doorbell is the file with ``-doorbell`` behind its
            name.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-doorbell")
        self._bell: Doorbell | None = None
        self._tried_again_at = -inf
        self._has_complained = False

    @property
    def number(self) -> memoryview | None:
        """The number that changes when there is news. None where there is no doorbell to hear."""
        bell = self._bell
        return None if bell is None else bell.number

    def look(self) -> None:
        """Listen to the doorbell that is there now. Where there is none, listen to none."""
        if self._bell is not None:
            if self._bell.is_in_place():
                return
            self.let_go()
        if steady_time() < self._tried_again_at:
            return
        try:
            self._bell = Doorbell(self._path)
        except (FileNotFoundError, ValueError):
            return  # Whoever publishes next makes one.
        except OSError as error:
            self._tried_again_at = steady_time() + _TRIED_AGAIN_AFTER
            self._complain(error)
        else:
            if self._bell.refusal is not None:
                self._complain(self._bell.refusal)

    def is_there(self) -> bool:
        """Return True where there is a doorbell, be it that this process can't hear it."""
        bell = self._bell
        return bell is not None and bell.is_in_place()

    def make(self, connection: sqlite3.Connection) -> None:
        """Make a doorbell where there is none, or no sound one. Where none can be made, do nothing.

        Args:
            connection: is in a transaction that writes, so that no other process does the same.
        """
        try:
            Doorbell(self._path).close()
        except (FileNotFoundError, ValueError):
            pass
        except OSError:
            return
        else:
            return
        is_first = connection.execute(_SEQUENCE).fetchone() is None
        if is_first:
            # The next doorbell to be made isn't the first, whether or not a row has come by then.
            connection.execute(_BEGIN_SEQUENCE)
        try:
            Doorbell.replace(self._path, is_first=is_first).close()
        except (OSError, ValueError) as error:
            self._complain(error)

    def ring(self) -> float:
        """Ring. Return the time, by ``steady_time``, by which every process has noticed."""
        self._ring()
        self.look()
        return self._ring()  # It may be another doorbell now.

    def let_go(self) -> None:
        """Listen to none any more."""
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.close()

    def _ring(self) -> float:
        if self._bell is not None:
            try:
                self._bell.ring()
            except OSError:
                pass
            else:
                return self._bell.in_place_since + _SETTLED_AFTER
        return steady_time() + _SETTLED_AFTER

    def _complain(self, refusal: Exception) -> None:
        """Log, once, that lookups go without a doorbell."""
        if not self._has_complained:
            self._has_complained = True
            logger.warning(
                "no file can be mapped beside the database (%s), "
                "so each read asks SQLite for revocations",
                type(refusal).__name__,
            )

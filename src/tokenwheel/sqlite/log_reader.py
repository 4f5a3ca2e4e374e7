"""How a process follows the log of revocations, and notices that it is not the same log any more.

A process keeps the last row that it took in. Each look finds that row again, and takes in those
after it. Where the row is not there, the log was restored from a backup, rolled back or replaced,
or the row was removed since it was long over. Whatever it was, the process reads the log from its
start. Revocations merge by maximum, so hearing one twice does no harm.

What a restored log lacks, its processes still know. Each remembers every revocation that lives,
``MESSAGE_BYTES`` each, those included that it published itself. What it does not hear from the log
that it reads anew is missing there, and is put back by the feed, so that processes which start
later hear it, too.

Nothing here writes, waits, or rings a doorbell.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import inf
from typing import Any

from ..errors import InvalidArgument, StorageUnavailable
from ..revocation.heard import CLOCK_MARGIN, HeardRevocations
from ..revocation.message import pack, unpack
from ..revocation.protocol import Apply, Revocation
from ..slow_clock import SlowTime
from .log import READ_AT_ONCE, LogRow, rows_from

__all__ = ["LogReader"]

logger = logging.getLogger("tokenwheel")

_BEGUN_ANEW_AT_MOST = 10  # times in one look

Read = Callable[[Callable[[sqlite3.Connection], Any]], Any]
"""Carries out work that only reads the file, as ``Database.read`` does."""


class LogReader:
    """Hold what a process knows of the log. Not safe to share between threads.

    Args:
        read: reads the file.
        clock: returns Unix seconds.
        timer: returns seconds that never run back.

    Attributes:
        fresh_at: up to when, by the timer, the process is sure to have missed nothing.
        entries: how many rows the process took in.
        lag: how many rows it found and has yet to take in.
        replays: how often it had to read the log again from its start.
    """

    def __init__(self, read: Read, clock: Callable[[], float], timer: Callable[[], float]) -> None:
        self._read = read
        self._timer = timer
        self._time = SlowTime(clock, timer)
        self._apply: Apply
        self._last: LogRow | None = None
        self._is_to_rewind = False
        self._heard = HeardRevocations()
        # What this process is publishing, until it hears it.
        self._sent: set[bytes] = set()
        # What was known before the log was read anew, until it is heard from there.
        self._lost: set[bytes] = set()
        self.fresh_at = -inf
        self.entries = self.lag = self.replays = 0

    def begin(self, apply: Apply) -> None:
        """Keep ``apply``, to which all revocations are handed that the process hears."""
        self._apply = apply

    def rewind(self) -> None:
        """Read the log from its start once more, at the next look."""
        self._is_to_rewind = True

    @property
    def position(self) -> int:
        """The position of the last row taken in; 0 before any."""
        return 0 if self._last is None else self._last.position

    def slowest_distance(self) -> float:
        """Return by how many seconds the slowest clock of this process is ahead of the timer."""
        return self._time() - self._timer()

    def expect(self, revocations: Iterable[Revocation]) -> set[bytes]:
        """Wait to hear what this process is about to publish. Return the messages."""
        messages = set(map(pack, revocations))
        self._sent |= messages
        return messages

    def expect_no_more(self, messages: set[bytes]) -> None:
        """Forget what was not published."""
        self._sent -= messages

    def miss(self, messages: set[bytes]) -> None:
        """Count as lost what was published before the last look, and not heard by it."""
        unheard = messages & self._sent
        self._sent -= unheard
        self._lost |= unheard

    def catch_up(self) -> None:
        """Take in every row after the last one; or all rows, where this is not the same log.

        Raises:
            StorageUnavailable: the file cannot be read, or is damaged.
        """
        now = self._time()
        self._heard.forget(now)
        if self._is_to_rewind:
            self._is_to_rewind = False
            self._begin_anew()
        asked_at = self._timer()
        begun_anew = 0
        while True:
            rows = self._rows()
            if self._last is not None and (not rows or rows[0] != self._last):
                begun_anew += 1
                if begun_anew > _BEGUN_ANEW_AT_MOST:
                    raise StorageUnavailable(
                        "the database file is damaged: its rows do not stay where they are"
                    )
                self._tell_what_became_of(self._last, rows, now)
                self._begin_anew()
                continue
            news = rows if self._last is None else rows[1:]
            if news:
                self._take_in(news)
            if len(rows) <= READ_AT_ONCE:
                break
        self.fresh_at = asked_at

    def missing(self, most: int) -> list[Revocation]:
        """Return at most so many revocations that live, which this process knew and the log lacks.

        They stay missing until they are heard from the log.
        """
        if not self._lost:
            return []
        now = self._time()
        missing = []
        for message in list(islice(self._lost, most)):
            revocation = unpack(message)
            if revocation.expires_at > now:
                missing.append(revocation)
            else:
                self._lost.discard(message)
        return missing

    def tell_put_back(self, count: int) -> None:
        """Say how many revocations the log had lacked."""
        logger.warning(
            "the file's log lacked %d revocations that this process knows of; they were put back",
            count,
        )

    def _rows(self) -> Sequence[LogRow]:
        position = max(self.position, 1)  # No row lies before the first.
        rows: list[LogRow] = self._read(lambda connection: rows_from(connection, position))
        return rows

    def _take_in(self, rows: Sequence[LogRow]) -> None:
        """Hand rows to ``apply``, and only then count them as read: the list may be full."""
        self.lag = len(rows)
        try:
            self._apply([row.revocation for row in rows])
            messages = [pack(Revocation._make(row.revocation)) for row in rows]
        except InvalidArgument as error:
            raise StorageUnavailable(
                "the database file is damaged: it holds a revocation that nobody can have made"
            ) from error
        if rows[-1].position <= self.position:
            raise StorageUnavailable(
                "the database file is damaged: its rows are not in their order"
            )
        for row, message in zip(rows, messages, strict=True):
            self._heard.add(message, row.expires_at)
        self._sent.difference_update(messages)
        self._lost.difference_update(messages)
        self._last = rows[-1]
        self.entries += len(rows)
        self.lag = 0

    def _begin_anew(self) -> None:
        # First of all: another thread may fork in between, and the child must not go on from here.
        self._last = None
        heard, self._heard = self._heard, HeardRevocations()
        self._lost.update(heard)
        self.replays += 1

    def _tell_what_became_of(self, last: LogRow, rows: Sequence[LogRow], now: float) -> None:
        """Log a warning, unless the row is gone since it was over."""
        is_another = bool(rows) and rows[0].position == last.position
        if is_another or last.expires_at > now - CLOCK_MARGIN:
            logger.warning(
                "the file's log of revocations was restored, rolled back or replaced; "
                "it is read anew from its start"
            )

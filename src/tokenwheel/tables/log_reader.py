"""How a process reads the table of revocations, without connections, threads or event loops.

**Rows become visible out of order.** A row gets its position before it is committed. So a process
keeps the last row that it took in, and the gaps below it (``gaps.py``). Each look asks for the rows
from the last one on, and for those in the gaps. A gap is given up when all who could still fill it
have ended, and yet another look has found nothing there. So a row is found, however long its
transaction was held open. A process that begins takes a hole between rows for a gap, too, unless it
is so old that a row may have been removed there.

**Nothing is missed unseen.** Each look finds the last row again, with the same mark. Where it does
not, the log was restored from a backup, rolled back or replaced, and the process reads it from its
start. Revocations merge by maximum, so hearing one twice does no harm. After each new connection
the process looks for the rows that came lately, too. A replica that took the place of its server
may have lost one of them, but not the last.

**What a log has lost, its processes still know** (``known.py``), and put it back. So those that
start later hear it, too.

A row that holds no revocation is counted and passed over.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from ..errors import InvalidArgument, StorageUnavailable
from ..revocation.message import pack, unpack, unpack_each
from ..revocation.protocol import Apply, Revocation
from .bookmark import READ_AT_ONCE, Bookmark
from .gaps import Range
from .known import KnownRevocations
from .protocol import Statements, Wait, Work
from .rows import LogRow

__all__ = ["LogReader", "Steps"]

logger = logging.getLogger("tokenwheel")

LOOKED_EVERY = 1.0  # seconds
_PUT_BACK_AT_ONCE = 250  # revocations
_BEGUN_ANEW_AT_MOST = 10  # times in one look

Steps = Generator[Work | Wait, Any, None]
"""Yields what is sent over a connection of ``Database.connect``, and is sent the answers."""


class LogReader:
    """Hold what a process knows of the log, and say how it learns more.

    Args:
        poll_interval: seconds between two looks where the database wakes nobody.
        time: returns Unix seconds, by the slowest clock: what is over then is over for good.
        timer: returns seconds that never run back.

    Attributes:
        fresh_at: up to when, by the timer, the process is sure to have missed nothing.
        entries: how many rows the process took in.
        skipped: how many of these hold no revocation.
        lag: how many rows it found and has yet to take in.
        replays: how often it had to read the log again from its start.
    """

    def __init__(
        self, poll_interval: float, time: Callable[[], float], timer: Callable[[], float]
    ) -> None:
        self._poll_interval = poll_interval
        self._time = time
        self._timer = timer
        self._apply: Apply
        self._known = KnownRevocations()
        self._bookmark = Bookmark(time, timer)
        self._is_to_rewind = False
        self.fresh_at = -inf
        self.entries = self.skipped = self.lag = self.replays = 0

    def begin(self, apply: Apply) -> None:
        """Keep ``apply``, to which all revocations are handed that the process hears."""
        self._apply = apply

    def begun_anew(self) -> LogReader:
        """Return a reader for the same list that reads the log from its start.

        It takes the place of this one where whoever read on has come to a stop, and perhaps in the
        midst of a row. What was heard so far is put back where the log lacks it.
        """
        reader = LogReader(self._poll_interval, self._time, self._timer)
        reader.begin(self._apply)
        reader._known = self._known.successor()
        reader.fresh_at = self.fresh_at
        reader.entries, reader.skipped, reader.lag = self.entries, self.skipped, self.lag
        reader.replays = self.replays + 1
        return reader

    def rewind(self) -> None:
        """Read the log from its start once more, at the next look."""
        self._is_to_rewind = True

    def expect(self, messages: Iterable[bytes]) -> None:
        """Wait to hear what this process publishes. What does not come is published again."""
        self._known.expect(messages)

    def expect_no_more(self, messages: Iterable[bytes]) -> None:
        """Take back :meth:`expect`: the messages are not to be published."""
        self._known.expect_no_more(messages)

    @property
    def last_id(self) -> str:
        """The position of the last row taken in; 0 before any."""
        return str(self._bookmark.position)

    def catch_up(self) -> Steps:
        """Take in every row after the last one, and put back what the log lacks.

        Where this is not the log that was read so far, all of it is taken in. Called once a
        connection is open.

        Raises:
            StorageUnavailable: the rows do not stay where they are.
        """
        # Another server may have taken the place of the one that named them.
        self._bookmark.gaps.forget_writers()
        yield from self._look_for_recent()
        yield from self._look()

    def follow(self, longest_wait: float) -> Steps:
        """Take in rows as they come, for ever.

        Args:
            longest_wait: seconds between two looks, at most.

        Raises:
            StorageUnavailable: the rows do not stay where they are.
        """
        wait = Wait(longest_wait, min(self._poll_interval, longest_wait))
        looked_at = self._timer()
        while True:
            yield wait
            if self._timer() - looked_at < LOOKED_EVERY:
                yield from self._read_to_end()
            else:
                yield from self._look()
                looked_at = self._timer()

    def _look(self) -> Steps:
        self._known.forget(self._time())
        yield from self._read_to_end()
        yield from self._put_back_lost()
        yield from self._put_back_overdue()
        yield from self._give_up_gaps()

    def _look_for_recent(self) -> Steps:
        """Begin anew where a row that came lately is gone."""
        bookmark = self._bookmark
        ranges = bookmark.recent_ranges()
        if ranges:
            rows = yield partial(_rows, ranges=ranges, after=0)
            if bookmark.misses_recent(rows):
                _tell_it_is_another()
                self._begin_anew()

    def _read_to_end(self) -> Steps:
        if self._is_to_rewind:
            self._is_to_rewind = False
            self._begin_anew()
        asked_at = self._timer()
        begun_anew = after = 0
        while True:
            bookmark = self._bookmark
            rows = yield partial(_rows, ranges=bookmark.ranges(), after=after)
            if bookmark.was_moved(rows):
                begun_anew += 1
                if begun_anew > _BEGUN_ANEW_AT_MOST:
                    raise StorageUnavailable(
                        "the table of revocations is damaged: its rows do not stay where they are"
                    )
                if not bookmark.was_removed(rows):
                    _tell_it_is_another()
                self._begin_anew()
                after = 0
                continue
            self._take_in(bookmark.news(rows))
            if len(rows) < READ_AT_ONCE:
                break
            after = bookmark.following(rows)
        bookmark.reach_end()
        self.fresh_at = asked_at

    def _begin_anew(self) -> None:
        # First of all: another thread may fork in between, and the child must not go on from here.
        self._bookmark = Bookmark(self._time, self._timer)
        self._known.begin_anew()
        self.replays += 1

    def _take_in(self, news: Sequence[LogRow]) -> None:
        """Hand rows to ``apply``, and only then count them as read: the list may be full."""
        if not news:
            return
        self.lag = len(news)
        messages = []
        for row in news:
            with suppress(InvalidArgument):
                messages.append(pack(Revocation._make(row.revocation)))
        revocations = unpack_each(b"".join(messages)) if messages else []
        self._apply(revocations)
        self._known.hear(messages, [expires_at for _, expires_at, _ in revocations])
        self._bookmark.move_over(news)
        self.entries += len(news)
        self._tell_skipped(len(news) - len(messages))
        self.lag = 0

    def _tell_skipped(self, count: int) -> None:
        if count and not self.skipped:
            logger.warning(
                "the table of revocations holds rows that are none; "
                "they are passed over, and this is said once"
            )
        self.skipped += count

    def _give_up_gaps(self) -> Steps:
        """Give up gaps that nobody can fill any more."""
        gaps, now = self._bookmark.gaps, self._timer()
        batch = gaps.due(now)
        if batch is None:
            return
        ranges = gaps.ranges_of(batch)
        batch.writers, ended = yield partial(_ended, ranges=ranges, writers=batch.writers)
        batch.asked_at = now
        if ended:
            # The last who wrote there may have committed since the last look.
            yield from self._read_to_end()
        for first, last in ended:
            gaps.drop(first, last)

    def _put_back_lost(self) -> Steps:
        while self._known.has_lost:
            logs, lost = self._known.lost()
            yield from self._put_back(lost, lambda message: not self._known.is_in_log(message))
            # The log may have been lost once more meanwhile. Then what was heard of it stays.
            self._known.have_put_back(logs)

    def _put_back_overdue(self) -> Steps:
        overdue = self._known.overdue()
        yield from self._put_back(overdue, self._known.is_overdue)
        # Only now: the connection may have broken before all were sent again.
        self._known.end_look(overdue)

    def _put_back(self, messages: Iterable[bytes], is_missing: Callable[[bytes], bool]) -> Steps:
        """Publish those of the messages that live, but for those that others put back meanwhile."""
        now = self._time()
        missing = [message for message in messages if unpack(message).expires_at > now]
        if not missing:
            return
        logger.warning(
            "the table lacks %d revocations that this process knows of; they are put back",
            len(missing),
        )
        # Each process takes an order of its own, so processes which do it at once soon find that
        # others were faster.
        random.shuffle(missing)
        for start in range(0, len(missing), _PUT_BACK_AT_ONCE):
            yield from self._read_to_end()
            chunk = list(filter(is_missing, missing[start : start + _PUT_BACK_AT_ONCE]))
            if chunk:
                self._known.expect(chunk)
                yield partial(_append, revocations=list(map(unpack, chunk)), published_at=now)


def _tell_it_is_another() -> None:
    logger.warning(
        "the table of revocations was restored, rolled back or replaced; "
        "it is read anew from its start"
    )


def _rows(
    statements: Statements, *, ranges: Sequence[tuple[int, int | None]], after: int
) -> Sequence[LogRow]:
    return statements.log_rows(ranges, after, READ_AT_ONCE)


def _ended(
    statements: Statements, *, ranges: Sequence[Range], writers: Any
) -> tuple[Any, Sequence[Range]]:
    """Return who writes there, and the ranges that nobody can fill any more."""
    if writers is None:
        writers = statements.writers()
    return writers, [gap for gap in ranges if statements.have_ended(writers, *gap)]


def _append(
    statements: Statements, *, revocations: Sequence[Revocation], published_at: float
) -> None:
    statements.append(revocations, published_at)

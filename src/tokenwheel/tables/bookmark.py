"""How far a process has read the log: the last row, the gaps below it, and what came lately.

Nothing here asks the log. It says which rows are to be asked for, which of them are new, and
whether they are of the log that was read so far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from ..revocation.heard import CLOCK_MARGIN
from ..seconds import number_of
from .gaps import Gaps, Range, in_few_ranges
from .removal import STAYS_AFTER_END
from .rows import LogRow

__all__ = ["READ_AT_ONCE", "Bookmark"]

READ_AT_ONCE = 1_000  # rows
_LOOKED_FOR_AGAIN = 250  # rows, after a new connection
# Seconds, 45 minutes: a row that was published less than that ago is surely not removed yet.
_SURELY_STAYS = STAYS_AFTER_END - CLOCK_MARGIN
_FIRST_POSITION = 1


class Bookmark:
    """Hold the place of a reader in the log.

    Args:
        time: returns Unix seconds, by the slowest clock.
        timer: returns seconds that never run back.

    Attributes:
        gaps: positions below the last row that were not seen.
    """

    def __init__(self, time: Callable[[], float], timer: Callable[[], float]) -> None:
        self._time = time
        self._timer = timer
        self._last: LogRow | None = None
        # In the order in which they came.
        self._recent: deque[LogRow] = deque(maxlen=_LOOKED_FOR_AGAIN)
        # True once the end of the log was reached.
        self._is_complete = False
        self.gaps = Gaps()

    @property
    def position(self) -> int:
        """The position of the last row; 0 before any."""
        return 0 if self._last is None else self._last.position

    def ranges(self) -> Sequence[tuple[int, int | None]]:
        """Return where to look for news. The last row lies there, too."""
        return [*self.gaps.ranges(), (self.position or _FIRST_POSITION, None)]

    def news(self, rows: Sequence[LogRow]) -> Sequence[LogRow]:
        """Return those of the rows that were not seen yet."""
        last = self.position
        return [row for row in rows if row.position > last or row.position in self.gaps]

    def following(self, rows: Sequence[LogRow]) -> int:
        """Return the position after which to look for more, where these rows are not all.

        The next rows are to begin with the last one, if not before it.
        """
        return min(rows[-1].position, self.position - 1)

    def was_moved(self, rows: Sequence[LogRow]) -> bool:
        """Return True where the last row is not among those that were to bring it.

        Args:
            rows: what lies in :meth:`ranges`, as many as are read at once.
        """
        last = self._last
        if last is None or (len(rows) >= READ_AT_ONCE and rows[-1].position < last.position):
            return False
        return all(row.position != last.position or row.mark != last.mark for row in rows)

    def was_removed(self, rows: Sequence[LogRow]) -> bool:
        """Return True where the last row may have been removed from the log, long after its end."""
        last = self._last
        return (
            last is not None
            and all(row.position != last.position for row in rows)
            and number_of(last.expires_at) <= self._time() - CLOCK_MARGIN
        )

    def recent_ranges(self) -> Sequence[Range]:
        """Return where the rows lie that came lately and are not over; nothing without any."""
        now = self._time()
        recent = sorted(row.position for row in self._recent if number_of(row.expires_at) > now)
        return in_few_ranges([(position, position) for position in recent])

    def misses_recent(self, rows: Sequence[LogRow]) -> bool:
        """Return True where a row that came lately is gone.

        Args:
            rows: what lies in :meth:`recent_ranges`, as many as are read at once.
        """
        now = self._time()
        end = rows[-1].position if len(rows) >= READ_AT_ONCE else inf
        marks = {row.position: row.mark for row in rows}
        return any(
            marks.get(row.position) != row.mark
            for row in self._recent
            if row.position <= end and number_of(row.expires_at) > now
        )

    def move_over(self, news: Sequence[LogRow]) -> None:
        """Count rows as read, and note the gaps between them."""
        now = self._timer()
        removed_before = -inf if self._is_complete else self._time() - _SURELY_STAYS
        following = self.position + 1
        for row in news:
            if row.position < following:
                self.gaps.drop(row.position, row.position)
                continue
            was_removed = number_of(row.published_at) < removed_before
            if row.position > following and not was_removed:
                self.gaps.note(following, row.position - 1, now)
            following = row.position + 1
            self._last = row
        self._recent.extend(news)

    def reach_end(self) -> None:
        """Take note that all rows were read. What is passed over from now on was not removed."""
        self._is_complete = True

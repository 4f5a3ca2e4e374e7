"""Revocations in a table of a SQL database, for every process that reaches it.

``publish`` adds rows, and each process follows them (``revocation/following.py``).
``log_reader.py`` says how the table is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..option_checks import check_clocks, check_seconds
from ..revocation.following import FollowingFeed
from ..revocation.message import pack, plain_revocations
from ..revocation.protocol import Revocation
from ..seconds import checked_clock, steady_time, wall_time
from ..slow_clock import SlowTime
from .log_reader import LogReader
from .protocol import Database, Statements
from .removal import Removal

__all__ = ["TableFeed"]

_SHORTEST_INTERVAL = 0.05  # seconds
_LONGEST_INTERVAL = 60.0  # seconds
_APPENDED_AT_ONCE = 1_000  # revocations


class TableFeed(FollowingFeed):
    """Tie the :class:`~tokenwheel.RevocationList` of every process of a service to one table.

    A feed of a kind of database is made from this, and brings the database.

    Args:
        database: where the tables are. The feed closes it.
        poll_interval: seconds, 0.05 to 60, between two looks at the table where the database wakes
            nobody. A look is made once a second in any case.
        max_staleness: seconds, 1 to 86,400, for which a node may be cut off until it counts as
            stale.
        when_stale: what ``read`` does on a stale node. ``"accept"``: it goes on with what is known.
            ``"refuse"``: it refuses every token with :class:`~tokenwheel.StorageUnavailable`.
        clock: returns Unix seconds. It decides which published revocations still live.
        timer: returns seconds that never run back. It measures staleness.

    Attributes:
        database: where the tables are. A storage of the same place publishes there itself.
        removal: removes a few rows that are long over, beside a publication.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(
        self,
        database: Database,
        *,
        poll_interval: float = 0.5,
        max_staleness: float = 10.0,
        when_stale: Literal["accept", "refuse"] = "accept",
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        check_clocks(clock=clock, timer=timer)
        poll_interval = check_seconds(
            "poll_interval", poll_interval, _SHORTEST_INTERVAL, _LONGEST_INTERVAL
        )
        timer = checked_clock(timer)
        self.database = database
        self.removal = Removal(
            lambda statements, ended_before, most: statements.remove_revocations(ended_before, most)
        )
        self._time = SlowTime(clock, timer)
        self._reader: LogReader
        super().__init__(
            LogReader(poll_interval, self._time, timer),
            database.connect,
            is_async=database.is_async,
            max_staleness=max_staleness,
            when_stale=when_stale,
            timer=timer,
        )

    def publish(self, revocations: Sequence[Revocation]) -> Any:
        """Add revocations to the table, all in one transaction.

        Every connected node hears them as soon as the database wakes it, or at its next look.

        Returns:
            None; with an async database an awaitable of it.

        Raises:
            InvalidArgument: a revocation that no list could take.
            StorageUnavailable: the time was up.
            Exception: the database's errors. Where the connection broke, the revocations may have
                been published all the same, and otherwise are once it is back.
        """
        revocations = plain_revocations(revocations)
        if not revocations:
            return _nothing() if self.is_async else None
        self.expect(revocations)
        published_at = self.published_at()

        def append(statements: Statements) -> None:
            for start in range(0, len(revocations), _APPENDED_AT_ONCE):
                statements.append(revocations[start : start + _APPENDED_AT_ONCE], published_at)

        return self.database.run(
            append,
            alone=len(revocations) == 1,
            afterwards=self.removal.beside_write(published_at),
        )

    def expect(self, revocations: Sequence[Revocation]) -> Sequence[bytes]:
        """Return the messages of revocations that a storage publishes in a transaction of its own.

        The node then waits to hear them, and publishes once more what it does not: what a server
        has lost, or what could not be sent. What the storage chose not to publish, it must say to
        :meth:`expect_no_more`.

        Raises:
            InvalidArgument: a revocation that no list could take.
        """
        messages = list(map(pack, revocations))
        self._begin_before_publishing()
        if self._is_started and not self._is_closed:
            self._reader.expect(messages)
        return messages

    def expect_no_more(self, messages: Sequence[bytes] | set[bytes]) -> None:
        """Wait no longer to hear messages of :meth:`expect`: they are not to be published."""
        self._reader.expect_no_more(messages)

    def published_at(self) -> float:
        """Return the time that goes into rows which are published now, in Unix seconds.

        It is that of the slowest clock that may be right.
        """
        return self._time()

    def _let_go(self) -> None:
        self.database.close()

    async def _close_task(self) -> None:
        await super()._close_task()
        await self.database.close()


async def _nothing() -> None:
    """Publish nothing."""

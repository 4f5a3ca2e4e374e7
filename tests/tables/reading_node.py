"""A reader and what it has heard, driven step by step by a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.support import FakeClock
from tests.tables.dull_table import START, DullTable
from tokenwheel import Revocation
from tokenwheel.driver import drive
from tokenwheel.tables.log_reader import LogReader
from tokenwheel.tables.protocol import Wait


class Node:
    """Follow a table. Both clocks go on only where the test says so.

    Attributes:
        heard: what was handed over, in order.
        timer: steady seconds.
        clock: Unix seconds.
    """

    def __init__(
        self, table: DullTable, timer: FakeClock | None = None, clock: FakeClock | None = None
    ) -> None:
        self.table = table
        self.timer = timer or FakeClock(100.0)
        self.clock = clock or FakeClock(START)
        self.heard: list[Revocation] = []
        self.reader = LogReader(0.5, self.clock, self.timer)
        self.reader.begin(self.apply)
        self.following: Any = None

    def apply(self, rows: Iterable[Any]) -> None:
        self.heard.extend(map(Revocation._make, rows))

    def connect(self) -> Node:
        """Read the log to its end over a new connection, and begin to follow it."""
        drive(self.reader.catch_up(), self.table.carry_out)
        self.following = self.reader.follow(1.0)
        assert isinstance(next(self.following), Wait)
        return self

    def look(
        self, seconds: float = 0.0, *, between: Callable[[Any], None] = lambda command: None
    ) -> None:
        """Wait, and look.

        Args:
            seconds: how long the wait lasts.
            between: called with each command of the look before that is carried out.
        """
        self.advance(seconds)
        command = self.following.send(None)
        while not isinstance(command, Wait):
            between(command)
            command = self.following.send(self.table.carry_out(command))

    def advance(self, seconds: float) -> None:
        self.timer.advance(seconds)
        self.clock.advance(seconds)

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return where the next look will look."""
        return list(self.reader._bookmark.ranges())

    def staleness(self) -> float:
        return self.timer.now - self.reader.fresh_at

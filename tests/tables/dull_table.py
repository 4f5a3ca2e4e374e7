"""A table of revocations in memory, whose transactions a test holds open as long as it likes.

What is committed is seen at once by who asks next, as where transactions read what is committed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tokenwheel import Revocation
from tokenwheel.tables.protocol import Wait
from tokenwheel.tables.rows import LogRow, new_mark

FAR = 4_000_000_000.0  # Unix seconds
START = 1_700_000_000.0  # Unix seconds


def revocation(number: int, expires_at: float = FAR, before: int | None = None) -> Revocation:
    """Return a revocation that differs from those of other numbers."""
    return Revocation(f"{number:016d}", expires_at, before)


class DullTable:
    """Hold the rows that are committed, and the transactions that run.

    Args:
        tells_ranges: True where it is told by the positions whether somebody can still fill them,
            False where it is told by who wrote when that was asked first.
    """

    def __init__(self, *, tells_ranges: bool = False) -> None:
        self.rows: dict[int, LogRow] = {}
        self.running: list[Transaction] = []
        self.given_out = 0
        self.tells_ranges = tells_ranges
        self.works = 0
        """How many pieces of work were carried out."""
        self.failure: Exception | None = None
        """What the next work fails by."""
        self.changed = threading.Condition()

    @property
    def revocations(self) -> list[Revocation]:
        """What the rows say, in their order."""
        return [Revocation._make(self.rows[position].revocation) for position in sorted(self.rows)]

    def begin(self) -> Transaction:
        """Begin a transaction that stays open."""
        transaction = Transaction(self)
        self.running.append(transaction)
        return transaction

    def publish(self, *revocations: Revocation, published_at: float = START) -> None:
        """Add rows in a transaction that is committed at once."""
        transaction = self.begin()
        transaction.append(revocations, published_at)
        transaction.commit()

    def copy(self) -> tuple[dict[int, LogRow], int]:
        """Return a backup."""
        return dict(self.rows), self.given_out

    def restore(self, backup: tuple[dict[int, LogRow], int]) -> None:
        """Put a backup in the place of all there is. What runs is rolled back."""
        for transaction in list(self.running):
            transaction.roll_back()
        rows, self.given_out = backup
        self.rows = dict(rows)

    def carry_out(self, command: Any) -> Any:
        """Do what a reader yields, each work in a transaction of its own; wait for nothing."""
        return None if isinstance(command, Wait) else self.run(command)

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Carry out work in one transaction, and commit."""
        with self.changed:
            self.works += 1
            if self.failure is not None:
                failure, self.failure = self.failure, None
                raise failure
            transaction = self.begin()
            try:
                answer = work(transaction)
            except BaseException:
                transaction.roll_back()
                raise
            transaction.commit()
            return answer


class Transaction:
    """The statements of a log, in one transaction."""

    def __init__(self, table: DullTable) -> None:
        self._table = table
        self._rows: list[LogRow] = []

    def append(self, revocations: Iterable[Revocation], published_at: float) -> None:
        for session_id, expires_at, before in revocations:
            self._table.given_out += 1
            self._rows.append(
                LogRow(
                    self._table.given_out, new_mark(), session_id, expires_at, before, published_at
                )
            )

    def log_rows(
        self, ranges: Sequence[tuple[int, int | None]], after: int, most: int
    ) -> list[LogRow]:
        assert len(ranges) <= 17
        return [
            self._table.rows[position]
            for position in sorted(self._table.rows)
            if position > after
            and any(
                first <= position and (last is None or position <= last) for first, last in ranges
            )
        ][:most]

    def remove_revocations(self, ended_before: float, most: int) -> int:
        rows = self._table.rows
        over = [
            row
            for row in sorted(rows.values(), key=lambda row: row.expires_at)
            if row.expires_at <= ended_before and row.position < max(rows)
        ][:most]
        for row in over:
            del rows[row.position]
        return len(over)

    def writers(self) -> Any:
        return [transaction for transaction in self._table.running if transaction._rows]

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        if self._table.tells_ranges:
            return not any(
                first <= row.position <= last
                for transaction in self._table.running
                for row in transaction._rows
            )
        return not any(transaction in self._table.running for transaction in writers)

    def commit(self) -> None:
        with self._table.changed:
            self._table.running.remove(self)
            self._table.rows |= {row.position: row for row in self._rows}
            self._table.changed.notify_all()

    def roll_back(self) -> None:
        self._table.running.remove(self)


class DullDatabase:
    """Reach a table, blocking or on an event loop.

    Attributes:
        alone: of each work whether it was said to be a single statement.
        afterwards: how often there was work to do afterwards.
        closed: how often it was closed.
    """

    timeout = 5.0

    def __init__(self, table: DullTable, *, is_async: bool = False) -> None:
        self.table = table
        self.is_async = is_async
        self.place = id(table)
        self.alone: list[bool] = []
        self.afterwards = self.closed = 0

    def run(self, work: Any, *, alone: bool = False, afterwards: Any = None) -> Any:
        self.alone.append(alone)
        return self._run_async(work, afterwards) if self.is_async else self._run(work, afterwards)

    def connect(self, patience: float) -> Any:
        return AsyncConnection(self.table) if self.is_async else Connection(self.table)

    def close(self) -> Any:
        self.closed += 1
        return asyncio.sleep(0) if self.is_async else None

    def _run(self, work: Any, afterwards: Any) -> Any:
        answer = self.table.run(work)
        if afterwards is not None:
            self.afterwards += 1
            self.table.run(afterwards)
        return answer

    async def _run_async(self, work: Any, afterwards: Any) -> Any:
        await asyncio.sleep(0)
        return self._run(work, afterwards)


class Connection:
    """A connection of a tail's own, which is woken by each commit."""

    def __init__(self, table: DullTable) -> None:
        self._table = table
        self._is_open = False
        self._seen = 0

    def open(self) -> None:
        self._is_open = True

    def send(self, command: Any) -> Any:
        if not isinstance(command, Wait):
            self._seen = len(self._table.rows)
            return self._table.run(command)
        with self._table.changed:
            self._table.changed.wait_for(
                lambda: not self._is_open or len(self._table.rows) != self._seen, command.seconds
            )
        if not self._is_open:
            raise ConnectionError("the connection was closed")
        return None

    def close(self) -> None:
        with self._table.changed:
            self._is_open = False
            self._table.changed.notify_all()


class AsyncConnection:
    """A connection of a task's own, which polls."""

    def __init__(self, table: DullTable) -> None:
        self._table = table

    async def open(self) -> None: ...

    async def send(self, command: Any) -> Any:
        if not isinstance(command, Wait):
            return self._table.run(command)
        await asyncio.sleep(command.poll_interval)
        return None

    async def close(self) -> None: ...

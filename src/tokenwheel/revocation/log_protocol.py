"""What a log of revocations must offer, so that ``tail.py`` and ``following.py`` can follow it.

A reader says what is asked of the log, and makes something of the answers. A connection carries
questions and answers. Neither knows of the other: what one yields, the other sends.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, Self

from .protocol import Apply

__all__ = ["AsyncLogConnection", "LogConnection", "LogReader"]


class LogReader(Protocol):
    """Hold what a process knows of a log, and say how it learns more."""

    fresh_at: float
    """Up to when, by the timer, the process is sure to have missed nothing."""
    entries: int
    """How many entries the process took in."""
    skipped: int
    """How many of these were not made by this library."""
    lag: int
    """How many entries the process had yet to take in when it last looked."""
    replays: int
    """How often the process had to read the log again from its start."""

    @property
    def last_id(self) -> str:
        """The id of the last entry taken in."""
        ...

    def begin(self, apply: Apply) -> None:
        """Keep ``apply``, to which all revocations are handed that the process hears."""
        ...

    def begun_anew(self) -> Self:
        """Return a reader for the same list that reads the log from its start."""
        ...

    def rewind(self) -> None:
        """Read the log from its start once more, at the next look."""
        ...

    def catch_up(self) -> Generator[Any, Any, None]:
        """Take in every entry after the last, and put back what the log lacks.

        Yields what is sent over a connection, and is sent the answers.
        """
        ...

    def follow(self, longest_wait: float) -> Generator[Any, Any, None]:
        """Take in entries as they come, for ever.

        Yields what is sent over a connection, and is sent the answers.

        Args:
            longest_wait: seconds that go by, at most, between two signs of life.
        """
        ...


class LogConnection(Protocol):
    """Hold a connection for one tail alone, which no pool lends to others."""

    def open(self) -> None:
        """Connect. Raise where that fails, or takes too long."""
        ...

    def send(self, command: Any, /) -> Any:
        """Send what a reader yielded. Return the answer."""
        ...

    def close(self) -> None:
        """End the connection, from any thread. Whoever waits on it then waits no longer."""
        ...


class AsyncLogConnection(Protocol):
    """Hold a connection for one tail alone, on an event loop."""

    async def open(self) -> None:
        """Connect. Raise where that fails, or takes too long."""
        ...

    async def send(self, command: Any, /) -> Any:
        """Send what a reader yielded. Return the answer."""
        ...

    async def close(self) -> None:
        """End the connection. Can be called again."""
        ...

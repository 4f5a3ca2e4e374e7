"""What whoever fetches keys can be asked, be it a thread or a task."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Fetcher"]


class Fetcher(Protocol):
    """Fetch keys whenever that is due."""

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: the system has no room for another thread.
        """
        ...

    def is_over(self, now: float, due_at: float) -> bool:
        """Return True where nobody fetches any more, or nobody could.

        Args:
            now: the moment, in seconds of the timer.
            due_at: when a fetch is due.
        """
        ...

    def stands_still(self, now: float) -> bool:
        """Return True where a fetch has not returned for longer than it may take."""
        ...

    def wake(self) -> None:
        """See whether a fetch is due. It can be called in any thread."""
        ...

    def stop(self) -> None:
        """End, and break off a fetch where that can be done. It can be called in any thread."""
        ...

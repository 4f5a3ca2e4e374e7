"""What is counted of managers and gates as it happens, whichever exporter hands the counts on.

An object here knows no manager, so it keeps none alive that was dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigurationError
from ..events import (
    AllSessionsInvalidated,
    SessionCreated,
    SessionEvent,
    SessionInvalidated,
    SessionRefreshed,
)
from ..exact import is_instance, named
from ..session import AsyncSessionManager, SessionManager
from ..session.observers import Observer, Observers
from .figures import Manager

__all__ = ["BUCKETS", "Counting", "check_counted"]

# Seconds. An operation in memory takes microseconds, and one that waits for a server milliseconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def check_counted(manager: object, gate: object) -> None:
    """Check that these are a manager, and a gate of it or None.

    Raises:
        ConfigurationError: they are not.
    """
    if not is_instance(manager, SessionManager) and not is_instance(manager, AsyncSessionManager):
        raise ConfigurationError(
            f"manager must be a SessionManager or an AsyncSessionManager, not {named(manager)}"
        )
    observers = getattr(gate, "_observers", None)
    if gate is not None and not (
        isinstance(observers, Observers) and getattr(gate, "manager", None) is manager
    ):
        raise ConfigurationError("gate must be a Gate of this manager, or None")


class Counting(Observer):
    """Count the events of managers, beside what an :class:`Observer` is told of.

    An exporter overrides the ``count_`` methods, ``end_operation`` and ``refused``. They are called
    from any thread. A session counts as ended where it was ended before its time: one that expires
    is told of by nobody.
    """

    def count_created(self) -> None:
        """Count a session that was opened."""

    def count_refreshed(self, retried: bool) -> None:
        """Count a refresh; ``retried`` where the refresh token was used again within its grace."""

    def count_ended(self, reason: str, number: int) -> None:
        """Count sessions that ended.

        Args:
            reason: ``"deleted"``, ``"evicted"`` or ``"reused"``.
            number: how many.
        """

    def attach(self, manager: Manager, gate: Any = None) -> None:
        """Begin to count what a manager does, and what a gate refuses."""
        for event, listener in self._listeners():
            manager.on(event, listener)
        manager._observers.add(self)
        if gate is not None:
            gate._observers.add(self)

    def detach(self, manager: Manager | None, gate: Any = None) -> None:
        """Count no more of what a manager does, and of what a gate refuses."""
        if manager is not None:
            for event, listener in self._listeners():
                manager.off(event, listener)
            manager._observers.remove(self)
        if gate is not None:
            gate._observers.remove(self)

    def _listeners(self) -> list[tuple[SessionEvent, Callable[[Any], None]]]:
        return [
            (SessionEvent.SESSION_CREATED, self._on_created),
            (SessionEvent.SESSION_REFRESHED, self._on_refreshed),
            (SessionEvent.SESSION_INVALIDATED, self._on_ended),
            (SessionEvent.ALL_SESSIONS_INVALIDATED, self._on_all_ended),
        ]

    def _on_created(self, event: SessionCreated) -> None:
        self.count_created()

    def _on_refreshed(self, event: SessionRefreshed) -> None:
        self.count_refreshed(event.retried)

    def _on_ended(self, event: SessionInvalidated) -> None:
        self.count_ended(event.reason, 1)

    def _on_all_ended(self, event: AllSessionsInvalidated) -> None:
        self.count_ended("deleted", len(event.sessions))

"""What needs an event loop of asyncio says so where none runs, as under trio."""

from __future__ import annotations

import asyncio

from .errors import ConfigurationError

__all__ = ["check_event_loop", "has_event_loop"]


def has_event_loop() -> bool:
    """Return True where an event loop of asyncio runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def check_event_loop() -> None:
    """Check that an event loop of asyncio runs in this thread.

    Raises:
        ConfigurationError: none does; says what to use under another kind of loop.
    """
    if not has_event_loop():
        raise ConfigurationError(
            "AsyncSessionManager needs a running asyncio event loop with this storage or feed, and "
            "none runs here: under trio, or without a loop, call a SessionManager, "
            "from trio.to_thread.run_sync for example"
        )

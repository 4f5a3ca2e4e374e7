"""What needs an event loop of asyncio says so where none runs, as under trio.

asyncio is not imported here: where nobody has imported it, none of its loops can run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["check_event_loop", "has_event_loop", "running_loop"]


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop of asyncio that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio.events")
    try:
        loop: AbstractEventLoop | None = asyncio.get_running_loop()  # type: ignore[union-attr]
    except (AttributeError, RuntimeError):  # The first is also of a module half imported.
        return None
    return loop


def has_event_loop() -> bool:
    """Return True where an event loop of asyncio runs in this thread."""
    return running_loop() is not None


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

"""What the tests of watched connections share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from tests.servers import LONGEST_WAIT, until
from tokenwheel import Claims

THREADS = ("tokenwheel-watch", "tokenwheel-close", "tokenwheel-subscribers", "tokenwheel-watcher")


class Told(list[str]):
    """The reasons that an ``on_end`` was given, and the thread that gave them."""

    def __init__(self) -> None:
        super().__init__()
        self.thread: threading.Thread | None = None

    def __call__(self, reason: str) -> None:
        self.append(reason)
        self.thread = threading.current_thread()


def signed_in(manager: Any, subject: str = "ann", **options: Any) -> Claims:
    """Return the claims of a new login."""
    claims: Claims = manager.read(manager.create(subject=subject, **options).access_token)
    return claims


def threads() -> list[str]:
    """Return the names of the threads that serve the watch of connections."""
    return [thread.name for thread in threading.enumerate() if thread.name in THREADS]


def until_no_thread_is_left() -> None:
    until(lambda: not threads(), "the end of the threads")


async def soon(holds: Callable[[], object]) -> None:
    """Wait for something as ``until`` does, with an event loop that goes on meanwhile."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

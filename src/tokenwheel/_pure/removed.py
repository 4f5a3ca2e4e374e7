"""A queue of what has been removed from a cache, until its owner has been told of it.

Only the order of removal and the calls of ``on_remove`` belong here. The queue takes no lock: it
must be settled while none is held, since a callback, or the ``__del__`` of what is released, may
use the very cache that the queue belongs to. The readable twin of ``removed.pxd``.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ..events import RemovalReason

__all__ = ["RemovedQueue"]

logger = logging.getLogger("tokenwheel")

K = TypeVar("K")
V = TypeVar("V")


class RemovedQueue(Generic[K, V]):
    """Removed entries in order, each kept until ``on_remove`` has been called with it.

    Args:
        on_remove: called as ``on_remove(key, value, reason)``, or None if nobody wants to know.
    """

    __slots__ = ("_on_remove", "_settling", "is_heard", "removals")

    def __init__(self, on_remove: Callable[[K, V, RemovalReason], object] | None) -> None:
        self._on_remove = on_remove
        self.removals: deque[tuple[K, V, RemovalReason]] = deque()
        """What entries held, as ``(key, value, reason)``: what is removed is put at the end.

        Nothing needs settling while it is empty.
        """
        self._settling = threading.Lock()
        self.is_heard = on_remove is not None

    def settle(self) -> None:
        """Tell ``on_remove`` of every removal, and release it.

        A call from within ``on_remove``, or while another thread is at it, does nothing: whoever is
        at it gets to what was added.
        """
        while self.removals and self._settling.acquire(blocking=False):
            try:
                self._tell()
            finally:
                self._settling.release()

    def _tell(self) -> None:
        while self.removals:
            key, value, reason = self.removals.popleft()
            if self._on_remove is None:
                continue
            try:
                self._on_remove(key, value, reason)
            except Exception:
                logger.exception(
                    "on_remove of an ExpiringCache raised; the entry is removed all the same"
                )

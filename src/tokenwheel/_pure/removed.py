"""A queue of what has been removed from a cache, until its owner has been told of it.

Only the order of removal and the calls of ``on_remove`` belong here. The queue takes no lock: it
must be settled while none is held, since a callback, or the ``__del__`` of what is released, may
use the very cache that the queue belongs to. The readable twin of ``removed.pxd``.
"""

from __future__ import annotations

import logging
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

    __slots__ = ("_is_settling", "_on_remove", "_removals")

    def __init__(self, on_remove: Callable[[K, V, RemovalReason], object] | None) -> None:
        self._on_remove = on_remove
        self._removals: deque[tuple[K, V, RemovalReason]] = deque()
        self._is_settling = False

    def append(self, key: K, value: V, reason: RemovalReason) -> None:
        """Put what an entry held at the end of the queue."""
        self._removals.append((key, value, reason))

    def settle(self) -> None:
        """Tell ``on_remove`` of every removal, and release it.

        A call from within ``on_remove`` does nothing: the outer call gets to what was added.
        """
        if not self._removals or self._is_settling:
            return
        self._is_settling = True
        try:
            while self._removals:
                key, value, reason = self._removals.popleft()
                if self._on_remove is None:
                    continue
                try:
                    self._on_remove(key, value, reason)
                except Exception:
                    logger.exception(
                        "on_remove of an ExpiringCache raised; the entry is removed all the same"
                    )
        finally:
            self._is_settling = False

"""A lock that keeps a fork from coming between ``prometheus_client`` and its own locks.

That library guards its values by locks which a forked child keeps as they were. Where another
thread of the parent held one at that moment, the child would wait for ever at its first login. So
whatever of ours calls the library holds this lock, which every fork waits for.
"""

from __future__ import annotations

import threading

from ..fork_safety import hold_lock_during_fork

__all__ = ["CLIENT"]


class _Client:
    """Hold ``lock`` while the values of ``prometheus_client`` are used."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        hold_lock_during_fork(self, "lock")


CLIENT = _Client()

"""Who closes what several managers of a process may use: the last of them that closes.

A storage and a list of revocations are handed in from outside, and may be shared. Each manager has
a :class:`Usage` of what it was given. Usages are held weakly, so a manager that was dropped without
being closed counts no more. Parts are told apart by identity, whatever they call equal. A child of
a fork has managers of its own, and with them usages of its own.

Nothing here closes anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..fork_safety import renew_after_fork
from ..weak_identities import WeakIdentityDictionary

__all__ = ["Part", "Usage"]


class Part(NamedTuple):
    """Something that managers use, and how the last of them closes it."""

    identity: object
    close: Callable[[], Any]
    """Closes it, or returns an awaitable that does."""
    waits: bool
    """``close`` may wait, so that an event loop has it called from a worker thread."""


class Usage:
    """Hold what one manager uses, until the manager is closed or dropped.

    Args:
        parts: what it uses, in the order in which that is to be closed.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.has_ended = False
        with _register.lock:
            _register.add(self)

    def end(self) -> Sequence[Part]:
        """End the use.

        Returns:
            The parts that no other manager uses, to be closed by this one; none where the use had
            ended before.
        """
        with _register.lock:
            if self.has_ended:
                return ()
            self.has_ended = True
            used = [part.identity for usage in _register.in_use() for part in usage.parts]
        return [
            part for part in self.parts if not any(identity is part.identity for identity in used)
        ]


class _Register:
    """Know the usages of all managers that are alive. Whoever asks or adds holds the lock."""

    def __init__(self) -> None:
        self._usages: WeakIdentityDictionary[Usage, None] = WeakIdentityDictionary()
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        # It can be taken twice: under it a manager may become garbage that closes another.
        self.lock = threading.RLock()

    def add(self, usage: Usage) -> None:
        self._usages[usage] = None

    def in_use(self) -> list[Usage]:
        return [usage for usage in self._usages if not usage.has_ended]


_register = _Register()

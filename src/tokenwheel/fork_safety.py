"""What must not go into a child process as its parent left it: who is asked to let go before a ``fork``, and to begin anew after it.

Held weakly: what is used no longer is asked no longer. Nothing here knows what it is that the parts let go of.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

__all__ = [
    "Pausable",
    "Renewable",
    "hold_lock_during_fork",
    "pause_during_fork",
    "renew_after_fork",
]


class Renewable(Protocol):
    """What a child must not use as its parent left it."""

    def renew(self) -> None:
        """In a child, before anything else runs there: forgets locks that other threads held, and what is the parent's alone."""
        ...


class Pausable(Protocol):
    """What must not be in use while a process forks."""

    def pause(self) -> None:
        """Before a fork: waits for what is going on in other threads, and lets go until :meth:`go_on`."""
        ...

    def go_on(self) -> None:
        """After the fork, in the parent."""
        ...


_renewed: WeakSet[Renewable] = WeakSet()
_paused: WeakSet[Pausable] = WeakSet()
_locks: WeakKeyDictionary[object, str] = WeakKeyDictionary()
_resting: list[Pausable] = []  # during a fork
_held: list[tuple[object, str]] = []


def renew_after_fork(one: Renewable) -> None:
    """Has ``one.renew()`` called in every process that this one forks."""
    _renewed.add(one)


def pause_during_fork(one: Pausable) -> None:
    """Has ``one.pause()`` called before every fork, and ``one.go_on()`` in the parent after it."""
    _paused.add(one)


def hold_lock_during_fork(owner: object, name: str) -> None:
    """Holds the owner's lock of that name during every fork, so that a child finds whole what it guards, and a lock of its own that is
    free.

    Only for a lock under which no other is ever taken, and nothing waited for: these are taken last, when all else has let go.
    """
    _locks[owner] = name


def _before() -> None:
    resting = list(_paused)
    for one in resting:
        one.pause()
    held = list(_locks.items())
    for owner, name in held:
        getattr(owner, name).acquire()
    _resting[:], _held[:] = resting, held


def _after() -> None:
    for owner, name in _held:
        getattr(owner, name).release()
    _held.clear()
    for one in _resting:
        one.go_on()
    _resting.clear()


def _in_child() -> None:
    for owner, name in _held:
        setattr(owner, name, threading.Lock())
    _held.clear()
    _resting.clear()
    for one in list(_renewed):
        one.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)

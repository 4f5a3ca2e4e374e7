"""Who lets go before a ``fork``, and who begins anew in the child.

A child process must not use locks, connections or random bytes as its parent left them. Whatever
holds such things registers here. It is held weakly: what is no longer used is no longer called.
Nothing here knows what a part lets go of.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

__all__ = [
    "Pausable",
    "Renewable",
    "Restartable",
    "hold_lock_during_fork",
    "parts_of",
    "pause_during_fork",
    "renew_after_fork",
    "restart_after_fork",
]

T = TypeVar("T")


class Renewable(Protocol):
    """Hold what a child must not use as its parent left it."""

    def renew(self) -> None:
        """Forget, in a child, what is the parent's alone, and locks that its other threads held.

        Called before anything else runs in the child.
        """
        ...


class Restartable(Protocol):
    """Hold what has to run in a child by itself, such as a thread."""

    def restart(self) -> None:
        """Begin in a child, where every part has been renewed."""
        ...


class Pausable(Protocol):
    """Hold what must not be in use while a process forks."""

    def pause(self) -> None:
        """Wait for what is going on in other threads, and let go until :meth:`go_on`.

        Called before a fork. Where it raises, ``go_on`` is not called, so it must hold nothing
        then.
        """
        ...

    def go_on(self) -> None:
        """Let other threads go on, after the fork, in the parent."""
        ...


logger = logging.getLogger("tokenwheel")

_PLAIN_LOCK = type(threading.Lock())  # which Python before 3.13 doesn't let anybody call

_renewed: WeakSet[Renewable] = WeakSet()
_restarted: WeakSet[Restartable] = WeakSet()
_paused: WeakSet[Pausable] = WeakSet()
_locks: WeakKeyDictionary[object, tuple[str, ...]] = WeakKeyDictionary()
# During a fork: what has been paused, and whose locks of which name are held.
_resting: list[Pausable] = []
_held: list[tuple[object, str]] = []


def renew_after_fork(part: Renewable) -> None:
    """Have ``part.renew()`` called in every process that this one forks."""
    _renewed.add(part)


def restart_after_fork(part: Restartable) -> None:
    """Have ``part.restart()`` called in every child, once all parts have been renewed."""
    _restarted.add(part)


def pause_during_fork(part: Pausable) -> None:
    """Have ``part.pause()`` called before every fork, and ``part.go_on()`` in the parent after."""
    _paused.add(part)


def hold_lock_during_fork(owner: object, name: str) -> None:
    """Hold a lock during every fork, so that the child finds whole what the lock guards.

    The child gets a lock of its own, which is free. Only for a lock under which nothing is waited
    for and no other is ever taken, but those that the same owner named before: these locks are
    taken last, when all else has let go.

    Args:
        owner: the object that has the lock. It may have several.
        name: the name of the owner's attribute that is the lock.
    """
    named = _locks.get(owner, ())
    # What is named last is taken first, as it is by whoever takes one under the other.
    _locks[owner] = named if name in named else (name, *named)


def parts_of(registered: Iterable[T]) -> list[T]:
    """Return what is held weakly, though other threads add to it and let go of it meanwhile."""
    while True:
        # Its size has changed while it was looked through. That happens to few looks.
        with suppress(RuntimeError):
            return list(registered)


def _before() -> None:
    # A part that cannot be paused must not keep others from going on after the fork.
    for part in parts_of(_paused):
        try:
            part.pause()
        except Exception:
            logger.exception("%s could not be paused before a fork", type(part).__name__)
        else:
            _resting.append(part)
    for owner, names in parts_of(_locks.items()):
        for name in names:
            getattr(owner, name).acquire()
            _held.append((owner, name))


def _after() -> None:
    for owner, name in _held:
        getattr(owner, name).release()
    _held.clear()
    for part in _resting:
        part.go_on()
    _resting.clear()


def _in_child() -> None:
    for owner, name in _held:
        is_plain = isinstance(getattr(owner, name), _PLAIN_LOCK)
        setattr(owner, name, threading.Lock() if is_plain else threading.RLock())
    _held.clear()
    _resting.clear()
    for part in parts_of(_renewed):
        part.renew()
    for restarted in parts_of(_restarted):
        restarted.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)

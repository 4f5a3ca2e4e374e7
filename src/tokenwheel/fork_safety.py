"""Who lets go before a ``fork``, and who begins anew in the child.

A child process must not use locks, connections or random bytes as its parent left them. Whatever
holds such things registers here. It is held weakly: what is no longer used is no longer called.
Nothing here knows what a part lets go of.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Protocol

from .weak_identities import WeakIdentityDictionary

__all__ = [
    "Pausable",
    "Renewable",
    "Restartable",
    "hold_lock_during_fork",
    "pause_during_fork",
    "renew_after_fork",
    "restart_after_fork",
]


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

_PATIENCE = 10.0  # seconds for which a fork waits for all locks: far more than any is held
_PLAIN_LOCK = type(threading.Lock())  # which Python before 3.13 doesn't let anybody call

_renewed: WeakIdentityDictionary[Renewable, None] = WeakIdentityDictionary()
_restarted: WeakIdentityDictionary[Restartable, None] = WeakIdentityDictionary()
_paused: WeakIdentityDictionary[Pausable, None] = WeakIdentityDictionary()
_locks: WeakIdentityDictionary[object, tuple[str, ...]] = WeakIdentityDictionary()
_innermost: WeakIdentityDictionary[object, tuple[str, ...]] = WeakIdentityDictionary()


def renew_after_fork(part: Renewable) -> None:
    """Have ``part.renew()`` called in every process that this one forks."""
    _renewed[part] = None


def restart_after_fork(part: Restartable) -> None:
    """Have ``part.restart()`` called in every child, once all parts have been renewed."""
    _restarted[part] = None


def pause_during_fork(part: Pausable) -> None:
    """Have ``part.pause()`` called before every fork, and ``part.go_on()`` in the parent after."""
    _paused[part] = None


def hold_lock_during_fork(owner: object, name: str, *, is_innermost: bool = False) -> None:
    """Hold a lock during every fork, so that the child finds whole what the lock guards.

    The child gets a lock of its own, which is free. Only for a lock under which nothing is waited
    for and no other is ever taken, but innermost ones and those that the same owner named before:
    these locks are taken last, when all else has let go. A fork waits ten seconds at most for all
    of them, and says so in the log where that was too short.

    Args:
        owner: the object that has the lock. It may have several.
        name: the name of the owner's attribute that is the lock.
        is_innermost: True for a lock that may be taken under those of others, and under which none
            is taken.
    """
    locks = _innermost if is_innermost else _locks
    named = locks.get(owner, ())
    # What is named last is taken first, as it is by whoever takes one under the other.
    locks[owner] = named if name in named else (name, *named)


class _Fork:
    """Prepare a fork, and go on after it. Threads that fork at once take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._resting: list[Pausable] = []
        # Whose locks of which name are to be free in the child, and which of them are held here.
        self._guarding: list[tuple[object, str]] = []
        self._held: list[tuple[object, str]] = []

    def before(self) -> None:
        self._turn.acquire()
        # A part that cannot be paused must not keep others from going on after the fork.
        for part in _paused:
            try:
                part.pause()
            except Exception:
                logger.exception("%s could not be paused before a fork", type(part).__name__)
            else:
                self._resting.append(part)
        end = time.monotonic() + _PATIENCE
        for owner, names in [*_locks.items(), *_innermost.items()]:
            for name in names:
                self._guarding.append((owner, name))
                if getattr(owner, name).acquire(timeout=max(0.0, end - time.monotonic())):
                    self._held.append((owner, name))
                else:
                    logger.error(
                        "a %s was in use all the time before a fork, so a child may find it amid "
                        "a change",
                        type(owner).__name__,
                    )

    def after(self) -> None:
        for owner, name in self._held:
            getattr(owner, name).release()
        self._guarding.clear()
        self._held.clear()
        for part in self._resting:
            part.go_on()
        self._resting.clear()
        self._turn.release()

    def in_child(self) -> None:
        self._turn = threading.Lock()
        for owner, name in self._guarding:
            is_plain = isinstance(getattr(owner, name), _PLAIN_LOCK)
            setattr(owner, name, threading.Lock() if is_plain else threading.RLock())
        self._guarding.clear()
        self._held.clear()
        self._resting.clear()
        for part in _renewed:
            part.renew()
        for restarted in _restarted:
            restarted.restart()


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(
        before=_fork.before, after_in_parent=_fork.after, after_in_child=_fork.in_child
    )

"""What must not go into a child process as its parent left it: who is asked to let go before a ``fork``, and to begin anew after it.

Held weakly: what is used no longer is asked no longer. Nothing here knows what it is that the parts let go of.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Pausable", "Renewable", "pause_during_fork", "renew_after_fork"]


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


def renew_after_fork(one: Renewable) -> None:
    """Has ``one.renew()`` called in every process that this one forks."""
    _renewed.add(one)


def pause_during_fork(one: Pausable) -> None:
    """Has ``one.pause()`` called before every fork, and ``one.go_on()`` in the parent after it."""
    _paused.add(one)


def _before() -> None:
    for one in list(_paused):
        one.pause()


def _after() -> None:
    for one in list(_paused):
        one.go_on()


def _in_child() -> None:
    for one in list(_renewed):
        one.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)

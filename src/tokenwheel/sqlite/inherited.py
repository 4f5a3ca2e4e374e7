"""What a child of a fork does with connections that its parent had open.

SQLite remembers by process which locks it has on a file, for all connections to it at once. A child
inherits what SQLite remembers, and no lock. So before a child opens a file, every connection to it
that came from the parent must be closed. Most often none is there: ``fork_safety.py`` has them
closed before the fork. But a fork from C, as uWSGI's, calls nobody. Then whoever is used first in
the child finds out by the number of the process, and sees to it for all.

To close such a connection harms nobody, where it was idle. Where the parent was amid a call, it can
be neither used nor closed: then the child refuses to use the file at all.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from typing import Protocol

from ..weak_identities import WeakIdentityDictionary
from .open_files import FileId

__all__ = ["begin_anew", "is_inherited", "keep_for_ever", "watch"]


class Heir(Protocol):
    """Have connections that a child must not use."""

    @property
    def file(self) -> FileId | None:
        """The database. None where the fork came before that was known."""
        ...

    def was_in_use(self) -> bool:
        """Return True if another thread of the parent was amid a call."""
        ...

    def leave_parent(self, *, is_usable: bool) -> None:
        """Drop all that is the parent's. Begin anew, or refuse all calls where that can't be."""
        ...


_heirs: WeakIdentityDictionary[Heir, None] = WeakIdentityDictionary()
_renewed = [os.getpid()]  # the process in which all have left their parent
# A lock for each process, so that no child finds one that its parent held.
_locks: dict[int, threading.Lock] = {}
_kept: list[sqlite3.Connection] = []


def watch(heir: Heir) -> None:
    """Have ``heir`` leave its parent in every child that finds out that it is one."""
    _heirs[heir] = None


def is_inherited() -> bool:
    """Return True in a child that has not begun anew. Asked before any lock is taken."""
    return os.getpid() != _renewed[0]


def begin_anew() -> None:
    """Have all leave their parent, if this is a child in which that has not been done."""
    process = os.getpid()
    with _locks.setdefault(process, threading.Lock()):
        if process == _renewed[0]:
            return
        heirs = list(_heirs)
        in_use = [heir.file for heir in heirs if heir.was_in_use()]
        for heir in heirs:
            heir.leave_parent(is_usable=_is_usable(heir.file, in_use))
        _renewed[0] = process


def keep_for_ever(connection: sqlite3.Connection) -> None:
    """Let a connection of the parent never be closed: to close it could undo what is the parent's.

    That holds for the end of the interpreter, too, which closes what is left.
    """
    _kept.append(connection)
    try:
        import ctypes
    except ImportError:
        return
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _is_usable(file: FileId | None, in_use: Sequence[FileId | None]) -> bool:
    return not in_use or (file is not None and file not in in_use and None not in in_use)

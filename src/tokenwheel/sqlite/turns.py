"""Whose turn it is to write, among the processes that have a file open.

To ask whether a file is locked costs less than to ask SQLite for its write lock in vain. So who
writes locks the log meanwhile, by ``flock``, which SQLite doesn't use; and who waits for SQLite
waits for that first. With eight processes on two cores a third more commits come through.

This is a hint. SQLite's lock decides, and who has waited for long goes on without a turn. The lock
may be in the hands of a process that is stopped, or of one that has nothing to do with this.
"""

from __future__ import annotations

import sys

from .deadline import Deadline

__all__ = ["Turns"]

if sys.platform != "win32":
    import fcntl

_LONGEST_WAIT = 0.1  # seconds: thousands of commits


class Turns:
    """Take turns with the other processes that have the same file open.

    Args:
        descriptor: the file, which is locked during a turn.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def begin(self, deadline: Deadline) -> None:
        """Wait until it is the turn of this process, for a moment at most."""
        if sys.platform != "win32":
            end = deadline.at_most(_LONGEST_WAIT)
            while True:
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not end.sleep():
                        return
                except OSError:  # There are file systems that know no such locks.
                    return
                else:
                    return

    def end(self) -> None:
        """Let the next process have its turn."""
        if sys.platform != "win32":
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            except OSError:
                pass  # Where there are no such locks, there was no turn.

"""Whether others than its owner can read or change a database, and the log that says so.

What is created here is its owner's alone. But a file may have been copied, restored or made with
another mode, and whoever can write it can log anybody in. Nothing is changed here: a service may
share its files with a group on purpose. Only POSIX has such modes.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

__all__ = ["warn_of_modes"]

logger = logging.getLogger("tokenwheel")

_BESIDE = ("", "-wal", "-shm", "-journal", "-doorbell")
"""What is behind the name of a database in the names of the files that go with it."""

_warned: dict[Path, object] = {}


def warn_of_modes(path: Path) -> None:
    """Log, once for each file and process, that others than its owner can read or write it.

    The folder of the database counts, too: who can write there can put another file in place.

    Args:
        path: of the database. What isn't there, or can't be looked at, is passed over.
    """
    if os.name != "posix":
        return
    of_database = _mode(path) or 0
    for name in (path.with_name(path.name + suffix) for suffix in _BESIDE):
        mode = _mode(name)
        # SQLite gives its own files the mode of the database, of which is told once.
        is_news = name == path or (mode or 0) & ~of_database
        if mode is not None and mode & 0o066 and is_news:
            _warn(
                name,
                "%s has the mode %04o, so %s can %s it: chmod 600 makes it its owner's alone",
                name,
                mode,
                _whom(mode & 0o066),
                "write" if mode & 0o022 else "read",
            )
    folder = path.parent
    mode = _mode(folder)
    if mode is not None and mode & 0o022 and not mode & stat.S_ISVTX:
        _warn(
            folder,
            "the folder %s has the mode %04o, so %s can put another database in the place of that "
            "which is there: chmod 700 makes it its owner's alone",
            folder,
            mode,
            _whom(mode & 0o022),
        )


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return None


def _whom(mode: int) -> str:
    return "every user of this machine" if mode & 0o006 else "its group"


def _warn(path: Path, message: str, *details: object) -> None:
    mine = object()
    # No lock, which a fork could leave held in the child: one thread's object stays.
    if _warned.setdefault(path, mine) is mine:
        logger.warning(message, *details)

"""Under which name a database file is opened: always the same, and the only one it has.

SQLite keeps its log and its locks beside the name of a file, and the doorbell lies there, too. Two
processes that used the same file by two names would each write a log of their own, and hear nothing
of each other (sqlite.org/howtocorrupt.html, 2.5). Nothing here opens a database.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..errors import ConfigurationError

__all__ = ["real_path"]

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4  # which field of a line there
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def real_path(name: str) -> Path:
    """Return the name by which every process opens the file, whatever name it was given.

    Symbolic links are followed, to the file and on the way to it.

    Args:
        name: a name of the file. There may be no file yet.

    Returns:
        An absolute path without links.

    Raises:
        ConfigurationError: the file has another name, by a hard link or since it is mounted by
            itself.
    """
    try:
        real = Path(os.path.realpath(name))
        # Another process may be about to make the file. The second look finds its work done.
        has_other_names = _has_other_names(real) and _has_other_names(real)
    except (OSError, ValueError):  # Whoever opens it meets the same, and says so.
        return Path(name).absolute()
    if has_other_names:
        raise ConfigurationError(
            "the database file has more than one name, and who opens it by another would corrupt "
            "it: remove the other hard links, and use symbolic links instead"
        )
    if _is_mounted(real):
        raise ConfigurationError(
            "the database file is mounted by itself, without the files that SQLite keeps beside "
            "it: mount its folder instead"
        )
    return real


def _has_other_names(path: Path) -> bool:
    """Return True if the file has hard links beyond those that ``new_file`` makes for a moment.

    Whoever is killed in that moment leaves the second name behind, and nobody opens the file by it.
    """
    made = {entry.inode() for entry in _unfinished(path)}
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    is_file = stat.S_ISREG(status.st_mode)
    return is_file and status.st_nlink > (2 if status.st_ino in made else 1)


def _unfinished(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path.parent) as entries:
            return [entry for entry in entries if entry.name.startswith(f".{path.name}-")]
    except FileNotFoundError:
        return []


def _is_mounted(path: Path) -> bool:
    """Return True if the file itself is a mount point. Known on Linux alone."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    wanted = os.fsencode(path)
    return any(_unescape(line.split()[_MOUNT_POINT]) == wanted for line in lines)


def _unescape(name: bytes) -> bytes:
    r"""Return a name as it is; a space in it is written ``\040``."""
    return _ESCAPED.sub(lambda escape: bytes([int(escape[1], 8)]), name)

"""A small file that is read again when it may hold something else. Nothing here knows of keys.

A file is replaced by another under its name, or by a link to another; or it is written in place.
Each shows in what ``stat`` tells: which file it is, its size, and when it was last changed. Only a
file that is written twice within one tick of the file system's clock, and keeps its size, does not
show it. So a file that was seen to change is read again for a while.

It is read from one descriptor, and counts only where it stayed the same meanwhile.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

__all__ = ["UnusableFile", "WatchedFile"]

_LONGEST_TICK = 2.0  # seconds: FAT tells times no finer
_ATTEMPTS = 3
# A pipe must not keep the reader waiting, nor a terminal become that of the process.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class UnusableFile(Exception):
    """A file cannot be read. The text says why, as what is said of the file."""


class _Stamp(NamedTuple):
    """What a file is told by, apart from its content."""

    device: int
    inode: int
    size: int
    written_at: int
    """in nanoseconds"""
    changed_at: int
    """in nanoseconds; unlike the time before, nobody can set it as they like"""
    mode: int


class WatchedFile:
    """A file that is read when it may hold something else than it did. For one thread at a time.

    Args:
        path: its name. Links are followed, each time anew.
        most: the bytes that it may have at most.

    Attributes:
        mode: its type and permissions when it was last read.
    """

    __slots__ = ("_most", "_path", "_read_at", "_seen_at", "_stamp", "mode")

    def __init__(self, path: str, most: int) -> None:
        self._path = Path(path)
        self._most = most
        self._stamp: _Stamp | None = None
        self._seen_at = 0.0  # when the stamp was first seen
        self._read_at = 0.0
        self.mode = 0

    def forget(self) -> None:
        """Read the file at the next look, whatever it is."""
        self._stamp = None

    def read_if_changed(self, now: float) -> bytes | None:
        """Return what is in the file, or None where that is the same as before.

        What is returned may be the same, too.

        Args:
            now: seconds by a clock that nobody sets.

        Raises:
            UnusableFile: it is not there, is no regular file, is too large, cannot be read, or is
                being written. It is read again at the next look.
        """
        known, self._stamp = self._stamp, None
        content: bytes | None = None
        try:
            stamp = _stamp_of(self._path.stat())
            _check_kind(stamp.mode)
            if stamp != known:
                self._seen_at = now
            elif self._read_at - self._seen_at >= _LONGEST_TICK:
                self._stamp = stamp
                return None
            for _ in range(_ATTEMPTS):
                if (content := self._read()) is not None:
                    break
        except FileNotFoundError:
            raise UnusableFile("is not there") from None
        except OSError as error:
            raise UnusableFile(f"cannot be read: {error.strerror}") from None
        if content is None:
            raise UnusableFile("is being written")
        # Where another file was put there since the look, the next one finds out.
        self._stamp, self._read_at, self.mode = stamp, now, stamp.mode
        return content

    def _read(self) -> bytes | None:
        """Return what is in the file, or None where it was changed meanwhile."""
        descriptor = os.open(self._path, _FLAGS)
        try:
            before = _stamp_of(os.fstat(descriptor))
            _check_kind(before.mode)
            if before.size > self._most:
                raise UnusableFile(f"has more than {self._most} bytes")
            parts = []
            missing = before.size + 1  # to meet its end
            while missing > 0 and (part := os.read(descriptor, missing)):
                parts.append(part)
                missing -= len(part)
            is_whole = missing == 1 and _stamp_of(os.fstat(descriptor)) == before
        finally:
            os.close(descriptor)
        return b"".join(parts) if is_whole else None


def _stamp_of(status: os.stat_result) -> _Stamp:
    return _Stamp(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )


def _check_kind(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnusableFile("is a folder")
    if not stat.S_ISREG(mode):
        raise UnusableFile("is no regular file, but a device, a pipe or a socket")

"""Files with private keys: made, changed and read so that they are whole at every moment.

A new content is written beside the file, brought to the disk, and put in the file's place at once.
Whoever reads the file meanwhile sees the old content or the new one, and so does whoever comes
after a crash. A command holds a lock on the file from before it reads it until after it has
replaced it, so that no change of another command is lost.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigurationError, StorageUnavailable
from ..keys.file.file_text import LONGEST_KEY_TEXT
from .refused_writes import explains_refusals

__all__ = ["LockedFile", "create_private", "locked_file", "read_file", "write_public"]

if sys.platform != "win32":
    import fcntl

_LONGEST_WAIT = 10  # seconds for another command, which needs some milliseconds
_PAUSE = 0.02  # seconds between two looks at whether the file is still locked
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # where folders are never synced
_NEVER_WAITS = getattr(os, "O_NONBLOCK", 0)  # as a pipe would, which is refused


class LockedFile(NamedTuple):
    """A file that no other command changes now."""

    path: Path
    """Where it is, symbolic links followed."""
    content: bytes
    status: os.stat_result

    @explains_refusals("the key file was left alone")
    def replace(self, content: bytes, *, mode: int = 0o600) -> int:
        """Put a new content in place of the old one. Return the rights that others had and lost.

        The file keeps its owner and group. It gets no right that its owner lacked.

        Args:
            content: the new content.
            mode: who may read and write the file from now on.

        Raises:
            ConfigurationError: the owner can't be kept, something else changed the file, or nothing
                can take its place.
            OSError: it could not be written. The file is what it was.
        """
        had = stat.S_IMODE(self.status.st_mode)
        if not had & 0o200:
            mode &= ~0o200
        made = self.path.with_name(f".{self.path.name}.tokenwheel-new")
        made.unlink(missing_ok=True)  # of a command that was killed: this one has the lock
        descriptor = os.open(
            made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOT_FOLLOWED | _BINARY, 0o600
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                if sys.platform != "win32":
                    _keep_owner(descriptor, self.status, is_for_group=bool(mode & 0o040))
                    os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            if read_file(self.path) != self.content:
                raise ConfigurationError(
                    "something else changed the file meanwhile, so it was left alone: try again"
                )
            made.replace(self.path)
        except BaseException:
            with suppress(OSError):
                made.unlink()
            raise
        _sync_folder(self.path.parent)
        return had & 0o077 & ~mode


@contextmanager
def locked_file(path: Path) -> Iterator[LockedFile]:
    """Yield a file as it is, and keep other commands from changing it meanwhile.

    Raises:
        ConfigurationError: it can't be read, or is no file.
        StorageUnavailable: another command has it for too long.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        descriptor = _open_locked(real)
    except OSError as error:  # Whose text holds the name, which may be a token given by mistake.
        raise ConfigurationError(f"the key file cannot be used: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            locked = LockedFile(real, _read_all(file.read), os.fstat(descriptor))
        if sys.platform == "win32":  # which replaces no file that is open
            os.close(descriptor)
            descriptor = -1
        yield locked
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def read_file(path: Path) -> bytes:
    """Return the content of a key file.

    Raises:
        ConfigurationError: it can't be read, or is longer than any key file.
    """
    try:
        with path.open("rb") as file:
            return _read_all(file.read)
    except OSError as error:
        raise ConfigurationError(f"the key file cannot be read: {error.strerror}") from None


def create_private(path: Path, content: bytes) -> None:
    """Make a file that only its owner can read. It never takes the place of another file.

    Raises:
        ConfigurationError: it can't be made, or is there already.
        OSError: it could not be written. It is not there.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=".tokenwheel-", dir=path.parent)
    except OSError as error:
        raise _not_made(error) from None
    try:
        _fill(descriptor, content, 0o600)
        try:
            os.link(name, path)
        except FileExistsError as error:
            raise _not_made(error) from None
        except OSError:  # This file system has no links.
            _create_directly(path, content)
        _sync_folder(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)


@explains_refusals("the file for the public keys was not written")
def write_public(path: Path, content: bytes) -> None:
    """Write a file that everybody can read, in place of the one that is there, if any.

    Raises:
        ConfigurationError: it can't be made.
        OSError: it could not be written. What was there is as it was.
    """
    real = Path(os.path.realpath(path))
    try:
        descriptor, name = tempfile.mkstemp(prefix=".tokenwheel-", dir=real.parent)
    except OSError as error:
        raise ConfigurationError(
            f"the file for the public keys cannot be made: {error.strerror}"
        ) from None
    try:
        _fill(descriptor, content, 0o644)
        Path(name).replace(real)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(real.parent)


def _open_locked(path: Path) -> int:
    """Return a descriptor of the file that has this name once it is locked."""
    end = time.monotonic() + _LONGEST_WAIT
    while True:
        descriptor = _open(path)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError("the key file must be a file, and no folder or device")
            _lock(descriptor, end)
            # Whoever had the lock has put another file in place, which others may have locked.
            if sys.platform == "win32" or os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path: Path) -> int:
    flags = _BINARY | _NEVER_WAITS | _NOT_FOLLOWED
    try:  # Over NFS only a file that is open for writing can be locked.
        return os.open(path, os.O_RDWR | flags)
    except OSError:
        return os.open(path, os.O_RDONLY | flags)


def _lock(descriptor: int, end: float) -> None:
    if sys.platform == "win32":
        return
    while True:
        try:
            with explains_refusals("the key file cannot be locked"):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise StorageUnavailable(
                    "another command is changing the key file, and has not finished in "
                    f"{_LONGEST_WAIT} seconds: try again"
                ) from None
            time.sleep(_PAUSE)
        else:
            return


def _keep_owner(descriptor: int, old: os.stat_result, *, is_for_group: bool) -> None:
    """Give a new file the owner and the group of the old one."""
    if sys.platform == "win32":
        return
    new = os.fstat(descriptor)
    if new.st_uid != old.st_uid:
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            raise ConfigurationError(
                "the key file belongs to another user, who could not read it any more: run the "
                "command as that user"
            ) from None
    elif new.st_gid != old.st_gid:
        try:
            os.fchown(descriptor, -1, old.st_gid)
        except PermissionError:
            if is_for_group:
                raise ConfigurationError(
                    "the key file belongs to a group that you are not in, which could not read it "
                    "any more: run the command as a user who is"
                ) from None


def _fill(descriptor: int, content: bytes, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        if sys.platform != "win32":
            os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _create_directly(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOT_FOLLOWED | _BINARY, 0o600
        )
    except OSError as error:
        raise _not_made(error) from None
    try:
        _fill(descriptor, content, 0o600)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _not_made(error: OSError) -> ConfigurationError:
    # The error's own text holds the name, which may be a token given by mistake.
    return ConfigurationError(f"the file for the private key cannot be made: {error.strerror}")


def _read_all(read: Callable[[int], bytes]) -> bytes:
    content = read(LONGEST_KEY_TEXT + 1)
    if len(content) > LONGEST_KEY_TEXT:
        raise ConfigurationError(f"a key file has at most {LONGEST_KEY_TEXT} bytes")
    return content


def _sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk, where this can be done.

    Raises:
        StorageUnavailable: the disk failed.
    """
    if sys.platform == "win32":
        return
    with suppress(PermissionError):  # Whoever may write in a folder needn't be let read it.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NOT_SYNCED:
                raise StorageUnavailable(
                    f"the new file is in place, but the disk didn't confirm it ({error.strerror}): "
                    "look at it with `tokenwheel keys list` before you go on"
                ) from None
        finally:
            os.close(descriptor)

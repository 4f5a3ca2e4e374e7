"""Why a file can't be locked, or replaced by another, and what an operator does about it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError

__all__ = ["explains_refusals"]

_NO_LOCKS = (
    "its file system has no locks, and of two commands at once the keys of one would be lost. Run "
    "the command on a copy elsewhere, and rename that to its name"
)
_NOT_ALLOWED = (
    "this user may not do so. The new file is made in the same folder and renamed, so the folder "
    "must be writable: run the command as a user who may write there"
)
_IN_USE = "another program has it open, or this user may not do so. Try again"
_REASONS = {
    errno.EBUSY: "it is mounted by itself, so nothing can take its place. Run the command where it "
    "comes from, and mount the folder instead: a mounted file doesn't change when it is replaced",
    errno.EROFS: "it is mounted read-only. Run the command where it comes from",
    errno.EACCES: _IN_USE if sys.platform == "win32" else _NOT_ALLOWED,
    errno.ENOLCK: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
}


@contextmanager
def explains_refusals(refusal: str) -> Iterator[None]:
    """Say of what the operating system refuses in the block what is to be done about it.

    Args:
        refusal: what was not done, as the beginning of a sentence.

    Raises:
        ConfigurationError: the operating system refused it, for a reason that is known here.
    """
    try:
        yield
    except OSError as error:  # Whose text holds the name, which may be a token given by mistake.
        reason = _REASONS.get(error.errno or 0)
        if reason is None:
            raise
        raise ConfigurationError(f"{refusal}: {reason}") from None

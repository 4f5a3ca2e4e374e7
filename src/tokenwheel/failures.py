"""What a failure of somebody else's code means: whether it may pass, so that a call can be made
again.

A storage, a feed or a client library raises what it likes. Of what is known to last, such as a
mistake in the code or a password that is wrong, no second call is promised to do better. Client
libraries are optional, so their errors are known by name.
"""

from __future__ import annotations

import errno
import re

from .errors import StorageUnavailable

__all__ = ["AGAIN", "lasts", "meaning_of"]

AGAIN = "the call can be made again"
"""Said only where that may help."""
_NO_LOOP = (
    "no event loop of asyncio is running here, and an AsyncSessionManager with its storage and "
    "feed works in one: await it within asyncio.run(...)"
)
_NO_THREAD = "can't start new thread"  # what Python says while the system has no room for one
_OTHER_LOOP = (
    "the storage or the feed was used in another event loop, which it belongs to: make its client "
    "within the asyncio.run(...) that uses it"
)

# What Python raises where the code is wrong. RuntimeError has NotImplementedError in it.
_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)
_LASTING_NUMBERS = frozenset(
    {
        errno.EACCES,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
_LASTING_NAMES = frozenset(
    {
        # of every database library (PEP 249)
        "DataError",
        "IntegrityError",
        "NotSupportedError",
        "ProgrammingError",
        # of redis-py and valkey-py
        "AuthenticationError",
        "AuthenticationWrongNumberOfArgsError",
        "AuthorizationError",
        "ClusterCrossSlotError",
        "CrossSlotTransactionError",
        "ModuleError",
        "NoPermissionError",
        "NoScriptError",
        "OutOfMemoryError",
        "ReadOnlyError",
    }
)
# What a server of Redis or Valkey answers for a while, be it from within a script. What else it
# answers stays so.
_PASSING_ANSWER = re.compile(
    r"\b(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|TRYAGAIN)\b"
)


def lasts(error: BaseException) -> bool:
    """Return True where another call would most likely meet the same error."""
    if isinstance(error, _MISTAKES):
        return _NO_THREAD not in str(error)
    if isinstance(error, OSError):
        return error.errno in _LASTING_NUMBERS
    if type(error).__name__ == "ResponseError":
        return _PASSING_ANSWER.search(str(error)) is None
    return not _LASTING_NAMES.isdisjoint(kind.__name__ for kind in type(error).__mro__)


def meaning_of(what: str, error: Exception) -> StorageUnavailable:
    """Return what a foreign error means to the caller of this library.

    Args:
        what: says what was tried, as the beginning of a sentence.
        error: what was met.

    Returns:
        An error which promises that the call can be made again where that may help, and says where
        there is no event loop, or the wrong one.
    """
    loop_is_missing = _loop_is_missing(error)
    if loop_is_missing is not None:
        return StorageUnavailable(loop_is_missing)
    if lasts(error):
        return StorageUnavailable(
            f"{what} ({type(error).__name__}), which another call would meet as well"
        )
    return StorageUnavailable(f"{what}; {AGAIN}")


def _loop_is_missing(error: Exception) -> str | None:
    """Return what is wrong with the event loop, or None where it is something else."""
    if not isinstance(error, RuntimeError):
        return None
    said = str(error)
    if "no running event loop" in said or "no current event loop" in said:
        return _NO_LOOP
    if "Event loop is closed" in said or "different loop" in said or "different event loop" in said:
        return _OTHER_LOOP
    return None

"""By when a call must be over, whatever it waits for.

The deadline belongs to the call and not to a connection: a call waits for a connection, connects,
and asks a Sentinel or the nodes of a cluster where to. Each step may take what the ones before it
have left. A context variable carries it past the client library, which lies between.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from math import inf

from ..errors import StorageUnavailable
from ..option_checks import check_seconds
from ..seconds import steady_time

__all__ = ["TIMEOUT", "begin", "check_timeout", "end", "is_over", "no_answer", "time_left"]

TIMEOUT = 5.0  # seconds
_SHORTEST, _LONGEST = 0.1, 3_600.0  # seconds: one hour
_INSTANT = 0.005  # seconds: this and less is no time left
_ends_at: ContextVar[float] = ContextVar("tokenwheel_deadline", default=inf)


def check_timeout(timeout: object) -> float:
    """Return the seconds that a call may take.

    Raises:
        ConfigurationError: it is no such number; names the range.
    """
    return check_seconds("timeout", timeout, _SHORTEST, _LONGEST)


def begin(timeout: float) -> Token[float]:
    """Give what runs from here on so many seconds. Return what :func:`end` asks for."""
    return _ends_at.set(steady_time() + timeout)


def end(token: Token[float]) -> None:
    """Lift the deadline that :func:`begin` has set."""
    _ends_at.reset(token)


def time_left(longest: float) -> float:
    """Return the seconds that the next step may take, at most ``longest``.

    It is never zero, which means another thing to a socket.
    """
    left = _ends_at.get() - steady_time()
    if left > longest:
        return longest
    return max(_INSTANT, left)


def is_over() -> bool:
    """Return True once the call has taken its time."""
    return _ends_at.get() - steady_time() <= _INSTANT


def no_answer(timeout: float) -> StorageUnavailable:
    """Return the error of a call that has taken its time."""
    return StorageUnavailable(
        f"the server did not answer within the {timeout:g} seconds of timeout; "
        "the call can be made again"
    )

"""What keeps secrets out of tracebacks, which may be shown with the values of local variables.

Sentry, rich, ``cgitb`` and ``traceback.TracebackException(capture_locals=True)`` show each frame's
locals by their repr. So a function that may raise while it knows a token, a secret or a part of one
does one of three things:

- It holds it in a type that hides itself: :class:`Hidden`, or a class of its own on
  :class:`Hiding`.
- It lets go of it before anything can raise, or in a ``finally``. A frame that has been left keeps
  its locals as they were last, for whoever looks at the traceback.
- It is marked with :func:`clears_locals`, where only this library and those below it run.

Nothing here knows what a secret is for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from hmac import compare_digest
from traceback import clear_frames
from types import TracebackType
from typing import Generic, NoReturn, ParamSpec, TypeVar

__all__ = ["ClearedLocals", "Hidden", "Hiding", "clears_locals"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", str, bytes)


class Hiding:
    """Shows nothing of its attributes as a text, and cannot be copied or pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled: it holds a secret")


class Hidden(Hiding, Generic[T]):
    """A secret text or secret bytes. Equal ones are told in constant time.

    Args:
        content: the secret.

    Attributes:
        content: the secret. Whoever takes it out passes it on at once, and keeps it in no variable.
    """

    __slots__ = ("content",)
    content: T

    def __init__(self, content: T) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hidden):
            return NotImplemented
        return compare_digest(_octets(self.content), _octets(other.content))

    __hash__ = None  # type: ignore[assignment]  # A hash would tell of the content.


class ClearedLocals:
    """A block whose errors take no values of local variables along from the frames below it.

    Whatever error leaves the block, and whatever error that one was raised from or during, the
    frames that it went through forget their locals: ours, and those of the libraries called. The
    frame with the block itself is left as it is.
    """

    __slots__ = ("_handled",)

    def __enter__(self) -> None:
        self._handled = sys.exception()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What the caller was handling already is the context of the first error; it is the
        # caller's own.
        seen = {id(self._handled), id(None)}
        pending = [error]
        while pending:
            error = pending.pop()
            if error is not None and id(error) not in seen:
                seen.add(id(error))
                clear_frames(error.__traceback__)
                pending += [error.__cause__, error.__context__]


def clears_locals(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with frames that show no locals where it raises, and none below it.

    It is for what takes secrets and runs no code of the application's, whose frames would be
    cleared as well.
    """

    @wraps(function)
    def clearing(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with ClearedLocals():
                return function(*args, **kwargs)
        finally:
            del args, kwargs

    return clearing


def _octets(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content

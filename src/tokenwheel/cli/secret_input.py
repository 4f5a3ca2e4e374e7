"""A refresh token from standard input, or typed where nobody sees it.

It is never an argument, which every user of a machine could see, and nothing of it is printed.
"""

from __future__ import annotations

import getpass
import sys
import warnings
from typing import Any

from ..errors import InvalidArgument
from ..session.refresh_tokens import parse_refresh_token

__all__ = ["read_refresh_token"]

_MOST_BYTES = 8192  # more than any refresh token has, with white space around it
_NOT_HIDDEN = "the refresh token cannot be typed unseen here: give it on standard input, by a pipe"


def read_refresh_token() -> str:
    """Return the refresh token on standard input, or ask for it where that is a terminal.

    Raises:
        InvalidArgument: it holds none, or more than that.
    """
    if sys.stdin is None:
        raise InvalidArgument("there is no standard input to read the refresh token from")
    words = (_ask() if sys.stdin.isatty() else _read()).split()
    try:
        if not words:
            raise InvalidArgument("standard input is empty: it must hold one refresh token")
        if len(words) > 1:
            raise InvalidArgument(
                "standard input must hold one refresh token and nothing else; "
                "it holds several words or lines"
            )
        if parse_refresh_token(words[0]) is None:
            raise InvalidArgument(
                "what standard input holds is no refresh token: one has 56 or more characters, "
                "all of them letters, digits, '-' and '_'"
            )
        return words.pop()
    finally:
        words.clear()


def _read() -> str:
    # What an application has put in place of the standard input may hold no bytes.
    source: Any = getattr(sys.stdin, "buffer", sys.stdin)
    given: str | bytes = source.read(_MOST_BYTES + 1)
    if len(given) > _MOST_BYTES:
        raise InvalidArgument(f"standard input holds more than {_MOST_BYTES} bytes")
    if isinstance(given, str):
        return given
    try:
        return given.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidArgument("standard input holds no text of a refresh token") from None


def _ask() -> str:
    with warnings.catch_warnings():
        # Else it would be typed for everybody to see.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass("Refresh token: ")
        except getpass.GetPassWarning:
            raise InvalidArgument(_NOT_HIDDEN) from None
        except EOFError:
            return ""

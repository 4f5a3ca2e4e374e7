"""What a route demands beyond an access token, and the options of a gate that are callables.

Each is checked when it is given, so that a mistake is told when the application starts.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..conformance import check_call, is_coroutine_function
from ..errors import ConfigurationError, InvalidArgument
from ..exact import as_given, is_instance, items_of, named, seconds_of, text_of
from ..models import Session
from ..session import AsyncSessionManager, SessionManager

__all__ = ["AskClaims", "Manager", "check_claims", "check_max_age", "check_scopes"]

Manager = SessionManager | AsyncSessionManager
AskClaims = Callable[[Session], Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None]
"""Returns the application's own claims for the next access token of a session."""

_MOST_SCOPES = 256
_is_scope = re.compile(r"[!#-\[\]-~]+").fullmatch  # RFC 6749, section 3.3


def check_scopes(scopes: object) -> tuple[str, ...]:
    """Return scopes that are needed somewhere, checked.

    Raises:
        InvalidArgument: they are not a list of scopes (RFC 6749, section 3.3).
    """
    items = items_of(scopes, _MOST_SCOPES)
    texts = None if items is None else [text_of(item) for item in items]
    if texts is None or not all(text is not None and _is_scope(text) for text in texts):
        raise InvalidArgument("scopes must be a list of texts without spaces, such as ['admin']")
    return tuple(text for text in texts if text is not None)


def check_max_age(max_age: object) -> int:
    """Return the seconds that a login may be ago, checked.

    Raises:
        InvalidArgument: they are no whole number of seconds from 0.
    """
    seconds = seconds_of(max_age)
    if seconds is None or not 0 <= seconds < 2**53 or seconds != int(seconds):
        raise InvalidArgument(f"max_age must be a whole number of seconds, {as_given(max_age)}")
    return int(seconds)


def check_claims(option: str, claims: object, manager: Manager) -> None:
    """Check that an option is None, or a callable that returns the claims of a session.

    Raises:
        ConfigurationError: it is not, or is a coroutine function beside a manager that blocks.
    """
    if claims is None:
        return
    if not callable(claims):
        raise ConfigurationError(
            f"{option} must be a callable that takes a Session and returns claims, "
            f"not {named(claims)}"
        )
    check_call(option, claims, ["session"])
    if is_coroutine_function(claims) and not is_instance(manager, AsyncSessionManager):
        raise ConfigurationError(
            f"{option} must not be a coroutine function beside a SessionManager; "
            "an AsyncSessionManager awaits it"
        )

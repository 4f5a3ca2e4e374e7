"""Refresh an expired access cookie within the request itself, for pages that have no script.

A page rendered by the server asks for nothing but pages: its access token expires, and nobody is
there to refresh it. So the request that finds it expired does. Requests that do so at once meet in
the grace of the refresh token, and all get the same new one.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, NamedTuple

from .._impl import Claims
from ..errors import (
    AccessTokenExpired,
    AccessTokenRevoked,
    ContextMismatch,
    InvalidAccessToken,
    SessionNotFound,
    TokenwheelError,
)
from .answers import Answer
from .calls import Call
from .endpoints import Incoming
from .errors import MalformedCredentials
from .gate import Gate

__all__ = ["Admitted", "admit_or_renew"]


class Admitted(NamedTuple):
    """The claims of a request, and what sets the new cookies on its answer if it was renewed."""

    claims: Claims | None
    renewed: Answer | None


def admit_or_renew(
    gate: Gate, request: Incoming, *, optional: bool = False
) -> Generator[Call, Any, Admitted]:
    """Admit a request, and refresh its session first where its access cookie is past its time.

    An access token that was revoked is worth a try, too: its session may only be restricted. What
    can't be renewed is refused, or counts as nobody, as it would without; the cookies stay.

    Args:
        gate: the gate, with ``renew``.
        request: the request.
        optional: whether nobody may be signed in.

    Returns:
        The claims, and the answer whose headers are to be added to the request's own.

    Raises:
        TokenwheelError: what ``admit`` or ``admit_optional`` of the gate raises.
    """
    try:
        return Admitted(gate.admit(request.method, request.headers), None)
    except (AccessTokenExpired, AccessTokenRevoked):
        call = _renewal_of(gate, request)
    except TokenwheelError:
        if not optional:
            raise
        call = None
    if call is not None:
        # The session may be over by now, or be refreshed from elsewhere than it was opened.
        with suppress(ContextMismatch, InvalidAccessToken, SessionNotFound):
            tokens = yield call
            renewed = gate.welcome(tokens, via="cookie")
            return Admitted(gate.manager.read(tokens.access_token), renewed)
    if optional:
        return Admitted(gate.admit_optional(request.method, request.headers), None)
    return Admitted(gate.admit(request.method, request.headers), None)


def _renewal_of(gate: Gate, request: Incoming) -> Call | None:
    """Return the call that refreshes the session of a request, or None where it can't be told."""
    try:
        token = gate.renewal_token(request.method, request.headers)
    except MalformedCredentials:
        return None
    if token is None:
        return None
    return Call("update", token, gate.renew, context=request.context)

"""The access token that a request bears: in ``Authorization``, or in a WebSocket's subprotocol.

A page can set no header of a WebSocket's handshake but the subprotocols, so these may hold the
token. The address never does: addresses are logged.
"""

from __future__ import annotations

import re

from .errors import MalformedCredentials
from .fields import Headers, field

__all__ = ["BEARER_RULE", "SUBPROTOCOL", "bearer_token", "is_b64token"]

BEARER_RULE = "Authorization must be the scheme Bearer, a space, and one access token"
SUBPROTOCOL = "tokenwheel"
"""What a WebSocket's handshake offers beside the token, and is the only one that is accepted."""

# The first word, and the first after each comma, as where two headers were joined.
_schemes_in = re.compile(r"(?:^|,)[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)").findall
is_b64token = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch
"""Matches what a bearer token may be at all (RFC 6750, section 2.1)."""


def bearer_token(headers: Headers, *, websocket: bool = False) -> str | None:
    """Return the access token that a request bears, or None where it bears none.

    Args:
        headers: returns a header by its name in lower case.
        websocket: whether this is the handshake of a WebSocket, whose subprotocols count.

    Raises:
        MalformedCredentials: it can't be told what is borne, or there are two.
    """
    offered = _token_of_subprotocol(headers) if websocket else None
    authorization = field(headers, "authorization")
    if authorization is None:
        return offered
    scheme, _, token = authorization.partition(" ")
    if scheme == "Bearer" or scheme.lower() == "bearer":
        if offered is not None:
            raise MalformedCredentials(
                "there is a token in Authorization, and in a subprotocol of the WebSocket"
            )
        token = token.strip(" \t")
        if not token:
            raise MalformedCredentials("Authorization has the scheme Bearer and no token")
        return token
    _check_other_scheme(authorization)
    return offered


def _check_other_scheme(authorization: str) -> None:
    """Check that an ``Authorization`` header is of another scheme, such as a proxy's own Basic.

    Raises:
        MalformedCredentials: it can't be told what it is, or it may be meant for here.
    """
    schemes = {scheme.lower() for scheme in _schemes_in(authorization)}
    if "dpop" in schemes:
        raise MalformedCredentials(
            "Authorization has the scheme DPoP, which is not taken here: send a Bearer"
        )
    if not schemes or "bearer" in schemes:
        raise MalformedCredentials(BEARER_RULE)


def _token_of_subprotocol(headers: Headers) -> str | None:
    """Return the token that a WebSocket's handshake offers beside the subprotocol tokenwheel."""
    offered = field(headers, "sec-websocket-protocol")
    if offered is None:
        return None
    names = [name.strip(" \t") for name in offered.split(",")]
    if SUBPROTOCOL not in names:
        return None
    tokens = [name.removeprefix("bearer.") for name in names if name.startswith("bearer.")]
    if len(tokens) > 1 or tokens == [""]:
        raise MalformedCredentials("the WebSocket must offer one subprotocol bearer.<token>")
    return tokens[0] if tokens else None

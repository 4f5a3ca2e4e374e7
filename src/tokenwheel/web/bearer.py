"""The access token that a request bears: in ``Authorization``, or in a WebSocket's subprotocol.

A page can set no header of a WebSocket's handshake but the subprotocols, so these may hold the
token. The address never does: addresses are logged.
"""

from __future__ import annotations

import re

from .errors import MalformedCredentials

__all__ = ["BEARER_RULE", "SUBPROTOCOL", "bearer_token", "is_b64token"]

BEARER_RULE = "Authorization must be the scheme Bearer, a space, and one access token"
SUBPROTOCOL = "tokenwheel"
"""What a WebSocket's handshake offers beside the token, and is the only one that is accepted."""

_PREFIX = "bearer."
# The first word, and the first after each comma, as where two headers were joined.
_schemes_in = re.compile(r"(?:^|,)[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?![^ \t,])").findall
is_b64token = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch
"""Matches what a bearer token may be at all (RFC 6750, section 2.1)."""


def bearer_token(authorization: str | None, subprotocols: str | None = None) -> str | None:
    """Return the access token that a request bears, or None where it bears none.

    Args:
        authorization: the header field of this name, or None without.
        subprotocols: those that a WebSocket's handshake offers, as ``Sec-WebSocket-Protocol`` has
            them; None without, and for all other requests.

    Raises:
        MalformedCredentials: it can't be told what is borne, or there are two.
    """
    offered = None if subprotocols is None else _token_of_subprotocol(subprotocols)
    if authorization is None:
        return offered
    if authorization[:7].lower() != "bearer ":
        _check_other_scheme(authorization)
        return offered
    if offered is not None:
        raise MalformedCredentials(
            "there is a token in Authorization, and in a subprotocol of the WebSocket"
        )
    token = authorization[7:].strip(" ")
    if not token:
        raise MalformedCredentials("Authorization has the scheme Bearer and no token")
    return token


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


def _token_of_subprotocol(offered: str) -> str | None:
    """Return the token that a WebSocket's handshake offers beside the subprotocol tokenwheel."""
    names = [name.strip(" \t") for name in offered.split(",")]
    tokens = [name[len(_PREFIX) :] for name in names if name[: len(_PREFIX)].lower() == _PREFIX]
    if not tokens:
        return None
    if SUBPROTOCOL not in names:
        raise MalformedCredentials(
            "the WebSocket must offer the subprotocol tokenwheel beside bearer.<token>"
        )
    if len(tokens) > 1 or not tokens[0]:
        raise MalformedCredentials("the WebSocket must offer one subprotocol bearer.<token>")
    return tokens[0]

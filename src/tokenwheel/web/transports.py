"""How a refused request has presented its token, as metrics tell it."""

from __future__ import annotations

from typing import Literal

from ..errors import InvalidArgument
from .bearer import bearer_token
from .bodies import refresh_token_in
from .cookies import Cookies, find_cookie
from .errors import MalformedCredentials
from .fields import Headers, field

__all__ = ["transport_in"]


def transport_in(
    headers: Headers,
    cookies: Cookies | None,
    *,
    takes_bearer: bool,
    body: bytes | None = None,
    websocket: bool = False,
) -> Literal["bearer", "cookie", "none"]:
    """Return how a request presents a token, be it one that cannot be read.

    Args:
        headers: returns a header by its name.
        cookies: what the cookies are called; None where only bearers are taken.
        takes_bearer: whether bearers are taken.
        body: the request's body, where a refresh token may be in it.
        websocket: whether this is the handshake of a WebSocket.
    """
    try:
        if takes_bearer and _bears(headers, body, websocket):
            return "bearer"
        if cookies is not None and _has_cookie(headers, cookies):
            return "cookie"
    except InvalidArgument:  # The headers are of no use, as the error may say.
        pass
    return "none"


def _bears(headers: Headers, body: bytes | None, websocket: bool) -> bool:
    try:
        if body and refresh_token_in(field(headers, "content-type"), body) is not None:
            return True
        offered = field(headers, "sec-websocket-protocol") if websocket else None
        return bearer_token(field(headers, "authorization"), offered) is not None
    except MalformedCredentials:
        return True


def _has_cookie(headers: Headers, cookies: Cookies) -> bool:
    header = field(headers, "cookie")
    if header is None:
        return False
    try:
        return any(find_cookie(header, name) for name in (cookies.access, cookies.refresh))
    except MalformedCredentials:
        return True

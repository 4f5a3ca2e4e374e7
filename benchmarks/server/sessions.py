"""tokenwheel as the cases use it: its manager, gate, and the requests that carry its tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

from tokenwheel import SessionManager

from .requests import Request, Transport, by_bearer, by_cookie

ISSUER = "auth-server.com"
AUDIENCE = ["auth-server.com", "rest-server.com"]
ACCEPTED = "rest-server.com"
CLAIMS = {"role": "user", "name": "John"}
LIFETIME = 86_400  # seconds, longer than any run


def issue(secret: str, count: int) -> list[Any]:
    manager = SessionManager(secret, issuer=ISSUER, audience=AUDIENCE, access_ttl=LIFETIME)
    return [manager.create(CLAIMS, subject=f"uid{number}") for number in range(count)]


def make_manager(secret: str, **options: Any) -> SessionManager:
    return SessionManager(secret, issuer=ISSUER, audience=ACCEPTED, **options)


def make_gate(secret: str, transport: Transport) -> Any:
    from tokenwheel.web import Cookies, Gate

    return Gate(make_manager(secret), cookies=Cookies() if transport == "cookie" else None)


def requests(secret: str, transport: Transport, count: int) -> list[Request]:
    if transport == "bearer":
        return [by_bearer(tokens.access_token) for tokens in issue(secret, count)]
    return [
        by_cookie(
            tokens.access_token,
            {"__Host-tw-access": tokens.access_token, "__Host-tw-refresh": tokens.refresh_token},
        )
        for tokens in issue(secret, count)
    ]


def requests_of(secret: str, transport: Transport) -> Any:
    return partial(requests, secret, transport)

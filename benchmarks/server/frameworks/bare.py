"""A bare ASGI application behind tokenwheel's middleware."""

from __future__ import annotations

from typing import Any

from ..requests import Served, Transport
from ..sessions import make_gate, requests_of

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"15")],
}
BODY = {"type": "http.response.body", "body": b'{"status":"ok"}'}


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)


def nothing(secret: str, transport: Transport) -> Served:
    return Served(application, requests_of(secret, transport))


def tokenwheel(secret: str, transport: Transport) -> Served:
    from tokenwheel.web.asgi import AuthMiddleware

    guarded = AuthMiddleware(application, gate=make_gate(secret, transport))
    return Served(guarded, requests_of(secret, transport))

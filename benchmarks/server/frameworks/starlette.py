"""A Starlette application, guarded by a middleware."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..requests import Served, Transport
from ..sessions import make_gate, requests_of


async def endpoint(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def application(middleware: Any, **options: Any) -> Starlette:
    return Starlette(
        routes=[Route("/", endpoint, methods=["GET", "POST"])],
        middleware=[Middleware(middleware, **options)],
    )


class DoesNothing:
    """A middleware that does nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def nothing(secret: str, transport: Transport) -> Served:
    return Served(application(DoesNothing), requests_of(secret, transport))


def tokenwheel(secret: str, transport: Transport) -> Served:
    from tokenwheel.web.asgi import AuthMiddleware

    return Served(
        application(AuthMiddleware, gate=make_gate(secret, transport)),
        requests_of(secret, transport),
    )

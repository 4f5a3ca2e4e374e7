"""A login service for the tests: ``uvicorn tests.processes.login_service:app``.

``KEYS`` names its key file. Whoever asks is logged in. Nothing is refreshed here, so each worker
may keep its sessions in its own memory.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tokenwheel import AsyncSessionManager, KeyFile
from tokenwheel.web import Gate
from tokenwheel.web.asgi import AuthMiddleware

sessions = AsyncSessionManager(
    KeyFile(os.environ["KEYS"]), issuer="auth.example", audience="api.example"
)


async def login(_: Request) -> Response:
    opened = await sessions.create({}, subject="ann")
    return PlainTextResponse(opened.access_token)


app = Starlette(
    routes=[Route("/login", login, methods=["POST"])],
    middleware=[Middleware(AuthMiddleware, gate=Gate(sessions), public=["/login"])],
)

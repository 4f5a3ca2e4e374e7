"""A resource server for the tests: ``uvicorn tests.processes.resource_asgi:app``.

``KEYS_URL`` is where the keys of the tokens are that it verifies.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.processes.resources import OPTIONS, answer_to
from tokenwheel import AsyncSessionManager, RemoteKeySet

keys = RemoteKeySet(os.environ["KEYS_URL"], **OPTIONS)
sessions = AsyncSessionManager(keys, issuer="auth.example", audience="api.example")


async def me(request: Request) -> Response:
    status, text = answer_to(sessions.read, request.headers.get("authorization", ""))
    return PlainTextResponse(text, status)


async def stats(_: Request) -> Response:
    return PlainTextResponse(json.dumps(keys.stats()._asdict()))


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with sessions:
        yield


app = Starlette(routes=[Route("/me", me), Route("/stats", stats)], lifespan=lifespan)

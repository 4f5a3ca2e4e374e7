"""Login, refresh, "your devices" and logout behind a web page, with Starlette.

Run it as ``uvicorn starlette_app:app``, behind TLS, and look at ``/``.

``SESSIONS_FOLDER`` names a folder with the file of sessions, which any number of workers share, and
two keys that were made there once::

    tokenwheel keys new --algorithm ES256 --out keys.json
    tokenwheel keys new --algorithm HS256 --out storage.jwk
"""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from tokenwheel import (
    AsyncSessionManager,
    KeyFile,
    RevocationList,
    Session,
    SqliteFeed,
    SqliteStorage,
    TokenwheelError,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.asgi import AuthMiddleware, session_routes, watch
from tokenwheel.web.starlette import answer_error, context_of, signed_in

PAGE = Path(__file__).parent / "web"
FOLDER = Path(os.environ["SESSIONS_FOLDER"])
PASSWORD = "correct horse"  # Yours are hashed, in a database, one a user.
SCOPES = {"ann": "admin", "ben": "", "chloe": ""}

sessions = AsyncSessionManager(
    KeyFile(FOLDER / "keys.json"),
    issuer="auth.example",
    audience="api.example",
    storage=SqliteStorage(FOLDER / "sessions.db"),
    storage_key=(FOLDER / "storage.jwk").read_text(),
    revocations=RevocationList(SqliteFeed(FOLDER / "sessions.db")),
)
# Without TLS for http://localhost alone, while you develop.
gate = Gate(sessions, cookies=Cookies(insecure_localhost="INSECURE_LOCALHOST" in os.environ))


def claims_of(session: Session) -> dict[str, Any]:
    """Return what the next token of a session says of its user, as things are now."""
    return {"scope": SCOPES[session.subject]}


def user_of(body: bytes) -> str | None:
    """Return who logs in with this body of JSON, or None if its name or password is wrong."""
    try:
        form = json.loads(body)
        name, password = str(form["name"]), str(form["password"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_right = hmac.compare_digest(password.encode(errors="replace"), PASSWORD.encode())
    return name if is_right and name in SCOPES else None


async def login(request: Request) -> Response:
    name = user_of(await request.body())
    if name is None:
        return JSONResponse({"detail": "wrong name or password"}, 403)
    # Before there is a session: another site's page can make nobody log in.
    context = context_of(gate, request)
    tokens = await sessions.create({"scope": SCOPES[name]}, subject=name, context=context)
    return signed_in(gate, request, tokens)


async def me(request: Request) -> Response:
    return JSONResponse(dict(request.state.claims))


async def admin(request: Request) -> Response:
    gate.check(request.state.claims, scopes=["admin"])
    return JSONResponse({"administrator": request.state.claims.subject})


async def messages(websocket: WebSocket) -> None:
    claims = websocket.state.claims
    await websocket.accept()
    async with watch(gate, websocket, claims):
        await websocket.send_text(f"Hello {claims.subject}, what you say comes back.")
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await websocket.send_text(f"{claims.subject}: {message.get('text') or '(no text)'}")


async def page(request: Request) -> Response:
    return FileResponse(PAGE / "page.html")


async def script(request: Request) -> Response:
    return FileResponse(PAGE / "page.js")


app = Starlette(
    routes=[
        Route("/login", login, methods=["POST"]),
        Mount("/session", routes=session_routes(gate, claims=claims_of)),
        Route("/me", me),
        Route("/admin", admin),
        WebSocketRoute("/messages", messages),
        Route("/", page),
        Route("/page.js", script),
    ],
    middleware=[
        Middleware(AuthMiddleware, gate=gate, public=["/", "/page.js", "/login", "/session/"])
    ],
    exception_handlers={TokenwheelError: answer_error},
)

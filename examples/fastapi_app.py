"""Login, refresh, "your devices" and logout behind a web page and an API, with FastAPI.

Run it as ``uvicorn fastapi_app:app``, behind TLS. The page is at ``/``, the docs of the API at
``/docs``.

``SESSIONS_FOLDER`` names a folder with the file of sessions, which any number of workers share, and
two keys that were made there once::

    tokenwheel keys new --algorithm ES256 --out keys.json
    tokenwheel keys new --algorithm HS256 --out storage.jwk
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Security, WebSocket
from fastapi.responses import FileResponse, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel

from tokenwheel import (
    AsyncSessionManager,
    Claims,
    KeyFile,
    RevocationList,
    Session,
    SessionTokens,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.fastapi import FastAPIAuth

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
cookies = Cookies(insecure_localhost="INSECURE_LOCALHOST" in os.environ)
# Origins by which browsers know this service, where a proxy does not pass the Host on.
trusted = os.environ.get("TRUSTED_ORIGINS", "").split()
auth = FastAPIAuth(Gate(sessions, cookies=cookies, trusted_origins=trusted), token_url="/token")

SignedIn = Annotated[Claims, Depends(auth)]
Administrator = Annotated[Claims, Security(auth, scopes=["admin"])]
PasswordForm = Annotated[OAuth2PasswordRequestForm, Depends()]


class Login(BaseModel):
    name: str
    password: str


def claims_of(session: Session) -> dict[str, Any]:
    """Return what the next token of a session says of its user, as things are now."""
    return {"scope": SCOPES[session.subject]}


async def open_session(name: str, password: str, request: Request) -> SessionTokens:
    is_right = hmac.compare_digest(password.encode(errors="replace"), PASSWORD.encode())
    if not is_right or name not in SCOPES:
        raise HTTPException(403, "wrong name or password")
    claims = {"scope": SCOPES[name]}
    return await sessions.create(claims, subject=name, context=auth.context(request))


app = FastAPI(title="tokenwheel")
auth.install(app)
app.include_router(auth.router(claims=claims_of), prefix="/session")


@app.post("/login")
async def login(form: Login, request: Request) -> Response:
    return auth.signed_in(request, await open_session(form.name, form.password, request))


@app.post("/token")
async def token(form: PasswordForm, request: Request) -> Response:
    """Log in from the docs page, whose Authorize button wants a token that it can read."""
    tokens = await open_session(form.username, form.password, request)
    return auth.signed_in(request, tokens, via="bearer")


@app.get("/me")
async def me(claims: SignedIn) -> Claims:
    return claims


@app.get("/admin")
async def admin(claims: Administrator) -> dict[str, str]:
    return {"administrator": claims.subject}


@app.websocket("/messages")
async def messages(websocket: WebSocket, claims: SignedIn) -> None:
    await websocket.accept()
    async with auth.watch(websocket, claims):
        await websocket.send_text(f"Hello {claims.subject}, what you say comes back.")
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await websocket.send_text(f"{claims.subject}: {message.get('text') or '(no text)'}")


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(PAGE / "page.html")


@app.get("/page.js", include_in_schema=False)
async def script() -> FileResponse:
    return FileResponse(PAGE / "page.js")

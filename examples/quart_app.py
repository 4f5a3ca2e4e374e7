"""Login, refresh, "your devices" and logout behind a web page, with Quart.

Run it as ``hypercorn quart_app:app``, behind TLS, and look at ``/``.

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

from quart import Quart, abort, jsonify, request, send_from_directory, websocket
from quart.typing import ResponseReturnValue

from tokenwheel import (
    AsyncSessionManager,
    KeyFile,
    RevocationList,
    Session,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.flask import FlaskAuth

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


def user_of(body: str | bytes) -> str | None:
    """Return who logs in with this body of JSON, or None if its name or password is wrong."""
    try:
        form = json.loads(body)
        name, password = str(form["name"]), str(form["password"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_right = hmac.compare_digest(password.encode(errors="replace"), PASSWORD.encode())
    return name if is_right and name in SCOPES else None


app = Quart(__name__)
auth = FlaskAuth()
auth.init_app(app, gate, claims=claims_of, url_prefix="/session")


@app.post("/login")
async def login() -> ResponseReturnValue:
    name = user_of(await request.get_data())
    if name is None:
        abort(403)
    tokens = await sessions.create({"scope": SCOPES[name]}, subject=name, context=auth.context())
    return auth.signed_in(tokens)


@app.get("/me")
@auth.required
async def me() -> ResponseReturnValue:
    return jsonify(auth.claims)


@app.get("/admin")
@auth.required(scopes=["admin"])
async def admin() -> ResponseReturnValue:
    return {"administrator": auth.claims.subject}


@app.websocket("/messages")
@auth.required
async def messages() -> None:
    await websocket.accept()
    async with auth.watch(websocket, auth.claims):
        await websocket.send(f"Hello {auth.claims.subject}, what you say comes back.")
        while True:
            await websocket.send(f"{auth.claims.subject}: {await websocket.receive()!s}")


@app.get("/", defaults={"name": "page.html"})
@app.get("/page.js", defaults={"name": "page.js"})
async def page(name: str) -> ResponseReturnValue:
    return await send_from_directory(PAGE, name)

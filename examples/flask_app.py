"""Login, refresh, "your devices" and logout behind a web page, with Flask.

Run it as ``gunicorn --worker-class gthread flask_app:app``, behind TLS, and look at ``/``.

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

from flask import Flask, abort, jsonify, request, send_from_directory
from flask.typing import ResponseReturnValue
from flask_sock import Sock
from simple_websocket import Server

from tokenwheel import (
    KeyFile,
    RevocationList,
    Session,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.flask import FlaskAuth

PAGE = Path(__file__).parent / "web"
FOLDER = Path(os.environ["SESSIONS_FOLDER"])
PASSWORD = "correct horse"  # Yours are hashed, in a database, one a user.
SCOPES = {"ann": "admin", "ben": "", "chloe": ""}

sessions = SessionManager(
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


app = Flask(__name__)
auth = FlaskAuth()
auth.init_app(app, gate, claims=claims_of, url_prefix="/session")
sock = Sock(app)


@app.post("/login")
def login() -> ResponseReturnValue:
    name = user_of(request.get_data())
    if name is None:
        abort(403)
    tokens = sessions.create({"scope": SCOPES[name]}, subject=name, context=auth.context())
    return auth.signed_in(tokens)


@app.get("/me")
@auth.required
def me() -> ResponseReturnValue:
    return jsonify(auth.claims)


@app.get("/admin")
@auth.required(scopes=["admin"])
def admin() -> ResponseReturnValue:
    return {"administrator": auth.claims.subject}


@sock.route("/messages")
@auth.required
def messages(websocket: Server) -> None:
    with auth.watch(websocket, auth.claims):
        websocket.send(f"Hello {auth.claims.subject}, what you say comes back.")
        while True:
            websocket.send(f"{auth.claims.subject}: {websocket.receive()}")


@app.get("/", defaults={"name": "page.html"})
@app.get("/page.js", defaults={"name": "page.js"})
def page(name: str) -> ResponseReturnValue:
    return send_from_directory(PAGE, name)

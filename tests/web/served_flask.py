"""A Flask with a login, a WebSocket and a stream of events, for real servers to serve."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, jsonify
from flask_sock import Sock

from tests.support import SECRET
from tokenwheel import SessionManager
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.flask import FlaskAuth

sessions = SessionManager(SECRET, issuer="i", audience="a")
auth = FlaskAuth()
app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["tokenwheel"]}
auth.init_app(app, Gate(sessions, cookies=Cookies(insecure_localhost=True)))
sock = Sock(app)


@app.post("/login")
def login() -> Any:
    return auth.signed_in(sessions.create(subject="ann", context=auth.context()))


@app.get("/me")
@auth.required
def me() -> Any:
    return jsonify(auth.claims)


@sock.route("/ws")
@auth.required
def ws(connection: Any) -> None:
    with auth.watch(connection, auth.claims) as watched:
        connection.send(f"hello {auth.claims.subject}")
        while True:
            connection.send(watched.admit(connection.receive()).subject)


@app.get("/events")
@auth.required
def events() -> Any:
    def ticks() -> Iterator[str]:
        while True:
            yield "data: tick\n\n"
            time.sleep(0.05)

    stream = auth.watch(None, auth.claims).each(ticks())
    return Response(stream, mimetype="text/event-stream")

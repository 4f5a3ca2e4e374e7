"""A Quart with a login, a WebSocket and a stream of events, for real servers to serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, jsonify, websocket

from tests.support import SECRET
from tokenwheel import AsyncSessionManager
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.flask import FlaskAuth

sessions = AsyncSessionManager(SECRET, issuer="i", audience="a")
auth = FlaskAuth()
app = Quart(__name__)
auth.init_app(app, Gate(sessions, cookies=Cookies(insecure_localhost=True)))


@app.post("/login")
async def login() -> Any:
    return auth.signed_in(await sessions.create(subject="ann", context=auth.context()))


@app.get("/me")
@auth.required
async def me() -> Any:
    return jsonify(auth.claims)


@app.websocket("/ws")
@auth.required
async def ws() -> None:
    async with auth.watch(websocket, auth.claims) as watched:
        await websocket.send(f"hello {auth.claims.subject}")
        while True:
            token = await websocket.receive()
            await websocket.send(watched.admit(token).subject)


@app.get("/events")
@auth.required
async def events() -> Any:
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await asyncio.sleep(0.05)

    stream = auth.watch(None, auth.claims).each(ticks())
    return stream, {"Content-Type": "text/event-stream"}

"""Refusals as FastAPI sends them, and what is carried around an application."""

import json
from functools import partial
from typing import NoReturn

from fastapi import HTTPException, WebSocketException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from ..errors import TokenwheelError
from .answers import refusal_of
from .asgi_answers import run_renewing, run_without_token
from .asgi_well_known import keys_of_scope, run_or_answer
from .gate import Gate
from .scopes import App, Receive, Scope, Send, headers_of
from .watched import NOT_SIGNED_IN

__all__ = ["Carrier", "refuse"]


def refuse(gate: Gate, connection: HTTPConnection, error: TokenwheelError) -> NoReturn:
    """Raise an error; as one of FastAPI's where the application has no handler for ours."""
    is_websocket = isinstance(connection, WebSocket)
    # Metrics hear of it here: an application's own handler may answer it.
    gate._tell_refused(error, headers_of(connection.scope), websocket=is_websocket)
    handlers, _ = connection.scope.get("starlette.exception_handlers", ({}, {}))
    if any(kind in handlers for kind in type(error).__mro__):
        raise error
    if is_websocket:
        raise WebSocketException(NOT_SIGNED_IN) from error
    answer = refusal_of(error)
    headers = {name: value for name, value in answer.headers if name != "Content-Type"}
    raise HTTPException(answer.status, json.loads(answer.body)["detail"], headers) from error


class Carrier:
    """Carry what a dependency can't: new cookies, the subprotocol of a WebSocket, public keys."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            keys = keys_of_scope(self._gate, scope)
            if keys is not None:
                app = partial(run_or_answer, app, keys)
            if self._gate.renew is not None:
                await run_renewing(app, self._gate, scope, receive, send)
                return
        elif scope["type"] == "websocket":
            await run_without_token(app, scope, receive, send)
            return
        await app(scope, receive, send)

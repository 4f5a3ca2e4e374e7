"""Quart's side of ``flask.py``: how a request is read, and how a call of the manager is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from quart import (
    Blueprint,
    current_app,
    has_request_context,
    has_websocket_context,
    request,
    request_finished,
    request_started,
    websocket,
)
from quart.wrappers import Websocket
from werkzeug.exceptions import RequestTimeout

from .._impl import Claims
from ..errors import TokenwheelError
from ..exact import is_instance
from ..models import SessionContext
from ..session import AsyncSessionManager
from .answers import Answer
from .asgi_answers import run_without_token
from .async_watch import AsyncWatch
from .bodies import LONGEST_BODY
from .calls import Call, make_calls_async
from .endpoints import Steps
from .fields import Headers
from .scopes import App, Receive, Scope, Send, context_of_scope, headers_of
from .site import Site
from .watched import NOT_SIGNED_IN

__all__ = ["QuartSite", "in_quart", "new_blueprint"]

T = TypeVar("T")

_FORM = "application/x-www-form-urlencoded"
_LOOP = "tokenwheel.loop"


def in_quart() -> tuple[Any, Any] | None:
    """Return the application and the request or WebSocket of the moment, or None without one."""
    if has_request_context():
        asked = request._get_current_object()  # type: ignore[attr-defined]
    elif has_websocket_context():
        asked = websocket._get_current_object()  # type: ignore[attr-defined]
    else:
        return None
    return current_app._get_current_object(), asked  # type: ignore[attr-defined]


def new_blueprint(name: str, url_prefix: str) -> Blueprint:
    """Return the blueprint for the routes."""
    return Blueprint(name, __name__, url_prefix=url_prefix)


class QuartSite(Site):
    """A Quart behind a gate. Its event loop waits for nothing."""

    def kept_of(self, request: Any) -> dict[str, Any]:
        """Return the scope of ASGI, which belongs to one request."""
        kept: dict[str, Any] = request.scope
        return kept

    def look_at(self, request: Any) -> tuple[dict[str, Any], Headers, bool]:
        """Return the scope of ASGI, and what is in it."""
        scope = request.scope
        return scope, headers_of(scope), scope["type"] == "websocket"

    def admit_plain(self, request: Any) -> Claims | None:
        """Return and remember the claims of a request that can be admitted at one look."""
        scope = request.scope
        if scope["type"] != "http":
            return None
        claims = self.gate.admit_plain(request.method, scope["headers"])
        if claims is not None:
            scope[self._claims] = claims
        return claims

    def context_of(self, request: Any) -> SessionContext:
        """Return the address that the server names. Of a Unix socket it names none."""
        return context_of_scope(request.scope)

    def respond(self, answer: Answer) -> Any:
        """Return the application's own kind of response."""
        response = current_app.response_class(answer.body, answer.status)
        response.headers.clear()  # A content type that the answer has not is none.
        response.headers.extend(answer.headers)
        if answer.status not in {204, 304}:
            response.headers["Content-Length"] = str(len(answer.body))
        return response

    def run(self, steps: Generator[Call, Any, T], request: Any) -> T:
        """Run a generator of calls to its end, in the thread of a view that is no coroutine."""
        if not is_instance(self.gate.manager, AsyncSessionManager):
            return super().run(steps, request)
        running = make_calls_async(steps, self.gate.manager)
        return asyncio.run_coroutine_threadsafe(running, request.scope[_LOOP]).result()

    async def run_async(self, steps: Generator[Call, Any, T], request: Any) -> T:
        """Run a generator of calls to its end, awaiting each."""
        return await make_calls_async(steps, self.gate.manager)

    async def refuse_websocket_async(self, request: Any, error: TokenwheelError) -> Any:
        """Close a WebSocket with 4401 where the server can't send a response in place of it."""
        if not isinstance(request, Websocket):
            return None
        if "websocket.http.response" in (request.scope.get("extensions") or {}):
            return None
        await request.close(NOT_SIGNED_IN, error.code)
        return self.respond(self.gate.refusal(error))

    def watch(self, connection: Any, claims: Claims) -> AsyncWatch:
        """Return what ends a WebSocket, or without one a stream."""
        close = None if connection is None else connection.close
        return AsyncWatch(self.gate.watches, claims, close)

    def listen(self, app: Any) -> None:
        """Put renewed cookies on responses, after all else that the application does to them.

        Of the subprotocols of a WebSocket, the application chooses ``tokenwheel`` by itself.
        """
        app.asgi_app = partial(_run_without_token, app.asgi_app)

        @app.after_request  # type: ignore[untyped-decorator]
        async def tell_keys(response: Any) -> Any:
            return self.keys_for(app, request, response)

        if self.gate.renew is not None:
            request_finished.connect(self._on_finished, app, weak=False)
            if is_instance(self.gate.manager, AsyncSessionManager):
                request_started.connect(_remember_loop, app, weak=False)

    async def _on_finished(self, _: Any, response: Any, **__: Any) -> None:
        self.finish(request, response)

    def view_of(self, steps: Callable[..., Steps], reads_body: bool) -> Callable[..., Any]:
        """Return the view of a route for sessions."""

        async def view(**parts: str) -> Any:
            body = await _body_of(request) if reads_body else b""
            incoming = self.incoming(request, body)
            running = self.run_async(steps(self.endpoints, incoming, **parts), request)
            return self.respond(await running)

        return view


async def _run_without_token(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await run_without_token(app, scope, receive, send)
    else:
        await app(scope, receive, send)


async def _remember_loop(_: Any, **__: Any) -> None:
    kept: Any = request.scope
    kept[_LOOP] = asyncio.get_running_loop()


async def _body_of(request: Any) -> bytes:
    """Return the body of a request, of a longer one no more than is needed to refuse it.

    What was read stays there for the application's own functions.
    """
    if (request.content_length or 0) > LONGEST_BODY:
        return bytes(LONGEST_BODY + 1)
    body: bytes = b""
    try:
        async with asyncio.timeout(request.body_timeout):
            async for part in request.body:
                body += part
                if len(body) > LONGEST_BODY:
                    return body[: LONGEST_BODY + 1]
    except TimeoutError:
        raise RequestTimeout from None
    if body:
        request.body = request.body_class(None, None)
        request.body.set_result(body)
        return body
    # A function before the request may have read it, and only of a form it has no octets left.
    body = await request.body
    if not body and request.mimetype == _FORM:
        body = urlencode([*(await request.form).items(multi=True)]).encode()
    return body

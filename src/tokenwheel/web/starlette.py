"""What Starlette's endpoints need for a login, and how its applications answer our errors.

The middleware and the routes are those of any ASGI application (``asgi.py``).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from ..exact import is_instance
from ..models import SessionContext, SessionTokens
from .admission import SAFE_METHODS
from .answers import Answer, refusal_of
from .asgi_answers import encoded_headers, refusal_to, send_answer
from .gate import Gate, Transport
from .scopes import context_of_scope, headers_of
from .watched import NOT_SIGNED_IN

__all__ = ["answer_error", "context_of", "response_of", "signed_in"]


def response_of(answer: Answer) -> Response:
    """Return a finished answer as a response of Starlette."""
    response = Response(answer.body, answer.status)
    response.raw_headers.extend(encoded_headers(answer))
    return response


async def answer_error(connection: Any, error: Any, *, gate: Gate | None = None) -> Any:
    """Answer an error of ours: ``exception_handlers={TokenwheelError: answer_error}``.

    Args:
        connection: a request, or a WebSocket: it is refused, or closed where it was accepted.
        error: a ``TokenwheelError``.
        gate: whose metrics count the refusal; by default that of the :class:`AuthMiddleware` which
            has let the request in.
    """
    visitor = connection.scope.get("auth")
    counts = gate if gate is not None else getattr(visitor, "_gate", None)
    if is_instance(counts, Gate):
        answer = refusal_to(counts, connection.scope, error)
    else:
        answer = refusal_of(error)
    if not isinstance(connection, WebSocket):
        return response_of(answer)
    if connection.application_state is WebSocketState.CONNECTING:
        await send_answer(connection.scope, connection.send, answer)
    elif connection.application_state is WebSocketState.CONNECTED:
        await connection.close(NOT_SIGNED_IN)
    return None


def context_of(gate: Gate, request: HTTPConnection) -> SessionContext:
    """Return from where a login comes, for ``create``: the address and the device.

    A login that another site's page may have made is refused here, before there is a session.

    Raises:
        CrossOriginRequest: another site's page may have made the browser log in.
    """
    scope = request.scope
    if gate.cookies is not None and scope.get("method") not in SAFE_METHODS:
        gate.transport_of(headers_of(scope))
    return context_of_scope(scope)


def signed_in(
    gate: Gate, request: HTTPConnection, tokens: SessionTokens, *, via: Transport | None = None
) -> Response:
    """Return the response that hands out the tokens of a login.

    Args:
        gate: the gate of the application.
        request: the request to log in.
        tokens: what ``create`` returned.
        via: ``"cookie"`` or ``"bearer"``; by default cookies where the request comes from a
            browser.

    Raises:
        CrossOriginRequest: another site's page may have made the browser log in.
        InvalidArgument: a cookie would be longer than browsers keep.
    """
    way = gate.transport_of(headers_of(request.scope)) if via is None else via
    return response_of(gate.welcome(tokens, via=way))

"""How an answer leaves an ASGI application, and what is added to answers of the application's own.

That is a finished answer sent as messages; the cookies of a session that was renewed on the way,
put onto whatever response is sent; and the subprotocol of a WebSocket, from which the token is
taken away. Nothing here knows a framework.
"""

from __future__ import annotations

from typing import Any, overload

from .._impl import Claims
from ..errors import TokenwheelError
from .answers import Answer, problem
from .bearer import SUBPROTOCOL
from .bodies import LONGEST_BODY
from .calls import make_calls_async
from .cookies import Cookies
from .endpoints import Incoming, Steps
from .gate import Gate
from .renewing import admit_or_renew
from .scopes import App, Message, Receive, Scope, Send, context_of_scope, headers_of
from .watched import NOT_SIGNED_IN

__all__ = [
    "Renewal",
    "admit_scope",
    "answer_of",
    "encoded_headers",
    "read_body",
    "refusal_to",
    "renew_scope",
    "run_renewing",
    "run_without_token",
    "send_answer",
]


def encoded_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer as ASGI has them."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers
    ]


async def send_answer(scope: Scope, send: Send, answer: Answer) -> None:
    """Send a finished answer to an HTTP request, or to the handshake of a WebSocket.

    A handshake is closed with 4401 where the server can't answer it.
    """
    prefix = "http.response"
    if scope["type"] == "websocket":
        prefix = "websocket.http.response"
        if prefix not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": NOT_SIGNED_IN, "reason": ""})
            return
    headers = encoded_headers(answer)
    if answer.status not in {204, 304}:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": f"{prefix}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": answer.body})


async def read_body(receive: Receive) -> bytes | None:
    """Return the body of a request, or its beginning where it is longer than is ever taken.

    Return None where the client has gone before its end: half a body says nothing.
    """
    parts = []
    length = 0
    while length <= LONGEST_BODY:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        parts.append(part)
        length += len(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)[: LONGEST_BODY + 1]


async def answer_of(
    endpoint: Any, gate: Gate, scope: Scope, receive: Receive, *arguments: str, body: bool = False
) -> Answer:
    """Return the answer of an endpoint to a request.

    Args:
        endpoint: a method of ``Endpoints``.
        gate: the gate of the endpoint.
        scope: the request's scope.
        receive: receives the request's body.
        arguments: what the endpoint takes from the path.
        body: whether the endpoint takes the request's body.
    """
    octets = await read_body(receive) if body else b""
    if octets is None:
        return problem(400, "invalid_request", "the request ended before its body did")
    request = Incoming(scope["method"], headers_of(scope), octets, context_of_scope(scope))
    steps: Steps = endpoint(request, *arguments)
    return await make_calls_async(steps, gate.manager)


def refusal_to(gate: Gate, scope: Scope, error: TokenwheelError) -> Answer:
    """Return the answer to the request of a scope that an error has refused."""
    return gate.refusal(error, headers_of(scope), websocket=scope["type"] == "websocket")


class Renewal:
    """What has become of the renewal of one request's access cookie; kept in its scope."""

    __slots__ = ("answer", "claims", "is_over")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.claims: Claims | None = None
        self.is_over = False
        """True once it was tried, or the response has begun and could take no cookies."""


def _key_of(gate: Gate) -> str:
    return f"tokenwheel.renewal.{id(gate)}"


@overload
def admit_scope(gate: Gate, scope: Scope) -> Claims: ...
@overload
def admit_scope(gate: Gate, scope: Scope, *, optional: bool) -> Claims | None: ...
def admit_scope(gate: Gate, scope: Scope, *, optional: bool = False) -> Claims | None:
    """Return the claims of the request that a scope describes.

    Raises:
        TokenwheelError: what ``admit`` or ``admit_optional`` of the gate raises.
    """
    admit = gate.admit_optional if optional else gate.admit
    is_websocket = scope["type"] == "websocket"
    method = "GET" if is_websocket else scope["method"]
    return admit(method, headers_of(scope), websocket=is_websocket)


@overload
async def renew_scope(gate: Gate, scope: Scope) -> Claims: ...
@overload
async def renew_scope(gate: Gate, scope: Scope, *, optional: bool) -> Claims | None: ...
async def renew_scope(gate: Gate, scope: Scope, *, optional: bool = False) -> Claims | None:
    """Return the claims of the request that a scope describes, after a refresh if need be.

    It is refreshed once a request, whoever asks how often.

    Raises:
        TokenwheelError: what ``admit`` or ``admit_optional`` of the gate raises.
    """
    renewal: Renewal | None = scope.get(_key_of(gate))
    if renewal is not None and renewal.claims is not None:
        return renewal.claims
    if renewal is None or renewal.is_over:
        return admit_scope(gate, scope, optional=optional)
    renewal.is_over = True
    request = Incoming(scope["method"], headers_of(scope), context=context_of_scope(scope))
    steps = admit_or_renew(gate, request, optional=optional)
    admitted = await make_calls_async(steps, gate.manager)
    if admitted.renewed is not None:
        renewal.claims, renewal.answer = admitted
    return admitted.claims


async def run_renewing(app: App, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application for a request that may be renewed, and set the cookies if it was.

    Where the application fails before its response has begun, the client is answered here, since
    the server's own answer would have no cookies: the next request would come with a refresh token
    that was replaced.
    """
    key = _key_of(gate)
    if key in scope:
        await app(scope, receive, send)
        return
    scope[key] = renewal = Renewal()
    has_begun = False

    async def send_with_cookies(message: Message) -> None:
        nonlocal has_begun
        if message["type"] == "http.response.start":
            has_begun = renewal.is_over = True
            if renewal.answer is not None and gate.cookies is not None:
                message = _with_cookies(message, renewal.answer, gate.cookies)
        await send(message)

    try:
        await app(scope, receive, send_with_cookies)
    except Exception:
        if renewal.answer is not None and not has_begun:
            headers = (("Content-Type", "text/plain; charset=utf-8"),)
            await send_answer(
                scope, send_with_cookies, Answer(500, headers, b"Internal Server Error")
            )
        raise


def _with_cookies(message: Message, renewed: Answer, cookies: Cookies) -> Message:
    """Return the start of a response with the cookies of a renewal, unless it sets its own."""
    names = (f"{cookies.access}=".encode(), f"{cookies.refresh}=".encode())
    headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
    if any(name == b"set-cookie" and value.startswith(names) for name, value in headers):
        return message
    kept = [header for header in headers if header[0] != b"cache-control"]
    added = [
        header
        for header in encoded_headers(renewed)
        if header[0] in {b"cache-control", b"set-cookie"}
    ]
    return {**message, "headers": kept + added}


async def run_without_token(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application for a WebSocket whose client may offer its token as a subprotocol.

    The application sees the other subprotocols. If it chooses none of them, ``tokenwheel`` is
    chosen where the client offers that, since browsers close a socket that answers none.
    """
    offered = scope.get("subprotocols") or ()
    visible = [name for name in offered if name[:7].lower() != "bearer."]
    if SUBPROTOCOL not in visible and len(visible) == len(offered):
        await app(scope, receive, send)
        return
    scope["subprotocols"] = visible

    async def send_chosen(message: Message) -> None:
        if message["type"] == "websocket.accept" and message.get("subprotocol") not in visible:
            chosen = SUBPROTOCOL if SUBPROTOCOL in visible else None
            message = {**message, "subprotocol": chosen}
        await send(message)

    await app(scope, receive, send_chosen)

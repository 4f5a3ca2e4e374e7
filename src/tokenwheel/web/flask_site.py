"""Flask's side of ``flask.py``: how a request is read, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from flask import current_app, request, request_finished

from .._impl import Claims
from ..errors import TokenwheelError
from ..models import SessionContext
from .answers import Answer
from .blocking_watch import BlockingWatch
from .bodies import LONGEST_BODY
from .calls import check_blocking
from .demands import AskClaims
from .devices import context_of
from .endpoints import Steps
from .fields import Headers
from .gate import Gate
from .site import Site
from .watched import NOT_SIGNED_IN

__all__ = ["FlaskSite"]

_FORM = "application/x-www-form-urlencoded"


class FlaskSite(Site):
    """A Flask behind a gate."""

    def __init__(self, name: str, gate: Gate, claims: AskClaims | None) -> None:
        check_blocking(gate.manager, "Flask")
        super().__init__(name, gate, claims)

    def kept_of(self, request: Any) -> dict[str, Any]:
        """Return the environment of WSGI (PEP 3333), which belongs to one request."""
        kept: dict[str, Any] = request.environ
        return kept

    def look_at(self, request: Any) -> tuple[dict[str, Any], Headers, bool]:
        """Return the environment of WSGI (PEP 3333), and what is in it.

        The handshake of a WebSocket is a GET by its method.
        """
        environ: dict[str, Any] = request.environ
        get = environ.get
        upgrade = get("HTTP_UPGRADE")
        return (
            environ,
            lambda name: get(_KEYS[name]),
            upgrade is not None and "websocket" in upgrade.lower(),
        )

    def admit_plain(self, request: Any) -> Claims | None:
        """Return and remember the claims of a request that can be admitted at one look."""
        environ = request.environ
        if "HTTP_UPGRADE" in environ:
            return None
        claims = self.gate.admit_plain(environ["REQUEST_METHOD"], environ)
        if claims is not None:
            environ[self._claims] = claims
        return claims

    def context_of(self, request: Any) -> SessionContext:
        """Return the address that the server, or a middleware before the application, names."""
        return context_of(request.remote_addr, request.environ.get("HTTP_USER_AGENT"))

    def respond(self, answer: Answer) -> Any:
        """Return the application's own kind of response."""
        response = current_app.response_class(answer.body, answer.status)
        response.headers.clear()  # A content type that the answer has not is none.
        response.headers.extend(answer.headers)
        return response

    def refuse_websocket(self, request: Any, args: tuple[Any, ...], error: TokenwheelError) -> bool:
        """Close the connection that a view of flask-sock is handed, which has accepted it already.

        Returns:
            False where the view is of another kind.
        """
        _, _, is_websocket = self.look_at(request)
        if not is_websocket or not args or not hasattr(args[0], "receive"):
            return False
        args[0].close(NOT_SIGNED_IN, error.code)
        return True

    def watch(self, connection: Any, claims: Claims) -> BlockingWatch:
        """Return what ends a WebSocket of flask-sock, or without one a stream."""
        close = None if connection is None else connection.close
        return BlockingWatch(self.gate.watches, claims, close)

    def listen(self, app: Any) -> None:
        """Put renewed cookies on responses, after all else that the application does to them."""
        app.after_request(lambda response: self.keys_for(app, request, response))
        if self.gate.renew is not None:
            request_finished.connect(self._on_finished, app, weak=False)

    def _on_finished(self, _: Any, response: Any, **__: Any) -> None:
        self.finish(request, response)

    def view_of(self, steps: Callable[..., Steps], reads_body: bool) -> Callable[..., Any]:
        """Return the view of a route for sessions."""

        def view(**parts: str) -> Any:
            body = _body_of(request) if reads_body else b""
            incoming = self.incoming(request, body)
            return self.respond(self.run(steps(self.endpoints, incoming, **parts), request))

        return view


class _Keys(dict[str, str]):
    """The names of header fields as the environment of WSGI has them."""

    def __missing__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        self[name] = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        return self[name]


_KEYS = _Keys()


def _body_of(request: Any) -> bytes:
    """Return the body of a request, of a longer one no more than is needed to refuse it.

    What was read stays there for the application's own functions.
    """
    if (request.content_length or 0) > LONGEST_BODY:
        return bytes(LONGEST_BODY + 1)
    parts: list[bytes] = []
    missing = LONGEST_BODY + 1
    while missing and (part := request.stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    body = b"".join(parts)
    if body:
        request.stream = BytesIO(body)
        return body
    if request.mimetype == _FORM:  # A function before the request may have read it.
        body = urlencode([*request.form.items(multi=True)]).encode()
    return body or request.get_data()[: LONGEST_BODY + 1]

"""The public keys at their well-known path in an ASGI application. Nothing here knows a framework.

The application is asked first, and the keys take the place of its 404. So a route of its own stays,
wherever in it that is.
"""

from __future__ import annotations

from typing import Any

from .answers import Answer, problem
from .asgi_answers import send_answer
from .gate import Gate
from .scopes import App, Message, Receive, Scope, Send, headers_of, path_within
from .well_known import JWKS_PATH, keys_or_none

__all__ = ["KeysEndpoint", "keys_of_scope", "names_keys", "run_or_answer"]


def keys_of_scope(gate: Gate, scope: Scope) -> Answer | None:
    """Return the answer at the path of the public keys; None for all other requests."""
    if path_within(scope) != JWKS_PATH:
        return None
    return keys_or_none(gate, scope["method"], headers_of(scope)("if-none-match"))


async def run_or_answer(
    app: App, answer: Answer, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run an application, and send an answer in place of its 404."""
    is_missing = False

    async def send_what_is_there(message: Message) -> None:
        nonlocal is_missing
        if message["type"] == "http.response.start":
            is_missing = message["status"] == 404
        if not is_missing:
            await send(message)

    await app(scope, receive, send_what_is_there)
    if is_missing:
        await send_answer(scope, send, answer)


class KeysEndpoint:
    """A route with the public keys, as an ASGI application that answers all methods by itself."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = headers_of(scope)("if-none-match")
        keys = keys_or_none(self._gate, scope["method"], known)
        await send_answer(scope, send, _NO_KEYS if keys is None else keys)


_NO_KEYS = problem(404, "not_found", "this service has no public keys that others could need")


def names_keys(routes: Any, path: str = JWKS_PATH) -> bool:
    """Return True where an application has made a route of its own for the public keys.

    Args:
        routes: Starlette's routes of an application or of a mount; None where it has none.
        path: the rest of the path below that mount.
    """
    return any(_names_keys(route, path) for route in routes or ())


def _names_keys(route: Any, path: str) -> bool:
    prefix = getattr(route, "path", None)
    if prefix == path:
        return not isinstance(getattr(route, "endpoint", None), KeysEndpoint)
    if type(prefix) is not str or not path.startswith(f"{prefix}/"):
        return False
    return names_keys(getattr(route, "routes", None), path[len(prefix) :])

"""Sessions for any ASGI application, and the routes for Starlette.

Importing this imports no framework: the middleware is pure ASGI, and ``session_routes`` alone asks
for Starlette.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from functools import partial
from string import Formatter
from typing import TYPE_CHECKING, Any

from .._impl import Claims
from ..errors import ConfigurationError, TokenwheelError
from ..exact import as_given, is_instance, named
from .answers import Answer
from .asgi_answers import (
    admit_scope,
    answer_of,
    refusal_to,
    renew_scope,
    run_renewing,
    run_without_token,
    send_answer,
)
from .asgi_well_known import KeysEndpoint, keys_of_scope, names_keys, run_or_answer
from .async_watch import AsyncWatch
from .demands import AskClaims
from .endpoints import ROUTES, Endpoints
from .endpoints import Route as SessionRoute
from .gate import Gate
from .scopes import App, PublicPaths, Receive, Scope, Send
from .well_known import JWKS_PATH

if sys.version_info >= (3, 12):
    from inspect import markcoroutinefunction

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.routing import Route

__all__ = ["AuthMiddleware", "Visitor", "jwks_route", "session_routes", "watch"]


class Visitor:
    """Who has sent a request, as Starlette's ``request.user`` and ``request.auth`` in one."""

    __slots__ = ("_gate", "claims")

    # Set by the middleware: a constructor would cost a request as much as reading its token.
    _gate: Gate
    claims: Claims | None

    @property
    def is_authenticated(self) -> bool:
        """True where somebody is signed in."""
        return self.claims is not None

    @property
    def identity(self) -> str:
        """The subject, or an empty text where nobody is signed in."""
        return "" if self.claims is None else self.claims.subject

    display_name = identity
    username = identity

    @property
    def scopes(self) -> list[str]:
        """The scopes of the claims, and ``authenticated`` where somebody is signed in."""
        if self.claims is None:
            return []
        return ["authenticated", *sorted(self._gate.scopes_of(self.claims))]


class AuthMiddleware:
    """Let in requests that have a good access token, and refuse all others with a finished answer.

    What it refuses reaches no application, mounted ones included. To those let in it tells the
    claims: ``scope["state"]["claims"]`` (``request.state.claims`` of Starlette), and as Starlette
    has them ``scope["user"]`` and ``scope["auth"]``, so that ``@requires("admin")`` works.

    With ``Gate(..., renew=...)`` an access cookie that has expired is renewed on the way, and the
    new cookies are set on the response, whatever it is. In Starlette, put the middleware first.

    On a public path nobody is refused or renewed, whatever they send: a token that is not good
    counts as none, since the routes for login, refresh and logout never look at it. So it is for
    ``OPTIONS``.

    At ``/.well-known/jwks.json`` everybody gets the public keys by which other services verify, if
    the manager issues tokens that they verify. A route of the application's own there stays.

    Args:
        app: the application.
        gate: decides.
        required: False lets in those who send no access token at all, with claims that are None.
        public: paths that need none either: exact ones, or prefixes that end in ``/``. They are
            those within the application, without its ``root_path``.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    __slots__ = ("_admit_plain", "_public", "app", "gate", "required")

    def __init__(
        self, app: App, *, gate: Gate, required: bool = True, public: Sequence[str] = ()
    ) -> None:
        if not is_instance(gate, Gate):
            raise ConfigurationError(f"gate must be a Gate, not {named(gate)}")
        if type(required) is not bool:
            raise ConfigurationError(f"required must be True or False, {as_given(required)}")
        self.app = app
        self.gate = gate
        self.required = required
        self._public = PublicPaths(public)
        self._admit_plain = gate.admit_plain

    def _run(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Admit a request, and return what runs the application for it.

        What is awaited is the application's own coroutine: another around it would cost a request
        more than all the rest of this.
        """
        if scope["type"] != "http":
            return self._run_other(scope, receive, send)
        if scope["path"].endswith(JWKS_PATH):  # A call for each request would cost it a tenth more.
            keys = keys_of_scope(self.gate, scope)
            if keys is not None and not names_keys(self._routes(scope)):
                return self._run_or_tell_keys(keys, scope, receive, send)
        try:
            claims = self._admit_plain(scope["method"], scope["headers"])
        except TokenwheelError as error:
            if not self._is_open(scope):
                return send_answer(scope, send, refusal_to(self.gate, scope, error))
            claims = None
        if claims is None:
            return self._run_closely(scope, receive, send)
        self._tell(scope, claims)
        return self.app(scope, receive, send)

    if sys.version_info >= (3, 12):
        __call__ = markcoroutinefunction(_run)
    else:  # There some servers take for a WSGI application what is no ``async def``.

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self._run(scope, receive, send)

    async def _run_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await run_without_token(self._run_closely, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:
            raise ConfigurationError("AuthMiddleware is for http, websocket and lifespan alone")

    async def _run_closely(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for a request that has to be looked at more closely."""
        if self._is_open(scope):
            claims = None
            with suppress(TokenwheelError):
                claims = admit_scope(self.gate, scope)
            self._tell(scope, claims)
            await self.app(scope, receive, send)
        elif self.gate.renew is not None and scope["type"] == "http":
            await run_renewing(self._run_renewed, self.gate, scope, receive, send)
        else:
            await self._run_renewed(scope, receive, send)

    async def _run_renewed(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            claims = await renew_scope(self.gate, scope, optional=not self.required)
        except TokenwheelError as error:
            await send_answer(scope, send, refusal_to(self.gate, scope, error))
            return
        self._tell(scope, claims)
        await self.app(scope, receive, send)

    async def _run_or_tell_keys(
        self, keys: Answer, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the application for whom it is, and send the keys where it has nothing to say.

        Nobody is renewed here: whoever may have the keys needs no token.
        """
        claims = None
        try:
            claims = admit_scope(self.gate, scope, optional=not self.required)
        except TokenwheelError:
            if not self._is_open(scope):
                await send_answer(scope, send, keys)
                return
        self._tell(scope, claims)
        await run_or_answer(self.app, keys, scope, receive, send)

    def _routes(self, scope: Scope) -> Any:
        """Return the routes of the application, or None where it has none that are known."""
        return getattr(self.app, "routes", None) or getattr(scope.get("app"), "routes", None)

    def _is_open(self, scope: Scope) -> bool:
        """Return True where nobody is refused, whatever they send."""
        return scope.get("method") == "OPTIONS" or self._public.include(scope)

    def _tell(self, scope: Scope, claims: Claims | None) -> None:
        # The state may be that of the lifespan, and shared by all requests.
        state = scope.get("state")
        scope["state"] = {**state, "claims": claims} if state else {"claims": claims}
        scope["user"] = scope["auth"] = visitor = Visitor()
        visitor._gate = self.gate
        visitor.claims = claims


class _Route:
    """A route as an ASGI application, so that no framework reads more of the body."""

    def __init__(self, endpoints: Endpoints, route: SessionRoute) -> None:
        self._gate = endpoints.gate
        self._endpoint = partial(route.steps, endpoints)
        self._reads_body = route.reads_body
        # A mount above may have arguments of its own.
        self._names = [name for _, name, _, _ in Formatter().parse(route.path) if name]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arguments = [scope["path_params"][name] for name in self._names]
        answer = await answer_of(
            self._endpoint, self._gate, scope, receive, *arguments, body=self._reads_body
        )
        await send_answer(scope, send, answer)


def session_routes(gate: Gate, *, claims: AskClaims | None = None) -> list[Route]:
    """Return Starlette's routes for sessions, to be mounted anywhere.

    They are ``POST refresh``, ``logout``, ``logout/others``, ``logout/everywhere``, ``GET
    sessions``, ``DELETE sessions/{id}`` and ``GET jwks``. They look for tokens by themselves: where
    :class:`AuthMiddleware` is above them, their prefix must be public.

    Args:
        gate: the gate of the application.
        claims: returns the application's own claims for the next access token of a session.

    Raises:
        ConfigurationError: ``claims`` is no such callable.
    """
    from starlette.routing import Route

    endpoints = Endpoints(gate, claims)
    return [
        Route(route.path, _Route(endpoints, route), methods=[route.method], name=route.name)
        for route in ROUTES
    ]


def jwks_route(gate: Gate) -> Route:
    """Return Starlette's route ``/.well-known/jwks.json``, with the public keys.

    It is for an application that has no :class:`AuthMiddleware`, which tells them by itself; or for
    one in which the application with the middleware is mounted.

    Args:
        gate: the gate whose manager issues the tokens.

    Raises:
        ConfigurationError: ``gate`` is none.
    """
    from starlette.routing import Route

    if not is_instance(gate, Gate):
        raise ConfigurationError(f"gate must be a Gate, not {named(gate)}")

    return Route(JWKS_PATH, KeysEndpoint(gate), name="well_known_jwks")


def watch(gate: Gate, connection: HTTPConnection, claims: Claims) -> AsyncWatch:
    """Return what ends a WebSocket, or a stream of events, when its session or its token ends.

    Args:
        gate: the gate that has admitted it.
        connection: a WebSocket of Starlette, to be closed with 4401: ``async with watch(...)``. Or
            a request whose response is a stream: ``watch(...).each(source)``.
        claims: what it was admitted with.
    """
    if connection.scope["type"] == "websocket":
        return AsyncWatch(gate.watches, claims, connection.close)  # type: ignore[attr-defined]
    return AsyncWatch(gate.watches, claims)

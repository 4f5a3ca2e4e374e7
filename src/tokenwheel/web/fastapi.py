"""Sessions for FastAPI: one object that is dependency, OpenAPI scheme and key of overrides.

FastAPI reads the annotations of dependencies where they stand, so they are no texts in this file.
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from .._impl import Claims
from ..errors import ConfigurationError, TokenwheelError
from ..exact import is_instance, named, text_of
from ..models import SessionContext, SessionTokens
from .asgi import watch
from .asgi_answers import renew_scope
from .async_watch import AsyncWatch
from .demands import AskClaims, check_max_age
from .endpoints import Endpoints
from .fastapi_answers import Carrier, refuse
from .fastapi_routes import Lock, add_routes, model_of
from .gate import Gate, Transport
from .scopes import Scope
from .starlette import answer_error, context_of, signed_in

__all__ = ["FastAPIAuth"]

_is_scheme_name = re.compile(r"[A-Za-z0-9._-]+").fullmatch  # a key of OpenAPI's components


class FastAPIAuth(SecurityBase):
    """What ``Depends`` and ``Security`` take, to admit requests that have a good access token.

    ``Depends(auth)`` gives the claims, and ``Security(auth, scopes=["admin"])`` asks for scopes.
    ``Depends(auth.optional)`` gives None where nobody is signed in. ``Depends(auth.fresh(300))``
    asks for a login of the last 300 seconds. All work for WebSockets, too.

    Args:
        gate: decides.
        token_url: the address, relative to that of the API, of a route that takes the password flow
            of OAuth 2 (RFC 6749, section 4.3), for the "Authorize" of the docs page. It has to
            answer with ``signed_in(..., via="bearer")``. Without it the page asks for an access
            token.
        scopes: the scopes that the docs page offers with ``token_url``, and what each is for.
        scheme_name: what the OpenAPI document calls this.
        description: what the docs page says of it.

    Attributes:
        optional: a dependency that gives the claims, or None where nobody is signed in.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        token_url: str | None = None,
        scopes: dict[str, str] | None = None,
        scheme_name: str = "session",
        description: str | None = None,
    ) -> None:
        if not is_instance(gate, Gate):
            raise ConfigurationError(f"gate must be a Gate, not {named(gate)}")
        name = text_of(scheme_name)
        if name is None or not _is_scheme_name(name):
            raise ConfigurationError("scheme_name must be a name of letters, digits, '.', '_', '-'")
        self.gate = gate
        self._admit_plain = gate.admit_plain
        self.scheme_name = name
        self.model = model_of(gate, token_url, scopes, description)
        self.optional = _OptionalAuth(self)

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> Claims:
        """Return the claims of a request's access token.

        Raises:
            TokenwheelError: the request is refused. Where ``install`` was not called for the
                application it is an ``HTTPException`` with the same status.
        """
        scope = connection.scope
        claims = None
        try:
            if scope["type"] == "http":
                claims = self._admit_plain(scope["method"], scope["headers"])
            if claims is None:
                claims = await renew_scope(self.gate, scope)
            if scopes.scopes:
                self.gate.check(claims, scopes=scopes.scopes)
        except TokenwheelError as error:
            refuse(self.gate, connection, error)
        return claims

    def fresh(self, max_age: int | timedelta) -> Callable[..., Awaitable[Claims]]:
        """Return a dependency that gives the claims of a login of the last seconds.

        A refresh is no login. An override of this object holds here, too.

        Raises:
            InvalidArgument: ``max_age`` is no whole number of seconds.
        """
        seconds = check_max_age(max_age)

        async def recent(
            connection: HTTPConnection, claims: Annotated[Claims, Depends(self)]
        ) -> Claims:
            try:
                if isinstance(claims, Claims):  # An override may give anything.
                    self.gate.check(claims, max_age=seconds)
            except TokenwheelError as error:
                refuse(self.gate, connection, error)
            return claims

        return recent

    def install(self, app: FastAPI) -> None:
        """Let an application answer every :class:`~tokenwheel.TokenwheelError` as it should be.

        It also sets the cookies of what ``Gate(..., renew=...)`` has renewed, keeps the subprotocol
        with a token from WebSockets, and answers ``GET /.well-known/jwks.json`` with the public
        keys where the application answers 404 and the manager issues by such keys.

        Call it once for each application, mounted ones included, before its first request. A
        handler that the application has already stays.

        Raises:
            ConfigurationError: ``app`` is no FastAPI or has had a request.
        """
        if not isinstance(app, FastAPI):
            raise ConfigurationError(f"app must be a FastAPI, not {named(app)}")
        if app.middleware_stack is not None:
            raise ConfigurationError("install must be called before the first request")
        if TokenwheelError not in app.exception_handlers:
            app.add_exception_handler(TokenwheelError, partial(answer_error, gate=self.gate))
        build = app.build_middleware_stack
        # Outside of what answers 500, so that this has the cookies, too.
        app.build_middleware_stack = lambda: Carrier(build(), self.gate)  # type: ignore[method-assign]

    def router(self, *, claims: AskClaims | None = None, **options: Any) -> APIRouter:
        """Return the routes for sessions, to be included with any prefix.

        They are ``POST refresh``, ``logout``, ``logout/others``, ``logout/everywhere``, ``GET
        sessions``, ``DELETE sessions/{id}`` and ``GET jwks``, with their answers in the OpenAPI
        document.

        Args:
            claims: returns the application's own claims for the next access token of a session.
            options: options of ``APIRouter``.

        Raises:
            ConfigurationError: ``claims`` is no such callable.
        """
        options.setdefault("tags", ["session"])
        router = APIRouter(**options)
        add_routes(router, Endpoints(self.gate, claims), Lock(self))
        return router

    def context(self, request: HTTPConnection) -> SessionContext:
        """Return from where a login comes, for ``create``: the address and the device.

        A login that another site's page may have made is refused here, before there is a session.

        Raises:
            CrossOriginRequest: another site's page may have made the browser log in.
        """
        try:
            return context_of(self.gate, request)
        except TokenwheelError as error:
            refuse(self.gate, request, error)

    def signed_in(
        self, request: HTTPConnection, tokens: SessionTokens, *, via: Transport | None = None
    ) -> Response:
        """Return the response that hands out the tokens of a login.

        Args:
            request: the request to log in.
            tokens: what ``create`` returned.
            via: ``"cookie"`` or ``"bearer"``; by default cookies where the request comes from a
                browser.

        Raises:
            CrossOriginRequest: another site's page may have made the browser log in.
            InvalidArgument: a cookie would be longer than browsers keep.
        """
        try:
            return signed_in(self.gate, request, tokens, via=via)
        except TokenwheelError as error:
            refuse(self.gate, request, error)

    def watch(self, connection: HTTPConnection, claims: Claims) -> AsyncWatch:
        """Return what ends a WebSocket, or a stream of events, when its session or its token ends.

        Args:
            connection: a WebSocket, to be closed with 4401: ``async with auth.watch(...)``. Or a
                request whose response is a stream: ``auth.watch(...).each(source)``.
            claims: what it was admitted with.
        """
        return watch(self.gate, connection, claims)


class _OptionalAuth(SecurityBase):
    """Give the claims of a request, or None where nobody is signed in."""

    def __init__(self, auth: FastAPIAuth) -> None:
        self._auth = auth
        self.model = auth.model
        self.scheme_name = auth.scheme_name

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> Claims | None:
        auth, scope = self._auth, connection.scope
        override = _override_of(scope, auth)
        if override is not None:
            given: Any = override()
            overriding: Claims | None = await given if inspect.isawaitable(given) else given
            return overriding
        claims = None
        try:
            if scope["type"] == "http":
                claims = auth._admit_plain(scope["method"], scope["headers"])
            if claims is None:
                claims = await renew_scope(auth.gate, scope, optional=True)
            if claims is not None and scopes.scopes:
                auth.gate.check(claims, scopes=scopes.scopes)
        except TokenwheelError as error:
            refuse(auth.gate, connection, error)
        return claims


def _override_of(scope: Scope, auth: FastAPIAuth) -> Callable[[], Any] | None:
    """Return what overrides the dependency, if it takes no arguments and yields nothing."""
    overrides = getattr(scope.get("app"), "dependency_overrides", None)
    override: Callable[[], Any] | None = overrides.get(auth) if overrides else None
    if override is None or inspect.signature(override).parameters:
        return None
    if inspect.isgeneratorfunction(override) or inspect.isasyncgenfunction(override):
        return None
    return override

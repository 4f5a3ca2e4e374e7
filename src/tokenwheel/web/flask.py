"""Flask and Quart: decorators for views, the routes for sessions, and the answers to refusals.

One class is for both, since their applications are written alike. Quart's side of it is in
``quart_site.py``, which is imported where an application is a Quart.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload
from weakref import WeakSet

from flask import (
    Blueprint,
    Flask,
    Request,
    current_app,
    has_request_context,
    request,
)
from werkzeug.wrappers import Response

from .._impl import Claims
from ..conformance import is_coroutine_function
from ..errors import ConfigurationError, InvalidArgument, TokenwheelError
from ..exact import is_instance, named, text_of
from ..models import SessionContext, SessionTokens
from .admission import SAFE_METHODS
from .demands import AskClaims, check_max_age, check_scopes
from .endpoints import ROUTES
from .flask_site import FlaskSite
from .gate import Gate, Transport
from .site import Demands, Site

if TYPE_CHECKING:
    from quart import Quart

__all__ = ["FlaskAuth"]

V = TypeVar("V", bound=Callable[..., Any])
MaxAge = int | timedelta | None

_flask_now: Callable[[], Flask] = current_app._get_current_object  # type: ignore[attr-defined]
_request_now: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]


class FlaskAuth:
    """Sessions in an application of Flask, or of Quart.

    It is made where views are written, and told of each application by :meth:`init_app`. The
    decorators stand below the one that makes a function a route::

        @app.get("/me")
        @auth.required
        def me():
            return jsonify(auth.claims)

    Args:
        name: of the blueprint with the routes; another for a second gate of the same application.

    Raises:
        ConfigurationError: ``name`` is no name.
    """

    def __init__(self, name: str = "tokenwheel") -> None:
        text = text_of(name)
        if text is None or not text.isidentifier():
            raise ConfigurationError("name must be letters, digits and '_', such as 'tokenwheel'")
        self._name = text
        self._apps: WeakSet[Any] = WeakSet()

    def init_app(
        self,
        app: Flask | Quart,
        gate: Gate,
        *,
        claims: AskClaims | None = None,
        url_prefix: str = "/session",
    ) -> None:
        """Put an application behind a gate.

        It gets the routes ``refresh``, ``logout``, ``logout/others``, ``logout/everywhere``,
        ``sessions``, ``sessions/<id>`` and ``jwks``, and answers every ``TokenwheelError`` that
        none of its own handlers takes. Its ``jsonify`` takes claims. Where it answers 404 at
        ``/.well-known/jwks.json``, the public keys are there if the manager issues by such keys.

        Args:
            app: the application.
            gate: the gate. A Flask's needs a ``SessionManager``; a Quart's may have either.
            claims: returns the application's own claims for the next access token of a session.
            url_prefix: what the paths of the routes begin with.

        Raises:
            ConfigurationError: an argument is of no use, or this was called for ``app`` before.
        """
        if not is_instance(gate, Gate):
            raise ConfigurationError(f"gate must be a Gate, not {named(gate)}")
        prefix = text_of(url_prefix)
        if prefix is None or not prefix.startswith("/"):
            raise ConfigurationError("url_prefix must be a path that begins with '/'")
        site: Site
        blueprint: Any
        if isinstance(app, Flask):
            site = FlaskSite(self._name, gate, claims)
            blueprint = Blueprint(self._name, __name__, url_prefix=prefix)
        elif "quart" in sys.modules and isinstance(app, sys.modules["quart"].Quart):
            from .quart_site import QuartSite, new_blueprint

            site = QuartSite(self._name, gate, claims)
            blueprint = new_blueprint(self._name, prefix)
        else:
            raise ConfigurationError(f"app must be a Flask or a Quart, not {named(app)}")
        if self._name in app.extensions:
            raise ConfigurationError(
                f"this application has an extension {self._name!r} already: call init_app once, "
                "and give FlaskAuth another name for a second gate"
            )
        for route in ROUTES:
            view = site.view_of(route.steps, route.reads_body)
            rule = route.path.replace("{", "<").replace("}", ">")
            blueprint.add_url_rule(rule, route.name, view, methods=[route.method])
        app.register_blueprint(blueprint)
        site.listen(app)
        self._apps.add(app)
        app.extensions[self._name] = site
        if TokenwheelError not in app.error_handler_spec[None][None]:
            app.register_error_handler(TokenwheelError, self.refusal)
        _teach_claims(app.json)

    @overload
    def required(self, view: V, /) -> V: ...

    @overload
    def required(
        self, view: None = None, /, *, scopes: Sequence[str] = (), max_age: MaxAge = None
    ) -> Callable[[V], V]: ...

    def required(
        self,
        view: Any = None,
        /,
        *,
        scopes: Sequence[str] = (),
        max_age: MaxAge = None,
    ) -> Any:
        """Let a view be called for those alone who are signed in.

        It is for views, for ``decorators`` of a class of views, and for functions that are called
        before each request of a blueprint. It stands below ``@app.route``: above, it protects
        nothing, since the route has the function as it was. Of an application that was handed to
        ``init_app`` before, that is an error; a blueprint's routes are not known so early.

        An OPTIONS request is answered with the methods that there are, since a browser asks before
        it sends credentials (CORS). The view itself is called for those alone who are signed in.

        Args:
            view: the view, where the decorator is written without arguments.
            scopes: those that the access token must have, all of them.
            max_age: seconds that the login may be ago. A refresh is no login.

        Raises:
            InvalidArgument: an argument is of no use.
            ConfigurationError: the view is a route already.
        """
        demands = Demands(
            False, check_scopes(scopes), None if max_age is None else check_max_age(max_age)
        )
        if view is None:
            return lambda given: self._guarded(given, demands)
        return self._guarded(view, demands)

    def optional(self, view: V, /) -> V:
        """Let a view be called for everybody, and know who is signed in.

        ``auth.claims`` are None where nobody is. A bad bearer is refused nevertheless.

        Raises:
            InvalidArgument: it is no view.
            ConfigurationError: the view is a route already.
        """
        guarded: V = self._guarded(view, Demands(True))
        return guarded

    @property
    def claims(self) -> Claims | Any:  # Any: it is None in optional views alone.
        """The claims of this request's access token; None where a view is for everybody.

        Raises:
            ConfigurationError: no decorator has asked for them.
        """
        site, asked = self._here()
        return site.claims_of(asked)

    def signed_in(self, tokens: SessionTokens, via: Transport | None = None) -> Response:
        """Return the response to a login: the tokens in cookies for a browser, else in the body.

        Args:
            tokens: what ``create`` returned.
            via: ``"cookie"`` or ``"bearer"``, where the application knows it better.

        Raises:
            CrossOriginRequest: another site's page may have made the browser log in.
            InvalidArgument: a cookie would be longer than browsers keep.
            ConfigurationError: the gate has no such transport.
        """
        site, asked = self._here()
        transport = site.transport_of(asked) if via is None else via
        response: Response = site.respond(site.gate.welcome(tokens, via=transport))
        return response

    def context(self) -> SessionContext:
        """Return from where this request came, for ``create``.

        The address is the one that the server names; behind a proxy it is the proxy's, unless the
        server was told to trust that. The device has no version in its name.

        Raises:
            CrossOriginRequest: this is a login which would set cookies, and another site's page
                may have sent it. So no session is created for it.
        """
        site, asked = self._here()
        if asked.method not in SAFE_METHODS:
            site.transport_of(asked)
        return site.context_of(asked)

    def refusal(self, error: TokenwheelError) -> Response:
        """Return the response to a request that an error has refused.

        For the error handlers of an application that takes these errors itself.
        """
        site, asked = self._here()
        site.tell_refused(asked, error)
        response: Response = site.respond(site.gate.refusal(error))
        return response

    def watch(self, connection: Any, claims: Claims) -> Any:
        """Return what ends a WebSocket or a stream of events when its session or its token ends.

        A WebSocket is closed with 4401, within a second. In Flask it is one of flask-sock, in
        ``with auth.watch(ws, auth.claims):``; in Quart it is ``async with``. For server-sent events
        the response is made of ``auth.watch(None, auth.claims).each(source)``.

        Args:
            connection: the WebSocket, or None for a stream.
            claims: what it was admitted with.

        Returns:
            A ``BlockingWatch`` in Flask, and an ``AsyncWatch`` in Quart.
        """
        site, _ = self._here()
        return site.watch(connection, claims)

    def _here(self) -> tuple[Site, Any]:
        """Return the application that answers at the moment, and its request."""
        # Asked first, since a proxy without a context costs an error with a long text.
        app, asked = (_flask_now(), _request_now()) if has_request_context() else _in_quart()
        try:
            return app.extensions[self._name], asked
        except KeyError:
            raise ConfigurationError(
                "auth.init_app(app, gate) was not called for this application"
            ) from None

    def _guarded(self, view: Any, demands: Demands) -> Any:
        if inspect.isclass(view):
            raise InvalidArgument(
                "the decorator is for functions: give a class of views decorators = [auth.required]"
            )
        if not callable(view):
            raise InvalidArgument(
                "the decorator is for functions, and its options have names: "
                "@auth.required(scopes=['admin'])"
            )
        if any(view in app.view_functions.values() for app in self._apps):
            raise ConfigurationError(
                "this function is a route already, and would stay one for everybody: write "
                "@auth.required and @auth.optional below @app.route, and for the views of an "
                "extension decorate a function that is called before each request"
            )
        demands_more = bool(demands.scopes) or demands.max_age is not None
        if is_coroutine_function(view):

            @wraps(view)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                site, asked = self._here()
                try:
                    if site.admit_plain(asked) is None or demands_more:
                        await site.admit_async(asked, demands)
                except TokenwheelError as error:
                    if site.passes(asked):
                        return site.options(asked)
                    site.tell_refused(asked, error)
                    refused = await site.refuse_websocket_async(asked, error)
                    if refused is None:
                        raise
                    return refused
                return await view(*args, **kwargs)

            return guarded_async

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            site, asked = self._here()
            try:
                if site.admit_plain(asked) is None or demands_more:
                    site.admit(asked, demands)
            except TokenwheelError as error:
                if site.passes(asked):
                    return site.options(asked)
                site.tell_refused(asked, error)
                if not site.refuse_websocket(asked, args, error):
                    raise
                return None
            return view(*args, **kwargs)

        return guarded


def _in_quart() -> tuple[Any, Any]:
    """Return the Quart that answers at the moment, and its request or WebSocket."""
    module = sys.modules.get(f"{__package__}.quart_site")  # There once an application is a Quart.
    found = None if module is None else module.in_quart()
    if found is not None:
        return found[0], found[1]
    raise ConfigurationError(
        "there is no request that auth could be asked about: it is for views, and in tests for "
        "app.test_request_context()"
    )


def _teach_claims(provider: Any) -> None:
    """Let a JSON provider take claims. Others it takes as before, and claims if it did."""
    default = getattr(provider, "default", None)
    if not callable(default):
        return

    def default_or_claims(value: Any) -> Any:
        try:
            return default(value)
        except TypeError:
            if is_instance(value, Claims):
                return value.to_dict()
            raise

    provider.default = default_or_claims

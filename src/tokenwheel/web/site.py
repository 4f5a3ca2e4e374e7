"""An application behind a gate, for frameworks whose views are told by decorators.

Flask and Quart differ in how a request is read, and in whether a call of the manager is awaited.
What a decorated view demands, when that is asked, and what of it is remembered is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from itertools import count
from typing import Any, NamedTuple, TypeVar

from .._impl import Claims
from ..errors import ConfigurationError, TokenwheelError
from ..models import SessionContext
from .answers import Answer
from .async_watch import AsyncWatch
from .blocking_watch import BlockingWatch
from .calls import Call, make_calls
from .demands import AskClaims
from .endpoints import Endpoints, Incoming, Steps
from .fields import Headers
from .gate import Gate, Transport
from .renewing import Admitted, admit_or_renew
from .well_known import JWKS_PATH, keys_or_none

__all__ = ["Demands", "Site"]

T = TypeVar("T")

_numbers = count()


class Demands(NamedTuple):
    """What a view demands of those who ask for it."""

    optional: bool = False
    scopes: tuple[str, ...] = ()
    max_age: int | None = None


class Site(ABC):
    """One application behind a gate.

    What was found of a request is kept at the request itself: an expired cookie that was renewed
    once must not be renewed a second time.

    Args:
        name: of the extension; apart from others of the same application.
        gate: the gate.
        claims: returns the claims for the next access token of a session.

    Raises:
        ConfigurationError: ``claims`` does not fit the gate's manager.
    """

    def __init__(self, name: str, gate: Gate, claims: AskClaims | None) -> None:
        self.gate = gate
        self.endpoints = Endpoints(gate, claims)
        self.name = name
        number = next(_numbers)  # The claims of one gate are not another's.
        self._claims = f"tokenwheel.{number}.claims"
        self._renewed = f"tokenwheel.{number}.renewed"

    @abstractmethod
    def kept_of(self, request: Any) -> dict[str, Any]:
        """Return the server's dict of a request, in which what is found of it is kept."""

    @abstractmethod
    def look_at(self, request: Any) -> tuple[dict[str, Any], Headers, bool]:
        """Return the same dict, what reads the headers, and True for a WebSocket's handshake."""

    @abstractmethod
    def admit_plain(self, request: Any) -> Claims | None:
        """Return and remember the claims of a request that is admitted at one look, or None.

        It is a fraction of the cost of ``admit``, which knows what to do with any other request.
        """

    @abstractmethod
    def context_of(self, request: Any) -> SessionContext:
        """Return from where a request came, as the server tells it."""

    @abstractmethod
    def respond(self, answer: Answer) -> Any:
        """Return the framework's response for a finished answer."""

    @abstractmethod
    def watch(self, connection: Any, claims: Claims) -> BlockingWatch | AsyncWatch:
        """Return what ends a connection, or a stream where that is None."""

    @abstractmethod
    def listen(self, app: Any) -> None:
        """Put renewed cookies on the responses of an application, and the public keys for a 404."""

    @abstractmethod
    def view_of(self, steps: Callable[..., Steps], reads_body: bool) -> Callable[..., Any]:
        """Return the view of a route for sessions.

        Args:
            steps: one of the methods of ``Endpoints``.
            reads_body: whether the request's body is of interest.
        """

    def incoming(self, request: Any, body: bytes = b"") -> Incoming:
        """Return what a route is told of a request."""
        _, headers, _ = self.look_at(request)
        return Incoming(request.method, headers, body, self.context_of(request))

    def tell_refused(self, request: Any, error: TokenwheelError) -> None:
        """Tell metrics of a refused request, whoever answers it."""
        _, headers, websocket = self.look_at(request)
        self.gate._tell_refused(error, headers, websocket=websocket)

    def refuse_websocket(self, request: Any, args: tuple[Any, ...], error: TokenwheelError) -> bool:
        """Close the WebSocket that a view is handed; return False where that is no such view."""
        return False

    async def refuse_websocket_async(self, request: Any, error: TokenwheelError) -> Any:
        """Close a WebSocket where a refusal can't be answered; return None where it can."""
        return None

    def transport_of(self, request: Any) -> Transport:
        """Return how the tokens of a login are to be handed out.

        Raises:
            CrossOriginRequest: another site's page may have made the browser log in.
        """
        _, headers, _ = self.look_at(request)
        return self.gate.transport_of(headers)

    def passes(self, request: Any) -> bool:
        """Return True where nobody is refused: for OPTIONS (CORS), and the routes for sessions."""
        return request.method == "OPTIONS" or self.is_own_route(request)

    def options(self, request: Any) -> Any:
        """Return the response to OPTIONS, or None to let the framework go on."""
        rule = request.url_rule
        if rule is None or self.is_own_route(request):
            return None
        return self.respond(Answer(200, (("Allow", ", ".join(sorted(rule.methods or ()))),)))

    def is_own_route(self, request: Any) -> bool:
        """Return True for the routes for sessions, which ask for what they need by themselves.

        A decorated function that is called before each request of an application is called before
        theirs, too. To refresh or to log out, no access token is needed; nor is it for the public
        keys, which take the place of a route that the application has not.
        """
        if request.url_rule is None:
            return bool(request.path == JWKS_PATH)
        return bool(request.blueprint == self.name)

    def run(self, steps: Generator[Call, Any, T], request: Any) -> T:
        """Run a generator of calls to its end, waiting for each."""
        return make_calls(steps, self.gate.manager)

    async def run_async(self, steps: Generator[Call, Any, T], request: Any) -> T:
        """Run a generator of calls to its end, from a view that is a coroutine function."""
        return self.run(steps, request)

    def admit(self, request: Any, demands: Demands) -> None:
        """Admit a request, and remember its claims. One that was admitted is not read again.

        Raises:
            TokenwheelError: it is refused.
        """
        steps = self._admit_at_once(request, demands)
        if steps is not None:
            self._keep(request, demands, self.run(steps, request))

    async def admit_async(self, request: Any, demands: Demands) -> None:
        """Admit a request from within a coroutine, as ``admit`` does.

        Raises:
            TokenwheelError: it is refused.
        """
        steps = self._admit_at_once(request, demands)
        if steps is not None:
            self._keep(request, demands, await self.run_async(steps, request))

    def _admit_at_once(
        self, request: Any, demands: Demands
    ) -> Generator[Call, Any, Admitted] | None:
        """Admit a request if that needs no storage; else return the steps which do."""
        gate = self.gate
        optional, scopes, max_age = demands
        kept, headers, websocket = self.look_at(request)
        known = kept.get(self._claims)
        if known is not None:
            gate.check(known, scopes=scopes, max_age=max_age)
        elif gate.renew is not None and not websocket and not self.is_own_route(request):
            return admit_or_renew(gate, self.incoming(request), optional=optional)
        elif optional:
            kept[self._claims] = gate.admit_optional(request.method, headers, websocket=websocket)
        else:
            kept[self._claims] = gate.admit(
                request.method, headers, scopes=scopes, max_age=max_age, websocket=websocket
            )
        return None

    def _keep(self, request: Any, demands: Demands, admitted: Admitted) -> None:
        """Remember whom a request is of, before anything else may refuse it.

        Its cookies were renewed, and the browser has to hear of it whatever the answer is.
        """
        kept = self.kept_of(request)
        kept[self._claims], kept[self._renewed] = admitted
        if admitted.claims is not None:
            self.gate.check(admitted.claims, scopes=demands.scopes, max_age=demands.max_age)

    def claims_of(self, request: Any) -> Claims | None:
        """Return the claims of a request that was admitted.

        Raises:
            ConfigurationError: nobody has asked for them.
        """
        kept = self.kept_of(request)
        try:
            claims: Claims | None = kept[self._claims]
        except KeyError:
            raise ConfigurationError(
                "auth.claims are there for views below @auth.required or @auth.optional"
            ) from None
        return claims

    def keys_for(self, app: Any, request: Any, response: Any) -> Any:
        """Return a response, or the public keys in place of a 404 at their well-known path.

        Of several gates of an application, those of the first that has any.
        """
        if response.status_code != 404 or request.path != JWKS_PATH:
            return response
        _, headers, _ = self.look_at(request)
        for site in app.extensions.values():
            if isinstance(site, Site):
                keys = keys_or_none(site.gate, request.method, headers("if-none-match"))
                if keys is not None:
                    return self.respond(keys)
        return response

    def finish(self, request: Any, response: Any) -> None:
        """Put the renewed cookies on a response, unless it sets or deletes them itself."""
        kept = self.kept_of(request)
        renewed: Answer | None = kept.get(self._renewed)
        cookies = self.gate.cookies
        if renewed is None or cookies is None:
            return
        lines = response.headers.getlist("Set-Cookie")
        if not any(line.startswith(f"{cookies.access}=") for line in lines):
            renewed.apply(response)

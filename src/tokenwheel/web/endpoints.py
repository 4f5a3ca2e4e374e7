"""What each route for sessions does: refresh, logout, "your devices", and the public keys.

Each is a generator that yields calls of the manager, is sent what they return, and returns the
finished answer. So it is written once for every framework, blocking or not: an adapter hands in
what a request is made of, and drives it (``calls.py``). A refusal is an answer, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec

from .._impl import Claims
from ..errors import InvalidAccessToken, InvalidArgument, TokenwheelError
from ..exact import text_of
from ..hidden import Hiding
from ..models import Session, SessionContext
from .answers import Answer, json_answer, problem, unless_known
from .calls import Call
from .demands import AskClaims, check_claims
from .errors import CredentialsMissing
from .fields import Headers, field
from .gate import Gate

__all__ = ["ROUTES", "Endpoints", "Incoming", "Route", "Steps"]

P = ParamSpec("P")
Steps = Generator[Call, Any, Answer]

_is_session_id = re.compile(r"[A-Za-z0-9_-]{16}").fullmatch


class Incoming(Hiding):
    """What a route is told of a request. It shows nothing of it, since there are tokens in it.

    Args:
        method: the request's method.
        headers: returns a header by its name in lower case.
        body: at most ``LONGEST_BODY`` bytes and one: what is longer is refused. None where the
            route reads none.
        context: from where the request came, for the refresh hook.
    """

    __slots__ = ("body", "context", "headers", "method")

    def __init__(
        self,
        method: str,
        headers: Headers,
        body: bytes | None = None,
        context: SessionContext | None = None,
    ) -> None:
        self.method = method
        self.headers = headers
        self.body = body
        self.context = context


def _answering(
    steps: Callable[Concatenate[Endpoints, Incoming, P], Steps],
) -> Callable[Concatenate[Endpoints, Incoming, P], Steps]:
    """Return the endpoint that answers with a refusal where one of its steps raises an error."""

    @wraps(steps)
    def answer(self: Endpoints, request: Incoming, /, *args: P.args, **kwargs: P.kwargs) -> Steps:
        try:
            return (yield from steps(self, request, *args, **kwargs))
        except TokenwheelError as error:
            return self.gate.refusal(error, request.headers, body=request.body)

    return answer


class Endpoints:
    """The routes for sessions behind a gate.

    Args:
        gate: the gate of the application.
        claims: returns the application's own claims for the next access token of a session; by
            default what the gate has as ``renew``, and without it none.

    Raises:
        ConfigurationError: ``claims`` is no such callable, or is a coroutine function beside a
            manager that blocks.
    """

    __slots__ = ("_claims", "gate")

    def __init__(self, gate: Gate, claims: AskClaims | None = None) -> None:
        check_claims("claims", claims, gate.manager)
        self.gate = gate
        self._claims = gate.renew if claims is None else claims

    @_answering
    def refresh(self, request: Incoming) -> Steps:
        """Return the answer to ``POST refresh``, which goes back the way the token came."""
        presented = self.gate.refresh_token(request.method, request.headers, request.body)
        transport = presented.transport
        call = Call("update", presented.token, self._claims, context=request.context)
        del presented  # No error shows it, be it one of the application's own.
        tokens = yield call
        return self.gate.welcome(tokens, via=transport)

    @_answering
    def logout(self, request: Incoming) -> Steps:
        """Return the answer to ``POST logout``, also where there was no session to end."""
        gate = self.gate
        try:
            presented = gate.refresh_token(request.method, request.headers, request.body)
        except CredentialsMissing:
            claims = self._claims_at_logout(request)
            if claims is not None:
                yield Call("delete_one", claims.subject, claims.session_id)
            return self._farewell(request)
        transport = presented.transport
        call = Call("end", presented.token)
        del presented  # No error shows it.
        yield call
        return gate.farewell() if transport == "cookie" else self._farewell(request)

    def _claims_at_logout(self, request: Incoming) -> Claims | None:
        # A page of another origin may send a bearer, which no browser adds by itself.
        if not self.gate.bears(request.headers):
            self.gate.check_page(request.headers)
        try:
            return self.gate.admit(request.method, request.headers)
        except (CredentialsMissing, InvalidAccessToken):
            return None

    @_answering
    def logout_others(self, request: Incoming) -> Steps:
        """Return the answer to ``POST logout/others``: all sessions but this one have ended."""
        claims = self.gate.admit(request.method, request.headers)
        yield Call("delete_all", claims.subject, keep=claims.session_id)
        return Answer(204, _NO_STORE)

    @_answering
    def logout_everywhere(self, request: Incoming) -> Steps:
        """Return the answer to ``POST logout/everywhere``: all the sessions of the user ended."""
        claims = self.gate.admit(request.method, request.headers)
        yield Call("delete_all", claims.subject)
        return self._farewell(request)

    @_answering
    def sessions(self, request: Incoming) -> Steps:
        """Return the answer to ``GET sessions``: the user's devices, the last used one first."""
        claims = self.gate.admit(request.method, request.headers)
        sessions = yield Call("read_all", claims.subject)
        by_use = sorted(sessions.values(), key=lambda session: (-session.last_used_at, session.id))
        return json_answer(200, [_shown(session, claims.session_id) for session in by_use])

    @_answering
    def end_session(self, request: Incoming, session_id: str) -> Steps:
        """Return the answer to ``DELETE sessions/{id}``: this session of the user's has ended."""
        claims = self.gate.admit(request.method, request.headers)
        # A refresh token would do for the manager, too, and does not belong into an address.
        has_ended = False
        if _is_session_id(text_of(session_id) or "") is not None:
            # The manager refuses who asks for too many sessions that are not there.
            with suppress(InvalidArgument):
                has_ended = yield Call("delete_one", claims.subject, session_id)
        if not has_ended:
            return problem(404, "session_not_found", "you have no such session")
        is_current = session_id == claims.session_id
        return self._farewell(request) if is_current else Answer(204, _NO_STORE)

    @_answering
    def jwks(self, request: Incoming) -> Steps:
        """Return the answer to ``GET jwks``: the public keys, if the client hasn't them yet."""
        return unless_known(self.gate.jwks(), field(request.headers, "if-none-match"))
        yield  # It asks for nothing, and is driven as the others are.

    def _farewell(self, request: Incoming) -> Answer:
        if self.gate.may_delete_cookies(request.headers):
            return self.gate.farewell()
        return Answer(204, _NO_STORE)


_NO_STORE = (("Cache-Control", "no-store"),)


def _shown(session: Session, current: str) -> dict[str, Any]:
    """Return what the owner of a session sees of it. Times are in Unix seconds."""
    device = session.device
    return {
        "id": session.id,
        "current": session.id == current,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
        "ip": session.ip,
        "device": None if device is None else {"name": device.name, "type": device.type},
        "location": session.location,
    }


class Route(NamedTuple):
    """One of the routes for sessions."""

    name: str
    method: str
    path: str
    """Below the prefix. What is in braces is an argument of ``steps``."""
    steps: Callable[..., Steps]
    """A method of :class:`Endpoints`, which takes the request."""
    reads_body: bool = False


ROUTES: Final = (
    Route("refresh", "POST", "/refresh", Endpoints.refresh, reads_body=True),
    Route("logout", "POST", "/logout", Endpoints.logout, reads_body=True),
    Route("logout_others", "POST", "/logout/others", Endpoints.logout_others),
    Route("logout_everywhere", "POST", "/logout/everywhere", Endpoints.logout_everywhere),
    Route("sessions", "GET", "/sessions", Endpoints.sessions),
    Route("end_session", "DELETE", "/sessions/{session_id}", Endpoints.end_session),
    Route("jwks", "GET", "/jwks", Endpoints.jwks),
)

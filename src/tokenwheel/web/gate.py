"""The gate: who is admitted, and what a request is answered, for any framework.

Nothing here does I/O, knows a framework or waits. A request comes as its method and a callable that
returns a header; an answer goes as a status, headers and a body (``answers.py``). The rules of
admission are in ``admission.py``, and what needs the storage is in ``endpoints.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Literal

from .._impl import Claims
from ..conformance import check_call, is_coroutine_function
from ..errors import ConfigurationError, InvalidArgument, TokenwheelError
from ..exact import as_given, is_instance, named, text_of
from ..hidden import clears_locals
from ..models import SessionTokens
from ..session import AsyncSessionManager, SessionManager
from ..session.observers import Observers
from .admission import SAFE_METHODS, Admission, scope_claim
from .answers import Answer, json_answer, keys_answer, refusal_of
from .bearer import bearer_token
from .bodies import refresh_token_in
from .cookies import Cookies, find_cookie
from .demands import AskClaims, Manager, check_claims
from .errors import CredentialsMissing, CrossOriginRequest, MalformedCredentials
from .fields import Headers, field
from .origin import check_origin, check_trusted_origins, comes_from_browser
from .transports import transport_in
from .watch import Watches

__all__ = ["Gate", "Presented", "Transport", "scope_claim"]

Transport = Literal["bearer", "cookie"]


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that a request has presented, and the way by which it came."""

    token: str = dataclass_field(repr=False)
    transport: Transport


class Gate(Admission):
    """Decide which requests are admitted, and say what they are answered.

    Args:
        manager: what reads access tokens and refreshes sessions.
        cookies: how browsers keep the tokens; None where clients send them as bearers only.
        bearer: whether ``Authorization: Bearer`` is taken. Otherwise that header isn't looked at.
        trusted_origins: other origins whose pages may send requests with cookies, exactly as
            browsers name them: ``"https://app.example"``.
        scopes: returns the scopes that claims have; by default those in ``scope``.
        renew: returns the claims for the next access token of a session. With it, a request whose
            access cookie has expired is refreshed on the way, so that pages rendered by the server
            need no script.

    Raises:
        ConfigurationError: an option makes no sense; says which, and what is allowed.
    """

    __slots__ = ("_answered_keys", "_observers", "renew", "watches")

    def __init__(
        self,
        manager: Manager,
        *,
        cookies: Cookies | None = None,
        bearer: bool = True,
        trusted_origins: Sequence[str] = (),
        scopes: Callable[[Claims], Collection[str]] = scope_claim,
        renew: AskClaims | None = None,
    ) -> None:
        if not is_instance(manager, SessionManager) and not is_instance(
            manager, AsyncSessionManager
        ):
            raise ConfigurationError(
                f"manager must be a SessionManager or an AsyncSessionManager, not {named(manager)}"
            )
        if cookies is not None and not is_instance(cookies, Cookies):
            raise ConfigurationError(f"cookies must be Cookies(...) or None, not {named(cookies)}")
        if type(bearer) is not bool:
            raise ConfigurationError(f"bearer must be True or False, {as_given(bearer)}")
        if cookies is None and not bearer:
            raise ConfigurationError("bearer must be True where there are no cookies")
        trusted = check_trusted_origins(trusted_origins)
        if not callable(scopes) or is_coroutine_function(scopes):
            raise ConfigurationError("scopes must be a callable that takes claims, and not async")
        check_call("scopes", scopes, ["claims"])
        if renew is not None and cookies is None:
            raise ConfigurationError("renew needs cookies: a bearer refreshes by itself")
        check_claims("renew", renew, manager)
        super().__init__(manager, cookies, bearer, trusted, scopes)
        self.renew = renew
        self.watches = Watches(manager)
        self._observers = Observers()
        self._answered_keys: tuple[dict[str, Any], Answer] | None = None

    @clears_locals
    def refresh_token(self, method: str, headers: Headers, body: bytes | None = None) -> Presented:
        """Return the refresh token of a request to refresh or to log out, and how it came.

        It is in the cookie, or in the body: JSON or a form with ``refresh_token`` (RFC 6749,
        section 6). The access token is not looked at.

        Args:
            method: the request's method.
            headers: returns a header by its name, as ``request.headers.get``.
            body: the request's body; of more than 16 KiB it is refused unread.

        Raises:
            CredentialsMissing: there is no refresh token.
            MalformedCredentials: it can't be read, or is in the cookie and in the body.
            CrossOriginRequest: another site's page may have made the browser send the cookie.
        """
        in_body = refresh_token_in(field(headers, "content-type"), body)
        if in_body is not None and not self.takes_bearer:
            raise MalformedCredentials(
                "the refresh token is in the body, and is taken from the cookie alone"
            )
        cookie = self._refresh_cookie(headers)
        if cookie is not None and in_body is not None:
            raise MalformedCredentials("there is a refresh token in the cookie, and in the body")
        if in_body is not None:
            return Presented(in_body, "bearer")
        if cookie is None:
            raise CredentialsMissing("the request has no refresh token")
        check_origin(headers, self._trusted)
        return Presented(cookie, "cookie")

    @clears_locals
    def transport_of(self, headers: Headers) -> Transport:
        """Return how the tokens of a login are to be handed out.

        A browser gets cookies, whatever else its request says: no script can take away the headers
        that tell a browser, and none may get hold of the tokens.

        Raises:
            CrossOriginRequest: another site's page may have made the browser log in.
        """
        if self.cookies is None:
            return "bearer"
        if self.takes_bearer and not comes_from_browser(headers):
            return "bearer"
        if self.cookies.is_local:
            self._check_host(headers)
        check_origin(headers, self._trusted)
        return "cookie"

    @clears_locals
    def welcome(self, tokens: SessionTokens, *, via: Transport) -> Answer:
        """Return the answer that hands out the tokens of a login or a refresh.

        Args:
            tokens: what ``create`` or ``update`` returned.
            via: ``"cookie"``: in cookies, and the body has neither token; ``"bearer"``: in the body
                (RFC 6749, section 5.1).

        Raises:
            InvalidArgument: a cookie would be longer than browsers keep, or these are no tokens.
            ConfigurationError: this gate has no such transport.
        """
        if not is_instance(tokens, SessionTokens):
            raise InvalidArgument(
                f"tokens must be what create or update returned, not {named(tokens)}"
            )
        transport = text_of(via)
        now = int(self.now())
        lifetime = max(tokens.refresh_expires_at - now, 0)
        content: dict[str, Any] = {
            "session_id": tokens.session_id,
            "expires_in": max(tokens.access_expires_at - now, 0),
            "session_expires_in": lifetime,
        }
        if transport == "bearer":
            if not self.takes_bearer:
                raise ConfigurationError("via must be 'cookie', since this gate takes no bearer")
            content["access_token"] = tokens.access_token
            content["refresh_token"] = tokens.refresh_token
            content["token_type"] = "Bearer"
            return json_answer(200, content)
        if transport != "cookie" or self.cookies is None:
            raise ConfigurationError("via must be 'bearer', or 'cookie' where the gate has cookies")
        written = self.cookies.write(tokens.access_token, tokens.refresh_token, lifetime)
        return json_answer(200, content, *(("Set-Cookie", line) for line in written))

    def farewell(self) -> Answer:
        """Return the answer to a logout: it deletes both cookies, where the gate has cookies."""
        deleted = () if self.cookies is None else self.cookies.delete()
        return Answer(
            204,
            (("Cache-Control", "no-store"), *(("Set-Cookie", line) for line in deleted)),
        )

    @clears_locals
    def refusal(
        self,
        error: TokenwheelError,
        headers: Headers | None = None,
        *,
        body: bytes | None = None,
        websocket: bool = False,
    ) -> Answer:
        """Return the answer to a request that an error has refused.

        It leaves the cookies untouched: it can't know which ones the browser has when it arrives.
        Metrics count the refusal, each error once.

        Args:
            error: what has refused the request.
            headers: returns a header by its name. By it metrics tell how the request presented its
                token; without it, they count the request among those that presented none.
            body: the request's body, where the refresh token may be in it.
            websocket: whether this is the handshake of a WebSocket.

        Raises:
            InvalidArgument: it is no error of this library.
        """
        if not is_instance(error, TokenwheelError):
            raise InvalidArgument(f"error must be a TokenwheelError, not {named(error)}")
        self._tell_refused(error, headers, body=body, websocket=websocket)
        return refusal_of(error)

    @clears_locals
    def _tell_refused(
        self,
        error: TokenwheelError,
        headers: Headers | None,
        *,
        body: bytes | None = None,
        websocket: bool = False,
    ) -> None:
        """Tell metrics of a refused request, whoever answers it."""
        if self._observers.all:
            transport = "none"
            if headers is not None:
                transport = transport_in(
                    headers,
                    self.cookies,
                    takes_bearer=self.takes_bearer,
                    body=body,
                    websocket=websocket,
                )
            self._observers.refused(error, transport)

    def jwks(self) -> Answer:
        """Return the answer with the public keys (RFC 7517, section 5); of secrets, none.

        Raises:
            StorageUnavailable: the manager follows keys which it could not read so far.
        """
        return self._answer_to(self.manager.jwks())

    def issued_keys(self) -> Answer | None:
        """Return the answer of :meth:`jwks` where public keys verify what the manager issues.

        Return None where it issues nothing, or shares a secret with those who verify: other
        services have nothing to fetch there.

        Raises:
            StorageUnavailable: the manager follows keys which it could not read so far.
        """
        if self.manager._keys.signing is None:
            return None
        jwks = self.manager.jwks()
        return self._answer_to(jwks) if jwks["keys"] else None

    def _answer_to(self, jwks: dict[str, Any]) -> Answer:
        # To write and hash the keys costs many times what it costs to see that they are the same.
        kept = self._answered_keys
        if kept is None or kept[0] != jwks:
            kept = self._answered_keys = (jwks, keys_answer(jwks))
        return kept[1]

    def may_delete_cookies(self, headers: Headers) -> bool:
        """Return True where an answer to this request may delete cookies.

        A page of another site can't make a browser forget its cookies.
        """
        try:
            self.check_page(headers)
        except CrossOriginRequest:
            return False
        return True

    @clears_locals
    def check_page(self, headers: Headers) -> None:
        """Check that, if a browser sent the request, a page of this site made it do so.

        Raises:
            CrossOriginRequest: another site's page may have.
        """
        if self.cookies is not None and comes_from_browser(headers):
            check_origin(headers, self._trusted)

    @clears_locals
    def bears(self, headers: Headers) -> bool:
        """Return True where a request bears an access token, which then decides alone.

        Raises:
            MalformedCredentials: what it bears can't be read.
        """
        return self.takes_bearer and bearer_token(field(headers, "authorization")) is not None

    @clears_locals
    def renewal_token(self, method: str, headers: Headers) -> str | None:
        """Return the refresh token by which this request may renew its expired access cookie.

        Return None where ``renew`` is not set, or the request has no such cookie.

        Raises:
            CrossOriginRequest: the method is unsafe, and another site's page may have sent it.
            MalformedCredentials: the request has the cookie twice.
        """
        if self.renew is None or self.bears(headers):
            return None
        token = self._refresh_cookie(headers)
        if token is not None and text_of(method) not in SAFE_METHODS:
            check_origin(headers, self._trusted)
        return token

    def _refresh_cookie(self, headers: Headers) -> str | None:
        if self.cookies is None:
            return None
        header = field(headers, "cookie")
        token = None if header is None else find_cookie(header, self.cookies.refresh)
        if token is not None and self.cookies.is_local:
            self._check_host(headers)
        return token

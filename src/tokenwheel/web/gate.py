"""The gate: who is admitted, and what a request is answered, for any framework.

Nothing here does I/O, knows a framework or waits. A request comes as its method and a callable that
returns a header; an answer goes as a status, headers and a body (``answers.py``). What needs the
storage is in ``endpoints.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import timedelta
from typing import Any, Literal

from .._impl import Claims
from ..conformance import check_call, is_coroutine_function
from ..errors import ConfigurationError, InvalidAccessToken, TokenwheelError
from ..exact import as_given, is_instance, named, number_of
from ..models import SessionTokens
from ..session import AsyncSessionManager, SessionManager
from .answers import Answer, json_answer, refusal_of
from .bearer import BEARER_RULE, bearer_token, is_b64token
from .bodies import refresh_token_in
from .cookies import Cookies
from .demands import AskClaims, Manager, check_claims, check_max_age, check_scopes
from .errors import (
    CredentialsMissing,
    CrossOriginRequest,
    LoginTooOld,
    MalformedCredentials,
    ScopeMissing,
)
from .fields import Headers, field
from .origin import check_origin, check_trusted_origins, comes_from_browser

__all__ = ["Gate", "Presented", "Transport", "scope_claim"]

Transport = Literal["bearer", "cookie"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEEP_KEYS = "public, max-age=300"  # five minutes: how soon resource servers hear of a new key


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that a request has presented, and the way by which it came."""

    token: str = dataclass_field(repr=False)
    transport: Transport


def scope_claim(claims: Claims) -> Collection[str]:
    """Return the scopes in the claim ``scope``: a text with spaces (RFC 8693) or a list."""
    scope = claims.get("scope")
    if isinstance(scope, str):
        return scope.split(" ")
    if isinstance(scope, list):
        return [name for name in scope if isinstance(name, str)]
    return ()


class Gate:
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

    __slots__ = (
        "__weakref__",
        "_bearer",
        "_read",
        "_scopes",
        "_trusted",
        "cookies",
        "manager",
        "renew",
    )

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
        self._trusted = check_trusted_origins(trusted_origins)
        if not callable(scopes) or is_coroutine_function(scopes):
            raise ConfigurationError("scopes must be a callable that takes claims, and not async")
        check_call("scopes", scopes, ["claims"])
        if renew is not None and cookies is None:
            raise ConfigurationError("renew needs cookies: a bearer refreshes by itself")
        check_claims("renew", renew, manager)
        self.manager = manager
        self.cookies = cookies
        self.renew = renew
        self._bearer = bearer
        self._scopes = scopes
        self._read = manager.read

    def admit(
        self,
        method: str,
        headers: Headers,
        *,
        scopes: Sequence[str] = (),
        max_age: int | timedelta | None = None,
        websocket: bool = False,
    ) -> Claims:
        """Return the claims of the request's access token.

        A bearer alone decides where there is one. Else the cookie does, for unsafe methods and
        WebSocket handshakes only after a check of the origin.

        Args:
            method: the request's method.
            headers: returns a header by its name, as ``request.headers.get``.
            scopes: those that the claims must have, all of them.
            max_age: seconds that the login may be ago. A refresh is no login.
            websocket: whether this is the handshake of a WebSocket, which may also have the token
                as the subprotocol ``bearer.<token>`` beside ``tokenwheel``.

        Raises:
            CredentialsMissing: there is no access token.
            MalformedCredentials: what there is can't be read, or in two ways.
            CrossOriginRequest: another site's page may have made the browser send the cookie.
            InvalidAccessToken: the token is not good, has expired or was revoked.
            ScopeMissing: a scope is missing.
            LoginTooOld: the login is longer ago.
            StorageUnavailable: this process cannot tell whether the token was revoked.
        """
        token = bearer_token(headers, websocket=websocket) if self._bearer else None
        try:
            if token is not None:
                claims = self._read_bearer(token)
            else:
                token = self._access_cookie(method, headers, websocket)
                if token is None:
                    raise CredentialsMissing("the request has no access token")
                claims = self._read(token)
        finally:
            del token  # No error shows it.
        if scopes or max_age is not None:
            self.check(claims, scopes=scopes, max_age=max_age)
        return claims

    def admit_optional(
        self, method: str, headers: Headers, *, websocket: bool = False
    ) -> Claims | None:
        """Return the claims of the request's access token, or None where nobody is signed in.

        A browser attaches a cookie unasked, so one that is not good counts as none. A bad bearer is
        refused, since its sender chose to send it.

        Raises:
            MalformedCredentials: the ``Authorization`` header can't be read.
            InvalidAccessToken: the bearer is not good, has expired or was revoked.
            StorageUnavailable: this process cannot tell whether the token was revoked.
        """
        token = bearer_token(headers, websocket=websocket) if self._bearer else None
        try:
            if token is not None:
                return self._read_bearer(token)
            try:
                token = self._access_cookie(method, headers, websocket)
                return None if token is None else self._read(token)
            except (CrossOriginRequest, InvalidAccessToken, MalformedCredentials):
                return None
        finally:
            del token  # No error shows it.

    def check(
        self, claims: Claims, *, scopes: Sequence[str] = (), max_age: int | timedelta | None = None
    ) -> None:
        """Check that claims have these scopes, and are of a login of the last seconds.

        Raises:
            ScopeMissing: a scope is missing.
            LoginTooOld: the login is longer ago.
            InvalidArgument: ``scopes`` or ``max_age`` cannot be used.
        """
        if scopes:
            needed = check_scopes(scopes)
            if not self.scopes_of(claims).issuperset(needed):
                raise ScopeMissing(needed)
        if max_age is not None:
            limit = check_max_age(max_age)
            login = number_of(claims.get("auth_time", claims.issued_at))
            if login is None or not self.now() - login <= limit:
                raise LoginTooOld(limit)

    def scopes_of(self, claims: Claims) -> frozenset[str]:
        """Return the scopes that claims have.

        Raises:
            ConfigurationError: what was given as ``scopes`` returned no collection of texts.
        """
        held: object = self._scopes(claims)
        # The scope "admin" is within the text "superadmin".
        if isinstance(held, str) or not isinstance(held, Collection):
            raise ConfigurationError(
                f"scopes must return a collection of texts, and returned {named(held)}"
            )
        return frozenset(held)

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
        if in_body is not None and not self._bearer:
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

    def transport_of(self, headers: Headers) -> Transport:
        """Return how the tokens of a login are to be handed out.

        A browser gets cookies, whatever else its request says: no script can take away the headers
        that tell a browser, and none may get hold of the tokens.

        Raises:
            CrossOriginRequest: another site's page may have made the browser log in.
        """
        if self.cookies is None:
            return "bearer"
        if self._bearer and not comes_from_browser(headers):
            return "bearer"
        self._check_host(headers)
        check_origin(headers, self._trusted)
        return "cookie"

    def welcome(self, tokens: SessionTokens, *, via: Transport) -> Answer:
        """Return the answer that hands out the tokens of a login or a refresh.

        Args:
            tokens: what ``create`` or ``update`` returned.
            via: ``"cookie"``: in cookies, and the body has neither token; ``"bearer"``: in the body
                (RFC 6749, section 5.1).

        Raises:
            InvalidArgument: a cookie would be longer than browsers keep.
            ConfigurationError: this gate has no such transport.
        """
        now = int(self.now())
        lifetime = max(tokens.refresh_expires_at - now, 0)
        content: dict[str, Any] = {
            "session_id": tokens.session_id,
            "expires_in": max(tokens.access_expires_at - now, 0),
            "session_expires_in": lifetime,
        }
        if via == "bearer":
            if not self._bearer:
                raise ConfigurationError("via must be 'cookie', since this gate takes no bearer")
            content["access_token"] = tokens.access_token
            content["refresh_token"] = tokens.refresh_token
            content["token_type"] = "Bearer"
            return json_answer(200, content)
        if via != "cookie" or self.cookies is None:
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

    def refusal(self, error: TokenwheelError) -> Answer:
        """Return the answer to a request that an error has refused.

        It leaves the cookies untouched: it can't know which ones the browser has when it arrives.
        """
        return refusal_of(error)

    def jwks(self) -> Answer:
        """Return the answer with the public keys (RFC 7517, section 5); of secrets, none."""
        body = json.dumps(self.manager._keys.jwks(), separators=(",", ":")).encode()
        return Answer(
            200,
            (
                ("Content-Type", "application/jwk-set+json"),
                ("Cache-Control", _KEEP_KEYS),
                ("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"'),
            ),
            body,
        )

    def now(self) -> float:
        """Return the Unix seconds of the manager's clock."""
        return self.manager._clock()

    def may_delete_cookies(self, headers: Headers) -> bool:
        """Return True where an answer to this request may delete cookies.

        A page of another site can't make a browser forget its cookies.
        """
        try:
            self.check_page(headers)
        except CrossOriginRequest:
            return False
        return True

    def check_page(self, headers: Headers) -> None:
        """Check that, if a browser sent the request, a page of this site made it do so.

        Raises:
            CrossOriginRequest: another site's page may have.
        """
        if self.cookies is not None and comes_from_browser(headers):
            check_origin(headers, self._trusted)

    def renewal_token(self, method: str, headers: Headers) -> str | None:
        """Return the refresh token by which this request may renew its expired access cookie.

        Return None where ``renew`` is not set, or the request has no such cookie.

        Raises:
            CrossOriginRequest: the method is unsafe, and another site's page may have sent it.
            MalformedCredentials: the request has the cookie twice.
        """
        if self.renew is None or (self._bearer and bearer_token(headers) is not None):
            return None
        token = self._refresh_cookie(headers)
        if token is not None and method not in _SAFE_METHODS:
            check_origin(headers, self._trusted)
        return token

    def _read_bearer(self, token: str) -> Claims:
        try:
            return self._read(token)
        except InvalidAccessToken:
            if is_b64token(token):
                raise
            raise MalformedCredentials(BEARER_RULE) from None
        finally:
            del token  # No error shows it.

    def _access_cookie(self, method: str, headers: Headers, websocket: bool) -> str | None:
        """Return the access token in the cookie, if the request may use it; None without one."""
        if self.cookies is None:
            return None
        header = field(headers, "cookie")
        token = None if header is None else self.cookies.read_access(header)
        if token is None:
            return None
        self._check_host(headers)
        if websocket or method not in _SAFE_METHODS:
            check_origin(headers, self._trusted)
        return token

    def _refresh_cookie(self, headers: Headers) -> str | None:
        if self.cookies is None:
            return None
        header = field(headers, "cookie")
        token = None if header is None else self.cookies.read_refresh(header)
        if token is not None:
            self._check_host(headers)
        return token

    def _check_host(self, headers: Headers) -> None:
        cookies = self.cookies
        if (
            cookies is not None
            and cookies.is_local
            and not cookies.fits_host(field(headers, "host"))
        ):
            raise ConfigurationError(
                "Cookies(insecure_localhost=True) is for localhost, 127.0.0.1 and [::1] alone, "
                "and a request came to another host"
            )

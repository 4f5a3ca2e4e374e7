"""Who is admitted: the rules by which a request's access token is found and believed.

A request comes as its method and a callable that returns a header. What it bears decides alone; a
cookie counts where there is no bearer, and where no other site's page can have made the browser
send it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import islice
from traceback import clear_frames

from .._impl import Claims, Verifier
from ..errors import ConfigurationError, InvalidAccessToken, InvalidArgument
from ..exact import as_given, is_instance, named, number_of, text_of
from ..seconds import reading
from .bearer import BEARER_RULE, bearer_token, is_b64token
from .cookies import Cookies, find_cookie
from .demands import Manager, check_max_age, check_scopes
from .errors import (
    CredentialsMissing,
    CrossOriginRequest,
    LoginTooOld,
    MalformedCredentials,
    ScopeMissing,
)
from .fields import Headers, field
from .origin import check_origin

__all__ = ["SAFE_METHODS", "Admission", "scope_claim"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing, so that it doesn't matter who made a browser send them."""

_NO_SCOPES: Sequence[str] = ()
_MOST_SCOPES = 8192  # more than an access token of 8 KiB has room for


def scope_claim(claims: Claims) -> Collection[str]:
    """Return the scopes in the claim ``scope``: a text with spaces (RFC 8693) or a list."""
    scope = claims.get("scope")
    if isinstance(scope, str):
        return scope.split(" ")
    if isinstance(scope, list):
        return [name for name in scope if isinstance(name, str)]
    return ()


def _leave_to_admit(_method: str, _fields: object) -> None:
    """Admit nobody at one look."""


def _verifier_of(manager: Manager) -> Verifier | None:
    """Return what verifies a manager's tokens, or None where it reads them in a way of its own."""
    verifier = getattr(manager.read, "__self__", None)
    return verifier if type(verifier) is Verifier and manager.read == verifier.verify else None


class Admission:
    """Admit requests by their access tokens.

    The errors of its methods show no headers: frames that knew any are cleared.

    Args:
        manager: what reads access tokens.
        cookies: what the cookies are called; None where only bearers are taken.
        takes_bearer: whether bearers are taken.
        trusted: other origins whose pages may send requests with cookies.
        scopes: returns the scopes that claims have.
    """

    __slots__ = (
        "__weakref__",
        "_read",
        "_scopes",
        "_trusted",
        "admit_plain",
        "cookies",
        "manager",
        "takes_bearer",
    )

    def __init__(
        self,
        manager: Manager,
        cookies: Cookies | None,
        takes_bearer: bool,
        trusted: frozenset[str],
        scopes: Callable[[Claims], Collection[str]],
    ) -> None:
        self.manager = manager
        self.cookies = cookies
        self.takes_bearer = takes_bearer
        self._trusted = trusted
        self._scopes = scopes
        self._read = manager.read
        # Cookies for localhost alone need a look at the host, too.
        cookie = None if cookies is None or cookies.is_local else cookies.access.encode()
        verifier = _verifier_of(manager) if self._admits_as_here() else None
        self.admit_plain: Callable[[str, object], Claims | None] = (
            _leave_to_admit
            if verifier is None
            else partial(verifier.verify_request, cookie, takes_bearer)
        )
        """Returns the claims of a request, by its method and the raw fields of ASGI, or None.

        In place of the fields there may be the environment of WSGI, which is a dict.

        It admits requests with plain fields and a good token, at a fraction of what :meth:`admit`
        costs, and raises for a bearer that is not good what that one raises. None means that
        :meth:`admit` tells whether a request is admitted, and if not, why.
        """

    def _admits_as_here(self) -> bool:
        """Return whether no subclass admits in a way of its own."""
        kind = type(self)
        return kind.admit is Admission.admit and kind.admit_optional is Admission.admit_optional

    def admit(
        self,
        method: str,
        headers: Headers,
        *,
        scopes: Sequence[str] = _NO_SCOPES,
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
            InvalidArgument: ``headers``, ``scopes`` or ``max_age`` cannot be used.
        """
        try:
            if websocket is not False and websocket is not True:
                raise InvalidArgument(f"websocket must be True or False, {as_given(websocket)}")
            claims = self._by_bearer(headers, websocket) if self.takes_bearer else None
            if claims is None:
                claims = self._by_cookie(method, headers, websocket)
        except BaseException as error:
            clear_frames(error.__traceback__)
            raise
        finally:
            del headers
        if claims is None:
            raise CredentialsMissing("the request has no access token")
        if scopes is not _NO_SCOPES or max_age is not None:
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
            InvalidArgument: ``headers`` cannot be used.
        """
        try:
            if websocket is not False and websocket is not True:
                raise InvalidArgument(f"websocket must be True or False, {as_given(websocket)}")
            claims = self._by_bearer(headers, websocket) if self.takes_bearer else None
            if claims is None:
                with suppress(CrossOriginRequest, InvalidAccessToken, MalformedCredentials):
                    claims = self._by_cookie(method, headers, websocket)
        except BaseException as error:
            clear_frames(error.__traceback__)
            raise
        finally:
            del headers
        return claims

    def check(
        self,
        claims: Claims,
        *,
        scopes: Sequence[str] = _NO_SCOPES,
        max_age: int | timedelta | None = None,
    ) -> None:
        """Check that claims have these scopes, and are of a login of the last seconds.

        Raises:
            ScopeMissing: a scope is missing.
            LoginTooOld: the login is longer ago.
            InvalidArgument: ``scopes`` or ``max_age`` cannot be used.
        """
        if not is_instance(claims, Claims):
            raise InvalidArgument(f"claims must be what admit returned, not {named(claims)}")
        needed = check_scopes(scopes)
        limit = None if max_age is None else check_max_age(max_age)
        if needed and not self.scopes_of(claims).issuperset(needed):
            raise ScopeMissing(needed)
        if limit is not None:
            login = number_of(claims.get("auth_time", claims.issued_at))
            if login is None or not self.now() - login <= limit:
                raise LoginTooOld(limit)

    def scopes_of(self, claims: Claims) -> frozenset[str]:
        """Return the scopes that claims have.

        Raises:
            ConfigurationError: what was given as ``scopes`` failed, or returned no collection of
                texts.
        """
        try:
            held: object = self._scopes(claims)
            # The scope "admin" is within the text "superadmin", and a name that {"admin": False}
            # has.
            if isinstance(held, Collection) and not isinstance(held, str | bytes | Mapping):
                texts = [text_of(scope) for scope in islice(held, _MOST_SCOPES + 1)]
                if None not in texts and len(texts) <= _MOST_SCOPES:
                    return frozenset(text for text in texts if text is not None)
        except Exception as error:  # any: the callable is the application's own
            raise ConfigurationError(
                "scopes must return the scopes that claims have, and failed"
            ) from error
        raise ConfigurationError(
            f"scopes must return a collection of texts, and returned {named(held)}"
        )

    def now(self) -> float:
        """Return the Unix seconds of the manager's clock."""
        return reading(self.manager._clock())

    def _by_bearer(self, headers: Headers, websocket: bool) -> Claims | None:
        """Return the claims of the token that the request bears, or None where it bears none."""
        authorization = field(headers, "authorization")
        if authorization is None and not websocket:
            return None
        offered = field(headers, "sec-websocket-protocol") if websocket else None
        token = bearer_token(authorization, offered)
        if token is None:
            return None
        try:
            return self._read(token)
        except InvalidAccessToken:
            # Looked at last, since a token that is good has the right shape.
            if is_b64token(token):
                raise
        raise MalformedCredentials(BEARER_RULE)

    def _by_cookie(self, method: str, headers: Headers, websocket: bool) -> Claims | None:
        """Return the claims of the token in the cookie, or None where the request has none."""
        cookies = self.cookies
        if cookies is None:
            return None
        header = field(headers, "cookie")
        token = None if header is None else find_cookie(header, cookies.access)
        if token is None:
            return None
        if cookies.is_local:
            self._check_host(headers)
        if websocket or text_of(method) not in SAFE_METHODS:
            check_origin(headers, self._trusted)
        return self._read(token)

    def _check_host(self, headers: Headers) -> None:
        """Check that cookies without ``Secure`` are used on this machine alone."""
        if self.cookies is not None and not self.cookies.fits_host(field(headers, "host")):
            raise ConfigurationError(
                "Cookies(insecure_localhost=True) is for localhost, 127.0.0.1 and [::1] alone, "
                "and a request came to another host"
            )

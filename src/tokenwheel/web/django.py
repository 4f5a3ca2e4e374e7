"""Sessions in Django: ``request.claims``, views for those who are signed in, and login.

.. code-block:: python

    TOKENWHEEL = "config.sessions.gate"  # in the settings: a Gate, or DjangoAuth(gate, ...)
    MIDDLEWARE = [
        ...,
        "django.contrib.auth.middleware.AuthenticationMiddleware",  # where there is one
        "tokenwheel.web.django.AuthMiddleware",
    ]
    urlpatterns = [path("session/", include("tokenwheel.web.django_urls"))]

Views may be async or not, under WSGI and ASGI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

from .._impl import Claims
from ..errors import TokenwheelError
from ..event_loop import has_event_loop
from ..models import SessionContext, SessionTokens
from .async_watch import AsyncWatch
from .blocking_watch import BlockingWatch
from .django_admission import RENEWED, add_claims_to_requests
from .django_decorator import require_claims
from .django_requests import headers_of, origin_of, response_of
from .django_setting import DjangoAuth, current_auth
from .django_users import give_user
from .gate import Transport
from .renewing import Admitted
from .well_known import JWKS_PATH, keys_or_none

__all__ = [
    "AuthMiddleware",
    "DjangoAuth",
    "context_of",
    "current_auth",
    "require_claims",
    "response_of",
    "signed_in",
    "watch",
]

_OWN = "tokenwheel.web.django.AuthMiddleware"
_OF_DJANGO = "django.contrib.auth.middleware.AuthenticationMiddleware"


class AuthMiddleware:
    """Give each request its ``claims``, and answer what the errors of this library refuse.

    ``request.claims`` is evaluated at its first use: the claims, or None where nobody is signed in.
    ``await request.aclaims()`` is the same for async views, and is needed there by a gate that
    renews. ``request.user`` and ``await request.auser()`` are of ``user_loader``, where there is
    one and somebody is signed in; else they stay what Django's own middleware has set. That one has
    to come first in ``MIDDLEWARE``.

    Where the project answers 404 at ``/.well-known/jwks.json``, the public keys are there if the
    manager issues tokens that they verify.

    Raises:
        ImproperlyConfigured: the order in ``MIDDLEWARE`` is wrong, or ``TOKENWHEEL`` is.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        names = list(settings.MIDDLEWARE)
        if _OWN in names and _OF_DJANGO in names[names.index(_OWN) :]:
            raise ImproperlyConfigured(f"{_OWN!r} must come after {_OF_DJANGO!r} in MIDDLEWARE")
        current_auth()
        add_claims_to_requests()
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Return the response of a view, with new cookies where the session was renewed."""
        if self._is_async:
            return self._respond_async(request)
        _begin(request)
        return _finish(request, self.get_response(request))

    async def _respond_async(self, request: HttpRequest) -> HttpResponse:
        _begin(request)
        return _finish(request, await self.get_response(request))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the response to an error of this library that a view has raised."""
        if not isinstance(error, TokenwheelError):
            return None
        return response_of(current_auth().gate.refusal(error, headers_of(request)))


def _begin(request: HttpRequest) -> None:
    vars(request)[RENEWED] = None
    loader = current_auth().user_loader
    if loader is not None:
        give_user(request, loader)


def _finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if response.status_code == 404 and request.path_info == JWKS_PATH:
        known = headers_of(request)("if-none-match")
        keys = keys_or_none(current_auth().gate, request.method, known)
        response = response if keys is None else response_of(keys)
    kept: Admitted | None = vars(request)[RENEWED]
    if kept is not None and kept.renewed is not None:
        cookies = current_auth().gate.cookies
        # A view that has signed in or out meanwhile has the last word.
        if cookies is not None and cookies.access not in response.cookies:
            kept.renewed.apply(response)
    return response


def context_of(request: HttpRequest) -> SessionContext:
    """Return from where a login comes, for ``create``.

    Raises:
        CrossOriginRequest: another site's page may have made the browser log in.
    """
    current_auth().gate.transport_of(headers_of(request))
    return origin_of(request)


def signed_in(
    request: HttpRequest, tokens: SessionTokens, via: Transport | None = None
) -> HttpResponse:
    """Return the response to a login, which hands out the tokens of ``create``.

    Args:
        request: the login.
        tokens: what ``create`` returned.
        via: ``"cookie"`` or ``"bearer"``; by default cookies for a browser, as soon as the gate has
            any, and bearer tokens for everybody else.

    Raises:
        CrossOriginRequest: another site's page may have made the browser log in.
        InvalidArgument: a cookie would be longer than browsers keep.
    """
    gate = current_auth().gate
    transport = gate.transport_of(headers_of(request)) if via is None else via
    return response_of(gate.welcome(tokens, via=transport))


def watch(claims: Claims) -> BlockingWatch | AsyncWatch:
    """Return what ends a streaming response once its session or its access token has ended.

    .. code-block:: python

        events = watch(request.claims).each(source())
        return StreamingHttpResponse(events, content_type="text/event-stream")

    In an async view ``each`` takes an async iterator, and returns one.

    Args:
        claims: what the request was admitted with.
    """
    watches = current_auth().gate.watches
    return AsyncWatch(watches, claims) if has_event_loop() else BlockingWatch(watches, claims)

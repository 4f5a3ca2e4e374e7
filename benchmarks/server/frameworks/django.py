"""Django and Django REST framework.

Django's settings are global, so each application has its routes in an object of its own, which is
put into the settings when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path

from ..requests import Request, Served, Transport, by_bearer
from ..sessions import ACCEPTED, ISSUER, LIFETIME, make_gate, requests_of

gate: Any = None
"""The gate, where the setting ``TOKENWHEEL`` finds it."""


def configure(secret: str) -> None:
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        MIDDLEWARE=[],
        REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
        SECRET_KEY=secret,
        SIMPLE_JWT={"SIGNING_KEY": secret, "ISSUER": ISSUER, "AUDIENCE": ACCEPTED},
        TOKENWHEEL=f"{__name__}.gate",
    )
    django.setup()


def application(
    view: Callable[..., Any], middleware: Sequence[str] = ()
) -> tuple[WSGIHandler, Callable[[], None]]:
    """Return the application, and what puts its routes into the settings."""
    routes: Any = ModuleType("routes")
    routes.urlpatterns = [path("", view)]
    settings.MIDDLEWARE = list(middleware)
    handler = WSGIHandler()

    def activate() -> None:
        settings.ROOT_URLCONF = routes

    activate()
    return handler, activate


def endpoint(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def nothing_around(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Do nothing, as a middleware."""

    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


def does_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with a call and no more."""

    @wraps(function)
    def decorated(request: HttpRequest, *arguments: Any, **options: Any) -> Any:
        return function(request, *arguments, **options)

    return decorated


def nothing(secret: str, transport: Transport) -> Served:
    configure(secret)
    app, activate = application(does_nothing(endpoint), [f"{__name__}.nothing_around"])
    return Served(app, requests_of(secret, transport), activate)


def tokenwheel(secret: str, transport: Transport) -> Served:
    global gate  # noqa: PLW0603
    configure(secret)
    gate = make_gate(secret, transport)
    from tokenwheel.web.django import require_claims

    app, activate = application(
        require_claims()(endpoint), ["tokenwheel.web.django.AuthMiddleware"]
    )
    return Served(app, requests_of(secret, transport), activate)


def supertokens(secret: str, transport: Transport) -> Served:
    configure(secret)
    from supertokens_python.recipe.session.framework.django.syncio import verify_session

    from .supertokens import start

    requests = start("django", transport, mode="wsgi")
    app, activate = application(
        verify_session()(endpoint),
        ["supertokens_python.framework.django.django_middleware.middleware"],
    )
    return Served(app, requests, activate)


def rest_application(authentication: Any) -> tuple[WSGIHandler, Callable[[], None]]:
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Endpoint(APIView):
        authentication_classes = (authentication,)
        permission_classes = (IsAuthenticated,)

        def get(self, _: Any) -> Response:
            return Response({"status": "ok"})

        post = get

    return application(Endpoint.as_view())


class AnybodyUser:
    is_authenticated = True


def rest_nothing(secret: str, transport: Transport) -> Served:
    configure(secret)
    from rest_framework.authentication import BaseAuthentication

    user = AnybodyUser()

    class DoesNothing(BaseAuthentication):
        def authenticate(self, _: Any) -> Any:
            return user, None

    app, activate = rest_application(DoesNothing)
    return Served(app, requests_of(secret, transport), activate)


def rest_tokenwheel(secret: str, transport: Transport) -> Served:
    global gate  # noqa: PLW0603
    configure(secret)
    gate = make_gate(secret, transport)
    from tokenwheel.web.drf import SessionAuthentication

    app, activate = rest_application(SessionAuthentication)
    return Served(app, requests_of(secret, transport), activate)


def rest_simplejwt(secret: str, transport: Transport) -> Served:
    configure(secret)
    from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
    from rest_framework_simplejwt.tokens import AccessToken

    def requests(count: int) -> list[Request]:
        made = []
        for number in range(count):
            token = AccessToken()
            token["user_id"] = f"uid{number}"
            token["role"], token["name"] = "user", "John"
            token.set_exp(lifetime=timedelta(seconds=LIFETIME))
            made.append(by_bearer(str(token)))
        return made

    app, activate = rest_application(JWTStatelessUserAuthentication)
    return Served(app, requests, activate)

"""The routes for sessions: ``path("session/", include("tokenwheel.web.django_urls"))``.

Their names for ``reverse`` begin with ``tokenwheel:``. They look at the origin themselves, and need
no CSRF token. Where the gate's manager is async, so are the views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.urls.resolvers import RoutePattern
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from ..exact import is_instance
from ..session import AsyncSessionManager
from .calls import make_calls, make_calls_async
from .django_requests import incoming_of, response_of
from .django_setting import current_auth
from .endpoints import Endpoints, Steps

__all__ = ["app_name", "urlpatterns"]

app_name = "tokenwheel"


class _Route(URLPattern):  # type: ignore[misc]
    """A route that awaits if the gate's manager does: it is not known before it is asked for."""

    def __init__(self, route: str, name: str, blocking: Any, awaiting: Any) -> None:
        self._views = (blocking, awaiting)
        super().__init__(RoutePattern(route, name=name, is_endpoint=True), None, name=name)

    @property
    def callback(self) -> Any:
        """The view, as Django calls it."""
        manager = current_auth().gate.manager
        return self._views[is_instance(manager, AsyncSessionManager)]

    @callback.setter
    def callback(self, _: object) -> None:
        """Ignore the view that ``URLPattern`` has been made with, which is none."""


def _route(
    route: str,
    name: str,
    methods: list[str],
    steps_of: Callable[..., Steps],
    *,
    reads_body: bool = False,
) -> _Route:
    def blocking(request: HttpRequest, **ids: str) -> HttpResponse:
        auth = current_auth()
        steps = steps_of(auth.endpoints, incoming_of(request, reads_body=reads_body), **ids)
        return response_of(make_calls(steps, auth.gate.manager))

    async def awaiting(request: HttpRequest, **ids: str) -> HttpResponse:
        auth = current_auth()
        steps = steps_of(auth.endpoints, incoming_of(request, reads_body=reads_body), **ids)
        return response_of(await make_calls_async(steps, auth.gate.manager))

    views = []
    for view in (blocking, awaiting):
        guarded = csrf_exempt(require_http_methods(methods)(view))
        guarded.login_required = False
        for alias in settings.DATABASES:  # ATOMIC_REQUESTS are not for async views.
            guarded = non_atomic_requests(using=alias)(guarded)
        views.append(guarded)
    return _Route(route, name, *views)


_POST = ["POST"]
_GET = ["GET", "HEAD"]

urlpatterns = [
    _route("refresh", "refresh", _POST, Endpoints.refresh, reads_body=True),
    _route("logout", "logout", _POST, Endpoints.logout, reads_body=True),
    _route("logout/others", "logout-others", _POST, Endpoints.logout_others),
    _route("logout/everywhere", "logout-everywhere", _POST, Endpoints.logout_everywhere),
    _route("sessions", "sessions", _GET, Endpoints.sessions),
    _route("sessions/<str:session_id>", "session", ["DELETE"], Endpoints.end_session),
    _route("jwks", "jwks", _GET, Endpoints.jwks),
]

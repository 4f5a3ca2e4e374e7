"""The public keys at ``/.well-known/jwks.json``, for a Django project without the middleware.

.. code-block:: python

    urlpatterns = [path("", include("tokenwheel.web.django_well_known"))]

``tokenwheel.web.django.AuthMiddleware`` answers there by itself.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from .django_requests import headers_of, response_of
from .django_setting import current_auth
from .well_known import JWKS_PATH, keys_or_none

__all__ = ["urlpatterns"]


@csrf_exempt  # type: ignore[untyped-decorator]
def _keys(request: HttpRequest) -> HttpResponse:
    known = headers_of(request)("if-none-match")
    keys = keys_or_none(current_auth().gate, request.method, known)
    if keys is None:
        raise Http404
    return response_of(keys)


_keys.login_required = False

urlpatterns = [path(JWKS_PATH.lstrip("/"), _keys, name="tokenwheel-well-known-jwks")]

"""The addresses of the differential test in Django, plainly below ``/`` and for DRF below ``/drf``.

A process has one setting ``TOKENWHEEL``, so the test names the one of these that is asked.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny, IsAuthenticated

from tokenwheel.web.django import context_of, require_claims, signed_in
from tokenwheel.web.django_setting import current_auth
from tokenwheel.web.drf import HasScopes

by_django: Any = None
by_drf: Any = None

METHODS = ["GET", "POST", "DELETE"]
TEXT = "text/plain; charset=utf-8"


def told(claims: Any) -> HttpResponse:
    text = "nobody" if claims is None else f"{claims.subject} {claims.session_id}"
    return HttpResponse(text, content_type=TEXT)


@csrf_exempt
def login(request: HttpRequest) -> HttpResponse:
    manager = current_auth().gate.manager
    claims = {"scope": "admin"}
    tokens: Any = manager.create(claims, subject="ann", context=context_of(request))
    return signed_in(request, tokens)


@require_claims
def me(request: Any) -> HttpResponse:
    return told(request.claims)


@require_claims(scopes=["admin"])
def admin(request: Any) -> HttpResponse:
    return told(request.claims)


@require_claims(max_age=300)
def fresh(request: Any) -> HttpResponse:
    return told(request.claims)


@csrf_exempt
def optional(request: Any) -> HttpResponse:
    return told(request.claims)


@api_view(METHODS)
@permission_classes([IsAuthenticated])
def drf_me(request: Any) -> HttpResponse:
    return told(request.auth)


@api_view(METHODS)
@permission_classes([IsAuthenticated, HasScopes("admin")])
def drf_admin(request: Any) -> HttpResponse:
    return told(request.auth)


@api_view(METHODS)
@permission_classes([IsAuthenticated])
def drf_fresh(request: Any) -> HttpResponse:
    current_auth().gate.check(request.auth, max_age=300)
    return told(request.auth)


@api_view(METHODS)
@permission_classes([AllowAny])
def drf_optional(request: Any) -> HttpResponse:
    return told(request.auth)


urlpatterns = [
    path("login", login),
    path("me", me),
    path("admin", admin),
    path("fresh", fresh),
    path("optional", optional),
    path("drf/me", drf_me),
    path("drf/admin", drf_admin),
    path("drf/fresh", drf_fresh),
    path("drf/optional", drf_optional),
    path("session/", include("tokenwheel.web.django_urls")),
]

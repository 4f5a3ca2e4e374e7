"""The addresses of the tests' project of Django, and its views."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.contrib import admin
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from tests.web import django_project
from tokenwheel import TooManySessions
from tokenwheel.web.django import context_of, require_claims, signed_in, watch


def _shown(claims: Any) -> JsonResponse:
    return JsonResponse({"subject": None if claims is None else claims.subject})


def who(request: Any) -> HttpResponse:
    return _shown(request.claims)


async def who_async(request: Any) -> HttpResponse:
    return _shown(await request.aclaims())


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("untouched")


@require_claims
def me(request: Any) -> HttpResponse:
    return _shown(request.claims)


@require_claims
async def me_async(request: Any) -> HttpResponse:
    return _shown(request.claims)


@require_claims(scopes=["admin"])
def scoped(request: Any) -> HttpResponse:
    return _shown(request.claims)


@require_claims(max_age=300)
async def fresh(request: Any) -> HttpResponse:
    return _shown(request.claims)


@method_decorator(require_claims, name="dispatch")
class Page(View):
    def get(self, request: Any) -> HttpResponse:
        return _shown(request.claims)

    post = get


@method_decorator(require_claims, name="dispatch")
class WholeAsyncPage(View):
    async def get(self, request: Any) -> HttpResponse:
        return _shown(request.claims)

    post = get


class AsyncPage(View):
    @method_decorator(require_claims(scopes=["admin"]))
    async def get(self, request: Any) -> HttpResponse:
        return _shown(request.claims)


@csrf_exempt
def login(request: HttpRequest) -> HttpResponse:
    manager = django_project.auth.gate.manager
    tokens = manager.create({"scope": "admin"}, subject="ann", context=context_of(request))
    return signed_in(request, tokens)


@csrf_exempt
async def login_async(request: HttpRequest) -> HttpResponse:
    manager = django_project.auth.gate.manager
    tokens = await manager.create({}, subject="ann", context=context_of(request))
    return signed_in(request, tokens)


def full(request: HttpRequest) -> HttpResponse:
    raise TooManySessions("ann has 3 sessions, and may have 3")


async def full_async(request: HttpRequest) -> HttpResponse:
    raise TooManySessions("ann has 3 sessions, and may have 3")


@require_claims
def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("no such page")


@require_claims
def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken")


@require_claims
def elsewhere(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/me")


@require_claims
def stream(request: Any) -> HttpResponse:
    def source() -> Iterator[bytes]:
        for number in range(1000):
            yield f"data: {number}\n\n".encode()

    return StreamingHttpResponse(
        watch(request.claims).each(source()), content_type="text/event-stream"
    )


@require_claims
async def stream_async(request: Any) -> HttpResponse:
    async def source() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield f"data: {number}\n\n".encode()

    return StreamingHttpResponse(
        watch(request.claims).each(source()), content_type="text/event-stream"
    )


@require_claims
@csrf_protect
def with_token(request: Any) -> HttpResponse:
    return _shown(request.claims)


def user(request: Any) -> HttpResponse:
    return HttpResponse(f"{request.user} {request.user.is_authenticated}")


async def user_async(request: Any) -> HttpResponse:
    found = await request.auser()
    assert found is await request.auser()
    return HttpResponse(f"{found} {found.is_authenticated}")


@require_claims
@require_claims(scopes=["admin"])
def several(request: Any) -> HttpResponse:
    return who(request)


@require_claims
def sign_in_again(request: HttpRequest) -> HttpResponse:
    tokens = django_project.auth.gate.manager.create(subject="bob", context=context_of(request))
    return signed_in(request, tokens)


async def claims_async(request: Any) -> HttpResponse:
    return _shown(request.claims)


urlpatterns = [
    path("claims-async", claims_async),
    path("several", several),
    path("sign-in-again", sign_in_again),
    path("admin/", admin.site.urls),
    path("api/", include("tests.web.drf_views")),
    path("session/", include("tokenwheel.web.django_urls")),
    path("async-page", AsyncPage.as_view()),
    path("whole-async-page", WholeAsyncPage.as_view()),
    path("page", Page.as_view()),
    path("broken", broken),
    path("elsewhere", elsewhere),
    path("fresh", fresh),
    path("full", full),
    path("full-async", full_async),
    path("login", login),
    path("login-async", login_async),
    path("me", me),
    path("me-async", me_async),
    path("missing", missing),
    path("scoped", scoped),
    path("stream", stream),
    path("stream-async", stream_async),
    path("untouched", untouched),
    path("user", user),
    path("user-async", user_async),
    path("who", who),
    path("who-async", who_async),
    path("with-token", with_token),
]

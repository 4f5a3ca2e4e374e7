"""The addresses of the project, and its views."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .sessions import async_manager, manager


def sign_up(request: HttpRequest) -> HttpResponse:
    """Make a user, and log in."""
    user = User.objects.create(username=request.POST["name"])
    return HttpResponse(manager.create({}, subject=str(user.pk)).access_token)


def log_out(request: HttpRequest) -> HttpResponse:
    """End every session, and fail if asked to."""
    user = User.objects.get(username=request.POST["name"])
    user.first_name = "has left"
    user.save()
    ended = manager.delete_all(str(user.pk))
    if "fail" in request.POST:
        raise RuntimeError("asked to fail")
    return HttpResponse(str(ended))


async def log_out_async(request: HttpRequest) -> HttpResponse:
    """End every session of a user."""
    user: Any = await User.objects.aget(username=request.POST["name"])
    return HttpResponse(str(await async_manager.delete_all(str(user.pk))))


urlpatterns = [
    path("sign-up", sign_up),
    path("log-out", log_out),
    path("log-out-async", log_out_async),
]

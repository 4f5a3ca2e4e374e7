"""Views whose requests are transactions (``ATOMIC_REQUESTS``), for the tests of these."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

manager: Any = None
"""What the views end sessions by: a test sets it."""
alias: str = ""
"""Of the database: a test sets it."""


def log_out_and_fail(request: HttpRequest) -> HttpResponse:
    """Write to the database, end all sessions of a user, and fail."""
    from tokenwheel.django.models import Value

    if "write" in request.GET:
        Value.objects.using(alias).create(name="of the request", number=1)
    list(Value.objects.using(alias).all())
    assert manager.delete_all("ann") == 1
    raise RuntimeError("asked to fail")


async def log_out_async(request: HttpRequest) -> HttpResponse:
    """End all sessions of a user, by a manager of either colour."""
    ended = manager.delete_all("ann")
    return HttpResponse(str(ended if isinstance(ended, int) else await ended))


urlpatterns = [path("fail", log_out_and_fail), path("async", log_out_async)]

"""Requests of Django as a gate is told of them, and finished answers as responses of Django."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException

from ..errors import TokenwheelError
from ..models import SessionContext
from . import devices
from .answers import Answer
from .bodies import LONGEST_BODY
from .django_setting import current_auth
from .endpoints import Incoming
from .fields import Headers

__all__ = [
    "fields_of",
    "headers_of",
    "incoming_of",
    "keep_out_of_caches",
    "origin_of",
    "refused",
    "response_of",
]


_KEYS = {
    "authorization": "HTTP_AUTHORIZATION",
    "content-type": "CONTENT_TYPE",
    "cookie": "HTTP_COOKIE",
    "host": "HTTP_HOST",
    "if-none-match": "HTTP_IF_NONE_MATCH",
    "origin": "HTTP_ORIGIN",
    "sec-fetch-site": "HTTP_SEC_FETCH_SITE",
    "user-agent": "HTTP_USER_AGENT",
}
"""The header fields that a gate reads, as they are called in ``request.META``."""


def fields_of(request: HttpRequest) -> object:
    """Return the raw header fields of ASGI, or the environment of WSGI, as the gate takes them."""
    meta = request.META
    return meta if "wsgi.input" in meta else request.scope["headers"]


def headers_of(request: HttpRequest) -> Headers:
    """Return what returns the header fields of a request of Django or DRF, by their names."""
    meta = request.META
    if "wsgi.input" in meta:
        return lambda name: meta.get(_KEYS[name])
    scope = request.scope
    return lambda name: _cookies_of(scope) if name == "cookie" else meta.get(_KEYS[name])


def _cookies_of(scope: dict[str, Any]) -> str | None:
    """Return the cookies of an ASGI request.

    HTTP/2 sends each by itself (RFC 9113, section 8.2.3), and Django joins them with commas.
    """
    fields = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    return "; ".join(fields) if fields else None


def keep_out_of_caches(request: HttpRequest) -> None:
    """See to it that Django's caches don't keep the response, to give it to others.

    What they look at is set here, since a header would cost more than all the rest.
    """
    request._cache_update_cache = False


def origin_of(request: HttpRequest) -> SessionContext:
    """Return from where a request came: the peer as the server tells it, and the device."""
    return devices.context_of(request.META.get("REMOTE_ADDR"), request.META.get("HTTP_USER_AGENT"))


def incoming_of(request: HttpRequest, *, reads_body: bool = False) -> Incoming:
    """Return what a route for sessions is told of a request."""
    keep_out_of_caches(request)
    body = _body_of(request) if reads_body else b""
    return Incoming(request.method, headers_of(request), body, origin_of(request))


def _body_of(request: HttpRequest) -> bytes:
    """Return the body of a request, or one byte more than is allowed of a longer one."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or LONGEST_BODY + 1)
    except ValueError:
        raise BadRequest("Content-Length is no number") from None
    try:
        # What others may ask for again is kept by Django; what is too long, by nobody.
        body: bytes = request.body if length <= LONGEST_BODY else request.read(LONGEST_BODY + 1)
    except RawPostDataException:  # A form with files, which somebody has parsed before.
        return b""
    return body


def response_of(answer: Answer) -> HttpResponse:
    """Return Django's response for a finished answer."""
    response = HttpResponse(answer.body, status=answer.status)
    del response.headers["Content-Type"]
    for name, value in answer.headers:
        if name != "Set-Cookie":
            response.headers[name] = value
    if answer.status not in {204, 304}:
        response.headers["Content-Length"] = str(len(answer.body))
    answer.apply(response)
    return response


def refused(request: HttpRequest, error: TokenwheelError) -> HttpResponse:
    """Return the response to a request that an error has refused.

    A preflight never has credentials (Fetch, section 3.2.1). What it may do is for the project's
    CORS to say, which adds its headers to a response that is no refusal.
    """
    if request.method == "OPTIONS":
        return HttpResponse(status=200, headers={"Content-Length": "0"})
    return response_of(current_auth().gate.refusal(error, headers_of(request)))

"""A look through the header fields of a request for the access token that it bears.

It finds the token in plain requests alone, whose fields say all once, and in the common spelling.
Whether the token is good is the verifier's to say, and any other request is for
``web/admission.py``. The readable twin of ``ext/token/header_fields.pxd``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Found", "find_token", "is_b64token"]

_BEARER = b"Bearer "
_BLANKS = b" \t"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

is_b64token = re.compile(rb"[A-Za-z0-9\-._~+/]+=*").fullmatch
"""Matches what a bearer token may be at all (RFC 6750, section 2.1)."""


class Found(NamedTuple):
    """An access token, and whether it was in ``Authorization``."""

    token: bytes
    is_bearer: bool


def find_token(
    fields: object, cookie: bytes | None, takes_bearer: bool, method: object
) -> Found | None:
    """Return the access token of a request, or None where none is found.

    Args:
        fields: those of ASGI, a list of tuples ``(name in lower case, value)``; or a dict, the
            environment of WSGI (PEP 3333).
        cookie: the name of the cookie that may hold the token, or None.
        takes_bearer: whether ``Authorization`` is taken; it then decides alone where there is one.
        method: the request's method. A cookie counts for one that changes nothing, or where a page
            of the same origin has made the request.
    """
    if type(fields) is list:
        return _find_in_list(fields, cookie, takes_bearer, method)
    if type(fields) is dict:
        return _find_in_environ(fields, cookie, takes_bearer, method)
    return None


def _find_in_list(
    fields: list[object], cookie: bytes | None, takes_bearer: bool, method: object
) -> Found | None:
    authorization = site = origin = token = None
    for pair in fields:
        if type(pair) is not tuple or len(pair) != 2:
            return None
        name, value = pair
        if type(name) is not bytes or type(value) is not bytes:
            return None
        if name == b"authorization":
            if authorization is not None:
                return None
            authorization = value
        elif name == b"cookie" and cookie is not None:
            values = _values_of(value, cookie)
            if len(values) > 1 or (values and token is not None):
                return None
            token = values[0] if values else token
        elif name == b"sec-fetch-site":
            if site is not None:
                return None
            site = value
        elif name == b"origin":
            if origin is not None:
                return None
            origin = value
    if takes_bearer and authorization is not None:
        return _borne_by(authorization)
    if token and (_is_safe(method) or _are_of_own_page(site, origin)):
        return Found(token, is_bearer=False)
    return None


def _find_in_environ(
    environ: dict[str, object], cookie: bytes | None, takes_bearer: bool, method: object
) -> Found | None:
    if takes_bearer and environ.get("HTTP_AUTHORIZATION") is not None:
        authorization = _octets_of(environ["HTTP_AUTHORIZATION"])
        return None if authorization is None else _borne_by(authorization)
    cookies = None if cookie is None else _octets_of(environ.get("HTTP_COOKIE"))
    if cookies is None or cookie is None:
        return None
    values = _values_of(cookies, cookie)
    if len(values) != 1 or not values[0]:
        return None
    if not _is_safe(method):
        origin = environ.get("HTTP_ORIGIN")
        octets = _octets_of(origin)
        if origin is not None and octets is None:
            return None
        if not _are_of_own_page(_octets_of(environ.get("HTTP_SEC_FETCH_SITE")), octets):
            return None
    return Found(values[0], is_bearer=False)


def _is_safe(method: object) -> bool:
    """Return whether a method changes nothing, so that it doesn't matter who made it be sent."""
    return type(method) is str and method in _SAFE_METHODS


def _are_of_own_page(site: bytes | None, origin: bytes | None) -> bool:
    """Return whether a page of the same origin has made the browser send a request."""
    return site == b"same-origin" and origin != b"null" and b"," not in (origin or b"")


def _borne_by(authorization: bytes) -> Found | None:
    if authorization.startswith(_BEARER) and len(authorization) > len(_BEARER):
        return Found(authorization[len(_BEARER) :], is_bearer=True)
    return None


def _values_of(field: bytes, cookie: bytes) -> list[bytes]:
    """Return the values of the cookies that have this name."""
    members = [member.partition(b"=") for member in field.split(b";")]
    return [
        value.strip(_BLANKS)
        for name, equals, value in members
        if equals and name.strip(_BLANKS) == cookie
    ]


def _octets_of(value: object) -> bytes | None:
    """Return the octets of a plain text of ASCII, or None for what is none."""
    return value.encode() if type(value) is str and value.isascii() else None

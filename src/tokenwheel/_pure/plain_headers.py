"""Requests whose raw header fields are plain, admitted at one look.

This is the fast way of ``web/gate.py`` for requests as nearly all are: the fields say everything
once, and in the common spelling. Whatever else there is, nobody is found here, and the gate's
general way decides. So this one can only let in whom that one lets in, too. The readable twin of
``plain_headers.pyx``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import TokenwheelError

__all__ = ["admit_plain"]

T = TypeVar("T")

_BEARER = b"Bearer "
_BLANKS = b" \t"
_OF_WSGI = (
    ("HTTP_AUTHORIZATION", b"authorization"),
    ("HTTP_COOKIE", b"cookie"),
    ("HTTP_SEC_FETCH_SITE", b"sec-fetch-site"),
    ("HTTP_ORIGIN", b"origin"),
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def admit_plain(
    read: Callable[[bytes], T], cookie: bytes | None, bearer: bool, method: object, pairs: object
) -> T | None:
    """Return what a request's access token is read as, or None where that is for others to decide.

    A cookie counts for a safe method, or in a request that a page of the same origin has made.

    Args:
        read: returns the claims of a token, or refuses it by an error of ours.
        cookie: the name of the cookie that may hold the token, or None.
        bearer: whether ``Authorization`` is taken; it then decides alone where there is one.
        method: the request's method.
        pairs: the raw fields of ASGI, a list of tuples ``(name in lower case, value)``; or a dict,
            the environment of WSGI (PEP 3333).
    """
    safe = type(method) is str and method in _SAFE_METHODS
    token = _access_token_in(pairs, cookie, bearer, unsafe=not safe)
    if token is None:
        return None
    try:
        return read(token)
    except TokenwheelError:
        return None
    finally:
        del token  # No error shows it.


def _access_token_in(
    pairs: object, cookie: bytes | None, bearer: bool, unsafe: bool
) -> bytes | None:
    if type(pairs) is dict:
        pairs = _fields_in(pairs)
    if type(pairs) is not list:
        return None
    authorization = site = origin = token = None
    for pair in pairs:
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
            for member in value.split(b";"):
                key, equals, text = member.partition(b"=")
                if equals and key.strip(_BLANKS) == cookie:
                    if token is not None:
                        return None
                    token = text.strip(_BLANKS)
        elif name == b"sec-fetch-site":
            if site is not None:
                return None
            site = value
        elif name == b"origin":
            if origin is not None:
                return None
            origin = value
    if bearer and authorization is not None:
        borne = authorization.startswith(_BEARER) and len(authorization) > len(_BEARER)
        return authorization[len(_BEARER) :] if borne else None
    if unsafe and (site != b"same-origin" or origin == b"null" or b"," in (origin or b"")):
        return None
    return token or None


def _fields_in(environ: dict[str, object]) -> list[tuple[bytes, bytes]] | None:
    """Return the fields that the environment of WSGI has, or None where one is not plain."""
    fields = []
    for key, name in _OF_WSGI:
        value = environ.get(key)
        if value is not None:
            if type(value) is not str or not value.isascii():
                return None
            fields.append((name, value.encode()))
    return fields

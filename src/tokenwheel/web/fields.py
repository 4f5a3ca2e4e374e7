"""The header fields of a request, as the gate asks for them: by name, one text each."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

from ..errors import InvalidArgument
from ..exact import named, text_of

__all__ = ["Headers", "field"]

Headers = Callable[[str], str | None]
"""Returns the value of a header field by its name in lower case, or None where it is absent.

``request.headers.get`` of Starlette, Flask, Django, Quart and Litestar are such.
"""

# What returns all values of a name, beside a ``get`` that returns the first one alone: of Starlette
# and Werkzeug, of multidict (Litestar, aiohttp), of the standard library.
_LISTERS = ("getlist", "getall", "get_all")


def field(headers: Headers, name: str) -> str | None:
    """Return the value of a header field, or None where the request has none.

    What a request says twice is returned as one text (RFC 9110, section 5.2; for cookies RFC 9113,
    section 8.2.3), so that it can't be read in two ways.

    Raises:
        InvalidArgument: ``headers`` is no such callable, failed, or returned something else.
    """
    try:
        if type(headers) is FunctionType or type(getattr(headers, "__self__", None)) is dict:
            value: object = headers(name)
        else:
            value = _value_of(headers, name)
    except Exception as error:  # any: the callable is the caller's own
        raise InvalidArgument(
            "headers must be a callable that returns a header field by its name"
        ) from error
    if value is None or type(value) is str:
        return value
    text = text_of(value)
    if text is None:
        raise InvalidArgument(f"headers must return a str or None, and returned {named(value)}")
    return text


def _value_of(headers: Any, name: str) -> object:
    """Return all values of a field as one, where a ``get`` might return the first one alone."""
    owner = getattr(headers, "__self__", None)
    kind: type = type(owner)
    lister = _lister_of(kind)
    if lister is None or headers.__name__ != "get":
        return headers(name)
    find_all = getattr(owner, lister)
    values = find_all(name) if lister == "getlist" else find_all(name, [])
    if len(values) == 1:
        return values[0]
    return ("; " if name == "cookie" else ", ").join(values) if values else None


@lru_cache(maxsize=64)
def _lister_of(kind: type) -> str | None:
    """Return the name of the method that returns all values, or None where there is none."""
    return next((name for name in _LISTERS if callable(getattr(kind, name, None))), None)

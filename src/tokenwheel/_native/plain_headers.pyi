from collections.abc import Callable
from typing import TypeVar

__all__ = ["admit_plain"]

_T = TypeVar("_T")

def admit_plain(
    read: Callable[[bytes], _T], cookie: bytes | None, bearer: bool, method: object, pairs: object
) -> _T | None:
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

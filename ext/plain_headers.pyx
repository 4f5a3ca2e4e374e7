"""Requests whose raw header fields are plain, admitted at one look: the compiled twin.

``_pure/plain_headers.py`` is the one to read first. Here a field is told by its length first, and
nothing is copied but the token.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from tokenwheel.errors import TokenwheelError

__all__ = ["admit_plain"]

cdef tuple OF_WSGI = (
    ("HTTP_AUTHORIZATION", b"authorization"),
    ("HTTP_COOKIE", b"cookie"),
    ("HTTP_SEC_FETCH_SITE", b"sec-fetch-site"),
    ("HTTP_ORIGIN", b"origin"),
)


def admit_plain(read, bytes cookie, bint bearer, method, pairs):
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
    cdef bint safe = type(method) is str and (
        <str>method == "GET" or <str>method == "HEAD" or <str>method == "OPTIONS"
    )
    cdef bytes token = access_token_in(pairs, cookie, bearer, not safe)
    if token is None:
        return None
    try:
        return read(token)
    except TokenwheelError:
        return None


cdef bytes access_token_in(pairs, bytes cookie, bint bearer, bint unsafe):
    """Return the access token of a request whose header fields are plain, or None."""
    cdef bytes name
    cdef bytes value
    cdef bytes authorization = None
    cdef bytes holder = None  # the cookie field in which the token is
    cdef bytes site = None
    cdef bytes origin = None
    cdef const char* token = NULL
    cdef Py_ssize_t length = 0
    cdef Py_ssize_t members
    if type(pairs) is dict:
        pairs = fields_in(<dict>pairs)
    if type(pairs) is not list:
        return None
    for pair in <list>pairs:
        if type(pair) is not tuple or len(<tuple>pair) != 2:
            return None
        if type((<tuple>pair)[0]) is not bytes or type((<tuple>pair)[1]) is not bytes:
            return None
        name = <bytes>(<tuple>pair)[0]
        value = <bytes>(<tuple>pair)[1]
        if is_named(name, "authorization", 13):
            if authorization is not None:
                return None
            authorization = value
        elif cookie is not None and is_named(name, "cookie", 6):
            members = find_cookie(value, cookie, &token, &length)
            if members != 0:
                if members > 1 or holder is not None:
                    return None
                holder = value
        elif is_named(name, "sec-fetch-site", 14):
            if site is not None:
                return None
            site = value
        elif is_named(name, "origin", 6):
            if origin is not None:
                return None
            origin = value
    if bearer and authorization is not None:
        length = PyBytes_GET_SIZE(authorization) - 7
        token = PyBytes_AS_STRING(authorization)
        if length <= 0 or memcmp(token, "Bearer ", 7) != 0:
            return None
        return PyBytes_FromStringAndSize(token + 7, length)
    if holder is None or length == 0:
        return None
    if unsafe:
        if site is None or not is_named(site, "same-origin", 11):
            return None
        if origin is not None and (
            is_named(origin, "null", 4)
            or memchr(PyBytes_AS_STRING(origin), b",", PyBytes_GET_SIZE(origin)) != NULL
        ):
            return None
    return PyBytes_FromStringAndSize(token, length)


cdef list fields_in(dict environ):
    """Return the fields that the environment of WSGI has, or None where one is not plain."""
    cdef list fields = []
    for key, name in OF_WSGI:
        value = environ.get(key)
        if value is not None:
            if type(value) is not str or not (<str>value).isascii():
                return None
            fields.append((name, (<str>value).encode("ascii")))
    return fields


cdef inline bint is_named(bytes name, const char* text, Py_ssize_t length) noexcept:
    """Return True for exactly this text."""
    return (
        PyBytes_GET_SIZE(name) == length and memcmp(PyBytes_AS_STRING(name), text, length) == 0
    )


cdef Py_ssize_t find_cookie(
    bytes header, bytes cookie, const char** token, Py_ssize_t* length
) noexcept:
    """Return how many cookies of a field have the name, and tell the value of the last of them."""
    cdef const char* at = PyBytes_AS_STRING(header)
    cdef const char* end = at + PyBytes_GET_SIZE(header)
    cdef const char* name = PyBytes_AS_STRING(cookie)
    cdef Py_ssize_t name_length = PyBytes_GET_SIZE(cookie)
    cdef const char* stop
    cdef const char* last
    cdef Py_ssize_t found = 0
    while True:
        stop = <const char*>memchr(at, b";", end - at)
        if stop == NULL:
            stop = end
        while at < stop and is_blank(at[0]):
            at += 1
        if stop - at > name_length and memcmp(at, name, name_length) == 0:
            at += name_length
            while at < stop and is_blank(at[0]):
                at += 1
            if at < stop and at[0] == b"=":
                at += 1
                last = stop
                while at < last and is_blank(at[0]):
                    at += 1
                while last > at and is_blank(last[-1]):
                    last -= 1
                token[0] = at
                length[0] = last - at
                found += 1
        if stop == end:
            return found
        at = stop + 1


cdef inline bint is_blank(char sign) noexcept:
    return sign == b" " or sign == b"\t"

"""A look through the header fields of a request for the access token that it bears.

It finds where the token lies, in the fields as a server hands them out; nothing is copied. It finds
it in plain requests alone, whose fields say all once, and in the common spelling. Whether the token
is good is the verifier's to say, and any other request is for ``web/admission.py``. The readable
twin is ``_pure/header_fields.py``.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.string cimport memchr, memcmp

from unicode cimport (
    PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII, PyUnicode_READY,
)


cdef extern from "Python.h":
    bint PyBytes_CheckExact(PyObject* candidate)
    bint PyTuple_CheckExact(PyObject* candidate)
    Py_ssize_t PyTuple_GET_SIZE(PyObject* pair)
    PyObject* PyTuple_GET_ITEM(PyObject* pair, Py_ssize_t place)
    Py_ssize_t PyList_GET_SIZE(list fields)
    PyObject* PyList_GET_ITEM(list fields, Py_ssize_t place)


cdef struct header_fields_text:
    const char* start  # NULL where there is none
    Py_ssize_t length


cdef struct header_fields_token:
    header_fields_text text
    bint is_bearer


cdef inline object header_fields_find(
    object fields, bytes cookie, bint takes_bearer, object method, header_fields_token* token
):
    """Return what holds the access token of a request, or None where none is found.

    The token's text stands for as long as its holder is held.

    Args:
        fields: those of ASGI, a list of tuples ``(name in lower case, value)``; or a dict, the
            environment of WSGI (PEP 3333).
        cookie: the name of the cookie that may hold the token, or None.
        takes_bearer: whether ``Authorization`` is taken; it then decides alone where there is one.
        method: the request's method. A cookie counts for one that changes nothing, or where a page
            of the same origin has made the request.
        token: where the token lies is written there.
    """
    cdef object holder = None
    if type(fields) is list:
        # Another thread may take out of the list what is looked at. Nothing in here runs code that
        # could let go of the lock, and the holder is held before it ends.
        with cython.critical_section(fields):
            holder = header_fields_in_list(<list>fields, cookie, takes_bearer, method, token)
    elif type(fields) is dict:
        holder = header_fields_in_environ(<dict>fields, cookie, takes_bearer, method, token)
    return holder


cdef inline object header_fields_in_list(
    list fields, bytes cookie, bint takes_bearer, object method, header_fields_token* token
):
    cdef PyObject *pair
    cdef PyObject *value
    cdef PyObject *authorization = NULL
    cdef PyObject *holder = NULL
    cdef header_fields_text name
    cdef header_fields_text text
    cdef header_fields_text borne = header_fields_text(NULL, 0)
    cdef header_fields_text site = header_fields_text(NULL, 0)
    cdef header_fields_text origin = header_fields_text(NULL, 0)
    cdef Py_ssize_t place, members
    for place in range(PyList_GET_SIZE(fields)):
        pair = PyList_GET_ITEM(fields, place)
        if not PyTuple_CheckExact(pair) or PyTuple_GET_SIZE(pair) != 2:
            return None
        value = PyTuple_GET_ITEM(pair, 1)
        if not header_fields_of_bytes(PyTuple_GET_ITEM(pair, 0), &name):
            return None
        if not header_fields_of_bytes(value, &text):
            return None
        if header_fields_is(name, "authorization", 13):
            if authorization != NULL:
                return None
            authorization = value
            borne = text
        elif cookie is not None and header_fields_is(name, "cookie", 6):
            members = header_fields_find_cookie(text, cookie, &token.text)
            if members > 1 or (members == 1 and holder != NULL):
                return None
            if members == 1:
                holder = value
        elif header_fields_is(name, "sec-fetch-site", 14):
            if site.start != NULL:
                return None
            site = text
        elif header_fields_is(name, "origin", 6):
            if origin.start != NULL:
                return None
            origin = text
    token.is_bearer = takes_bearer and authorization != NULL
    if token.is_bearer:
        return <object>authorization if header_fields_find_bearer(borne, &token.text) else None
    if holder == NULL or token.text.length == 0:
        return None
    if header_fields_is_safe(method) or header_fields_are_of_own_page(site, origin):
        return <object>holder
    return None


cdef inline object header_fields_in_environ(
    dict environ, bytes cookie, bint takes_bearer, object method, header_fields_token* token
):
    cdef object holder = environ.get("HTTP_AUTHORIZATION") if takes_bearer else None
    # Held while their texts are looked at, since a key may be compared by code of its own.
    cdef object named_site
    cdef object named_origin
    cdef header_fields_text text
    cdef header_fields_text site
    cdef header_fields_text origin
    token.is_bearer = holder is not None
    if token.is_bearer:
        if header_fields_of_str(holder, &text) and header_fields_find_bearer(text, &token.text):
            return holder
        return None
    if cookie is None:
        return None
    holder = environ.get("HTTP_COOKIE")
    if not header_fields_of_str(holder, &text):
        return None
    if header_fields_find_cookie(text, cookie, &token.text) != 1 or token.text.length == 0:
        return None
    if header_fields_is_safe(method):
        return holder
    named_site = environ.get("HTTP_SEC_FETCH_SITE")
    named_origin = environ.get("HTTP_ORIGIN")
    if not header_fields_of_str(named_site, &site):
        return None
    if not header_fields_of_str(named_origin, &origin) and named_origin is not None:
        return None
    return holder if header_fields_are_of_own_page(site, origin) else None


cdef inline bint header_fields_is_safe(object method):
    """Return whether a method changes nothing, so that it doesn't matter who made it be sent."""
    cdef header_fields_text text
    return header_fields_of_str(method, &text) and (
        header_fields_is(text, "GET", 3)
        or header_fields_is(text, "HEAD", 4)
        or header_fields_is(text, "OPTIONS", 7)
    )


cdef inline bint header_fields_are_of_own_page(
    header_fields_text site, header_fields_text origin
) noexcept:
    """Return whether a page of the same origin has made the browser send a request."""
    if not header_fields_is(site, "same-origin", 11):
        return False
    return origin.start == NULL or not (
        header_fields_is(origin, "null", 4) or memchr(origin.start, c",", origin.length) != NULL
    )


cdef inline bint header_fields_find_bearer(
    header_fields_text field, header_fields_text* token
) noexcept:
    """Return whether a field bears a token, and tell where that lies."""
    if field.length <= 7 or memcmp(field.start, "Bearer ", 7) != 0:
        return False
    token.start = field.start + 7
    token.length = field.length - 7
    return True


cdef inline Py_ssize_t header_fields_find_cookie(
    header_fields_text field, bytes cookie, header_fields_text* value
) noexcept:
    """Return how many cookies of a field have the name, and tell where the last value lies."""
    cdef const char* at = field.start
    cdef const char* end = at + field.length
    cdef const char* stop
    cdef const char* last
    cdef Py_ssize_t found = 0
    while True:
        stop = <const char*>memchr(at, c";", end - at)
        if stop == NULL:
            stop = end
        at = header_fields_skip_blanks(at, stop)
        if (
            stop - at > PyBytes_GET_SIZE(cookie)
            and memcmp(at, PyBytes_AS_STRING(cookie), PyBytes_GET_SIZE(cookie)) == 0
        ):
            at = header_fields_skip_blanks(at + PyBytes_GET_SIZE(cookie), stop)
            if at < stop and at[0] == c"=":
                at = header_fields_skip_blanks(at + 1, stop)
                last = stop
                while last > at and header_fields_is_blank(last[-1]):
                    last -= 1
                value.start = at
                value.length = last - at
                found += 1
        if stop == end:
            return found
        at = stop + 1


# Texts as they lie in the objects of a server.

cdef inline bint header_fields_of_bytes(PyObject* value, header_fields_text* text) noexcept:
    """Return whether a value is plain octets, and tell where they lie."""
    if not PyBytes_CheckExact(value):
        return False
    text.start = PyBytes_AS_STRING(<object>value)
    text.length = PyBytes_GET_SIZE(<object>value)
    return True


cdef inline bint header_fields_of_str(object value, header_fields_text* text) except -1:
    """Return whether a value is a plain text of ASCII, and tell where it lies."""
    text.start = NULL
    text.length = 0
    if type(value) is not str:
        return False
    PyUnicode_READY(value)
    if not PyUnicode_IS_ASCII(value):
        return False
    text.start = <const char*>PyUnicode_1BYTE_DATA(value)
    text.length = PyUnicode_GET_LENGTH(value)
    return True


cdef inline bint header_fields_is(
    header_fields_text text, const char* expected, Py_ssize_t length
) noexcept:
    return text.length == length and memcmp(text.start, expected, length) == 0


cdef inline const char* header_fields_skip_blanks(const char* at, const char* end) noexcept:
    """Return where the first character lies that is not blank."""
    while at < end and header_fields_is_blank(at[0]):
        at += 1
    return at


cdef inline bint header_fields_is_blank(char sign) noexcept:
    return sign == c" " or sign == c"\t"


cdef inline bint header_fields_is_b64token(header_fields_text text) noexcept:
    """Return whether a text is what a bearer token may be at all (RFC 6750, section 2.1)."""
    cdef Py_ssize_t length = text.length
    cdef Py_ssize_t place
    while length > 0 and text.start[length - 1] == c"=":
        length -= 1
    for place in range(length):
        if not header_fields_is_token_sign(text.start[place]):
            return False
    return length > 0


cdef inline bint header_fields_is_token_sign(char sign) noexcept:
    return (
        c"a" <= sign <= c"z" or c"A" <= sign <= c"Z" or c"-" <= sign <= c"9"  # also . and /
        or sign == c"_" or sign == c"~" or sign == c"+"
    )

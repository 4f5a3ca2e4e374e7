"""Private copies of the plain JSON that a caller hands in: the compiled twin.

``_pure/plain_json.py`` is the one to read first. Here a dict of single values is copied whole, which
is nearly free, and only arrays and objects in it are then replaced by copies of their own.
"""

from cpython.dict cimport PyDict_Copy, PyDict_Next
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.list cimport PyList_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.ref cimport PyObject
from libc.math cimport isfinite

from unicode cimport PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII, PyUnicode_READY

from tokenwheel.errors import InvalidArgument
from tokenwheel.exact import (
    NotPlain, TooLarge, members_of, nested_members_of, plain_of, type_name_of,
)
from tokenwheel.json_text import digits_of

__all__ = ["LARGEST_PAYLOAD", "MAX_NESTING", "copy_plain"]

MAX_NESTING = 32  # levels of JSON objects and arrays, the outermost being the first
LARGEST_PAYLOAD = 6144  # bytes of JSON: 8 KiB as base64url

cdef int DEEPEST = MAX_NESTING


def copy_plain(mapping, str whole not None, str member not None, Py_ssize_t most):
    """Return a private copy of a mapping that holds plain JSON, with arrays as lists.

    Args:
        mapping: any mapping. It counts as the first level of nesting.
        whole: what an error calls it.
        member: what an error calls a member, before the member's name.
        most: the bytes of JSON that it may have at most. More of them may be let through, as long
            as it has fewer values and characters.

    Raises:
        InvalidArgument: it would not come back from JSON as it is; says why.
    """
    cdef Py_ssize_t room = most
    cdef Py_ssize_t position = 0
    cdef PyObject* key = NULL
    cdef PyObject* below = NULL
    cdef dict copied = None
    cdef object name
    cdef object value
    if type(mapping) is dict and len(<dict>mapping) <= most:
        copied = snapshot(<dict>mapping)
    if copied is None:
        copied = members_of(mapping, whole, most)
    while PyDict_Next(copied, &position, &key, &below):
        name = <object>key
        value = <object>below
        if not is_unicode(name):
            raise InvalidArgument(f"{whole} must have names without lone surrogates")
        try:
            take(&room, PyUnicode_GET_LENGTH(name) + 3)  # two quotes and a colon
            if not is_single(value, &room):
                # The name is there already, so the dict keeps its shape while it is walked.
                copied[name] = copy_below(value, DEEPEST - 1, &room)
        except TooLarge:
            raise InvalidArgument(f"{whole} must have at most {most} bytes of JSON") from None
        except NotPlain as error:
            raise InvalidArgument(f"{member} {name!r} {error}") from None
    return copied


cdef dict snapshot(dict given):
    """Return a copy of a dict as it is at this moment, or None if a name in it is no plain str."""
    cdef dict copied
    cdef Py_ssize_t position = 0
    cdef PyObject* key = NULL
    try:
        copied = PyDict_Copy(given)
    except Exception:  # any: a name that is compared runs code of the caller
        return None
    while PyDict_Next(copied, &position, &key, NULL):
        if type(<object>key) is not str:
            return None
    return copied


cdef inline bint is_single(object value, Py_ssize_t* room) except -1:
    """Return whether a value is plain and neither an array nor an object, and take its room.

    Raise NotPlain where it is of a single type, and JSON does not hold it.
    """
    cdef int is_out_of_range = 0
    if type(value) is str:
        PyUnicode_READY(value)
        take(room, PyUnicode_GET_LENGTH(value) + 2)
        if not is_unicode(value):
            raise NotPlain("has a text with a lone surrogate")
        return True
    take(room, 1)
    if value is None or type(value) is bool:
        return True
    if type(value) is int:
        PyLong_AsLongLongAndOverflow(value, &is_out_of_range)
        if is_out_of_range and not 0 <= value < 2**64:
            take(room, digits_of(value, room[0]) - 1)
        return True
    if type(value) is float:
        if not isfinite(PyFloat_AS_DOUBLE(value)):
            raise NotPlain("has a number that JSON cannot hold (NaN or an infinity)")
        return True
    return False


cdef object copy_below(object value, int levels, Py_ssize_t* room):
    """Return a private copy of an array or an object, which may have so many levels.

    A text or a number of a subclass becomes one of the plain type.
    """
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t place
    cdef PyObject* key = NULL
    cdef PyObject* below = NULL
    cdef dict members
    cdef list items
    cdef object name
    cdef object item
    cdef object plain
    if type(value) is not dict and type(value) is not list and type(value) is not tuple:
        plain = plain_of(value)
        if plain is value:
            raise NotPlain(f"has a value of type {type_name_of(value)}, which is not JSON")
        room[0] += 1  # which was taken for what was not known to be a text or a number
        is_single(plain, room)
        return plain
    if levels == 0:
        raise NotPlain(f"is nested deeper than {MAX_NESTING} levels")
    if len(value) > room[0]:  # Each item takes a byte, and more.
        raise TooLarge
    if type(value) is dict:
        members = snapshot(<dict>value)
        if members is None:
            members = nested_members_of(value)
        while PyDict_Next(members, &position, &key, &below):
            name = <object>key
            item = <object>below
            if not is_unicode(name):
                raise NotPlain("has an object with a name that is not a str of valid Unicode")
            take(room, PyUnicode_GET_LENGTH(name) + 3)
            if not is_single(item, room):
                members[name] = copy_below(item, levels - 1, room)
        return members
    items = list(value)
    for place in range(PyList_GET_SIZE(items)):
        item = items[place]
        if not is_single(item, room):
            items[place] = copy_below(item, levels - 1, room)
    return items


cdef inline int take(Py_ssize_t* room, Py_ssize_t size) except -1:
    """Take room for so many bytes, which is never more than JSON takes."""
    room[0] -= size
    if room[0] < 0:
        raise TooLarge
    return 0


cdef inline bint is_unicode(object text) except -1:
    """Return whether a plain ``str`` has a UTF-8 form, which a lone surrogate has not."""
    PyUnicode_READY(text)
    if PyUnicode_IS_ASCII(text):
        return True
    try:
        (<str>text).encode()
    except UnicodeEncodeError:
        return False
    return True

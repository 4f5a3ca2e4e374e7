"""JSON objects in which no name stands twice and nothing is nested beyond reason.

Two readers of an object with a name twice may take different values (RFC 8725, section 2.4 tells of
the like), and parsers keep the last without a word. So the members of what was parsed are counted,
and the colons of its text: there is one a member.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.ref cimport PyObject
from libc.string cimport memchr


cdef inline dict json_object_parse(object loads_quickly, object loads, bytes text, int deepest):
    """Return the object that a JSON text is.

    Return None where it is anything else, has a name twice in one object, or is nested too deeply.
    What ``loads_quickly`` refuses is read again by ``loads``, since integers in it may be of any
    size, unless that is None: it is slower, and no work for a text that anybody may have sent.
    """
    cdef Py_ssize_t members
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    try:
        parsed = loads_quickly(text)
    except RecursionError:
        if _json_object_is_deeper(PyBytes_AS_STRING(text), length, deepest):
            return None
        raise  # It is the caller who has no levels left.
    except ValueError:
        parsed = _json_object_again(loads, text)
    if type(parsed) is not dict:
        return None
    members = _json_object_members(parsed, deepest)
    if members < 0:
        return None
    # Strings can hold colons, so there may be more than members; that there are no more settles it
    # without a look at the strings.
    if (
        members != _json_object_all_colons(PyBytes_AS_STRING(text), length)
        and members != _json_object_colons(PyBytes_AS_STRING(text), length)
    ):
        return None
    return <dict>parsed


cdef inline object _json_object_again(object loads, bytes text):
    if loads is None:
        return None
    try:
        return loads(text)
    except ValueError:
        return None


cdef inline Py_ssize_t _json_object_members(object value, int levels) except -2:
    """Return how many members the objects in a parsed value have in all.

    Return -1 where the value has more levels than so many.
    """
    cdef Py_ssize_t members = 0
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t below = 0
    cdef PyObject* item = NULL
    if levels == 0:
        return -1
    if type(value) is dict:
        members = len(<dict>value)
        while below >= 0 and PyDict_Next(value, &position, NULL, &item):
            below = _json_object_members_below(<object>item, levels)
            members += below
    else:
        for element in <list>value:
            below = _json_object_members_below(element, levels)
            members += below
            if below < 0:
                break
    return members if below >= 0 else -1


cdef inline Py_ssize_t _json_object_members_below(object value, int levels) except -2:
    if type(value) is dict or type(value) is list:
        return _json_object_members(value, levels - 1)
    return 0


cdef inline Py_ssize_t _json_object_all_colons(const char* text, Py_ssize_t length) noexcept nogil:
    cdef const char* end = text + length
    cdef Py_ssize_t colons = 0
    while True:
        text = <const char*>memchr(text, c":", end - text)
        if text == NULL:
            return colons
        colons += 1
        text += 1


cdef inline Py_ssize_t _json_object_colons(const char* text, Py_ssize_t length) noexcept nogil:
    """Return how many colons of a well-formed JSON text stand outside its strings."""
    cdef Py_ssize_t colons = 0
    cdef Py_ssize_t position = 0
    while position < length:
        if text[position] == c'"':
            position += 1
            while position < length and text[position] != c'"':
                position += 2 if text[position] == c"\\" else 1
        elif text[position] == c":":
            colons += 1
        position += 1
    return colons


cdef inline bint _json_object_is_deeper(
    const char* text, Py_ssize_t length, int levels
) noexcept nogil:
    """Return whether more arrays and objects are within each other, outside strings, than so many."""
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t depth = 0
    while position < length and depth <= levels:
        if text[position] == c'"':
            position += 1
            while position < length and text[position] != c'"':
                position += 2 if text[position] == c"\\" else 1
        elif text[position] == c"[" or text[position] == c"{":
            depth += 1
        elif text[position] == c"]" or text[position] == c"}":
            depth -= 1
        position += 1
    return depth > levels

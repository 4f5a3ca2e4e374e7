"""JSON objects in which no name stands twice and nothing is nested beyond reason.

Two readers of an object with a name twice may take different values (RFC 8725, section 2.4 tells of
the like), and parsers keep the last without a word. So the members of what was parsed are counted,
and the colons of its text: there is one a member.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.ref cimport PyObject
from libc.math cimport fabs
from libc.string cimport memchr


cdef inline dict json_object_parse(object loads, object loads_exactly, bytes text, int deepest):
    """Return the object that a JSON text is.

    Return None where it is anything else, has a name twice in one object, or is nested too deeply.
    What ``loads`` refuses or may have rounded is read again by ``loads_exactly``, unless that is
    None: it is slower, and no work for a text that anybody may have sent.
    """
    cdef Py_ssize_t members
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    cdef bint is_rounded = False
    try:
        parsed = loads(text)
    except ValueError:
        parsed = _json_object_exactly(loads_exactly, text)
    if type(parsed) is not dict:
        return None
    members = _json_object_members(parsed, deepest, &is_rounded)
    if members < 0:
        return None
    # Strings can hold colons, so there may be more than members; that there are no more settles it
    # without a look at the strings.
    if (
        members != _json_object_all_colons(PyBytes_AS_STRING(text), length)
        and members != _json_object_colons(PyBytes_AS_STRING(text), length)
    ):
        return None
    if is_rounded and loads_exactly is not None:
        parsed = _json_object_exactly(loads_exactly, text)
    return <dict>parsed


cdef inline object _json_object_exactly(object loads_exactly, bytes text):
    if loads_exactly is None:
        return None
    try:
        return loads_exactly(text)
    except ValueError:
        return None


cdef inline Py_ssize_t _json_object_members(
    object value, int levels, bint* is_rounded
) except -2:
    """Return how many members the objects in a parsed value have in all.

    Return -1 where the value has more levels than so many. Write where it holds a double so large
    that it may be a rounded integer.
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
            below = _json_object_members_below(<object>item, levels, is_rounded)
            members += below
    else:
        for element in <list>value:
            below = _json_object_members_below(element, levels, is_rounded)
            members += below
            if below < 0:
                break
    return members if below >= 0 else -1


cdef inline Py_ssize_t _json_object_members_below(
    object value, int levels, bint* is_rounded
) except -2:
    if type(value) is dict or type(value) is list:
        return _json_object_members(value, levels - 1, is_rounded)
    # Of 2**63 and more is what orjson makes of an integer of more than 64 bits.
    if type(value) is float and not fabs(PyFloat_AS_DOUBLE(value)) < 9223372036854775808.0:
        is_rounded[0] = True
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

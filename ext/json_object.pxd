"""JSON objects in which no name stands twice and nothing is nested beyond reason.

Two readers of an object with a name twice may take different values (RFC 8725, section 2.4 tells of the like), and parsers keep the last
without a word. So the members of what was parsed are counted, and the colons of its text: there is one a member.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


cdef inline dict parse_json_object(object loads, bytes text, int deepest):
    """The object that a text is; None where it is anything else, has a name twice in one object, or is nested too deeply."""
    cdef Py_ssize_t members
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    try:
        parsed = loads(text)
    except ValueError:
        return None
    if type(parsed) is not dict:
        return None
    members = count_members(parsed, deepest)
    if members < 0:
        return None
    # Strings can hold colons, so there may be more than members; that there are no more settles it without a look at the strings.
    if members != count_all_colons(PyBytes_AS_STRING(text), length) and members != count_colons(PyBytes_AS_STRING(text), length):
        return None
    return <dict>parsed


cdef inline Py_ssize_t count_members(object value, int levels) except -2:
    """How many members the objects in a parsed value have in all; -1 where it has more levels than these."""
    cdef Py_ssize_t members = 0
    cdef Py_ssize_t found
    if levels == 0:
        return -1
    if type(value) is dict:
        members = len(<dict>value)
        for item in (<dict>value).values():
            if type(item) is dict or type(item) is list:
                found = count_members(item, levels - 1)
                if found < 0:
                    return -1
                members += found
    else:
        for item in <list>value:
            if type(item) is dict or type(item) is list:
                found = count_members(item, levels - 1)
                if found < 0:
                    return -1
                members += found
    return members


cdef inline Py_ssize_t count_all_colons(const char* text, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t colons = 0
    cdef Py_ssize_t position
    for position in range(length):
        colons += text[position] == c":"
    return colons


cdef inline Py_ssize_t count_colons(const char* text, Py_ssize_t length) noexcept nogil:
    """The colons of a well-formed JSON text that stand outside its strings."""
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

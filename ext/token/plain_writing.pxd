"""JSON objects written in the plain form that ``plain_json.pxd`` reads.

Only the form belongs here, and never what a member means. What is written is octet for octet what
``tokenwheel.json_text.dumps`` writes of the same dict. That writes whatever has another form.
"""

from cpython.dict cimport PyDict_Next
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from token.plain_json cimport PLAIN_JSON_READ_BEYOND, plain_json_string_end
from unicode cimport (
    PyUnicode_1BYTE_DATA, PyUnicode_CheckExact, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII,
    PyUnicode_READY,
)


cdef enum:
    PLAIN_WRITING_ROOM = 6144  # bytes: 8 KiB as base64url, beyond which no token is accepted
    _BESIDES = 32  # bytes: more than a number and all that stands around a value


# What follows writes at a place and returns the place behind it, or -1 where the value has another
# form, or too little room is left. Each leaves room for ``_BESIDES`` bytes.

cdef inline Py_ssize_t plain_writing_object(dict members, uint8_t* text) except -2:
    """Write a dict that nobody else changes into ``PLAIN_WRITING_ROOM`` bytes from ``text`` on."""
    cdef Py_ssize_t position = 0, place = 0
    cdef PyObject* name = NULL
    cdef PyObject* value = NULL
    text[0] = c"{"
    while PyDict_Next(members, &position, &name, &value):
        place = _plain_writing_string(<object>name, text, place + 1)
        if place < 0:
            return -1
        text[place] = c":"
        place = _plain_writing_value(<object>value, text, place + 1)
        if place < 0:
            return -1
        text[place] = c","
    if place == 0:
        place = 1
    text[place] = c"}"
    return place + 1


cdef inline Py_ssize_t _plain_writing_value(
    object value, uint8_t* text, Py_ssize_t place
) except -2:
    if type(value) is str:
        return _plain_writing_string(value, text, place)
    if type(value) is int:
        return _plain_writing_integer(value, text, place)
    if type(value) is list:
        return _plain_writing_strings(<list>value, text, place)
    if value is True:
        memcpy(text + place, b"true", 4)
        return place + 4
    if value is False:
        memcpy(text + place, b"false", 5)
        return place + 5
    if value is None:
        memcpy(text + place, b"null", 4)
        return place + 4
    return -1


cdef inline Py_ssize_t _plain_writing_strings(
    list items, uint8_t* text, Py_ssize_t place
) except -2:
    cdef Py_ssize_t item
    text[place] = c"["
    if PyList_GET_SIZE(items) == 0:
        place += 1
    for item in range(PyList_GET_SIZE(items)):
        place = _plain_writing_string(<object>PyList_GET_ITEM(items, item), text, place + 1)
        if place < 0:
            return -1
        text[place] = c","
    text[place] = c"]"
    return place + 1


cdef inline Py_ssize_t _plain_writing_string(
    object value, uint8_t* text, Py_ssize_t place
) except -2:
    cdef Py_ssize_t end
    if not PyUnicode_CheckExact(<PyObject*>value):
        return -1
    PyUnicode_READY(value)
    end = place + 1 + PyUnicode_GET_LENGTH(value)
    if not PyUnicode_IS_ASCII(value) or end > PLAIN_WRITING_ROOM - _BESIDES:
        return -1
    text[place] = c'"'
    memcpy(text + place + 1, PyUnicode_1BYTE_DATA(value), end - place - 1)
    memset(text + end, 0, PLAIN_JSON_READ_BEYOND)
    if plain_json_string_end(text, <uint32_t>(place + 1)) != end:
        return -1
    text[end] = c'"'
    return end + 1


cdef inline Py_ssize_t _plain_writing_integer(
    object value, uint8_t* text, Py_ssize_t place
) except -2:
    cdef int is_beyond = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &is_beyond)
    cdef uint64_t left = <uint64_t>number
    cdef uint8_t digits[20]
    cdef int first = 20
    if is_beyond or place > PLAIN_WRITING_ROOM - _BESIDES:
        return -1
    if number < 0:
        text[place] = c"-"
        place += 1
        left = 0 - left
    while True:
        first -= 1
        digits[first] = <uint8_t>(c"0" + left % 10)
        left //= 10
        if left == 0:
            break
    memcpy(text + place, digits + first, 20 - first)
    return place + 20 - first

"""Python's objects for the members of a text in plain form (``plain_json.pxd``).

Nothing here can fail for want of sense in the text, since that has been read before.

Nearly all tokens have the same names, the same issuer and the same audiences. So the last texts of
this kind are kept in a small table and handed out again: to a dict a name whose hash is known is
cheaper, and memory holds each of them once. Without the GIL a table that all threads write to would
cost more than it saves.
"""

from cpython.long cimport PyLong_FromLongLong
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from token.plain_json cimport (
    PLAIN_JSON_FALSE, PLAIN_JSON_NUMBER, PLAIN_JSON_STRING, PLAIN_JSON_STRINGS, PLAIN_JSON_TRUE,
    plain_json_is, plain_json_member, plain_json_string_end,
)
from unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, PyUnicode_New


cdef extern from *:
    """
    #define PLAIN_VALUES_SHARED 128  /* a power of two */
    #ifdef Py_GIL_DISABLED
    #define PLAIN_VALUES_LONGEST_SHARED -1
    #else
    #define PLAIN_VALUES_LONGEST_SHARED 32  /* bytes */
    #endif
    static PyObject *plain_values_shared[PLAIN_VALUES_SHARED];
    #define plain_values_shared_at(slot) (plain_values_shared[slot])
    static inline PyObject *plain_values_keep(uint32_t slot, PyObject *text) {
        PyObject *before = plain_values_shared[slot];
        plain_values_shared[slot] = Py_NewRef(text);
        Py_XDECREF(before);
        return text;
    }
    """
    enum:
        PLAIN_VALUES_SHARED
        PLAIN_VALUES_LONGEST_SHARED
    PyObject *plain_values_shared_at(uint32_t slot) noexcept  # NULL where there is none
    PyObject *plain_values_keep(uint32_t slot, object text) noexcept


cdef inline dict plain_values_dict(
    const uint8_t* text, const plain_json_member* members, int count
):
    """Return the members as a dict, in the order in which they stand."""
    cdef dict made = {}
    cdef const plain_json_member* member
    cdef int place
    for place in range(count):
        member = &members[place]
        made[_plain_values_shared_text(text + member.name, member.name_length)] = (
            plain_values_of(text, member)
        )
    return made


cdef inline object plain_values_of(const uint8_t* text, const plain_json_member* member):
    """Return the value of a member."""
    if member.kind == PLAIN_JSON_STRING:
        # The issuer is nearly always the same.
        if plain_json_is(text, member, b"iss", 3):
            return _plain_values_shared_text(text + member.value, member.length)
        return plain_values_text(text + member.value, member.length)
    if member.kind == PLAIN_JSON_NUMBER:
        return PyLong_FromLongLong(member.number)
    if member.kind == PLAIN_JSON_STRINGS:
        return _plain_values_texts(text, member.value, member.value + member.length)
    if member.kind == PLAIN_JSON_TRUE:
        return True
    return False if member.kind == PLAIN_JSON_FALSE else None


cdef inline str plain_values_text(const uint8_t* text, Py_ssize_t length):
    """Return a new text of so many ASCII characters."""
    cdef object made = PyUnicode_New(length, 127)
    memcpy(PyUnicode_1BYTE_DATA(made), text, length)
    return made


cdef inline list _plain_values_texts(const uint8_t* text, uint32_t place, uint32_t behind):
    cdef list made = []
    cdef uint32_t end
    while place < behind:
        place += 1  # the quote
        end = plain_json_string_end(text, place)
        made.append(_plain_values_shared_text(text + place, end - place))
        place = end + 2  # the quote, and the comma or the bracket
    return made


cdef inline str _plain_values_shared_text(const uint8_t* text, Py_ssize_t length):
    cdef uint32_t slot = 0
    cdef Py_ssize_t place
    cdef PyObject* known
    if length > PLAIN_VALUES_LONGEST_SHARED:
        return plain_values_text(text, length)
    for place in range(length):
        slot = 31 * slot + text[place]
    slot = (slot ^ slot >> 7) & (PLAIN_VALUES_SHARED - 1)
    known = plain_values_shared_at(slot)
    if (
        known != NULL
        and PyUnicode_GET_LENGTH(<object>known) == length
        and memcmp(PyUnicode_1BYTE_DATA(<object>known), text, length) == 0
    ):
        return <str>known
    return <str>plain_values_keep(slot, plain_values_text(text, length))

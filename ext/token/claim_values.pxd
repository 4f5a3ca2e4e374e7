"""The values of single claims: found, checked for type and size, and copied for whoever asks.

Each function here knows one claim or one type and nothing of tokens, keys or time. What RFC 7519
and the contract demand of each claim stands with its function; the order of the checks is the
verifier's.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t

from token.base64url cimport base64url_decode
from unicode cimport (
    PyUnicode_1BYTE_DATA, PyUnicode_FindChar, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII,
)


cdef enum:
    SESSION_ID_LENGTH = 16  # characters: 12 bytes in base64url
    LONGEST_SUBJECT = 255   # characters


cdef inline object claim_values_copy(object value):
    """Return a value that its receiver may change without changing anybody else's."""
    if type(value) is dict:
        return {name: claim_values_copy(item) for name, item in (<dict>value).items()}
    if type(value) is list:
        return [claim_values_copy(item) for item in <list>value]
    return value


cdef inline object claim_values_find(dict claims, str name):
    """Return the value of a claim, or None, which no claim may be, where there is no such claim."""
    cdef PyObject* value = PyDict_GetItemWithError(claims, name)
    return None if value == NULL else <object>value


cdef inline bint claim_values_is_subject(object value) except -1:
    if type(value) is not str or not 0 < PyUnicode_GET_LENGTH(value) <= LONGEST_SUBJECT:
        return False
    return PyUnicode_FindChar(value, 0, 0, PyUnicode_GET_LENGTH(value), 1) < 0


cdef inline bint claim_values_session_id(object value, uint8_t* id):
    """Return whether a value is a session's public id. If so, its 12 bytes are written."""
    return type(value) is str and claim_values_decode_session_id(value, id)


cdef inline bint claim_values_decode_session_id(object text, uint8_t* id):
    """Return whether a ``str`` that is ready reads as a session id. If so, 12 bytes are written."""
    if PyUnicode_GET_LENGTH(text) != SESSION_ID_LENGTH or not PyUnicode_IS_ASCII(text):
        return False
    return base64url_decode(PyUnicode_1BYTE_DATA(text), SESSION_ID_LENGTH, id) >= 0


cdef inline bint claim_values_generation(object value, uint32_t* generation):
    """Return whether a value is a generation, an int from 0 to 2**32 - 2. If so, it is written."""
    cdef int is_out_of_range = 0
    cdef long long number
    if type(value) is not int:
        return False
    number = PyLong_AsLongLongAndOverflow(value, &is_out_of_range)
    if is_out_of_range or not 0 <= number <= <long long>2**32 - 2:
        return False
    generation[0] = <uint32_t>number
    return True


cdef inline bint claim_values_date(object value, double* seconds):
    """Return whether a value is a NumericDate (RFC 7519, section 2) of sensible size.

    If so, it is written. Past 2**53, whole seconds get lost in JSON.
    """
    cdef int is_out_of_range = 0
    cdef long long whole
    if type(value) is int:
        whole = PyLong_AsLongLongAndOverflow(value, &is_out_of_range)
        if is_out_of_range or not 0 <= whole <= <long long>2**53:
            return False
        seconds[0] = <double>whole
        return True
    if type(value) is float and 0 <= PyFloat_AS_DOUBLE(value) <= <double>2**53:
        seconds[0] = PyFloat_AS_DOUBLE(value)
        return True
    return False


cdef inline bint claim_values_is_audience(object given):
    """Return whether an ``aud`` is well-formed (RFC 7519, section 4.1.3).

    It is a text or an array of texts, at least one and none of them empty.
    """
    if type(given) is str:
        return PyUnicode_GET_LENGTH(given) > 0
    if type(given) is not list:
        return False
    for audience in <list>given:
        if type(audience) is not str or PyUnicode_GET_LENGTH(audience) == 0:
            return False
    return len(<list>given) > 0


cdef inline bint claim_values_accepts(tuple accepted, object given) except -1:
    """Return whether an ``aud`` that is well-formed names one of the audiences accepted."""
    cdef str audience
    cdef str other
    for audience in accepted:
        if type(given) is str:
            if audience == <str>given:
                return True
        else:
            for other in <list>given:
                if audience == other:
                    return True
    return False

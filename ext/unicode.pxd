"""What the modules ask of a `str` at the level of C: its length, its characters, and a new one.

Only CPython's own declarations belong here, each once. `PyUnicode_1BYTE_DATA` is for a text of
which `PyUnicode_IS_ASCII` is true, and may be written to only where `PyUnicode_New` just made it.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t


cdef extern from "Python.h":
    bint PyUnicode_CheckExact(PyObject *)
    int PyUnicode_READY(object text) except -1
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    uint8_t *PyUnicode_1BYTE_DATA(object text)
    object PyUnicode_New(Py_ssize_t length, Py_UCS4 largest)
    Py_ssize_t PyUnicode_FindChar(
        object text, Py_UCS4 character, Py_ssize_t start, Py_ssize_t end, int direction
    ) except -2

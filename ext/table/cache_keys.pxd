"""A key as the table of ExpiringCache holds it: one word that knows the key's hash.

Only that word, the tag made of its hash and the comparison of text belong here. To ask a word for
its hash runs no Python code. A ``str``, ``int`` or ``bytes`` is held by
its own pointer: Python code can neither run in their hashes nor change those. Any other key is held
with the hash that it had, in a small box of its own; the pointer's lowest bit tells of it.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject_Hash
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from table.bucket cimport bucket_tag
from unicode cimport PyUnicode_CheckExact


cdef extern from *:
    """
    static inline Py_hash_t cache_keys_plain_hash(PyObject *key) {
        return PyUnicode_CheckExact(key) ? ((PyASCIIObject *)key)->hash : PyObject_Hash(key);
    }
    static inline int cache_keys_same_text(PyObject *key, PyObject *other) {
        const Py_ssize_t length = PyUnicode_GET_LENGTH(key);
        const int kind = (int)PyUnicode_KIND(key);
        return length == PyUnicode_GET_LENGTH(other) && kind == (int)PyUnicode_KIND(other)
            && memcmp(PyUnicode_DATA(key), PyUnicode_DATA(other), (size_t)length * kind) == 0;
    }
    """
    # of a str that has been hashed before, or of an int or bytes
    Py_hash_t cache_keys_plain_hash(PyObject *key) noexcept nogil
    # whether two str of equal hash are equal
    bint cache_keys_same_text(PyObject *key, PyObject *other) noexcept nogil


cdef extern from "Python.h":
    bint PyBytes_CheckExact(PyObject *)
    bint PyLong_CheckExact(PyObject *)


cdef struct boxed_key:
    PyObject *key
    Py_hash_t hash


cdef inline uint64_t cache_keys_hold(object key, Py_hash_t hashed) noexcept:
    """Return the word for a key, with a reference of its own, or 0 when there is no memory."""
    cdef PyObject *plain = <PyObject *>key
    cdef boxed_key *box
    if not (PyUnicode_CheckExact(plain) or PyLong_CheckExact(plain) or PyBytes_CheckExact(plain)):
        box = <boxed_key *>PyMem_Malloc(sizeof(boxed_key))
        if box == NULL:
            return 0
        box.key = plain
        box.hash = hashed
        Py_INCREF(key)
        return <uintptr_t>box | 1
    Py_INCREF(key)
    return <uintptr_t>plain


cdef inline PyObject *cache_keys_object(uint64_t held) noexcept nogil:
    return (<boxed_key *><uintptr_t>(held - 1)).key if held & 1 else <PyObject *><uintptr_t>held


cdef inline Py_hash_t cache_keys_hash(uint64_t held) noexcept nogil:
    if held & 1:
        return (<boxed_key *><uintptr_t>(held - 1)).hash
    return cache_keys_plain_hash(<PyObject *><uintptr_t>held)


cdef inline void cache_keys_release(uint64_t held) noexcept:
    """Give the word and its reference back. Python code can run."""
    cdef PyObject *key = cache_keys_object(held)
    if held & 1:
        PyMem_Free(<void *><uintptr_t>(held - 1))
    Py_DECREF(<object>key)


cdef inline uint32_t cache_keys_tag(Py_hash_t hashed, uint64_t salt) noexcept nogil:
    """Return a hash spread over 32 bits. Python's own is as regular as the numbers it is of.

    The salt differs between processes, so that nobody can prepare whole numbers that collide.
    """
    cdef uint64_t mixed = (<uint64_t>hashed ^ salt) * 0x9E3779B97F4A7C15u
    mixed = (mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93u
    return bucket_tag(<uint32_t>(mixed >> 32))

"""A place for an object that is filled once and never emptied while its owner lives.

Several threads may make the object at the same time: all then get the first that was put there.
Whoever finds an object there finds it whole, without a lock, and may borrow it from the owner.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t


cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define once_get(place) ((PyObject *)_Py_atomic_load_ptr_acquire(place))
    static inline PyObject *once_fill(PyObject **place, PyObject *made) {
        PyObject *before = NULL;
        Py_INCREF(made);
        if (_Py_atomic_compare_exchange_ptr(place, &before, made))
            return made;
        Py_DECREF(made);
        return before;
    }
    #define once_is_first(flag) (!_Py_atomic_exchange_uint8(flag, 1))
    #else
    #define once_get(place) (*(place))
    static inline PyObject *once_fill(PyObject **place, PyObject *made) {
        if (*place == NULL) {
            Py_INCREF(made);
            *place = made;
        }
        return *place;
    }
    static inline int once_is_first(uint8_t *flag) {
        const int is_first = !*flag;
        *flag = 1;
        return is_first;
    }
    #endif
    """
    # Borrowed, and NULL where there is nothing yet.
    PyObject *once_get(PyObject **place) noexcept
    # Borrowed. The place takes a reference of its own.
    PyObject *once_fill(PyObject **place, object made) noexcept
    # Whether nobody has asked before.
    bint once_is_first(uint8_t *flag) noexcept

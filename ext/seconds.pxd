"""Seconds as a caller gives them, checked: the lifetime of an entry, and what a clock says.

Only these checks belong here.
"""

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from libc.math cimport INFINITY


cdef extern from "Python.h":
    bint PyBool_Check(object)
    bint PyLong_Check(object)
    double PyLong_AsDouble(object) except? -1.0


cdef extern from *:
    """
    #define SECONDS_SHORTEST 0.001            /* seconds: 1 ms, a tick of the wheel */
    #define SECONDS_LONGEST 3155760000.0       /* seconds: 100 years of 365.25 days */
    #define SECONDS_FURTHEST 1e11              /* seconds either side of 0: 3,170 years */
    """
    double SECONDS_SHORTEST
    double SECONDS_LONGEST
    double SECONDS_FURTHEST


cdef inline double seconds_lifetime(object ttl) except -1.0:
    """Return a lifetime in seconds; infinity for None, which means never.

    Raise InvalidArgument for anything that is no number of seconds, or out of range.
    """
    cdef double seconds
    if ttl is None:
        return INFINITY
    if PyFloat_Check(ttl):
        seconds = PyFloat_AS_DOUBLE(ttl)
    elif PyLong_Check(ttl) and not PyBool_Check(ttl):
        try:
            seconds = PyLong_AsDouble(ttl)
        except OverflowError:
            seconds = INFINITY
    else:
        seconds = 0.0
    if not SECONDS_SHORTEST <= seconds <= SECONDS_LONGEST:
        from tokenwheel.errors import InvalidArgument
        raise InvalidArgument(
            "ttl must be a number of seconds from 0.001 to 3155760000 (100 years), "
            "or None for never"
        )
    return seconds


cdef inline double seconds_reading(object reading) except? -1.0:
    """Return what a clock has said, in seconds.

    Raise InvalidArgument for anything that is no finite number, or out of range.
    """
    cdef double now
    try:
        now = float(reading)
    except (TypeError, ValueError, OverflowError):
        from tokenwheel.errors import InvalidArgument
        raise InvalidArgument("clock must return a number of seconds") from None
    if not -SECONDS_FURTHEST <= now <= SECONDS_FURTHEST:
        from tokenwheel.errors import InvalidArgument
        raise InvalidArgument(
            "clock must return a finite number of seconds, at most 100 billion from zero"
        )
    return now

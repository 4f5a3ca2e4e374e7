"""Seconds as a caller gives them and as a clock tells them, checked.

The compiled twin of ``src/tokenwheel/seconds.py``, which is the one to read first. Only these
checks belong here. No Python code runs in them: a subclass of ``float`` or ``int`` has no say in
what it equals.
"""

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.math cimport INFINITY, NAN


cdef extern from "Python.h":
    bint PyBool_Check(object)
    bint PyLong_Check(object)


cdef extern from *:
    """
    #define SECONDS_SHORTEST 0.001            /* seconds: 1 ms, a tick of the wheel */
    #define SECONDS_LONGEST 3155760000.0       /* seconds: 100 years of 365.25 days */
    #define SECONDS_FURTHEST 1e11              /* seconds either side of 0: 3,170 years */
    """
    double SECONDS_SHORTEST
    double SECONDS_LONGEST
    double SECONDS_FURTHEST


cdef inline double seconds_number(object seconds) noexcept:
    """Return seconds as a double: infinite where far beyond all ends, NaN for what is no number."""
    cdef int is_out_of_range = 0  # -1 below, 1 above
    cdef long long whole
    if PyFloat_Check(seconds):
        return PyFloat_AS_DOUBLE(seconds)
    if not PyLong_Check(seconds) or PyBool_Check(seconds):
        return NAN
    whole = PyLong_AsLongLongAndOverflow(seconds, &is_out_of_range)
    return is_out_of_range * INFINITY if is_out_of_range else <double>whole


cdef inline double seconds_duration(object seconds) except? -1.0:
    """Return the seconds that a number or a timedelta of whole seconds stands for.

    What is out of range, or neither, is as seconds_number tells it.
    """
    cdef double number = seconds_number(seconds)
    if number == number:  # NaN alone differs from itself.
        return number
    from tokenwheel.seconds import whole_seconds_of
    whole = whole_seconds_of(seconds)
    return NAN if whole is None else <double>whole


cdef inline double seconds_lifetime(object ttl) except -1.0:
    """Return a lifetime in seconds; infinity for None, which means never.

    Raise InvalidArgument for anything that is no number of seconds, or out of range.
    """
    cdef double seconds
    if ttl is None:
        return INFINITY
    seconds = seconds_duration(ttl)
    if not SECONDS_SHORTEST <= seconds <= SECONDS_LONGEST:
        from tokenwheel.errors import InvalidArgument
        raise InvalidArgument(
            "ttl must be a number of seconds from 0.001 to 3155760000 (100 years), "
            "a timedelta of whole seconds, or None for never"
        )
    return seconds


cdef inline double seconds_reading(object answer) except? -1.0:
    """Return what a clock has told, in seconds.

    Raise InvalidArgument for anything that is no finite number of seconds, or too far from zero.
    """
    cdef double now = seconds_number(answer)
    if not -SECONDS_FURTHEST <= now <= SECONDS_FURTHEST:
        from tokenwheel.errors import InvalidArgument
        raise InvalidArgument(
            "a clock must return a number of seconds: "
            "an int or a float, finite, and at most 100 billion from zero"
        )
    return now

"""``time.monotonic`` and ``time.time`` without the detour through Python: the same clocks, read
where the interpreter itself reads them.

Only that reading belongs here. On Linux they are Python's clocks to the last bit; where they cannot
be had, nobody is told any time.
"""

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    static int clock_monotonic(double *now) {
        PyTime_t ticks;
        if (PyTime_MonotonicRaw(&ticks) < 0) return -1;
        *now = PyTime_AsSecondsDouble(ticks);
        return 0;
    }
    static int clock_time(double *now) {
        PyTime_t ticks;
        if (PyTime_TimeRaw(&ticks) < 0) return -1;
        *now = PyTime_AsSecondsDouble(ticks);
        return 0;
    }
    #elif defined(__linux__)
    #include <time.h>
    static int clock_monotonic(double *now) {
        struct timespec reading;
        if (clock_gettime(CLOCK_MONOTONIC, &reading) < 0) return -1;
        *now = (double)reading.tv_sec + 1e-9 * (double)reading.tv_nsec;
        return 0;
    }
    static int clock_time(double *now) {
        struct timespec reading;
        if (clock_gettime(CLOCK_REALTIME, &reading) < 0) return -1;
        *now = (double)reading.tv_sec + 1e-9 * (double)reading.tv_nsec;
        return 0;
    }
    #else
    #define clock_monotonic(now) (-1)
    #define clock_time(now) (-1)
    #endif
    #if defined(__linux__)
    #include <time.h>
    static int clock_glance(double *now) {
        struct timespec reading;
        if (clock_gettime(CLOCK_MONOTONIC_COARSE, &reading) < 0) return clock_monotonic(now);
        *now = (double)reading.tv_sec + 1e-9 * (double)reading.tv_nsec;
        return 0;
    }
    #else
    #define clock_glance(now) clock_monotonic(now)
    #endif
    """
    int clock_monotonic(double *now) noexcept nogil   # 0, or -1 where there is no such clock
    int clock_time(double *now) noexcept nogil        # Unix seconds; the same answers

    # The same clock as of the kernel's last tick, some milliseconds ago: never ahead. An exact
    # reading makes the processor wait for all that it has asked memory for; this one does not.
    int clock_glance(double *now) noexcept nogil

"""The slowest clock that may be right: by it alone is anything forgotten.

The compiled twin of ``src/tokenwheel/slow_clock.py``, which has the theory. Nothing here
reads a clock: both readings are arguments.
"""


cdef extern from *:
    """
    #define SLOW_CLOCK_PERIOD 86400.0   /* seconds: one day */
    #define SLOW_CLOCK_STEP 1.0         /* seconds: a smaller change is drift */
    """
    double SLOW_CLOCK_PERIOD
    double SLOW_CLOCK_STEP


cdef struct slow_clock:      # begins as zeros
    bint is_set
    double least             # the smallest distance of the two clocks in this period
    double least_before      # and in the one before
    double since             # when this period began, by the steady clock


cdef inline double _slow_clock_least(const slow_clock *self) noexcept nogil:
    return self.least if self.least < self.least_before else self.least_before


cdef inline bint slow_clock_observe(slow_clock *self, double now, double steady) noexcept nogil:
    """Take note of both clocks. Return whether the wall clock was put back."""
    cdef double distance = now - steady
    cdef bint is_step_back
    if not self.is_set:
        self.is_set = True
        self.least = self.least_before = distance
        self.since = steady
        return False
    is_step_back = distance < _slow_clock_least(self) - SLOW_CLOCK_STEP
    if steady - self.since >= SLOW_CLOCK_PERIOD:
        self.least_before = self.least
        self.least = distance
        self.since = steady
        return is_step_back
    if steady < self.since:
        self.since = steady
    if distance < self.least:
        self.least = distance
    return is_step_back


cdef inline double slow_clock_time(const slow_clock *self, double now, double steady) noexcept nogil:
    """Return the time by the slowest clock; at most ``now``. Both have just been observed."""
    cdef double slow
    if not self.is_set:
        return now
    slow = steady + _slow_clock_least(self)
    return slow if slow < now else now

"""The table of revoked sessions: the compiled twin of ``_pure/revocations.py``.

That one is the one to read first. The structure itself is in ``table/revocation_table.pxd``, where
the verifier reaches it without a Python call. Here are its face, the clock, and the checks of what
comes from outside.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from atomics cimport (
    atomics_byte, atomics_set_byte, atomics_set_number, atomics_set_pointer, atomics_set_seconds,
)
from clock cimport clock_begin, clock_steady, clock_wall
from seconds cimport SECONDS_FURTHEST, seconds_number, seconds_reading
from table.revocation_table cimport (
    EVERY_GENERATION, ID_BYTES, revocation_table, revocation_table_add, revocation_table_bytes,
    revocation_table_check, revocation_table_count, revocation_table_free,
    revocation_table_have_news, revocation_table_init, revocation_table_live,
    revocation_table_lowest, revocation_table_refuse, revocation_table_ring,
)
from table.slow_clock cimport slow_clock_observe
from thread_own cimport HAS_GIL
from token.claim_values cimport claim_values_decode_session_id
from unicode cimport PyUnicode_READY

from os import urandom

from tokenwheel.errors import ConfigurationError, InvalidArgument
from tokenwheel.exact import whole_number_of
from tokenwheel.seconds import steady_time, wall_time

__all__ = ["LARGEST_GENERATION", "LONGEST_LIFETIME", "RevocationTable"]

LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days
LARGEST_GENERATION = 2**32 - 2

cdef double LONGEST = LONGEST_LIFETIME
cdef object LARGEST = LARGEST_GENERATION
clock_begin()

cdef str NO_REVOCATION = "revocations must be an iterable of (session_id, expires_at, before)"
cdef str NO_DOORBELL = "doorbell must be None or a buffer of eight bytes"

cdef extern from "Python.h":
    object PyObject_CallNoArgs(object function)


cdef int read_id(object session_id, uint8_t* id) except -1:
    if isinstance(session_id, str):
        PyUnicode_READY(session_id)
        if claim_values_decode_session_id(session_id, id):
            return 0
    raise InvalidArgument("session_id must be 16 base64url characters")


cdef double seconds_of(str name, object seconds, double least, double most) except? -1:
    cdef double number = seconds_number(seconds)
    if not least <= number <= most:
        raise InvalidArgument(f"{name} must be a number of seconds from {least:g} to {most:g}")
    return number


cdef double end_of(object expires_at) except? -1:
    return seconds_of("expires_at", expires_at, 0, SECONDS_FURTHEST)


cdef uint32_t generation_before(object before) except? 0:
    if before is None:
        return EVERY_GENERATION
    if type(before) is not int:
        before = whole_number_of(before)
    if before is None or not 0 < before <= LARGEST:
        raise InvalidArgument(f"before must be None or an int from 1 to {LARGEST_GENERATION}")
    return before


cdef int check_news(object before_lookup) except -1:
    if before_lookup is not None and not callable(before_lookup):
        raise ConfigurationError("before_lookup must be None or a callable without arguments")
    return 0


@cython.final
@cython.internal
@cython.no_gc  # The collector would clear the buffer and not release it.
cdef class Doorbell:
    """The eight bytes of another object, until nobody can be looking at them."""

    cdef Py_buffer seen
    cdef bint is_seen

    def __cinit__(self, doorbell):
        try:
            PyObject_GetBuffer(doorbell, &self.seen, PyBUF_SIMPLE)
        except Exception:
            raise ConfigurationError(NO_DOORBELL) from None
        self.is_seen = True
        if self.seen.len != sizeof(uint64_t):
            raise ConfigurationError(NO_DOORBELL)

    def __dealloc__(self):
        if self.is_seen:
            PyBuffer_Release(&self.seen)


cdef list held_until_collected(PyObject* doorbell):
    """Return a cycle of references with a doorbell in it.

    A lookup takes no lock and no reference. Without a GIL it may be reading the doorbell that it
    has just found in the table. The collector stops every thread where none is in the midst of
    that, and only afterwards frees a cycle that was let go of before.
    """
    cdef list cycle = []
    cycle.append(cycle)
    if doorbell != NULL:
        cycle.append(<object>doorbell)
    return cycle


cdef class RevocationTable:
    """The sessions whose access tokens are refused, each up to a generation and until a time.

    A session counts generations, and each of its access tokens carries the number of its own. To
    revoke is to refuse the generations below a number, or all of them. Several threads may use the
    table at once.

    Args:
        clock: returns Unix time in seconds, by default that of ``time.time`` as it stands at each
            call: freezegun and time-machine move it.
        before_lookup: called without arguments before each lookup, so that revocations made
            elsewhere can be taken in first, or None. What it raises, the lookup raises. See
            :meth:`watch`.
        timer: returns seconds that no one sets, by default the system's, which no test moves. By
            it the table knows a clock that was put ahead for a while, and forgets nothing
            meanwhile.

    Raises:
        ConfigurationError: an argument cannot be called, or this table has been made already.
    """

    cdef object __weakref__
    cdef revocation_table table
    cdef readonly object clock
    cdef object timer
    cdef bint is_default_clock  # which can mostly be read without running Python code
    cdef bint is_default_timer
    # The Doorbell behind the table's pointer, with a reference that the collector doesn't know: it
    # would clear a member of the class before the table is gone.
    cdef PyObject* watched
    cdef uint64_t watches  # how often a doorbell was given
    cdef object news  # what is called before each lookup, or None
    cdef object report  # what is called with each revocation that refuses more, or None
    cdef uint8_t is_made  # by __init__; before that there is no clock to ask

    def __cinit__(self, *arguments, **options):
        cdef bytes secret = urandom(sizeof(self.table.secret))
        revocation_table_init(&self.table, <const uint8_t*>PyBytes_AS_STRING(secret))

    def __init__(self, clock=wall_time, before_lookup=None, timer=steady_time):
        if not callable(clock):
            raise ConfigurationError("clock must be a callable that returns Unix seconds")
        if not callable(timer):
            raise ConfigurationError("timer must be a callable that returns seconds")
        check_news(before_lookup)
        with cython.critical_section(self):
            if self.is_made:
                raise ConfigurationError("a RevocationTable can be constructed only once")
            self.clock = clock
            self.timer = timer
            self.is_default_clock = clock is wall_time
            self.is_default_timer = timer is steady_time
            self.news = before_lookup
            atomics_set_byte(&self.table.is_fed, before_lookup is not None)
            atomics_set_byte(&self.is_made, True)

    @property
    def before_lookup(self):
        """What is called before each lookup, so that news can be taken in first, or None."""
        with cython.critical_section(self):
            news = self.news
        return news

    @before_lookup.setter
    def before_lookup(self, call):
        check_news(call)
        with cython.critical_section(self):
            before = self.news  # Let go of once all is in its place.
            self.news = call
            atomics_set_byte(&self.table.is_fed, call is not None)

    def watch(self, doorbell):
        """Call ``before_lookup`` only when a doorbell has rung, instead of before each lookup.

        A doorbell is eight bytes of memory, shared with whoever rings it by changing them. The next
        lookup calls ``before_lookup`` in any case. After that, one calls it if the bytes have
        changed, or if they have been taken at their word for a second.

        Args:
            doorbell: a buffer of eight bytes, or None to call ``before_lookup`` before each lookup.

        Raises:
            ConfigurationError: ``doorbell`` is neither None nor a buffer of eight bytes.
        """
        cdef Doorbell seen = None if doorbell is None else Doorbell(doorbell)
        cdef PyObject* before
        with cython.critical_section(self):
            if not HAS_GIL and self.watched != NULL:
                held_until_collected(self.watched)
            before = self.watched
            # A lookup that finds the new doorbell must not find the time of the old one.
            atomics_set_seconds(&self.table.looked_at, -INFINITY)
            if seen is None:
                self.watched = NULL
                atomics_set_pointer(&self.table.doorbell, NULL)
            else:
                Py_INCREF(seen)
                self.watched = <PyObject*>seen
                atomics_set_pointer(&self.table.doorbell, seen.seen.buf)
            self.watches += 1
        Py_XDECREF(before)

    def _take_news(self, double now):
        cdef uint64_t ring, watches
        with cython.critical_section(self):
            news = self.news
            watches = self.watches
            ring = revocation_table_ring(&self.table)
        if news is not None:
            news()
        with cython.critical_section(self):
            if watches == self.watches:  # Another doorbell has yet to be listened to.
                atomics_set_number(&self.table.heard, ring)
                atomics_set_seconds(&self.table.looked_at, now)

    def _report_to(self, report):
        """Call ``report((session_id, before))`` with each revocation that refuses more than before.

        Args:
            report: must neither wait nor call the table, which may be in the midst of a change.
                None to call nothing.
        """
        with cython.critical_section(self):
            replaced = self.report  # Let go of once the other is in its place.
            self.report = report

    def __dealloc__(self):
        Py_XDECREF(self.watched)
        revocation_table_free(&self.table)

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")

    def __repr__(self):
        cdef uint32_t count
        with cython.critical_section(self):
            count = revocation_table_count(&self.table)
        return f"<{type(self).__name__} of {count} sessions>"

    cdef double now(self) except? -1:
        cdef double reading = 0.0
        if not atomics_byte(&self.is_made):
            raise ConfigurationError("a RevocationTable must be constructed before it is used")
        if self.is_default_clock and clock_wall(&reading) == 0:
            return reading
        return seconds_reading(PyObject_CallNoArgs(self.clock))

    cdef double steady(self) except? -1:
        cdef double reading = 0.0
        if not atomics_byte(&self.is_made):
            raise ConfigurationError("a RevocationTable must be constructed before it is used")
        if self.is_default_timer and clock_steady(&reading) == 0:
            return reading
        return seconds_reading(PyObject_CallNoArgs(self.timer))

    def _observe(self, double now):
        """Take note of the clock. Return True where it was put back since the last time."""
        cdef double steady = self.steady()
        cdef bint is_step_back
        with cython.critical_section(self):
            is_step_back = slow_clock_observe(&self.table.clock, now, steady)
        return is_step_back

    def revoke(self, session_id, ttl, *, before=None):
        """Refuse a session's access tokens for ``ttl`` seconds.

        If the session is revoked already, the higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            ttl: seconds, more than 0 and at most 100 years.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
            MemoryError: there is no memory for another entry. Nothing was changed: no entry is ever
                dropped to make room.
        """
        cdef double seconds = seconds_of("ttl", ttl, 0, LONGEST)
        if seconds == 0:
            raise InvalidArgument("ttl must be more than 0 seconds")
        self.add(session_id, before, self.now(), seconds, True)

    def revoke_until(self, session_id, expires_at, *, before=None):
        """Refuse a session's access tokens until a Unix time.

        A time that has passed already refuses nothing. If the session is revoked already, the
        higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            expires_at: Unix time in seconds, from 0 to 1e11.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
            MemoryError: there is no memory for another entry. Nothing was changed: no entry is ever
                dropped to make room.
        """
        cdef double now = self.now()
        self.add(session_id, before, now, end_of(expires_at), False)

    def revoke_each(self, revocations):
        """Refuse the access tokens of several sessions, by one reading of the clock.

        Args:
            revocations: ``(session_id, expires_at, before)`` for each session. Its generations
                below ``before``, or all of them if that is None, are refused until the Unix time
                ``expires_at``, in seconds.

        Raises:
            InvalidArgument: a revocation cannot be used. Those before it have taken effect.
            MemoryError: there is no memory for another entry. The revocations before it have taken
                effect.
        """
        cdef double now = self.now()
        try:
            each = iter(revocations)
        except Exception:  # any: the iterable is the caller's own
            raise InvalidArgument(NO_REVOCATION) from None
        for revocation in each:
            try:
                session_id, expires_at, before = revocation
            except Exception:
                raise InvalidArgument(NO_REVOCATION) from None
            self.add(session_id, before, now, end_of(expires_at), False)

    cdef int add(
        self, object session_id, object before, double now, double seconds, bint is_relative
    ) except -1:
        cdef uint8_t[ID_BYTES] id
        cdef uint32_t lowest = generation_before(before)
        cdef double expires = now + seconds if is_relative else seconds
        cdef double steady = self.steady()
        cdef int outcome
        read_id(session_id, id)
        with cython.critical_section(self):
            outcome = revocation_table_add(&self.table, id, lowest, expires, now, steady)
            report = self.report
        if outcome < 0:
            raise MemoryError("no memory for another revocation")
        if outcome and report is not None:
            report((str.__str__(session_id), before))
        return 0

    def is_revoked(self, session_id, generation=0):
        """Return True if a session's access tokens of ``generation`` are refused now.

        Args:
            session_id: the session's id, 16 base64url characters.
            generation: the number that the token carries, from 0 to 2**32 - 2.

        Raises:
            InvalidArgument: ``session_id`` or ``generation`` is not of that form.
        """
        cdef uint8_t[ID_BYTES] id
        cdef double now
        cdef bint refused
        read_id(session_id, id)
        if type(generation) is not int:
            generation = whole_number_of(generation)
        if generation is None or not 0 <= generation <= LARGEST:
            raise InvalidArgument(f"generation must be an int from 0 to {LARGEST_GENERATION}")
        now = self.now()
        if revocation_table_have_news(&self.table, now):
            self._take_news(now)
        with cython.critical_section(self):
            refused = revocation_table_refuse(&self.table, id, generation, now)
        return refused

    def lowest_generation(self, session_id):
        """Return the lowest generation of a session whose access tokens are not refused now.

        Only what the table knows counts: ``before_lookup`` is not called.

        Args:
            session_id: the session's id, 16 base64url characters.

        Returns:
            The generation: 0 where none is refused. None where every generation is refused.

        Raises:
            InvalidArgument: ``session_id`` is not of that form.
        """
        cdef uint8_t[ID_BYTES] id
        cdef double now
        cdef uint32_t before
        read_id(session_id, id)
        now = self.now()
        with cython.critical_section(self):
            before = revocation_table_lowest(&self.table, id, now)
        return None if before == EVERY_GENERATION else before

    def expire(self):
        """Forget revocations that are over. Return how many ended since the last call.

        One that is over is kept for as long as the clock may still be put back to before its end.
        """
        cdef double now = self.now(), steady = self.steady()
        cdef uint32_t live, counted
        with cython.critical_section(self):
            counted = revocation_table_count(&self.table)
            counted -= min(self.table.over, counted)
            live = revocation_table_live(&self.table, now, steady)
        return counted - live if counted > live else 0

    def __len__(self):
        cdef double now = self.now(), steady = self.steady()
        cdef uint32_t live
        with cython.critical_section(self):
            live = revocation_table_live(&self.table, now, steady)
        return live

    @property
    def nbytes(self):
        """The memory that the table takes, in bytes. The pure implementation estimates it."""
        cdef size_t taken
        with cython.critical_section(self):
            taken = revocation_table_bytes(&self.table)
        return taken

    def _check(self):
        """Verify every invariant, for tests."""
        cdef const char* broken
        with cython.critical_section(self):
            broken = revocation_table_check(&self.table)
        if broken != NULL:
            raise AssertionError((<bytes>broken).decode())

    def _capsule(self):
        """The C structure, for the compiled verifier, which must keep this object alive."""
        return PyCapsule_New(&self.table, b"tokenwheel._native.revocations.table", NULL)

"""ExpiringCache: a mapping whose entries end by themselves; the compiled twin of ``tokenwheel._pure.cache``.

Python's side alone belongs here: keys, values, clocks, callbacks, and what may happen while Python code runs. The structure
is in ``table.pxd`` and below; nothing here knows a slot, a link or a segment.

The rules that make it safe:
- Python code can run in ``__hash__`` and ``__eq__`` of keys, in the clock, in ``on_remove``, and when an object is released;
  and whatever runs may use this very cache. So each operation asks the hash and the clock first, then looks the key up (a
  lookup that finds the table changed after an ``__eq__`` starts again, as ``dict`` does), then changes the table in one go
  without running any Python code, and only then releases objects and calls back (``drain``).
- What is removed waits in the table's queue. The outermost operation works it off; a nested one only adds to it.
- Keys and values are owned by the table's entries as bare pointers, shown to the garbage collector by ``traverse`` below,
  which looks at them only while at least one is of a type that can take part in a cycle.
- Without the GIL, every look at the table is inside a critical section on the cache.
"""

import logging
import time
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from types import GenericAlias

cimport cython
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.object cimport Py_EQ, PyObject_Hash, PyObject_RichCompareBool, PyTypeObject, inquiry, traverseproc
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyObject
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint32_t, uint64_t

from heap cimport heap_first
from index cimport INDEX_NONE, index_cursor, index_find_first, index_find_next
from slab cimport SLAB_NONE, slab_next_used
from table cimport (
    DELETED, EVICTED, EXPIRED, REPLACED, TABLE_REMOVED, expiring_table, table_at, table_bytes, table_check, table_clear, table_entry,
    table_free, table_init, table_insert, table_move, table_note_removed, table_reclaim, table_reclaim_all, table_remove,
    table_take_removed,
)
from wheel cimport wheel_idle, wheel_observe

from tokenwheel.errors import ConfigurationError, InvalidArgument
from tokenwheel.events import RemovalReason

__all__ = ["ExpiringCache"]


cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    static int cache_read_monotonic(double *now) {
        PyTime_t ticks;
        if (PyTime_MonotonicRaw(&ticks) < 0) return -1;
        *now = PyTime_AsSecondsDouble(ticks);
        return 0;
    }
    #elif defined(__linux__)
    #include <time.h>
    static int cache_read_monotonic(double *now) {
        struct timespec reading;
        if (clock_gettime(CLOCK_MONOTONIC, &reading) < 0) return -1;
        *now = (double)reading.tv_sec + 1e-9 * (double)reading.tv_nsec;
        return 0;
    }
    #else
    #define cache_read_monotonic(now) (-1)
    #endif
    """
    int cache_read_monotonic(double *now) noexcept nogil


cdef extern from "Python.h":
    bint PyBool_Check(object)
    bint PyLong_Check(object)
    bint PyObject_IS_GC(PyObject *)
    bint PyUnicode_CheckExact(PyObject *)
    double PyLong_AsDouble(object) except? -1.0
    int PyUnicode_Compare(PyObject *, PyObject *) except? -1


cdef enum:
    WRITE_BUDGET = 12    # steps of maintenance with each change: more than one change can ever cause
    READ_BUDGET = 4      # with a read, and only when something is due

cdef double SHORTEST = 0.001             # 1 ms, a tick of the wheel
cdef double LONGEST = 3_155_760_000.0    # 100 years of 365.25 days
cdef double CLOCK_LIMIT = 1e11           # seconds either side of 0: about 3,170 years
cdef uint32_t LARGEST = 0x7FFFFFFF       # handles

cdef object logger = logging.getLogger("tokenwheel")
cdef object monotonic = time.monotonic
cdef object MISSING = object()
cdef tuple REASONS = (RemovalReason.EXPIRED, RemovalReason.DELETED, RemovalReason.REPLACED, RemovalReason.EVICTED)

# Differs between processes, as the hash of text does, so that colliding whole numbers cannot be prepared in advance.
cdef uint64_t SALT = <uint64_t>PyObject_Hash("tokenwheel")


cdef inline uint32_t tag_of(object key) except? 0:
    """The key's hash, spread over 32 bits: Python's own is as regular as the numbers it is of."""
    cdef uint64_t mixed = (<uint64_t>PyObject_Hash(key) ^ SALT) * 0x9E3779B97F4A7C15u
    mixed = (mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93u
    return <uint32_t>(mixed >> 32)


cdef double lifetime_of(object ttl) except -1.0:
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
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidArgument("ttl must be a number of seconds from 0.001 to 3155760000 (100 years), or None for never")
    return seconds


@cython.trashcan(True)
cdef class ExpiringCache:
    """A mapping whose entries end by themselves.

    ``maxsize`` bounds the entries: a full cache evicts the one that expires soonest. ``ttl`` is the lifetime, in seconds, of an
    entry set without one of its own; ``None`` means for ever. ``on_remove(key, value, reason)`` is called after each removal,
    when the operation that caused it is done: it may use the cache in any way.
    """

    cdef object __weakref__
    cdef object on_remove
    cdef object clock
    cdef expiring_table table
    cdef double lifetime
    cdef size_t collectable     # references held to objects of types the garbage collector follows
    cdef uint32_t maxsize
    cdef bint plain_clock
    cdef bint draining

    def __cinit__(self, *args, **options):
        table_init(&self.table)
        self.lifetime = INFINITY
        self.maxsize = LARGEST
        self.clock = monotonic
        self.plain_clock = True

    def __init__(self, maxsize=None, *, ttl=None, on_remove=None, clock=monotonic):
        if maxsize is not None and (not PyLong_Check(maxsize) or PyBool_Check(maxsize) or maxsize < 1):
            raise ConfigurationError("maxsize must be a whole number greater than 0, or None for no limit")
        try:
            lifetime = lifetime_of(ttl)
        except InvalidArgument as error:
            raise ConfigurationError(str(error)) from None
        if on_remove is not None and not callable(on_remove):
            raise ConfigurationError("on_remove must be callable, or None")
        if not callable(clock):
            raise ConfigurationError("clock must be callable")
        if self.table.entries.used:
            raise ConfigurationError("an ExpiringCache can be constructed only once")
        self.table.ranked = maxsize is not None
        self.maxsize = LARGEST if maxsize is None or maxsize > LARGEST else maxsize
        self.lifetime = lifetime
        self.on_remove = on_remove
        self.clock = clock
        self.plain_clock = clock is monotonic

    def __dealloc__(self):
        cdef uint32_t handle = slab_next_used(&self.table.entries, 0)
        while handle != SLAB_NONE:
            Py_XDECREF(<PyObject *>table_at(&self.table, handle).key)
            Py_XDECREF(<PyObject *>table_at(&self.table, handle).value)
            handle = slab_next_used(&self.table.entries, handle + 1)
        table_free(&self.table)

    # Reading

    def get(self, key, default=None):
        """The value of a live entry, else ``default``."""
        value = self.read(key)
        return default if value is MISSING else value

    def __getitem__(self, key):
        value = self.read(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        return self.read(key) is not MISSING

    def ttl(self, key):
        """Seconds left to the entry, ``None`` if it never expires; ``KeyError`` if there is none."""
        cdef uint32_t tag = tag_of(key)
        cdef double now = self.now(), expires = -INFINITY
        cdef int64_t handle
        with cython.critical_section(self):
            handle = self.find(key, tag)
            if handle >= 0:
                expires = table_at(&self.table, <uint32_t>handle).expires
            self.maintain(now)
        self.settle()
        if expires <= now:
            raise KeyError(key)
        return None if expires == INFINITY else expires - now

    def __len__(self):
        cdef double now = self.now()
        cdef uint32_t count
        with cython.critical_section(self):
            table_reclaim_all(&self.table, now)
            count = self.table.index.count
        self.settle()
        return count

    def __iter__(self):
        return Walk.__new__(Walk, self, 0)

    def keys(self):
        return KeysView(self)

    def items(self):
        return LiveItems(self)

    def values(self):
        return LiveValues(self)

    def __eq__(self, other):
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.items()) == dict(other.items())

    def __repr__(self):
        return f"<{type(self).__name__} of {self.table.index.count} entries>"

    # Changing

    def set(self, key, value, ttl=MISSING):
        """Set the entry, to live for ``ttl`` seconds; without one, for the cache's own ``ttl``. ``None`` means for ever."""
        self.write(key, value, self.lifetime if ttl is MISSING else lifetime_of(ttl))

    def __setitem__(self, key, value):
        self.write(key, value, self.lifetime)

    def setdefault(self, key, default=None):
        """The value of a live entry; if there is none, set the key to ``default`` first."""
        value = self.read(key)
        if value is MISSING:
            self.write(key, default, self.lifetime)
            return default
        return value

    update = MutableMapping.update

    def touch(self, key, ttl):
        """Let a live entry end ``ttl`` seconds from now, ``None`` for never; whether there was one."""
        cdef double lifetime = lifetime_of(ttl)
        cdef uint32_t tag = tag_of(key)
        cdef double now = self.now()
        cdef int64_t handle
        cdef bint live = False
        with cython.critical_section(self):
            handle = self.find(key, tag)
            if handle >= 0 and table_at(&self.table, <uint32_t>handle).expires > now:
                live = True
                wheel_observe(&self.table.wheel, now)
                table_move(&self.table, <uint32_t>handle, now + lifetime, False)
            table_reclaim(&self.table, now, WRITE_BUDGET)
        self.settle()
        return live

    def __delitem__(self, key):
        if self.remove(key) is MISSING:
            raise KeyError(key)

    def pop(self, key, default=MISSING):
        """Delete a live entry and return its value; without one, ``default`` or ``KeyError``."""
        value = self.remove(key)
        if value is not MISSING:
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self):
        """Delete some live entry and return its key and value; ``KeyError`` if there is none."""
        cdef double now = self.now()
        cdef uint32_t handle
        cdef table_entry *entry
        key = value = None
        with cython.critical_section(self):
            handle = self.next_live(0, now)
            if handle != SLAB_NONE:
                entry = table_at(&self.table, handle)
                key = <object>entry.key
                value = <object>entry.value
                table_remove(&self.table, handle, DELETED)
            table_reclaim(&self.table, now, WRITE_BUDGET)
        self.settle()
        if handle == SLAB_NONE:
            raise KeyError("the cache is empty")
        return key, value

    def expire(self):
        """Reclaim every entry that is due now; how many there were."""
        cdef double now = self.now()
        cdef uint32_t count
        with cython.critical_section(self):
            count = table_reclaim_all(&self.table, now)
        self.settle()
        return count

    def clear(self):
        """Delete every entry."""
        cdef double now = self.now()
        with cython.critical_section(self):
            table_clear(&self.table, now)
        self.settle()

    # Refusals and views of the inside

    def __reduce_ex__(self, protocol):
        raise TypeError("an ExpiringCache cannot be copied or pickled: its entries belong to one clock in one process")

    def __reduce__(self):
        return self.__reduce_ex__(2)

    __class_getitem__ = classmethod(GenericAlias)
    __reversed__ = None

    def _nbytes(self):
        """Bytes held, keys and values not counted."""
        return table_bytes(&self.table)

    def _check(self):
        """Verify every invariant, for tests."""
        cdef uint32_t handle
        cdef size_t collectable = 0
        cdef table_entry *entry
        cdef int broken
        with cython.critical_section(self):
            broken = table_check(&self.table)
            handle = slab_next_used(&self.table.entries, 0)
            while handle != SLAB_NONE:
                entry = table_at(&self.table, handle)
                collectable += PyObject_IS_GC(<PyObject *>entry.key) + PyObject_IS_GC(<PyObject *>entry.value)
                handle = slab_next_used(&self.table.entries, handle + 1)
            if broken == 0 and (collectable != self.collectable or self.table.index.count > self.maxsize):
                broken = 1
        if broken:
            raise AssertionError(f"invariant {broken} of the table is broken")

    # What the operations above are made of

    @cython.final
    cdef inline double now(self) except? -1.0:
        cdef double reading = 0.0
        if self.plain_clock and cache_read_monotonic(&reading) == 0:
            return reading
        return self.ask_clock()

    @cython.final
    cdef double ask_clock(self) except? -1.0:
        cdef double now
        reading = self.clock()
        try:
            now = float(reading)
        except (TypeError, ValueError, OverflowError):
            raise InvalidArgument("clock must return a number of seconds") from None
        if not -CLOCK_LIMIT <= now <= CLOCK_LIMIT:
            raise InvalidArgument("clock must return a finite number of seconds, at most 100 billion from zero")
        return now

    @cython.final
    cdef inline int64_t find(self, object key, uint32_t tag) except -2:
        """The entry under an equal key, expired or not; -1 if there is none."""
        cdef index_cursor cursor
        cdef uint64_t version
        cdef uint32_t handle
        cdef PyObject *stored
        cdef bint equal
        while True:
            version = self.table.version
            handle = index_find_first(&self.table.index, tag, &cursor)
            while handle != INDEX_NONE:
                stored = <PyObject *>table_at(&self.table, handle).key
                if stored == <PyObject *>key:
                    return handle
                if PyUnicode_CheckExact(stored) and PyUnicode_CheckExact(<PyObject *>key):
                    equal = PyUnicode_Compare(stored, <PyObject *>key) == 0
                else:
                    equal = self.compare(stored, key)
                    if version != self.table.version:
                        break
                if equal:
                    return handle
                handle = index_find_next(&cursor)
            else:
                return -1

    @cython.final
    cdef bint compare(self, PyObject *stored, object key) except -1:
        """Whether the keys are equal, asked in ``dict``'s order; the stored one stays alive until the answer is there."""
        held = <object>stored
        return PyObject_RichCompareBool(held, key, Py_EQ)

    @cython.final
    cdef inline object read(self, object key):
        cdef uint32_t tag = tag_of(key)
        cdef double now = self.now()
        cdef int64_t handle
        value = MISSING
        with cython.critical_section(self):
            handle = self.find(key, tag)
            if handle >= 0 and table_at(&self.table, <uint32_t>handle).expires > now:
                value = <object>table_at(&self.table, <uint32_t>handle).value
            self.maintain(now)
        self.settle()
        return value

    @cython.final
    cdef int write(self, object key, object value, double lifetime) except -1:
        cdef uint32_t tag = tag_of(key)
        cdef double now = self.now()
        cdef int64_t handle
        cdef PyObject *old = NULL
        with cython.critical_section(self):
            handle = self.find(key, tag)
            wheel_observe(&self.table.wheel, now)
            if handle >= 0 and table_at(&self.table, <uint32_t>handle).expires > now:
                old = self.replace(<uint32_t>handle, value, now + lifetime)
            else:
                self.insert(handle, key, value, tag, now, now + lifetime)
            table_reclaim(&self.table, now, WRITE_BUDGET)
        if old != NULL:
            Py_DECREF(<object>old)
        self.settle()
        return 0

    @cython.final
    cdef PyObject *replace(self, uint32_t handle, object value, double expires) except? NULL:
        """Swap a live entry's value. The old one goes to the queue if anybody wants to know, else to the caller to release."""
        cdef table_entry *entry = table_at(&self.table, handle)
        cdef PyObject *key = <PyObject *>entry.key
        cdef PyObject *old = <PyObject *>entry.value
        if self.on_remove is not None:
            if table_note_removed(&self.table, key, old, REPLACED) < 0:
                raise MemoryError
            Py_INCREF(<object>key)
            self.collectable += PyObject_IS_GC(key)
            old = NULL
        else:
            self.collectable -= PyObject_IS_GC(old)
        Py_INCREF(value)
        self.collectable += PyObject_IS_GC(<PyObject *>value)
        entry.value = <void *>value
        table_move(&self.table, handle, expires, True)
        return old

    @cython.final
    cdef int insert(self, int64_t stale, object key, object value, uint32_t tag, double now, double expires) except -1:
        """Add an entry in place of an expired one under the same key, or else, in a full cache, of the soonest to expire."""
        if stale < 0 and self.table.index.count >= self.maxsize:
            stale = heap_first(&self.table.heap) if self.table.ranked else -1
            if stale < 0:
                raise MemoryError
        if table_insert(&self.table, tag, expires, <void *>key, <void *>value) == SLAB_NONE:
            raise MemoryError
        Py_INCREF(key)
        Py_INCREF(value)
        self.collectable += PyObject_IS_GC(<PyObject *>key) + PyObject_IS_GC(<PyObject *>value)
        if stale >= 0:
            table_remove(&self.table, <uint32_t>stale, EXPIRED if table_at(&self.table, <uint32_t>stale).expires <= now else EVICTED)
        return 0

    @cython.final
    cdef object remove(self, object key):
        """Delete the entry; its value, or MISSING if it was not live."""
        cdef uint32_t tag = tag_of(key)
        cdef double now = self.now()
        cdef int64_t handle
        value = MISSING
        with cython.critical_section(self):
            handle = self.find(key, tag)
            if handle >= 0:
                if table_at(&self.table, <uint32_t>handle).expires > now:
                    value = <object>table_at(&self.table, <uint32_t>handle).value
                    table_remove(&self.table, <uint32_t>handle, DELETED)
                else:
                    table_remove(&self.table, <uint32_t>handle, EXPIRED)
            table_reclaim(&self.table, now, WRITE_BUDGET)
        self.settle()
        return value

    @cython.final
    cdef inline void maintain(self, double now) noexcept:
        if not wheel_idle(&self.table.wheel, now):
            table_reclaim(&self.table, now, READ_BUDGET)

    @cython.final
    cdef inline int settle(self) except -1:
        """Release, and tell of, what has been removed."""
        if self.table.first_removed != SLAB_NONE and not self.draining:
            self.drain()
        return 0

    @cython.final
    cdef int drain(self) except -1:
        self.draining = True
        try:
            while self.drain_one():
                pass
        finally:
            self.draining = False
        return 0

    @cython.final
    cdef bint drain_one(self) except -1:
        cdef table_entry taken
        cdef bint found
        with cython.critical_section(self):
            found = table_take_removed(&self.table, &taken)
            if found:
                self.collectable -= PyObject_IS_GC(<PyObject *>taken.key) + PyObject_IS_GC(<PyObject *>taken.value)
        if not found:
            return False
        key = <object>taken.key
        value = <object>taken.value
        Py_DECREF(key)
        Py_DECREF(value)
        if self.on_remove is not None:
            try:
                self.on_remove(key, value, REASONS[taken.place])
            except Exception:
                logger.exception("on_remove of an ExpiringCache raised; the entry is removed all the same")
        return True

    @cython.final
    cdef uint32_t next_live(self, uint32_t handle, double now) noexcept:
        """The first live entry from a handle on."""
        cdef table_entry *entry
        while True:
            handle = slab_next_used(&self.table.entries, handle)
            if handle == SLAB_NONE:
                return SLAB_NONE
            entry = table_at(&self.table, handle)
            if entry.link.prev != TABLE_REMOVED and entry.expires > now:
                return handle
            handle += 1


@cython.internal
cdef class Walk:
    """An iterator over live entries. Entries never move, so a handle is a place to go on from, whatever has changed since."""

    cdef ExpiringCache cache
    cdef uint32_t handle
    cdef int kind               # 0: keys, 1: values, 2: both

    def __cinit__(self, ExpiringCache cache, int kind):
        self.cache = cache
        self.kind = kind

    def __iter__(self):
        return self

    def __next__(self):
        cdef double now
        cdef table_entry *entry
        key = value = None
        if self.handle != SLAB_NONE:
            now = self.cache.now()
            with cython.critical_section(self.cache):
                self.handle = self.cache.next_live(self.handle, now)
                if self.handle != SLAB_NONE:
                    entry = table_at(&self.cache.table, self.handle)
                    key = <object>entry.key
                    value = <object>entry.value
                    self.handle += 1
        if self.handle == SLAB_NONE:
            raise StopIteration
        return key if self.kind == 0 else value if self.kind == 1 else (key, value)


class LiveItems(ItemsView):
    """Unlike its base, not surprised by an entry that ends between being found and being read."""

    __slots__ = ()

    def __iter__(self):
        return Walk.__new__(Walk, self._mapping, 2)


class LiveValues(ValuesView):
    """As above."""

    __slots__ = ()

    def __iter__(self):
        return Walk.__new__(Walk, self._mapping, 1)

    def __contains__(self, value):
        for one in self:
            if one is value or one == value:
                return True
        return False


MutableMapping.register(ExpiringCache)


# Garbage collection: Cython writes tp_traverse and tp_clear for the attributes it knows; the table's contents are added here.

ctypedef int (*visitor)(PyObject *, void *) noexcept
ctypedef int (*traverser)(PyObject *, visitor, void *) noexcept
ctypedef int (*clearer)(PyObject *) noexcept

cdef traverser traverse_attributes
cdef clearer clear_attributes


cdef int traverse(PyObject *self, visitor visit, void *argument) noexcept:
    cdef expiring_table *table = &(<ExpiringCache>self).table
    cdef uint32_t handle
    cdef int stopped = traverse_attributes(self, visit, argument)
    if stopped or (<ExpiringCache>self).collectable == 0:
        return stopped
    handle = slab_next_used(&table.entries, 0)
    while handle != SLAB_NONE and stopped == 0:
        stopped = visit(<PyObject *>table_at(table, handle).key, argument)
        if stopped == 0:
            stopped = visit(<PyObject *>table_at(table, handle).value, argument)
        handle = slab_next_used(&table.entries, handle + 1)
    return stopped


cdef int clear(PyObject *self) noexcept:
    cdef ExpiringCache cache = <ExpiringCache>self
    cdef table_entry taken
    # What is released here may still use the cache: it finds it whole, and empty.
    cache.draining = True
    table_clear(&cache.table, -INFINITY)
    while table_take_removed(&cache.table, &taken):
        cache.collectable -= PyObject_IS_GC(<PyObject *>taken.key) + PyObject_IS_GC(<PyObject *>taken.value)
        Py_DECREF(<object>taken.key)
        Py_DECREF(<object>taken.value)
    cache.draining = False
    return clear_attributes(self)


traverse_attributes = <traverser><void *>(<PyTypeObject *>ExpiringCache).tp_traverse
clear_attributes = <clearer><void *>(<PyTypeObject *>ExpiringCache).tp_clear
(<PyTypeObject *>ExpiringCache).tp_traverse = <traverseproc><void *>traverse
(<PyTypeObject *>ExpiringCache).tp_clear = <inquiry><void *>clear

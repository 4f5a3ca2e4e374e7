"""ExpiringCache, as Python sees it: the compiled twin of ``tokenwheel._pure.cache``.

Only Python's side belongs here: hashes and comparisons of keys, clocks, callbacks, and what may
happen while Python code runs. What holds the entries is ``table/``; references to keys and values
are ``table/cache_contents.pxd``'s, and the garbage collector's view of them is
``table/cache_collector.pxd``'s. Nothing here knows a bucket, a row or a link. It is long since a
mapping has twenty methods, and only its own module can reach a C attribute.

The rules that make it safe:
- Python code can run in ``__hash__`` and ``__eq__`` of keys, in the clock, in ``on_remove``, and
  when an object is released; and whatever runs may use this very cache. So each operation asks the
  hash and the clock first, then looks the key up (a lookup that finds the table changed after an
  ``__eq__`` starts again, as ``dict`` does), then changes the table in one go without running any
  Python code, and only then releases objects and calls back (``drain``).
- What is removed waits in a queue. The operation that finds nobody at it works it off; one within a
  callback, or beside it in another thread, only adds to it. Where nobody wants to be told, an
  explicit change releases what it removed itself.
- Without the GIL, every look at the table and the queue is inside a critical section on the cache.
  Whether to work off the queue is decided in the section that may have added to it, and to stop in
  the one that finds it empty: so no removal can fall between the two and wait for ever.
"""

import logging
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from types import GenericAlias

cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.object cimport Py_EQ, PyObject_Hash, PyObject_RichCompareBool, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t, uint64_t

from clock cimport clock_begin, clock_glance, clock_monotonic, clock_monotonic_again
from seconds cimport PyBool_Check, PyLong_Check, seconds_lifetime, seconds_reading
from table.cache_collector cimport cache_collector_install
from table.cache_contents cimport (
    cache_contents, cache_contents_bytes, cache_contents_check, cache_contents_collectables,
    cache_contents_detach, cache_contents_free, cache_contents_init, cache_contents_insert,
    cache_contents_queue_all, cache_contents_release, cache_contents_release_table,
    cache_contents_remove, cache_contents_replace, cache_contents_take, cache_contents_value,
)
from table.cache_keys cimport (
    cache_keys_hash, cache_keys_object, cache_keys_same_text, cache_keys_tag,
)
from table.directory cimport (
    directory_begin, directory_each, directory_ends, directory_first, directory_held,
    directory_next, directory_place, expiring_table,
)
from table.removed cimport removal
from table.rows cimport cell
from table.table cimport (
    DELETED, EVICTED, EXPIRED, REPLACED, table_move, table_reclaim, table_reclaim_all, table_remove,
)
from table.walk cimport table_walk, walk_free, walk_next
from table.wheel cimport wheel_idle, wheel_observe
from unicode cimport PyUnicode_CheckExact

from tokenwheel.errors import ConfigurationError, InvalidArgument
from tokenwheel.events import RemovalReason
from tokenwheel.seconds import monotonic_time

__all__ = ["ExpiringCache"]


cdef extern from *:
    """
    #define cache_owned(reference) (reference)
    """
    object cache_owned(PyObject *)   # takes a reference over


cdef enum:  # steps of maintenance
    WRITE_BUDGET = 20    # with each change: more than one change can ever cause
    READ_BUDGET = 4      # with a read, and only when something is due

cdef double NEAR = 10.0                  # seconds: a thousand times what a glance can be behind
cdef uint32_t LARGEST = 0x7FFFFFFF       # entries

cdef object logger = logging.getLogger("tokenwheel")
cdef object MISSING = object()
cdef tuple REASONS = (
    RemovalReason.EXPIRED, RemovalReason.DELETED, RemovalReason.REPLACED, RemovalReason.EVICTED
)

clock_begin()

# Differs between processes, as the hash of text does, so that nobody can prepare whole numbers that
# collide.
cdef uint64_t SALT = <uint64_t>PyObject_Hash("tokenwheel")


cdef uint32_t entries_of(object maxsize) except 0:
    """Return how many entries a cache holds at most, as the ``maxsize`` it was given says."""
    cdef int beyond = 0
    cdef long long most = 0
    if maxsize is None:
        return LARGEST
    if PyLong_Check(maxsize) and not PyBool_Check(maxsize):
        most = PyLong_AsLongLongAndOverflow(maxsize, &beyond)
    if beyond < 0 or (beyond == 0 and most < 1):
        raise ConfigurationError(
            "maxsize must be a whole number greater than 0, or None for no limit"
        )
    return LARGEST if beyond or most > LARGEST else <uint32_t>most


@cython.trashcan(True)
cdef class ExpiringCache:
    """A mapping whose entries expire by themselves.

    An expired entry can no longer be read. It is removed by one of the next operations: no thread
    runs in the background. Several threads may use the cache at once. What the ``__hash__`` or
    ``__eq__`` of a key raises reaches the caller, as from a dict, and the cache is as it was.

    Args:
        maxsize: how many entries the cache holds at most, or None for no limit. A full cache
            evicts the entry that expires soonest, and of several the one set longest ago.
        ttl: the lifetime, in seconds or as a timedelta of whole seconds, of an entry that is set
            without one of its own, or None if such an entry never expires.
        on_remove: called as ``on_remove(key, value, reason)`` for each entry that was removed,
            when the operation that removed it is done. It may use the cache in any way. What it
            raises is logged.
        clock: returns the time in seconds, by default that of ``time.monotonic`` as it stands at
            each call. freezegun moves it, and time-machine does not.

    Raises:
        ConfigurationError: an argument cannot be used.
    """

    cdef object __weakref__
    cdef object on_remove
    cdef object clock
    cdef cache_contents contents
    cdef double lifetime
    cdef uint32_t maxsize
    cdef bint is_made           # by __init__; before that there is no clock to ask
    cdef bint is_default_clock  # which can mostly be read without running Python code

    def __cinit__(self, *args, **options):
        cache_contents_init(&self.contents, False)

    def __init__(self, maxsize=None, *, ttl=None, on_remove=None, clock=monotonic_time):
        cdef uint32_t most = entries_of(maxsize)
        cdef double lifetime
        try:
            lifetime = seconds_lifetime(ttl)
        except InvalidArgument as error:
            raise ConfigurationError(str(error)) from None
        if on_remove is not None and not callable(on_remove):
            raise ConfigurationError("on_remove must be callable, or None")
        if not callable(clock):
            raise ConfigurationError("clock must be callable")
        with cython.critical_section(self):
            # Of two threads, one constructs it. And whoever is in the midst of a lookup relies on
            # the table that was there.
            if self.is_made:
                raise ConfigurationError("an ExpiringCache can be constructed only once")
            self.is_made = True
            cache_contents_init(&self.contents, maxsize is not None)
            self.maxsize = most
            self.lifetime = lifetime
            self.on_remove = on_remove
            self.clock = clock
            self.is_default_clock = clock is monotonic_time

    def __dealloc__(self):
        cache_contents_free(&self.contents)

    # Reading

    def get(self, key, default=None):
        """Return the value of the entry under ``key``, or ``default`` if there is no live one."""
        cdef PyObject *value = self.read(key)
        return default if value == NULL else cache_owned(value)

    def __getitem__(self, key):
        cdef PyObject *value = self.read(key)
        if value == NULL:
            raise KeyError(key)
        return cache_owned(value)

    def __contains__(self, key):
        cdef PyObject *value = self.read(key)
        Py_XDECREF(value)
        return value != NULL

    def ttl(self, key):
        """Return the seconds that an entry has left to live, or None if it never expires.

        Raises:
            KeyError: there is no live entry under ``key``.
        """
        cdef Py_hash_t hashed = PyObject_Hash(key)
        cdef double now = self.now(), expires = -INFINITY
        cdef directory_place place
        cdef bint drains
        with cython.critical_section(self):  # the place stays good, and the queue whole
            if self.find(key, hashed, &place):
                expires = directory_ends(&self.contents.table, &place)
            self.reclaim(now, READ_BUDGET)
            drains = self.begins_to_drain()
        if drains:
            self.drain()
        if expires <= now:
            raise KeyError(key)
        return None if expires == INFINITY else expires - now

    def __len__(self):
        cdef uint32_t left
        self.purge(&left)
        return left

    def __iter__(self):
        return Walk.__new__(Walk, self, 0)

    def keys(self):
        """Return a view of the keys of live entries, which follows the cache as it changes."""
        return KeysView(self)

    def items(self):
        """Return a view of the live entries as ``(key, value)``, which follows the cache."""
        return LiveItems(self)

    def values(self):
        """Return a view of the values of live entries, which follows the cache as it changes."""
        return LiveValues(self)

    def __eq__(self, other):
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.items()) == dict(other.items())

    def __repr__(self):
        cdef uint32_t count
        with cython.critical_section(self):  # others may be counting
            count = self.contents.table.count
        return f"<{type(self).__name__} of {count} entries>"

    # Changing

    def set(self, key, value, ttl=MISSING):
        """Set ``key`` to ``value`` for ``ttl`` seconds.

        An entry that is there already is replaced. A full cache evicts the entry that expires
        soonest to make room for another key.

        Args:
            key: any hashable object.
            value: any object.
            ttl: from 0.001 seconds to 100 years, as a number of seconds or a timedelta of whole
                seconds, or None if the entry is never to expire. If left out, the ``ttl`` that the
                cache was made with.

        Raises:
            InvalidArgument: ``ttl`` is not such a number.
        """
        self.write(key, value, self.lifetime if ttl is MISSING else seconds_lifetime(ttl), False)

    def __setitem__(self, key, value):
        self.write(key, value, self.lifetime, False)

    def setdefault(self, key, default=None):
        """Return the value under ``key``. If there is no live entry, set it to ``default`` first.

        Such a new entry lives for the ``ttl`` that the cache was made with.
        """
        cdef PyObject *value = self.read(key)
        if value == NULL:
            return self.write(key, default, self.lifetime, True)
        return cache_owned(value)

    update = MutableMapping.update

    def touch(self, key, ttl):
        """Let the entry under ``key`` expire ``ttl`` seconds from now, and keep its value.

        Args:
            key: the entry's key.
            ttl: from 0.001 seconds to 100 years, as a number of seconds or a timedelta of whole
                seconds, or None if the entry is never to expire.

        Returns:
            True if there was a live entry, else False.

        Raises:
            InvalidArgument: ``ttl`` is not such a number.
        """
        cdef double lifetime = seconds_lifetime(ttl)
        cdef Py_hash_t hashed = PyObject_Hash(key)
        cdef double now = self.now()
        cdef directory_place place
        cdef bint live, drains
        with cython.critical_section(self):  # nothing changes between the look and the move
            live = self.find(key, hashed, &place)
            live = live and directory_ends(&self.contents.table, &place) > now
            if live:
                wheel_observe(&self.contents.table.wheel, now)
                table_move(&self.contents.table, &place, now + lifetime, False)
            self.reclaim(now, WRITE_BUDGET)
            drains = self.begins_to_drain()
        if drains:
            self.drain()
        return live

    def __delitem__(self, key):
        if self.remove(key) is MISSING:
            raise KeyError(key)

    def pop(self, key, default=MISSING):
        """Delete the entry under ``key`` and return its value.

        If there is no live entry, ``default`` is returned if it is given.

        Raises:
            KeyError: there is no live entry, and no ``default`` was given.
        """
        value = self.remove(key)
        if value is not MISSING:
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self):
        """Delete an arbitrary live entry and return it as ``(key, value)``.

        Raises:
            KeyError: there is no live entry.
        """
        cdef double now = self.now()
        cdef directory_place place
        cdef cell *held
        cdef bint is_live, drains
        key = value = None
        with cython.critical_section(self):  # only this thread takes the entry that it found
            is_live = self.some_live(now, &place)
            if is_live:
                held = directory_held(&self.contents.table, &place)
                key = <object>cache_keys_object(held.first)
                value = <object>cache_contents_value(held)
                self.queue(&place, DELETED)
            self.reclaim(now, WRITE_BUDGET)
            drains = self.begins_to_drain()
        if drains:
            self.drain()
        if not is_live:
            raise KeyError("the cache is empty")
        return key, value

    def expire(self):
        """Remove every entry that has expired. Return how many were removed."""
        cdef uint32_t left
        return self.purge(&left)

    def clear(self):
        """Remove every entry."""
        cdef double now = self.now()
        cdef expiring_table old
        cdef bint drains
        with cython.critical_section(self):  # whose table it was is told of all that was in it
            if self.on_remove is not None and cache_contents_queue_all(&self.contents, now) < 0:
                raise MemoryError
            cache_contents_detach(&self.contents, &old)
            drains = self.begins_to_drain()
        try:
            cache_contents_release_table(&old)
        finally:
            if drains:
                self.drain()

    # Refusals and views of the inside

    def __reduce_ex__(self, protocol):
        raise TypeError(
            "an ExpiringCache cannot be copied or pickled: "
            "its entries belong to one clock in one process"
        )

    def __reduce__(self):
        return self.__reduce_ex__(2)

    __class_getitem__ = classmethod(GenericAlias)
    __reversed__ = None

    def _nbytes(self):
        """Bytes held, keys and values not counted."""
        cdef size_t held
        with cython.critical_section(self):  # what is counted may be about to move
            held = cache_contents_bytes(&self.contents)
        return held

    def _check(self):
        """Verify every invariant, for tests."""
        cdef const char *broken
        with cython.critical_section(self):  # between two changes all of it holds
            broken = cache_contents_check(&self.contents, SALT)
            if broken == NULL and self.contents.table.count > self.maxsize:
                broken = b"there are more entries than allowed"
        if broken != NULL:
            raise AssertionError((<bytes>broken).decode())

    # What the operations above are made of

    @cython.final
    cdef inline double now(self) except? -1.0:
        cdef double reading = 0.0
        if self.is_default_clock and clock_monotonic(&reading) == 0:
            return reading
        return self.ask_clock()

    @cython.final
    cdef inline double glance(self) except? -1.0:
        """Return the time, which may be a little behind where ``exactly`` can mend that."""
        cdef double reading = 0.0
        if self.is_default_clock and clock_glance(&reading) == 0:
            return reading
        return self.ask_clock()

    @cython.final
    cdef inline double exactly(self, double glanced) noexcept:
        """Return the exact time, after a glance at it. No Python code runs."""
        cdef double reading = 0.0
        if self.is_default_clock and clock_monotonic_again(&reading) == 0:
            return reading
        return glanced

    @cython.final
    cdef inline bint is_live(self, const directory_place *place, double glanced) noexcept:
        cdef double expires = directory_ends(&self.contents.table, place)
        return expires > glanced and (expires - glanced > NEAR or expires > self.exactly(glanced))

    @cython.final
    cdef double ask_clock(self) except? -1.0:
        clock = self.clock
        if clock is None:
            raise ConfigurationError("an ExpiringCache must be constructed before it is used")
        return seconds_reading(clock())

    @cython.final
    cdef inline bint find(self, object key, Py_hash_t hashed, directory_place *place) except -1:
        """Find the place of the entry under an equal key, expired or not.

        Return False if there is none.
        """
        cdef uint64_t version
        cdef cell *held
        cdef PyObject *stored
        cdef bint equal
        while True:
            version = self.contents.table.version
            held = directory_first(&self.contents.table, cache_keys_tag(hashed, SALT), place)
            while held != NULL:
                stored = cache_keys_object(held.first)
                if stored == <PyObject *>key:
                    return True
                if cache_keys_hash(held.first) == hashed:
                    if PyUnicode_CheckExact(stored) and PyUnicode_CheckExact(<PyObject *>key):
                        equal = cache_keys_same_text(stored, <PyObject *>key)
                    else:
                        equal = self.compare(stored, key)
                        if version != self.contents.table.version:
                            break
                    if equal:
                        return True
                held = directory_next(&self.contents.table, place)
            else:
                return False

    @cython.final
    cdef bint compare(self, PyObject *stored, object key) except -1:
        """Return whether a stored key equals ``key``, as a ``dict`` would compare them.

        The stored key stays alive until the answer is there.
        """
        held = <object>stored
        return PyObject_RichCompareBool(held, key, Py_EQ)

    @cython.final
    cdef inline PyObject *read(self, object key) except? NULL:
        """Return a reference to the value of the live entry, or NULL if there is none."""
        cdef Py_hash_t hashed = PyObject_Hash(key)
        cdef double now = self.glance()
        cdef directory_place place
        cdef PyObject *value = NULL
        cdef bint drains
        with cython.critical_section(self):  # no thread releases the value before it is taken
            if self.find(key, hashed, &place) and self.is_live(&place, now):
                value = cache_contents_value(directory_held(&self.contents.table, &place))
                Py_INCREF(<object>value)
            if not wheel_idle(&self.contents.table.wheel, now):
                self.reclaim(self.exactly(now), READ_BUDGET)
            drains = self.begins_to_drain()
        if drains:
            self.drain_beside(value)
        return value

    @cython.final
    cdef object write(self, object key, object value, double lifetime, bint is_default):
        """Set the entry, or only where there is no live one. Return the value that it then has."""
        cdef Py_hash_t hashed = PyObject_Hash(key)
        cdef double now = self.now()
        cdef directory_place place
        cdef PyObject *old = NULL
        cdef int outcome = 0
        cdef bint is_found, drains
        with cython.critical_section(self):  # of two threads with a default, only the first sets it
            is_found = self.find(key, hashed, &place)
            if is_found and is_default and directory_ends(&self.contents.table, &place) > now:
                value = <object>cache_contents_value(directory_held(&self.contents.table, &place))
            elif is_found:
                outcome = cache_contents_replace(
                    &self.contents, &place, key, hashed, value, now, now + lifetime,
                    self.on_remove is not None, &old,
                )
            else:
                outcome = cache_contents_insert(
                    &self.contents, key, hashed, SALT, value, now, now + lifetime, self.maxsize,
                )
            if outcome < 0:
                raise MemoryError
            self.reclaim(now, WRITE_BUDGET)
            drains = self.begins_to_drain()
        Py_XDECREF(old)
        if drains:
            self.drain()
        return value

    @cython.final
    cdef object remove(self, object key):
        """Delete the entry. Return its value, or MISSING if it was not live."""
        cdef Py_hash_t hashed = PyObject_Hash(key)
        cdef double now = self.glance()
        cdef directory_place place
        cdef cell held
        cdef bint live = False, released = False, drains
        value = MISSING
        with cython.critical_section(self):  # of two threads that delete it, one finds it
            if self.find(key, hashed, &place):
                held = directory_held(&self.contents.table, &place)[0]
                live = self.is_live(&place, now)
                released = live and self.on_remove is None
                if released:
                    self.contents.collectable -= cache_contents_collectables(&held)
                    table_remove(&self.contents.table, &place)
                else:
                    self.queue(&place, DELETED if live else EXPIRED)
                if live:
                    value = <object>cache_contents_value(&held)
            if not wheel_idle(&self.contents.table.wheel, now):
                self.reclaim(self.exactly(now), WRITE_BUDGET)
            drains = self.begins_to_drain()
        if released:
            cache_contents_release(&held)
        if drains:
            self.drain()
        return value

    @cython.final
    cdef object purge(self, uint32_t *left):
        """Remove all that has expired. Return how many that were, and tell how many are left."""
        cdef double now = self.now()
        cdef uint32_t before
        cdef int outcome
        cdef bint drains
        with cython.critical_section(self):  # both counts are of the same moment
            before = self.contents.table.count
            outcome = table_reclaim_all(&self.contents.table, now, &self.contents.removed)
            left[0] = self.contents.table.count
            drains = self.begins_to_drain()
        before -= left[0]
        if drains:
            self.drain()
        if outcome < 0:
            raise MemoryError
        return before

    @cython.final
    cdef inline void reclaim(self, double now, int budget) noexcept:
        """Remove entries that are due, in at most ``budget`` steps.

        Without memory for the queue of removed entries, the rest waits for another operation.
        """
        table_reclaim(&self.contents.table, now, budget, &self.contents.removed)

    @cython.final
    cdef int queue(self, const directory_place *place, uint32_t reason) except -1:
        """Remove an entry, and leave its references to the queue."""
        if cache_contents_remove(&self.contents, place, reason) < 0:
            raise MemoryError
        return 0

    @cython.final
    cdef inline bint begins_to_drain(self) noexcept:
        """Return True where something waits and nobody is at it: the caller has to ``drain`` then.

        Only in the critical section, as the last thing.
        """
        if self.contents.removed.count == 0 or self.contents.draining:
            return False
        self.contents.draining = True
        return True

    @cython.final
    cdef int drain(self) except -1:
        """Release the entries that have been removed, and tell ``on_remove`` of each."""
        cdef bint is_done = False
        try:
            while self.drain_one():
                pass
            is_done = True
        finally:
            if not is_done:
                with cython.critical_section(self):  # another thread may be asking whether to begin
                    self.contents.draining = False
        return 0

    @cython.final
    cdef int drain_beside(self, PyObject *value) except -1:
        """Drain, and give the reference back where a callback is interrupted."""
        try:
            self.drain()
        except BaseException:
            Py_XDECREF(value)
            raise
        return 0

    @cython.final
    cdef bint drain_one(self) except -1:
        cdef removal taken
        cdef bint is_taken
        with cython.critical_section(self):  # what is added after this look, its adder drains
            is_taken = cache_contents_take(&self.contents, &taken)
            if not is_taken:
                self.contents.draining = False
        if not is_taken:
            return False
        key = <object>cache_keys_object(taken.held.first)
        value = <object>cache_contents_value(&taken.held)
        cache_contents_release(&taken.held)
        if self.on_remove is not None:
            try:
                self.on_remove(key, value, REASONS[taken.reason])
            except Exception:
                logger.exception(
                    "on_remove of an ExpiringCache raised; the entry is removed all the same"
                )
        return True

    @cython.final
    cdef bint some_live(self, double now, directory_place *place) noexcept:
        """Find some live entry's place. Return False if there is none."""
        directory_begin(place)
        while directory_each(&self.contents.table, place) != NULL:
            if directory_ends(&self.contents.table, place) > now:
                return True
        return False


@cython.internal
cdef class Walk:
    """An iterator over live entries, which holds no references and survives changes of the cache.

    Entries come in the order of ``table/walk.pxd``.
    """

    cdef ExpiringCache cache
    cdef table_walk walk
    cdef int kind               # 0: keys, 1: values, 2: both

    def __cinit__(self, ExpiringCache cache not None, int kind):
        self.cache = cache
        self.kind = kind

    def __dealloc__(self):
        walk_free(&self.walk)

    def __iter__(self):
        return self

    def __next__(self):
        cdef ExpiringCache cache = self.cache
        cdef double now
        cdef expiring_table *table
        cdef directory_place place
        cdef int outcome
        key = value = None
        if cache is None:  # The garbage collector has taken it.
            raise StopIteration
        now = cache.now()
        table = &cache.contents.table
        # Two threads may share the iterator, and others change the cache: both stay as they are.
        with cython.critical_section(self, cache):
            outcome = walk_next(&self.walk, table, &place)
            while outcome > 0 and directory_ends(table, &place) <= now:
                outcome = walk_next(&self.walk, table, &place)
            if outcome > 0:
                key = <object>cache_keys_object(directory_held(table, &place).first)
                value = <object>cache_contents_value(directory_held(table, &place))
        if outcome < 0:
            raise MemoryError
        if outcome == 0:
            raise StopIteration
        return key if self.kind == 0 else value if self.kind == 1 else (key, value)


class LiveItems(ItemsView):
    """A view of live entries that is not surprised by one that ends before it was read."""

    __slots__ = ()

    def __iter__(self):
        return Walk.__new__(Walk, self._mapping, 2)


class LiveValues(ValuesView):
    """A view of live values that is not surprised by an entry that ends meanwhile."""

    __slots__ = ()

    def __iter__(self):
        return Walk.__new__(Walk, self._mapping, 1)

    def __contains__(self, value):
        for held in self:
            if held is value or held == value:
                return True
        return False


MutableMapping.register(ExpiringCache)


cdef ExpiringCache sample = ExpiringCache.__new__(ExpiringCache)

cache_collector_install(
    <PyTypeObject *>ExpiringCache, <char *>&sample.contents - <char *><PyObject *>sample
)
sample = None

"""What an ExpiringCache holds: a table of keys and values, and a queue of what has been removed.

Only the references belong here: who owns a key and a value, how many of them the garbage collector
has to follow, and when they are released. Keys and values are bare pointers, each a reference of
its own; `cache_collector.pxd` shows them to the collector. Where a function can run Python code,
it says so.
"""

from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from table.cache_keys cimport (
    cache_keys_hash, cache_keys_hold, cache_keys_object, cache_keys_release, cache_keys_tag,
)
from table.directory cimport (
    directory_begin, directory_bytes, directory_each, directory_ends, directory_find,
    directory_free, directory_held, directory_init, directory_place, directory_tag_at,
    expiring_table,
)
from table.removed cimport (
    removal, removed_at, removed_free, removed_init, removed_put, removed_queue, removed_reserve,
    removed_take,
)
from table.rows cimport cell
from table.table cimport (
    DELETED, EVICTED, EXPIRED, REPLACED, table_check, table_insert, table_move, table_remove,
    table_soonest,
)
from table.wheel cimport wheel_observe


cdef extern from "Python.h":
    bint PyObject_IS_GC(PyObject *)


cdef struct cache_contents:
    expiring_table table
    removed_queue removed
    size_t collectable       # references held to objects of types the garbage collector follows
    bint draining            # whether an operation is working the queue off


# A cell: the word of a key (`cache_keys.pxd`), and a value

cdef inline PyObject *cache_contents_value(const cell *held) noexcept nogil:
    return <PyObject *><uintptr_t>held.last


cdef inline size_t cache_contents_collectables(const cell *held) noexcept:
    """Return how many of an entry's two objects are of types the garbage collector follows."""
    cdef size_t keys = PyObject_IS_GC(cache_keys_object(held.first))
    return keys + PyObject_IS_GC(cache_contents_value(held))


cdef inline void cache_contents_release(const cell *held) noexcept:
    """Give an entry's references back. Python code can run."""
    cache_keys_release(held.first)
    Py_DECREF(<object>cache_contents_value(held))


# Setting and removing an entry: no Python code runs

cdef inline int cache_contents_remove(
    cache_contents *self, const directory_place *place, uint32_t reason
) noexcept:
    """Move an entry to the queue. Return -1, with nothing changed, when there is no memory."""
    if removed_reserve(&self.removed, 1) < 0:
        return -1
    removed_put(&self.removed, directory_held(&self.table, place), reason)
    table_remove(&self.table, place)
    return 0


cdef inline int cache_contents_insert(
    cache_contents *self, object key, Py_hash_t hashed, uint64_t salt, object value, double now,
    double expires, uint32_t maxsize,
) noexcept:
    """Add an entry, in a full cache in place of the soonest to expire.

    Return 0, or -1 when there is no memory, and then nothing has changed.
    """
    cdef directory_place victim
    cdef cell held
    cdef cell *leaving
    cdef uint64_t leaving_key = 0
    cdef uint32_t leaving_tag = 0
    cdef bint is_over
    wheel_observe(&self.table.wheel, now)
    if self.table.count >= maxsize:
        if not self.table.ranked or not table_soonest(&self.table, &victim):
            return -1
        if removed_reserve(&self.removed, 1) < 0:
            return -1
        leaving_key = directory_held(&self.table, &victim).first
        leaving_tag = directory_tag_at(&self.table, victim.home, victim.slot)
    held.first = cache_keys_hold(key, hashed)
    held.last = <uintptr_t><PyObject *>value
    if held.first == 0:
        return -1
    if table_insert(&self.table, cache_keys_tag(hashed, salt), expires, &held) < 0:
        cache_keys_release(held.first)  # The caller has a reference too.
        return -1
    Py_INCREF(value)
    self.collectable += cache_contents_collectables(&held)
    if leaving_key:
        # The new entry may have split the bucket: look the old one up again.
        leaving = directory_find(&self.table, leaving_tag, leaving_key, &victim)
        is_over = directory_ends(&self.table, &victim) <= now
        removed_put(&self.removed, leaving, EXPIRED if is_over else EVICTED)
        table_remove(&self.table, &victim)
    return 0


cdef inline int cache_contents_replace(
    cache_contents *self, const directory_place *place, object key, Py_hash_t hashed, object value,
    double now, double expires, bint is_told, PyObject **old,
) noexcept:
    """Set an entry anew. Return 0, or -1 when there is no memory, and then nothing has changed.

    The old value goes to the queue where the entry is over, or where somebody ``is_told`` of it.
    Otherwise it is ``old``, the caller's to release.
    """
    cdef cell *held = directory_held(&self.table, place)
    cdef bint is_live = directory_ends(&self.table, place) > now
    cdef cell leaving = held[0]
    cdef uint64_t word
    wheel_observe(&self.table.wheel, now)
    if (not is_live or is_told) and removed_reserve(&self.removed, 1) < 0:
        return -1
    if not is_live:
        word = cache_keys_hold(key, hashed)
        if word == 0:
            return -1
        removed_put(&self.removed, held, EXPIRED)
        held.first = word
        self.collectable += PyObject_IS_GC(<PyObject *>key)
    elif is_told:
        leaving.first = <uintptr_t>cache_keys_object(held.first)
        Py_INCREF(<object>cache_keys_object(held.first))
        self.collectable += PyObject_IS_GC(cache_keys_object(held.first))
        removed_put(&self.removed, &leaving, REPLACED)
    else:
        old[0] = cache_contents_value(held)
        self.collectable -= PyObject_IS_GC(old[0])
    Py_INCREF(value)
    self.collectable += PyObject_IS_GC(<PyObject *>value)
    held.last = <uintptr_t><PyObject *>value
    table_move(&self.table, place, expires, True)
    return 0


# All of it

cdef inline void cache_contents_init(
    cache_contents *self, bint ranked
) noexcept nogil:
    """Make ready what holds nothing yet."""
    directory_init(&self.table, ranked, NULL, NULL)
    removed_init(&self.removed)


cdef inline size_t cache_contents_bytes(const cache_contents *self) noexcept nogil:
    """Return how many bytes are held, keys and values not counted."""
    return directory_bytes(&self.table) + self.removed.room * sizeof(removal)


cdef inline void cache_contents_release_table(expiring_table *table) noexcept:
    """Release what a table holds that no other code can reach, and its memory.

    Python code can run.
    """
    cdef directory_place place
    cdef const cell *held
    directory_begin(&place)
    held = directory_each(table, &place)
    while held != NULL:
        cache_contents_release(held)
        held = directory_each(table, &place)
    directory_free(table)


cdef inline size_t _cache_contents_count(const expiring_table *table) noexcept:
    cdef directory_place place
    cdef const cell *held
    cdef size_t collectable = 0
    directory_begin(&place)
    held = directory_each(table, &place)
    while held != NULL:
        collectable += cache_contents_collectables(held)
        held = directory_each(table, &place)
    return collectable


cdef inline void cache_contents_detach(cache_contents *self, expiring_table *old) noexcept:
    """Take the table away. The cache is whole and empty from then on."""
    old[0] = self.table
    self.collectable -= _cache_contents_count(old)
    directory_init(&self.table, old.ranked, NULL, NULL)
    self.table.version = old.version + 1
    self.table.sequence = old.sequence


cdef inline bint cache_contents_take(cache_contents *self, removal *taken) noexcept:
    """Take what has waited longest out of the queue. Return False if nothing waits.

    Its references are the caller's then.
    """
    if not removed_take(&self.removed, taken):
        return False
    self.collectable -= cache_contents_collectables(&taken.held)
    return True


cdef inline int cache_contents_queue_all(cache_contents *self, double now) noexcept:
    """Queue every entry, with references of its own. Return -1 when there is no memory for it."""
    cdef directory_place place
    cdef const cell *entry
    cdef cell held
    if removed_reserve(&self.removed, self.table.count) < 0:
        return -1
    directory_begin(&place)
    entry = directory_each(&self.table, &place)
    while entry != NULL:
        held.first = <uintptr_t>cache_keys_object(entry.first)
        held.last = entry.last
        Py_INCREF(<object>cache_keys_object(held.first))
        Py_INCREF(<object>cache_contents_value(&held))
        self.collectable += cache_contents_collectables(&held)
        removed_put(
            &self.removed, &held, EXPIRED if directory_ends(&self.table, &place) <= now else DELETED
        )
        entry = directory_each(&self.table, &place)
    return 0


cdef inline void cache_contents_free(cache_contents *self) noexcept:
    """Release everything. Python code can run, but none that could reach the cache."""
    cdef removal taken
    cache_contents_release_table(&self.table)
    while removed_take(&self.removed, &taken):
        cache_contents_release(&taken.held)
    removed_free(&self.removed)


cdef inline const char *cache_contents_check(const cache_contents *self, uint64_t salt) noexcept:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef const char *broken = table_check(&self.table)
    cdef directory_place place
    cdef const cell *held
    cdef uint32_t tag, number
    cdef size_t collectable
    if broken != NULL:
        return broken
    directory_begin(&place)
    held = directory_each(&self.table, &place)
    while held != NULL:
        tag = directory_tag_at(&self.table, place.home, place.slot)
        if tag != cache_keys_tag(cache_keys_hash(held.first), salt):
            return b"the tag kept with an entry is not that of its key"
        held = directory_each(&self.table, &place)
    collectable = _cache_contents_count(&self.table)
    for number in range(self.removed.count):
        collectable += cache_contents_collectables(&removed_at(&self.removed, number).held)
    if collectable != self.collectable:
        return b"the cache has miscounted what the garbage collector has to follow"
    return NULL

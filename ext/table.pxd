"""What ExpiringCache keeps, as one C structure: slab, index, timer wheel, and the heap of a bounded cache.

Keys and values are borrowed as bare pointers: no Python object is touched here, so no Python code can run and every function
leaves the structure whole. Comparing keys, reading the clock, and releasing objects never belong here.

A removed entry leaves index, wheel and heap at once but keeps its place in the slab, in a list of what its owner has yet to
be told of and to release. So a removal needs no memory and cannot fail, however many there are.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint32_t, uint64_t

from heap cimport (
    expiry_heap, heap_bytes, heap_check, heap_first, heap_free, heap_init, heap_insert, heap_move, heap_remove,
)
from index cimport (
    INDEX_NONE, hash_index, index_bytes, index_check, index_cursor, index_find_first, index_find_next, index_free, index_init,
    index_insert, index_remove,
)
from slab cimport (
    SLAB_NONE, slab, slab_allocate, slab_at, slab_bytes, slab_check, slab_entry, slab_free, slab_init, slab_link, slab_next_used,
    slab_release,
)
from wheel cimport (
    timer_wheel, wheel_cancel, wheel_check, wheel_init, wheel_linked, wheel_next_due, wheel_next_exact, wheel_observe, wheel_schedule,
)


cdef extern from *:
    """
    #define TABLE_REMOVED ((uint32_t)0xFFFFFFFDu)
    """
    uint32_t TABLE_REMOVED   # ``link.prev`` of a removed entry


cdef enum removal:
    EXPIRED
    DELETED
    REPLACED
    EVICTED


cdef struct table_entry:
    double expires
    slab_link link
    uint32_t place           # in the heap; the reason, once removed
    uint32_t tag
    void *key
    void *value


cdef struct expiring_table:
    slab entries
    hash_index index
    timer_wheel wheel
    expiry_heap heap
    bint ranked              # whether the heap is kept
    uint64_t sequence        # of the entry set last
    uint64_t version         # grows with every entry that comes or goes
    uint32_t first_removed
    uint32_t last_removed


cdef inline void table_init(expiring_table *self) noexcept nogil:
    slab_init(&self.entries, sizeof(table_entry))
    index_init(&self.index)
    wheel_init(&self.wheel)
    heap_init(&self.heap)
    self.ranked = False
    self.sequence = self.version = 0
    self.first_removed = self.last_removed = SLAB_NONE


cdef inline void table_free(expiring_table *self) noexcept nogil:
    slab_free(&self.entries)
    index_free(&self.index)
    heap_free(&self.heap)


cdef inline table_entry *table_at(const expiring_table *self, uint32_t handle) noexcept nogil:
    return <table_entry *>slab_at(&self.entries, handle)


cdef inline size_t table_bytes(const expiring_table *self) noexcept nogil:
    return sizeof(expiring_table) + slab_bytes(&self.entries) + index_bytes(&self.index) + heap_bytes(&self.heap)


cdef inline uint32_t table_insert(expiring_table *self, uint32_t tag, double expires, void *key, void *value) noexcept nogil:
    """The new entry, or SLAB_NONE when there is no memory, and then nothing has changed."""
    cdef uint32_t handle = slab_allocate(&self.entries)
    cdef table_entry *entry
    if handle == SLAB_NONE:
        return SLAB_NONE
    entry = table_at(self, handle)
    entry.expires = expires
    if index_insert(&self.index, tag, handle) < 0:
        slab_release(&self.entries, handle)
        return SLAB_NONE
    if self.ranked and heap_insert(&self.heap, &self.entries, handle, self.sequence + 1) < 0:
        index_remove(&self.index, tag, handle)
        slab_release(&self.entries, handle)
        return SLAB_NONE
    entry.tag = tag
    entry.key = key
    entry.value = value
    wheel_schedule(&self.wheel, &self.entries, handle)
    self.sequence += 1
    self.version += 1
    return handle


cdef inline void table_move(expiring_table *self, uint32_t handle, double expires, bint fresh) noexcept nogil:
    """Give the entry another expiry; a fresh one counts as set just now."""
    wheel_cancel(&self.wheel, &self.entries, handle)
    table_at(self, handle).expires = expires
    wheel_schedule(&self.wheel, &self.entries, handle)
    if fresh:
        self.sequence += 1
    if self.ranked:
        heap_move(&self.heap, &self.entries, handle, self.sequence if fresh else 0)


cdef inline void _table_queue(expiring_table *self, uint32_t handle, uint32_t reason) noexcept nogil:
    cdef table_entry *entry = table_at(self, handle)
    entry.place = reason
    entry.link.next = SLAB_NONE
    entry.link.prev = TABLE_REMOVED
    if self.first_removed == SLAB_NONE:
        self.first_removed = handle
    else:
        table_at(self, self.last_removed).link.next = handle
    self.last_removed = handle


cdef inline void table_remove(expiring_table *self, uint32_t handle, uint32_t reason) noexcept nogil:
    index_remove(&self.index, table_at(self, handle).tag, handle)
    wheel_cancel(&self.wheel, &self.entries, handle)
    if self.ranked:
        heap_remove(&self.heap, &self.entries, handle)
    self.version += 1
    _table_queue(self, handle, reason)


cdef inline int table_note_removed(expiring_table *self, void *key, void *value, uint32_t reason) noexcept nogil:
    """Queue what never was, or no longer is, an entry of its own. 0, or -1 when there is no memory."""
    cdef uint32_t handle = slab_allocate(&self.entries)
    if handle == SLAB_NONE:
        return -1
    table_at(self, handle).key = key
    table_at(self, handle).value = value
    _table_queue(self, handle, reason)
    return 0


cdef inline bint table_take_removed(expiring_table *self, table_entry *taken) noexcept nogil:
    """Copy out the removed entry that has waited longest and forget it; False if none waits."""
    cdef uint32_t handle = self.first_removed
    if handle == SLAB_NONE:
        return False
    taken[0] = table_at(self, handle)[0]
    self.first_removed = taken.link.next
    slab_release(&self.entries, handle)
    return True


cdef inline void table_reclaim(expiring_table *self, double now, int budget) noexcept nogil:
    """Remove what is due, in at most so many steps."""
    cdef int64_t target = wheel_observe(&self.wheel, now)
    cdef uint32_t handle
    while True:
        handle = wheel_next_due(&self.wheel, &self.entries, target, &budget)
        if handle == SLAB_NONE:
            return
        if table_at(self, handle).expires <= now:
            table_remove(self, handle, EXPIRED)
        else:
            wheel_schedule(&self.wheel, &self.entries, handle)


cdef inline uint32_t table_reclaim_all(expiring_table *self, double now) noexcept nogil:
    """Remove every entry that is due by the exact clock; how many there were."""
    cdef uint32_t before = self.index.count, handle, cursor = SLAB_NONE
    table_reclaim(self, now, 0x7FFFFFFF)
    while True:
        handle = wheel_next_exact(&self.wheel, &self.entries, now, &cursor)
        if handle == SLAB_NONE:
            return before - self.index.count
        table_remove(self, handle, EXPIRED)


cdef inline void table_clear(expiring_table *self, double now) noexcept nogil:
    """Remove everything."""
    cdef uint32_t handle = slab_next_used(&self.entries, 0)
    cdef table_entry *entry
    index_free(&self.index)
    heap_free(&self.heap)
    wheel_init(&self.wheel)
    self.version += 1
    while handle != SLAB_NONE:
        entry = table_at(self, handle)
        if entry.link.prev != TABLE_REMOVED:
            _table_queue(self, handle, EXPIRED if entry.expires <= now else DELETED)
        handle = slab_next_used(&self.entries, handle + 1)


cdef inline int _table_check_entries(expiring_table *self) noexcept nogil:
    cdef uint32_t handle = slab_next_used(&self.entries, 0), live = 0, removed = 0, found
    cdef index_cursor cursor
    cdef table_entry *entry
    while handle != SLAB_NONE:
        entry = table_at(self, handle)
        if entry.link.prev == TABLE_REMOVED:
            removed += 1
        else:
            live += 1
            if wheel_linked(<slab_entry *>entry) != (entry.expires != INFINITY):
                return 51
            if self.ranked and (entry.place >= self.heap.count or self.heap.nodes[entry.place].handle != handle):
                return 52
            found = index_find_first(&self.index, entry.tag, &cursor)
            while found != INDEX_NONE and found != handle:
                found = index_find_next(&cursor)
            if found == INDEX_NONE:
                return 53
        handle = slab_next_used(&self.entries, handle + 1)
    handle = self.first_removed
    while handle != SLAB_NONE:
        if removed == 0 or table_at(self, handle).link.prev != TABLE_REMOVED:
            return 54
        removed -= 1
        handle = table_at(self, handle).link.next
    if removed != 0 or live != self.index.count or (self.ranked and live != self.heap.count):
        return 55
    return 0


cdef inline int table_check(expiring_table *self) noexcept nogil:
    """Every invariant, for tests: 0, or the number of the rule that is broken: tens for the part, ones for its rule."""
    cdef int broken = slab_check(&self.entries)
    if broken:
        return 10 + broken
    broken = index_check(&self.index)
    if broken:
        return 20 + broken
    broken = wheel_check(&self.wheel, &self.entries)
    if broken:
        return 30 + broken
    broken = heap_check(&self.heap, &self.entries)
    return 40 + broken if broken else _table_check_entries(self)

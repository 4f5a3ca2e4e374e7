"""The table behind ExpiringCache and RevocationList: entries of 16 bytes and an expiry, found by a 32-bit tag, forgotten when they are due.

No Python object is touched here, so no Python code can run and every function leaves the structure whole. What an entry is, comparing
keys, reading clocks, and releasing objects never belong here; nor do locks: the caller owns all of them.

Theory: extendible hashing (Fagin, Nievergelt, Pippenger and Strong, ACM TODS 1979). A directory, addressed by the first bits of a tag, leads to
buckets of up to 64 entries (``bucket.pxd``), which keep them in rows of eight (``rows.pxd``). A full bucket is split in two, and two sparse
neighbours are merged again, so no operation ever waits for more than a few dozen entries to be placed anew, and memory returns while work goes
on. A tag is not kept but asked for again, from the entry, when a bucket splits. Tags that no split can keep apart (a hostile ``__hash__``) make
a chain of buckets: slower, never wrong.

What the timer wheel and the heap hold is not an entry but a bucket, under the expiry of the entry that ends first, so an entry costs neither
links nor a visit to its neighbours in time. Without a heap that expiry may be too early, after a change to that entry: the bucket then comes up
for nothing, once. A bucket that comes up is looked through for all that is due. With a heap it is exact, and so is the order of eviction.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from table.bucket cimport BUCKET_ROWS, bucket, bucket_mark, bucket_occupied
from table.directory cimport (
    DEEPEST_DIRECTORY, DIRECTORY_CHAINED, directory_bucket, directory_cell, directory_expires,
    directory_free_slot, directory_lower, directory_place, directory_rebound, directory_room,
    directory_sequence, directory_soonest_in, directory_tidy, expiring_table,
)
from table.heap cimport heap_check, heap_first
from table.removed cimport removed_put, removed_queue, removed_reserve
from table.rows cimport ROW_ENTRIES, cell, rows_owner
from table.slab cimport SLAB_NONE, slab_at, slab_check
from table.wheel cimport (
    wheel_begin_round, wheel_check, wheel_linked, wheel_lowest_bit, wheel_next_due,
    wheel_next_in_round, wheel_observe, wheel_round, wheel_schedule,
)


cdef enum:
    REMOVAL_STEPS = 4        # what removing an entry counts for: its owner may have much to release


cdef enum removal_reason:
    EXPIRED
    DELETED
    REPLACED
    EVICTED


cdef inline int table_insert(expiring_table *self, uint32_t tag, double expires, const cell *held) noexcept nogil:
    """0, or -1 when there is no memory, and then no entry has changed."""
    cdef uint32_t handle = directory_room(self, tag)
    cdef int slot = -1 if handle == SLAB_NONE else directory_free_slot(self, handle)
    cdef bucket *of
    if slot < 0:
        return -1
    of = directory_bucket(self, handle)
    directory_cell(self, of, <uint32_t>slot)[0] = held[0]
    directory_expires(self, of, <uint32_t>slot)[0] = expires
    self.sequence += 1
    if self.ranked:
        directory_sequence(self, of, <uint32_t>slot)[0] = self.sequence
    of.marks[slot] = bucket_mark(tag)
    of.used += 1
    self.count += 1
    self.version += 1
    directory_lower(self, handle, expires, self.sequence)
    return 0


cdef inline void table_move(expiring_table *self, const directory_place *place, double expires, bint fresh) noexcept nogil:
    """Give the entry another expiry; a fresh one counts as set just now."""
    cdef bucket *of = place.home
    cdef uint64_t *sequence = NULL
    cdef bint was_first = False
    directory_expires(self, of, place.slot)[0] = expires
    if self.ranked:
        sequence = directory_sequence(self, of, place.slot)
        was_first = sequence[0] == self.heap.nodes[of.place].sequence
        if fresh:
            self.sequence += 1
            sequence[0] = self.sequence
    if was_first:
        directory_rebound(self, place.handle)
    else:
        directory_lower(self, place.handle, expires, sequence[0] if self.ranked else 0)


cdef inline void table_remove(expiring_table *self, const directory_place *place) noexcept nogil:
    cdef bucket *of = place.home
    cdef bint was_first = self.ranked and directory_sequence(self, of, place.slot)[0] == self.heap.nodes[of.place].sequence
    of.marks[place.slot] = 0
    of.used -= 1
    self.count -= 1
    self.version += 1
    if was_first:
        directory_rebound(self, place.handle)
    directory_tidy(self, place.handle)


cdef inline bint table_soonest(const expiring_table *self, directory_place *place) noexcept nogil:
    """Of a table that evicts: which entry ends first and, of several, was set longest ago; False if there is none."""
    cdef uint64_t sequence
    place.handle = heap_first(&self.heap)
    if self.count == 0:
        return False
    place.home = directory_bucket(self, place.handle)
    directory_soonest_in(self, place.home, &sequence, &place.slot)
    return True


cdef inline int _table_purge(expiring_table *self, uint32_t handle, double now, int *budget, removed_queue *removed) noexcept nogil:
    """Remove the bucket's entries that are due, one at least; -1 when there is no memory to queue them."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint64_t occupied = bucket_occupied(of)
    cdef uint32_t slot
    cdef bint begun = False
    while occupied:
        slot = <uint32_t>wheel_lowest_bit(occupied)
        occupied &= occupied - 1
        if directory_expires(self, of, slot)[0] > now:
            continue
        if begun and budget[0] <= 0:
            return 0
        if removed != NULL:
            if removed_reserve(removed, 1) < 0:
                return -1
            removed_put(removed, directory_cell(self, of, slot), EXPIRED)
        begun = True
        budget[0] -= REMOVAL_STEPS
        of.marks[slot] = 0
        of.used -= 1
        self.count -= 1
        self.version += 1
    return 0


cdef inline int table_reclaim(expiring_table *self, double now, int budget, removed_queue *removed) noexcept nogil:
    """Remove what is due, in about so many steps; -1 when there is no memory to queue it."""
    cdef int64_t target = wheel_observe(&self.wheel, now)
    cdef uint32_t handle
    cdef int outcome
    while True:
        handle = wheel_next_due(&self.wheel, &self.buckets, target, &budget)
        if handle == SLAB_NONE:
            return 0
        outcome = _table_purge(self, handle, now, &budget, removed)
        directory_rebound(self, handle)
        directory_tidy(self, handle)
        if outcome < 0:
            return -1


cdef inline int table_reclaim_all(expiring_table *self, double now, removed_queue *removed) noexcept nogil:
    """Remove every entry that is due by the exact clock; -1 when there is no memory to queue it."""
    cdef int outcome = table_reclaim(self, now, 0x7FFFFFFF, removed), unbounded = 0x7FFFFFFF
    cdef wheel_round round
    cdef uint32_t handle
    wheel_begin_round(&self.wheel, &self.buckets, &round)
    while outcome == 0:
        handle = wheel_next_in_round(&self.wheel, &self.buckets, &round)
        if handle == SLAB_NONE:
            break
        if directory_bucket(self, handle).expires > now:
            wheel_schedule(&self.wheel, &self.buckets, handle)
            continue
        outcome = _table_purge(self, handle, now, &unbounded, removed)
        directory_rebound(self, handle)
        directory_tidy(self, handle)
    return outcome


# Every invariant, for tests

cdef inline int _table_check_bucket(expiring_table *self, uint32_t handle, uint32_t *rows) noexcept nogil:
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint64_t occupied = bucket_occupied(of), sequence
    cdef uint32_t slot, tag, used = 0, i
    if <uint32_t>(<uint64_t>of.prefix << of.depth) != 0 or of.rows_held > BUCKET_ROWS:
        return 51
    for i in range(of.rows_held):
        if of.rows[i] >= self.rows.count or rows_owner(&self.rows, of.rows[i])[0] != handle:
            return 52
    rows[0] += of.rows_held
    while occupied:
        slot = <uint32_t>wheel_lowest_bit(occupied)
        occupied &= occupied - 1
        used += 1
        if slot >= of.rows_held * ROW_ENTRIES:
            return 53
        tag = self.tag_of(directory_cell(self, of, slot), self.context)
        if of.marks[slot] != bucket_mark(tag) or <uint64_t>(tag ^ of.prefix) << of.depth >> 32 != 0:
            return 54
        if directory_expires(self, of, slot)[0] < of.expires:
            return 55
    if used != of.used or wheel_linked(slab_at(&self.buckets, handle)) != (of.expires != INFINITY):
        return 56
    if self.ranked:
        if of.expires != directory_soonest_in(self, of, &sequence, &slot) or self.heap.nodes[of.place].sequence != sequence:
            return 57
    return 0


cdef inline int _table_check_directory(expiring_table *self) noexcept nogil:
    cdef uint64_t place = 0, i, span
    cdef uint32_t handle, first, buckets = 0, entries = 0, rows = 0
    cdef uint32_t[DEEPEST_DIRECTORY + 1] at_depth
    cdef bucket *of
    cdef int broken
    if self.directory == NULL:
        return 0 if self.count == 0 and self.buckets.used == 0 and self.rows.count == 0 else 61
    memset(at_depth, 0, sizeof(at_depth))
    while place < <uint64_t>1 << self.depth:
        first = self.directory[place]
        handle = first & ~DIRECTORY_CHAINED
        of = directory_bucket(self, handle)
        if of.depth > self.depth or of.prefix != <uint32_t>(place << (32 - self.depth)):
            return 62
        span = <uint64_t>1 << (self.depth - of.depth)
        for i in range(span):
            if self.directory[place + i] != first:
                return 63
        if (first & DIRECTORY_CHAINED != 0) != (of.next != SLAB_NONE):
            return 64
        at_depth[of.depth] += 1
        while handle != SLAB_NONE:
            if directory_bucket(self, handle).prefix != of.prefix or directory_bucket(self, handle).chained != (first & DIRECTORY_CHAINED != 0):
                return 65
            broken = _table_check_bucket(self, handle, &rows)
            if broken:
                return broken
            buckets += 1
            entries += directory_bucket(self, handle).used
            handle = directory_bucket(self, handle).next
        place += span
    for i in range(DEEPEST_DIRECTORY + 1):
        if at_depth[i] != self.at_depth[i]:
            return 66
    if self.depth and at_depth[self.depth] == 0:
        return 67
    if buckets != self.buckets.used or entries != self.count or rows != self.rows.count:
        return 68
    return 69 if self.ranked and self.heap.count != buckets else 0


cdef inline int table_check(expiring_table *self) noexcept nogil:
    """0, or the number of the rule that is broken: tens for the part, ones for its rule."""
    cdef int broken = slab_check(&self.buckets)
    if broken:
        return 10 + broken
    broken = wheel_check(&self.wheel, &self.buckets)
    if broken:
        return 30 + broken
    broken = heap_check(&self.heap, &self.buckets)
    return 40 + broken if broken else _table_check_directory(self)

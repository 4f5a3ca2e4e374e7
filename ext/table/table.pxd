"""The table behind ExpiringCache and RevocationList: entries found by a tag, forgotten when due.

An entry is a cell of 16 bytes and an expiry; its tag has 32 bits. No Python object is touched here,
so no Python code can run and every function leaves the structure whole. What an entry is, comparing
keys, reading clocks, and releasing objects never belong here; nor do locks: the caller owns all of
them.

Theory: extendible hashing (Fagin, Nievergelt, Pippenger and Strong, ACM TODS 1979). A directory,
addressed by the first bits of a tag, leads to buckets of up to 64 entries (``bucket.pxd``), which
keep them in rows of eight (``rows.pxd``). A full bucket is split in two, and two sparse neighbours
are merged again, so no operation ever waits for more than a few dozen entries to be placed anew,
and memory returns while work goes on. When a bucket splits, tags are asked for again: from the
entry where that is cheap; otherwise they are kept beside it, so that a split touches no object
that an entry leads to. Tags that no split can keep apart (a hostile ``__hash__``) make a chain of
buckets: slower, never wrong.

What the timer wheel and the heap hold is not an entry but a bucket, under the expiry of the entry
that ends first, so an entry costs neither links nor a visit to its neighbours in time. Without a
heap that expiry may be too early, after a change to that entry: the bucket then comes up for
nothing, once. A bucket that comes up is looked through for all that is due. With a heap it is
exact, and so is the order of eviction.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from table.bits cimport bits_take
from table.bucket cimport BUCKET_ROWS, bucket, bucket_mark, bucket_occupied
from table.directory cimport (
    DEEPEST_DIRECTORY, DIRECTORY_CHAINED, directory_bucket, directory_cell, directory_expires,
    directory_place, directory_sequence, directory_tag_at, directory_tag_head, expiring_table,
)
from table.due cimport due_lower, due_renew, due_soonest
from table.heap cimport heap_check, heap_first
from table.merge cimport merge_tidy
from table.removed cimport removed_put, removed_queue, removed_reserve
from table.rows cimport ROW_ENTRIES, cell, rows_owner
from table.slab cimport SLAB_NONE, slab_at, slab_check
from table.split cimport split_room, split_slot
from table.wheel cimport (
    wheel_begin_round, wheel_check, wheel_linked, wheel_next_due, wheel_next_in_round,
    wheel_observe, wheel_round, wheel_schedule,
)


cdef enum:
    REMOVAL_STEPS = 4        # what removing an entry counts for: its owner may have much to release


cdef enum removal_reason:
    EXPIRED
    DELETED
    REPLACED
    EVICTED


cdef inline int table_insert(
    expiring_table *self, uint32_t tag, double expires, const cell *held
) noexcept nogil:
    """Add an entry. Return -1, with no entry changed, when there is no memory."""
    cdef uint32_t handle
    cdef int slot
    cdef bucket *home
    self.version += 1  # Buckets may be split though the memory for the entry itself is wanting.
    handle = split_room(self, tag)
    slot = -1 if handle == SLAB_NONE else split_slot(self, handle)
    if slot < 0:
        return -1
    home = directory_bucket(self, handle)
    directory_cell(self, home, <uint32_t>slot)[0] = held[0]
    directory_expires(self, home, <uint32_t>slot)[0] = expires
    self.sequence += 1
    if self.ranked:
        directory_sequence(self, home, <uint32_t>slot)[0] = self.sequence
    home.marks[slot] = bucket_mark(tag)
    if self.tag_of == NULL:
        directory_tag_head(self, home, <uint32_t>slot)[0] = <uint16_t>(tag >> 16)
    home.used += 1
    self.count += 1
    due_lower(self, handle, expires, self.sequence)
    return 0


cdef inline void table_move(
    expiring_table *self, const directory_place *place, double expires, bint fresh
) noexcept nogil:
    """Give the entry another expiry. A fresh entry counts as set just now."""
    cdef bucket *home = place.home
    cdef uint64_t *sequence = NULL
    cdef bint was_first = False
    directory_expires(self, home, place.slot)[0] = expires
    if self.ranked:
        sequence = directory_sequence(self, home, place.slot)
        was_first = sequence[0] == self.heap.nodes[home.place].sequence
        if fresh:
            self.sequence += 1
            sequence[0] = self.sequence
    if was_first:
        due_renew(self, place.handle)
    else:
        due_lower(self, place.handle, expires, sequence[0] if self.ranked else 0)


cdef inline void table_remove(expiring_table *self, const directory_place *place) noexcept nogil:
    cdef bucket *home = place.home
    cdef bint was_first = self.ranked and (
        directory_sequence(self, home, place.slot)[0] == self.heap.nodes[home.place].sequence
    )
    home.marks[place.slot] = 0
    home.used -= 1
    self.count -= 1
    self.version += 1
    if was_first:
        due_renew(self, place.handle)
    merge_tidy(self, place.handle)


cdef inline bint table_soonest(const expiring_table *self, directory_place *place) noexcept nogil:
    """Find the entry that ends first and, of several, was set longest ago.

    Return False if there is none. Only of a table that evicts.
    """
    cdef uint64_t sequence
    place.handle = heap_first(&self.heap)
    if self.count == 0:
        return False
    place.home = directory_bucket(self, place.handle)
    due_soonest(self, place.home, &sequence, &place.slot)
    return True


cdef inline int _table_purge(
    expiring_table *self, uint32_t handle, double now, int *budget, removed_queue *removed
) noexcept nogil:
    """Remove the bucket's entries that are due, one of them whatever the budget.

    Return -1 when there is no memory to queue them.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint64_t occupied = bucket_occupied(home)
    cdef uint32_t slot
    cdef bint begun = False
    while occupied:
        slot = bits_take(&occupied)
        if directory_expires(self, home, slot)[0] > now:
            continue
        if begun and budget[0] <= 0:
            return 0
        if removed != NULL:
            if removed_reserve(removed, 1) < 0:
                return -1
            removed_put(removed, directory_cell(self, home, slot), EXPIRED)
        begun = True
        budget[0] -= REMOVAL_STEPS
        home.marks[slot] = 0
        home.used -= 1
        self.count -= 1
        self.version += 1
    return 0


cdef inline int table_reclaim(
    expiring_table *self, double now, int budget, removed_queue *removed
) noexcept nogil:
    """Remove what is due, in about so many steps. Return -1 when there is no memory to queue it."""
    cdef int64_t target = wheel_observe(&self.wheel, now)
    cdef uint32_t handle
    cdef int outcome
    while True:
        handle = wheel_next_due(&self.wheel, &self.buckets, target, &budget)
        if handle == SLAB_NONE:
            return 0
        outcome = _table_purge(self, handle, now, &budget, removed)
        due_renew(self, handle)
        self.version += 1  # Tidying may move entries though none was due.
        merge_tidy(self, handle)
        if outcome < 0:
            return -1


cdef inline int table_reclaim_all(
    expiring_table *self, double now, removed_queue *removed
) noexcept nogil:
    """Remove all that is due by the exact clock. Return -1 when there is no memory to queue it."""
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
        due_renew(self, handle)
        self.version += 1
        merge_tidy(self, handle)
    return outcome


# Every invariant, for tests

cdef inline const char *_table_check_entry(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    cdef uint32_t tag
    if slot >= home.rows_held * ROW_ENTRIES:
        return b"an entry lies beyond the rows of its bucket"
    tag = directory_tag_at(self, home, slot)
    if home.marks[slot] != bucket_mark(tag):
        return b"an entry's mark is not that of its tag"
    if <uint64_t>(tag ^ home.prefix) << home.depth >> 32 != 0:
        return b"an entry lies in the bucket of another prefix"
    if directory_expires(self, home, slot)[0] < home.expires:
        return b"an entry ends before its bucket is due"
    return NULL


cdef inline const char *_table_check_bucket(
    const expiring_table *self, uint32_t handle, uint32_t *rows
) noexcept nogil:
    cdef const bucket *home = directory_bucket(self, handle)
    cdef uint64_t occupied = bucket_occupied(home), sequence
    cdef uint32_t slot, used = 0, i
    cdef const char *broken
    if <uint32_t>(<uint64_t>home.prefix << home.depth) != 0:
        return b"a bucket's prefix is longer than its depth"
    if home.rows_held > BUCKET_ROWS:
        return b"a bucket holds more rows than it has places for"
    for i in range(home.rows_held):
        if home.rows[i] >= self.rows.count or rows_owner(&self.rows, home.rows[i])[0] != handle:
            return b"a bucket's row belongs to another bucket, or to none"
    rows[0] += home.rows_held
    while occupied:
        slot = bits_take(&occupied)
        used += 1
        broken = _table_check_entry(self, home, slot)
        if broken != NULL:
            return broken
    if used != home.used:
        return b"a bucket has miscounted its entries"
    if wheel_linked(slab_at(&self.buckets, handle)) != (home.expires != INFINITY):
        return b"the wheel holds a bucket that is never due, or lacks one that will be"
    if self.ranked:
        if home.expires != due_soonest(self, home, &sequence, &slot):
            return b"a bucket that can be evicted from is due at another time than its first entry"
        if self.heap.nodes[home.place].sequence != sequence:
            return b"the heap knows another first entry of a bucket than the bucket has"
    return NULL


cdef inline const char *_table_check_directory(const expiring_table *self) noexcept nogil:
    cdef uint64_t place = 0, span, i
    cdef uint32_t handle, first, chained, buckets = 0, entries = 0, rows = 0
    cdef uint32_t[DEEPEST_DIRECTORY + 1] at_depth
    cdef const bucket *home
    cdef const bucket *link
    cdef const char *broken
    if self.directory == NULL:
        if self.count != 0 or self.buckets.used != 0 or self.rows.count != 0:
            return b"a table without a directory counts entries, buckets or rows"
        return NULL
    memset(at_depth, 0, sizeof(at_depth))
    while place < <uint64_t>1 << self.depth:
        first = self.directory[place]
        chained = first & DIRECTORY_CHAINED != 0
        handle = first & ~DIRECTORY_CHAINED
        home = directory_bucket(self, handle)
        if home.depth > self.depth or home.prefix != <uint32_t>(place << (32 - self.depth)):
            return b"a directory place leads to the bucket of another prefix"
        span = <uint64_t>1 << (self.depth - home.depth)
        for i in range(span):
            if self.directory[place + i] != first:
                return b"two directory places of one prefix lead to different buckets"
        if chained != (home.next != SLAB_NONE):
            return b"a directory place is wrong about whether a chain begins there"
        at_depth[home.depth] += 1
        while handle != SLAB_NONE:
            link = directory_bucket(self, handle)
            if link.prefix != home.prefix or link.chained != chained:
                return b"a bucket is in a chain it does not belong to"
            broken = _table_check_bucket(self, handle, &rows)
            if broken != NULL:
                return broken
            buckets += 1
            entries += link.used
            handle = link.next
        place += span
    for i in range(DEEPEST_DIRECTORY + 1):
        if at_depth[i] != self.at_depth[i]:
            return b"the directory has miscounted the buckets of a depth"
    if self.depth and at_depth[self.depth] == 0:
        return b"the directory is deeper than every bucket"
    if buckets != self.buckets.used or entries != self.count or rows != self.rows.count:
        return b"the directory leads to other numbers of buckets, entries or rows than are counted"
    if self.ranked and self.heap.count != buckets:
        return b"the heap holds another number of buckets than the directory leads to"
    return NULL


cdef inline const char *table_check(const expiring_table *self) noexcept nogil:
    """Return what is wrong with the table as a sentence, for tests; NULL where all of it holds."""
    cdef const char *broken = slab_check(&self.buckets)
    if broken == NULL:
        broken = wheel_check(&self.wheel, &self.buckets)
    if broken == NULL:
        broken = heap_check(&self.heap, &self.buckets)
    if broken == NULL:
        broken = _table_check_directory(self)
    return broken

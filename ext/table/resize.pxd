"""Buckets that come, grow and go: splits a full one, merges two sparse neighbours.

Only what changes which buckets there are, and what rows they hold, belongs here. `table.pxd` tells
the theory. No Python object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from table.bits cimport bits_take
from table.bucket cimport BUCKET_ENTRIES, bucket, bucket_free, bucket_occupied
from table.directory cimport (
    DEEPEST_DIRECTORY, DIRECTORY_CHAINED, DIRECTORY_LAST, directory_at, directory_bucket,
    directory_cell, directory_double, directory_first_bucket, directory_halve, directory_point,
    directory_row, expiring_table,
)
from table.due cimport due_lower, due_renew
from table.heap cimport heap_insert, heap_remove
from table.rows cimport ROW_ENTRIES, ROW_NONE, row, rows_add, rows_drop, rows_owner
from table.slab cimport SLAB_NONE, slab_allocate, slab_release
from table.wheel cimport wheel_cancel


cdef enum:
    PACKED_AT = 16           # free places: a bucket that has more gives a row back
    MERGED_AT_MOST = 40      # entries in a merged bucket: far from splitting again


cdef inline uint32_t _resize_new_bucket(
    expiring_table *self, uint32_t depth, uint32_t prefix
) noexcept nogil:
    cdef uint32_t handle = slab_allocate(&self.buckets)
    cdef bucket *fresh
    if handle == SLAB_NONE:
        return SLAB_NONE
    fresh = directory_bucket(self, handle)
    fresh.expires = INFINITY
    fresh.next = SLAB_NONE
    fresh.prefix = prefix
    fresh.depth = <uint8_t>depth
    fresh.used = fresh.rows_held = fresh.chained = 0
    memset(fresh.marks, 0, sizeof(fresh.marks))
    if self.ranked and heap_insert(&self.heap, &self.buckets, handle, DIRECTORY_LAST) < 0:
        slab_release(&self.buckets, handle)
        return SLAB_NONE
    return handle


cdef inline void _resize_drop_row(expiring_table *self, bucket *home) noexcept nogil:
    """Give the bucket's last row back, and tell the owner of the row that then moves into its
    place.
    """
    cdef uint32_t handle = home.rows[home.rows_held - 1], i = 0
    cdef uint32_t moved = rows_drop(&self.rows, handle)
    cdef bucket *owner
    home.rows_held -= 1
    if moved != ROW_NONE:
        owner = directory_bucket(self, rows_owner(&self.rows, handle)[0])
        while owner.rows[i] != moved:
            i += 1
        owner.rows[i] = handle


cdef inline void _resize_drop_chain(expiring_table *self, uint32_t handle) noexcept nogil:
    cdef bucket *home
    cdef uint32_t following
    while handle != SLAB_NONE:
        home = directory_bucket(self, handle)
        following = home.next
        while home.rows_held:
            _resize_drop_row(self, home)
        wheel_cancel(&self.wheel, &self.buckets, handle)
        if self.ranked:
            heap_remove(&self.heap, &self.buckets, handle)
        slab_release(&self.buckets, handle)
        handle = following


cdef inline int _resize_add_row(expiring_table *self, uint32_t handle) noexcept nogil:
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t added = rows_add(&self.rows, handle)
    if added == ROW_NONE:
        return -1
    home.rows[home.rows_held] = added
    home.rows_held += 1
    return 0


cdef inline int resize_slot(expiring_table *self, uint32_t handle) noexcept nogil:
    """Return a free place in a bucket that is not full, or -1 when there is no memory for a row."""
    cdef bucket *home = directory_bucket(self, handle)
    if home.used == home.rows_held * ROW_ENTRIES and _resize_add_row(self, handle) < 0:
        return -1
    return <int>bucket_free(home)


cdef inline void _resize_copy(
    expiring_table *self, bucket *to, uint32_t slot, const bucket *home, uint32_t other
) noexcept nogil:
    """Copy an entry into a free place."""
    cdef row *target = directory_row(self, to, slot)
    cdef row *source = directory_row(self, home, other)
    target.expires[slot % ROW_ENTRIES] = source.expires[other % ROW_ENTRIES]
    target.cells[slot % ROW_ENTRIES] = source.cells[other % ROW_ENTRIES]
    if self.ranked:
        target.sequences[slot % ROW_ENTRIES] = source.sequences[other % ROW_ENTRIES]
    to.marks[slot] = home.marks[other]
    to.used += 1


cdef inline bint _resize_divides(
    const expiring_table *self, uint32_t handle, uint32_t bit
) noexcept nogil:
    """Return whether a split of the chain would keep any entries apart."""
    cdef uint64_t occupied
    cdef uint32_t seen = 2, side, slot
    cdef bucket *home
    while handle != SLAB_NONE:
        home = directory_bucket(self, handle)
        occupied = bucket_occupied(home)
        while occupied:
            slot = bits_take(&occupied)
            side = self.tag_of(directory_cell(self, home, slot), self.context) & bit != 0
            if seen == 2:
                seen = side
            elif side != seen:
                return True
        handle = home.next
    return False


cdef inline uint64_t _resize_upper_half(
    const expiring_table *self, const bucket *home, uint32_t bit
) noexcept nogil:
    """Return the places of a bucket whose tags have the bit.

    No branch waits for a tag, so the processor asks memory for many keys at a time.
    """
    cdef uint64_t upper = 0
    cdef uint32_t slot, tag
    for slot in range(home.rows_held * ROW_ENTRIES):
        if home.marks[slot]:
            tag = self.tag_of(directory_cell(self, home, slot), self.context)
            upper |= <uint64_t>(tag & bit != 0) << slot
    return upper


cdef inline uint32_t _resize_chain_bucket(expiring_table *self, uint32_t handle) noexcept nogil:
    """Add a bucket to a chain, behind one that may be all of it so far.

    Return the new bucket, or SLAB_NONE when there is no memory.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t fresh = _resize_new_bucket(self, home.depth, home.prefix)
    if fresh != SLAB_NONE:
        directory_bucket(self, fresh).next = home.next
        home.next = fresh
        home.chained = directory_bucket(self, fresh).chained = 1
    return fresh


cdef inline int _resize_deal(
    expiring_table *self, uint32_t handle, uint32_t bit, uint32_t *halves
) noexcept nogil:
    """Copy a chain's entries into two, by a bit of their tags. Return -1 when there is no memory.
    """
    cdef uint32_t[2] last
    cdef uint64_t upper
    cdef uint32_t slot, side
    cdef int to
    cdef bucket *home
    last[0] = halves[0]
    last[1] = halves[1]
    while handle != SLAB_NONE:
        home = directory_bucket(self, handle)
        upper = _resize_upper_half(self, home, bit)
        for slot in range(home.rows_held * ROW_ENTRIES):
            if home.marks[slot] == 0:
                continue
            side = upper >> slot & 1
            if directory_bucket(self, last[side]).used == BUCKET_ENTRIES:
                last[side] = _resize_chain_bucket(self, last[side])
                if last[side] == SLAB_NONE:
                    return -1
            to = resize_slot(self, last[side])
            if to < 0:
                return -1
            _resize_copy(self, directory_bucket(self, last[side]), <uint32_t>to, home, slot)
        handle = home.next
    return 0


cdef inline int _resize_split(expiring_table *self, uint32_t handle) noexcept nogil:
    """Split a bucket, or a chain, in two. Return -1, with nothing changed, when there is no memory.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t depth = home.depth + 1u, bit = 0x80000000u >> home.depth, side, part
    cdef uint32_t[2] halves
    if depth > self.depth and directory_double(self) < 0:
        return -1
    halves[0] = _resize_new_bucket(self, depth, home.prefix)
    halves[1] = _resize_new_bucket(self, depth, home.prefix | bit)
    if (
        halves[0] == SLAB_NONE
        or halves[1] == SLAB_NONE
        or _resize_deal(self, handle, bit, halves) < 0
    ):
        _resize_drop_chain(self, halves[0])
        _resize_drop_chain(self, halves[1])
        return -1
    for side in range(2):
        part = halves[side]
        while part != SLAB_NONE:
            due_renew(self, part)
            part = directory_bucket(self, part).next
        directory_point(self, halves[side])
    self.at_depth[depth - 1] -= 1
    self.at_depth[depth] += 2
    _resize_drop_chain(self, handle)
    return 0


cdef inline uint32_t resize_room(expiring_table *self, uint32_t tag) noexcept nogil:
    """Return a bucket for the tag that is not full, making one where there is none.

    Return SLAB_NONE, with no entry changed, when there is no memory.
    """
    cdef uint32_t first, handle
    cdef bucket *home
    cdef bint splittable
    if self.directory == NULL:
        self.directory = <uint32_t *>PyMem_RawMalloc(sizeof(uint32_t))
        first = SLAB_NONE if self.directory == NULL else _resize_new_bucket(self, 0, 0)
        if first == SLAB_NONE:
            PyMem_RawFree(self.directory)
            self.directory = NULL
            return SLAB_NONE
        self.directory[0] = first
        self.at_depth[0] = 1
    while True:
        first = directory_first_bucket(self, tag)
        home = directory_bucket(self, first)
        if home.used < BUCKET_ENTRIES:
            return first
        # A directory of one place per 8 entries is several times what spread tags need: more is for
        # no good.
        splittable = home.depth < self.depth or (
            self.depth < DEEPEST_DIRECTORY and <uint64_t>16 << self.depth <= self.count
        )
        if not splittable or not _resize_divides(self, first, 0x80000000u >> home.depth):
            break
        if _resize_split(self, first) < 0:
            return SLAB_NONE
    handle = home.next
    while handle != SLAB_NONE and directory_bucket(self, handle).used == BUCKET_ENTRIES:
        handle = directory_bucket(self, handle).next
    if handle == SLAB_NONE:
        handle = _resize_chain_bucket(self, first)
        directory_point(self, first)
    return handle


cdef inline void _resize_unchain(expiring_table *self, uint32_t handle) noexcept nogil:
    """Take an empty bucket out of its chain."""
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t first = directory_first_bucket(self, home.prefix), before = first
    if handle == first:
        first = home.next
    else:
        while directory_bucket(self, before).next != handle:
            before = directory_bucket(self, before).next
        directory_bucket(self, before).next = home.next
    home.next = SLAB_NONE
    _resize_drop_chain(self, handle)
    directory_bucket(self, first).chained = directory_bucket(self, first).next != SLAB_NONE
    directory_point(self, first)


cdef inline uint32_t _resize_merge(expiring_table *self, uint32_t handle) noexcept nogil:
    """Merge a bucket with its neighbour, if both are sparse.

    Return the bucket that is left, or SLAB_NONE where none was merged, be it for want of memory.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t bit, other, slot
    cdef uint64_t occupied, sequence
    cdef bucket *source
    if home.depth == 0 or home.used > MERGED_AT_MOST // 2:
        return SLAB_NONE
    bit = 0x80000000u >> (home.depth - 1)
    other = directory_at(self, home.prefix ^ bit)[0]
    if home.chained or other & DIRECTORY_CHAINED:
        return SLAB_NONE
    source = directory_bucket(self, other)
    if source.depth != home.depth or home.used + source.used > MERGED_AT_MOST:
        return SLAB_NONE
    if source.used > home.used:
        handle, other = other, handle
        home, source = source, home
    while home.rows_held * ROW_ENTRIES - home.used < source.used:
        if _resize_add_row(self, handle) < 0:
            return SLAB_NONE
    occupied = bucket_occupied(source)
    while occupied:
        slot = bits_take(&occupied)
        _resize_copy(self, home, bucket_free(home), source, slot)
    self.at_depth[home.depth] -= 2
    home.depth -= 1
    home.prefix &= ~bit
    self.at_depth[home.depth] += 1
    directory_point(self, handle)
    sequence = self.heap.nodes[source.place].sequence if self.ranked else 0
    due_lower(self, handle, source.expires, sequence)
    _resize_drop_chain(self, other)
    directory_halve(self)
    return handle


cdef inline void resize_tidy(expiring_table *self, uint32_t handle) noexcept nogil:
    """Give back what a bucket needs no longer, after entries have left it.

    It may be gone afterwards.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t slot
    while home.rows_held and (
        home.used == 0 or home.rows_held * ROW_ENTRIES - home.used >= PACKED_AT
    ):
        for slot in range((home.rows_held - 1) * ROW_ENTRIES, home.rows_held * ROW_ENTRIES):
            if home.marks[slot]:
                _resize_copy(self, home, bucket_free(home), home, slot)
                home.marks[slot] = 0
                home.used -= 1
        _resize_drop_row(self, home)
    if home.chained and home.used == 0:
        _resize_unchain(self, handle)
    elif home.depth == 0 and home.used == 0:
        _resize_drop_chain(self, handle)
        PyMem_RawFree(self.directory)
        self.directory = NULL
        self.at_depth[0] = 0
    else:
        while handle != SLAB_NONE:
            handle = _resize_merge(self, handle)

"""Buckets that come and grow: splits a full one, and chains those that no split can keep apart.

Only making room for an entry belongs here. `table.pxd` tells the theory. No Python object is
touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from table.bits cimport bits_take
from table.bucket cimport BUCKET_ENTRIES, BUCKET_ROWS, bucket, bucket_free, bucket_occupied
from table.directory cimport (
    DEEPEST_DIRECTORY, directory_bucket, directory_double, directory_first_bucket, directory_point,
    directory_tag_at, expiring_table,
)
from table.due cimport due_renew
from table.resize cimport (
    resize_add_row, resize_copy, resize_drop_chain, resize_new_bucket, resize_swap,
)
from table.rows cimport ROW_ENTRIES, rows_owner
from table.slab cimport SLAB_NONE


cdef inline int split_slot(expiring_table *self, uint32_t handle) noexcept nogil:
    """Return a free place in a bucket that is not full, or -1 when there is no memory for a row."""
    cdef bucket *home = directory_bucket(self, handle)
    if home.used == home.rows_held * ROW_ENTRIES and resize_add_row(self, handle) < 0:
        return -1
    return <int>bucket_free(home)


cdef inline bint _split_divides(
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
            side = directory_tag_at(self, home, slot) & bit != 0
            if seen == 2:
                seen = side
            elif side != seen:
                return True
        handle = home.next
    return False


# A bucket by itself

cdef inline uint64_t _split_places(
    const expiring_table *self, const bucket *home, uint32_t bit, uint32_t *count
) noexcept nogil:
    """Find the places of a full bucket whose tags have the bit, and how many those are."""
    cdef uint64_t places = 0
    cdef uint32_t slot, has
    count[0] = 0
    for slot in range(BUCKET_ENTRIES):
        has = directory_tag_at(self, home, slot) & bit != 0
        places |= <uint64_t>has << slot
        count[0] += has
    return places


cdef inline uint32_t _split_prepare(
    expiring_table *self, const bucket *home, bint has_row
) noexcept nogil:
    """Make the bucket that is to take half of another, of a row or none.

    Return SLAB_NONE, with nothing changed, when there is no memory.
    """
    cdef uint32_t depth = home.depth + 1u
    cdef uint32_t fresh = resize_new_bucket(self, depth, home.prefix | 0x80000000u >> home.depth)
    if fresh == SLAB_NONE:
        return SLAB_NONE
    if (has_row and resize_add_row(self, fresh) < 0) or (
        depth > self.depth and directory_double(self) < 0
    ):
        resize_drop_chain(self, fresh)
        return SLAB_NONE
    return fresh


cdef inline int _split_bucket(expiring_table *self, uint32_t handle) noexcept nogil:
    """Split a full bucket in two. Return -1, with nothing changed, when there is no memory.

    Its last rows go to the new bucket as they lie, once entries have changed places so that all in
    them belong there. A few entries may find no room in them, and get a new row.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t bit = 0x80000000u >> home.depth, leaving, kept_rows, kept, slot, i
    cdef uint64_t moving = _split_places(self, home, bit, &leaving), staying = ~moving
    cdef uint64_t kept_places = ~<uint64_t>0
    cdef uint32_t fresh
    cdef bucket *half
    kept_rows = (BUCKET_ENTRIES - leaving + ROW_ENTRIES - 1) // ROW_ENTRIES
    kept = kept_rows * ROW_ENTRIES
    fresh = _split_prepare(self, home, kept != BUCKET_ENTRIES - leaving)
    if fresh == SLAB_NONE:
        return -1
    half = directory_bucket(self, fresh)
    if kept < BUCKET_ENTRIES:
        kept_places = (<uint64_t>1 << kept) - 1
    staying &= ~kept_places
    while staying:  # There are at least as many to go from the places that are kept.
        resize_swap(self, home, bits_take(&moving), bits_take(&staying))
    moving &= kept_places
    while moving:
        slot = bits_take(&moving)
        resize_copy(self, half, half.used, home, slot)
        home.marks[slot] = 0
    for i in range(kept_rows, BUCKET_ROWS):
        rows_owner(&self.rows, home.rows[i])[0] = fresh
        slot = half.rows_held * ROW_ENTRIES
        memcpy(&half.marks[slot], &home.marks[i * ROW_ENTRIES], ROW_ENTRIES * sizeof(uint16_t))
        half.rows[half.rows_held] = home.rows[i]
        half.rows_held += 1
    memset(&home.marks[kept], 0, (BUCKET_ENTRIES - kept) * sizeof(uint16_t))
    home.rows_held = <uint8_t>kept_rows
    home.used = <uint8_t>(BUCKET_ENTRIES - leaving)
    half.used = <uint8_t>leaving
    home.depth += 1
    self.at_depth[home.depth - 1] -= 1
    self.at_depth[home.depth] += 2
    directory_point(self, fresh)
    due_renew(self, fresh)
    if half.expires <= home.expires:  # The entry that ends first may have gone there.
        due_renew(self, handle)
    return 0


# A chain

cdef inline uint32_t _split_add_to_chain(expiring_table *self, uint32_t handle) noexcept nogil:
    """Add a bucket to a chain, behind one that may be all of it so far.

    Return the new bucket, or SLAB_NONE when there is no memory.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t fresh = resize_new_bucket(self, home.depth, home.prefix)
    if fresh != SLAB_NONE:
        directory_bucket(self, fresh).next = home.next
        home.next = fresh
        home.chained = directory_bucket(self, fresh).chained = 1
    return fresh


cdef inline int _split_deal(
    expiring_table *self, uint32_t handle, uint32_t bit, uint32_t *halves
) noexcept nogil:
    """Copy a chain's entries into two, by a bit of their tags. Return -1 when there is no memory.
    """
    cdef uint32_t[2] last
    cdef uint32_t slot, side
    cdef int to
    cdef bucket *home
    last[0] = halves[0]
    last[1] = halves[1]
    while handle != SLAB_NONE:
        home = directory_bucket(self, handle)
        for slot in range(home.rows_held * ROW_ENTRIES):
            if home.marks[slot] == 0:
                continue
            side = directory_tag_at(self, home, slot) & bit != 0
            if directory_bucket(self, last[side]).used == BUCKET_ENTRIES:
                last[side] = _split_add_to_chain(self, last[side])
                if last[side] == SLAB_NONE:
                    return -1
            to = split_slot(self, last[side])
            if to < 0:
                return -1
            resize_copy(self, directory_bucket(self, last[side]), <uint32_t>to, home, slot)
        handle = home.next
    return 0


cdef inline int _split_chain(expiring_table *self, uint32_t handle) noexcept nogil:
    """Split a chain in two. Return -1, with nothing changed, when there is no memory."""
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t depth = home.depth + 1u, bit = 0x80000000u >> home.depth, side, part
    cdef uint32_t[2] halves
    if depth > self.depth and directory_double(self) < 0:
        return -1
    halves[0] = resize_new_bucket(self, depth, home.prefix)
    halves[1] = resize_new_bucket(self, depth, home.prefix | bit)
    if (
        halves[0] == SLAB_NONE
        or halves[1] == SLAB_NONE
        or _split_deal(self, handle, bit, halves) < 0
    ):
        resize_drop_chain(self, halves[0])
        resize_drop_chain(self, halves[1])
        return -1
    for side in range(2):
        part = halves[side]
        while part != SLAB_NONE:
            due_renew(self, part)
            part = directory_bucket(self, part).next
        directory_point(self, halves[side])
    self.at_depth[depth - 1] -= 1
    self.at_depth[depth] += 2
    resize_drop_chain(self, handle)
    return 0


# Room for an entry

cdef inline uint32_t split_room(expiring_table *self, uint32_t tag) noexcept nogil:
    """Return a bucket for the tag that is not full, making one where there is none.

    Return SLAB_NONE, with no entry changed, when there is no memory.
    """
    cdef uint32_t first, handle
    cdef bucket *home
    cdef bint splittable
    cdef int outcome
    if self.directory == NULL:
        self.directory = <uint32_t *>PyMem_RawMalloc(sizeof(uint32_t))
        first = SLAB_NONE if self.directory == NULL else resize_new_bucket(self, 0, 0)
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
        if not splittable or not _split_divides(self, first, 0x80000000u >> home.depth):
            break
        outcome = _split_chain(self, first) if home.chained else _split_bucket(self, first)
        if outcome < 0:
            return SLAB_NONE
    handle = home.next
    while handle != SLAB_NONE and directory_bucket(self, handle).used == BUCKET_ENTRIES:
        handle = directory_bucket(self, handle).next
    if handle == SLAB_NONE:
        handle = _split_add_to_chain(self, first)
        directory_point(self, first)
    return handle

"""What splits and merges are made of: a bucket made or dropped, its rows, and an entry moved.

Only these steps belong here; `split.pxd` and `merge.pxd` know when to take them. No Python object
is touched and no lock taken: the caller owns both.
"""

from libc.math cimport INFINITY
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from table.bucket cimport bucket
from table.directory cimport (
    DIRECTORY_LAST, directory_bucket, directory_row, directory_tag_head, expiring_table,
)
from table.heap cimport heap_insert, heap_remove
from table.rows cimport ROW_ENTRIES, ROW_NONE, cell, row, rows_add, rows_drop, rows_owner
from table.slab cimport SLAB_NONE, slab_allocate, slab_release
from table.wheel cimport wheel_cancel


cdef inline uint32_t resize_new_bucket(
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


cdef inline void resize_drop_row(expiring_table *self, bucket *home) noexcept nogil:
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


cdef inline void resize_drop_chain(expiring_table *self, uint32_t handle) noexcept nogil:
    cdef bucket *home
    cdef uint32_t following
    while handle != SLAB_NONE:
        home = directory_bucket(self, handle)
        following = home.next
        while home.rows_held:
            resize_drop_row(self, home)
        wheel_cancel(&self.wheel, &self.buckets, handle)
        if self.ranked:
            heap_remove(&self.heap, &self.buckets, handle)
        slab_release(&self.buckets, handle)
        handle = following


cdef inline int resize_add_row(expiring_table *self, uint32_t handle) noexcept nogil:
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t added = rows_add(&self.rows, handle)
    if added == ROW_NONE:
        return -1
    home.rows[home.rows_held] = added
    home.rows_held += 1
    return 0


cdef inline void resize_copy(
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
    if self.tag_of == NULL:
        directory_tag_head(self, to, slot)[0] = directory_tag_head(self, home, other)[0]
    to.used += 1


cdef inline void resize_swap(
    expiring_table *self, bucket *home, uint32_t slot, uint32_t other
) noexcept nogil:
    """Let two entries of a bucket change places."""
    cdef row *mine = directory_row(self, home, slot)
    cdef row *its = directory_row(self, home, other)
    cdef uint32_t here = slot % ROW_ENTRIES, there = other % ROW_ENTRIES
    cdef double expires = mine.expires[here]
    cdef cell held = mine.cells[here]
    cdef uint16_t mark = home.marks[slot], tag_head
    cdef uint64_t sequence
    mine.expires[here] = its.expires[there]
    its.expires[there] = expires
    mine.cells[here] = its.cells[there]
    its.cells[there] = held
    if self.ranked:
        sequence = mine.sequences[here]
        mine.sequences[here] = its.sequences[there]
        its.sequences[there] = sequence
    home.marks[slot] = home.marks[other]
    home.marks[other] = mark
    if self.tag_of == NULL:
        tag_head = directory_tag_head(self, home, slot)[0]
        directory_tag_head(self, home, slot)[0] = directory_tag_head(self, home, other)[0]
        directory_tag_head(self, home, other)[0] = tag_head

"""Buckets that shrink and go: gives rows back, merges two sparse neighbours, undoes chains.

Only giving back what is needed no longer belongs here. `table.pxd` tells the theory. No Python
object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree
from libc.stdint cimport uint32_t, uint64_t

from table.bits cimport bits_take
from table.bucket cimport bucket, bucket_free, bucket_occupied
from table.directory cimport (
    DIRECTORY_CHAINED, directory_at, directory_bucket, directory_first_bucket, directory_halve,
    directory_point, expiring_table,
)
from table.due cimport due_lower
from table.resize cimport resize_add_row, resize_copy, resize_drop_chain, resize_drop_row
from table.rows cimport ROW_ENTRIES
from table.slab cimport SLAB_NONE


cdef enum:
    PACKED_AT = 16           # free places: a bucket that has more gives a row back
    MERGED_AT_MOST = 40      # entries in a merged bucket: far from splitting again


cdef inline void _merge_unchain(expiring_table *self, uint32_t handle) noexcept nogil:
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
    resize_drop_chain(self, handle)
    directory_bucket(self, first).chained = directory_bucket(self, first).next != SLAB_NONE
    directory_point(self, first)


cdef inline uint32_t _merge_bucket(expiring_table *self, uint32_t handle) noexcept nogil:
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
        if resize_add_row(self, handle) < 0:
            return SLAB_NONE
    occupied = bucket_occupied(source)
    while occupied:
        slot = bits_take(&occupied)
        resize_copy(self, home, bucket_free(home), source, slot)
    self.at_depth[home.depth] -= 2
    home.depth -= 1
    home.prefix &= ~bit
    self.at_depth[home.depth] += 1
    directory_point(self, handle)
    sequence = self.heap.nodes[source.place].sequence if self.ranked else 0
    due_lower(self, handle, source.expires, sequence)
    resize_drop_chain(self, other)
    directory_halve(self)
    return handle


cdef inline void merge_tidy(expiring_table *self, uint32_t handle) noexcept nogil:
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
                resize_copy(self, home, bucket_free(home), home, slot)
                home.marks[slot] = 0
                home.used -= 1
        resize_drop_row(self, home)
    if home.chained and home.used == 0:
        _merge_unchain(self, handle)
    elif home.depth == 0 and home.used == 0:
        resize_drop_chain(self, handle)
        PyMem_RawFree(self.directory)
        self.directory = NULL
        self.at_depth[0] = 0
    else:
        while handle != SLAB_NONE:
            handle = _merge_bucket(self, handle)

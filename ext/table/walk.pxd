"""A walk over the entries of a table that may change meanwhile, in the order of their tags.

Only the walk's own position belongs here. It notes the entries of one bucket, each by the first
word of its cell and by its tag, and looks each up again before it hands it out: an entry that has
gone meanwhile is passed over. So the order is the same whatever the table is doing. No Python
object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t

from table.bits cimport bits_take
from table.bucket cimport bucket, bucket_occupied
from table.directory cimport (
    directory_bucket, directory_cell, directory_find, directory_first_bucket, directory_place,
    directory_tag_at, expiring_table,
)
from table.rows cimport cell
from table.slab cimport SLAB_NONE


cdef struct table_walk:      # begins as zeros
    cell *noted              # the first word of an entry's cell, and its tag
    uint32_t count
    uint32_t room
    uint64_t position        # all tags before this one have been noted


cdef inline void walk_free(table_walk *self) noexcept nogil:
    PyMem_RawFree(self.noted)


cdef inline int _walk_note_bucket(
    table_walk *self, const expiring_table *table, const bucket *home
) noexcept nogil:
    cdef uint64_t occupied = bucket_occupied(home)
    cdef cell *noted
    cdef cell *held
    cdef uint32_t slot, tag
    if self.room - self.count < home.used:
        noted = <cell *>PyMem_RawRealloc(self.noted, (self.count + home.used) * sizeof(cell))
        if noted == NULL:
            self.count = 0
            return -1
        self.noted = noted
        self.room = self.count + home.used
    while occupied:
        slot = bits_take(&occupied)
        held = directory_cell(table, home, slot)
        tag = directory_tag_at(table, home, slot)
        if tag >= self.position:
            self.noted[self.count].first = held.first
            self.noted[self.count].last = tag
            self.count += 1
    return 0


cdef inline int _walk_note(table_walk *self, const expiring_table *table) noexcept nogil:
    """Note the entries of the next bucket, or chain, that has any.

    Return 1, 0 after the last, or -1 when there is no memory: the walk is where it was then.
    """
    cdef uint32_t handle
    cdef uint64_t end
    while self.count == 0:
        if table.directory == NULL or self.position >> 32:
            return 0
        handle = directory_first_bucket(table, <uint32_t>self.position)
        end = <uint64_t>1 << (32 - directory_bucket(table, handle).depth)
        end += directory_bucket(table, handle).prefix
        while handle != SLAB_NONE:
            if _walk_note_bucket(self, table, directory_bucket(table, handle)) < 0:
                return -1
            handle = directory_bucket(table, handle).next
        self.position = end
    return 1


cdef inline int walk_next(
    table_walk *self, const expiring_table *table, directory_place *place
) noexcept nogil:
    """Find the next entry's place. Return 1, 0 after the last, or -1 when there is no memory."""
    cdef const cell *noted
    cdef int outcome
    while True:
        outcome = _walk_note(self, table)
        if outcome <= 0:
            return outcome
        self.count -= 1
        noted = &self.noted[self.count]
        if directory_find(table, <uint32_t>noted.last, noted.first, place) != NULL:
            return 1

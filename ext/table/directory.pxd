"""The structure of a table: from a tag to its bucket, and to the entries in it.

Only finding entries belongs here. `split.pxd` and `merge.pxd` let buckets come and go, `due.pxd`
knows when they are due, and `table.pxd`, which tells the theory, does things to entries. No Python
object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from table.bits cimport bits_take
from table.bucket cimport bucket, bucket_mark, bucket_match, bucket_occupied, bucket_prefetch
from table.heap cimport expiry_heap, heap_bytes, heap_free, heap_init
from table.rows cimport (
    ROW_ENTRIES, cell, row, row_pool, rows_at, rows_bytes, rows_free, rows_init, rows_tag_heads,
)
from table.slab cimport SLAB_NONE, slab, slab_at, slab_bytes, slab_free, slab_init, slab_next_used
from table.wheel cimport timer_wheel, wheel_init


cdef enum:
    DEEPEST_DIRECTORY = 26


cdef extern from *:
    """
    #define DIRECTORY_CHAINED ((uint32_t)0x80000000u)
    #define DIRECTORY_LAST ((uint64_t)-1)
    """
    uint32_t DIRECTORY_CHAINED   # set in a place whose bucket is the first of a chain
    uint64_t DIRECTORY_LAST      # the sequence number of no entry


ctypedef uint32_t (*directory_tag)(const cell *held, const void *context) noexcept nogil


cdef struct expiring_table:
    uint32_t *directory
    slab buckets
    row_pool rows
    timer_wheel wheel
    expiry_heap heap
    # The tag of an entry, always the same; asked with ``context``. NULL: tags are kept.
    directory_tag tag_of
    const void *context
    uint32_t depth           # the directory has 2**depth places
    uint32_t count           # entries
    bint ranked              # whether the heap is kept
    uint64_t sequence        # of the entry set last
    uint64_t version         # grows with every entry that comes, goes or moves
    # First buckets of each depth: while none is as deep as the directory, it can halve.
    uint32_t[DEEPEST_DIRECTORY + 1] at_depth


cdef struct directory_place:
    uint32_t handle          # the bucket
    uint32_t slot
    bucket *home
    uint64_t candidates      # places of the bucket that are yet to be looked at
    uint32_t tag
    bint chained


cdef inline void directory_init(
    expiring_table *self, bint ranked, directory_tag tag_of, const void *context
) noexcept nogil:
    memset(self, 0, sizeof(expiring_table))
    slab_init(&self.buckets, sizeof(bucket))
    rows_init(&self.rows, tag_of == NULL, ranked)
    wheel_init(&self.wheel)
    heap_init(&self.heap)
    self.ranked = ranked
    self.tag_of = tag_of
    self.context = context


cdef inline void directory_free(expiring_table *self) noexcept nogil:
    """Give all memory back. The table is empty then, and can be used again."""
    cdef uint64_t version = self.version
    slab_free(&self.buckets)
    rows_free(&self.rows)
    heap_free(&self.heap)
    PyMem_RawFree(self.directory)
    directory_init(self, self.ranked, self.tag_of, self.context)
    self.version = version + 1


cdef inline size_t directory_bytes(const expiring_table *self) noexcept nogil:
    """Return how much memory the table takes."""
    cdef size_t directory = 0
    if self.directory != NULL:
        directory = <size_t>sizeof(uint32_t) << self.depth
    return (
        sizeof(expiring_table) + directory
        + slab_bytes(&self.buckets) + rows_bytes(&self.rows) + heap_bytes(&self.heap)
    )


# What lies in a slot of a bucket

cdef inline bucket *directory_bucket(const expiring_table *self, uint32_t handle) noexcept nogil:
    return <bucket *>slab_at(&self.buckets, handle)


cdef inline row *directory_row(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    return rows_at(&self.rows, home.rows[slot // ROW_ENTRIES])


cdef inline cell *directory_cell(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    return &directory_row(self, home, slot).cells[slot % ROW_ENTRIES]


cdef inline uint16_t *directory_tag_head(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    return &rows_tag_heads(&self.rows, home.rows[slot // ROW_ENTRIES])[slot % ROW_ENTRIES]


cdef inline uint32_t directory_tag_at(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    """Return the tag of the entry in a slot."""
    if self.tag_of != NULL:
        return self.tag_of(directory_cell(self, home, slot), self.context)
    return <uint32_t>directory_tag_head(self, home, slot)[0] << 16 | home.marks[slot]


cdef inline double *directory_expires(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    return &directory_row(self, home, slot).expires[slot % ROW_ENTRIES]


cdef inline uint64_t *directory_sequence(
    const expiring_table *self, const bucket *home, uint32_t slot
) noexcept nogil:
    return &directory_row(self, home, slot).sequences[slot % ROW_ENTRIES]


cdef inline cell *directory_held(
    const expiring_table *self, const directory_place *place
) noexcept nogil:
    """Return the cell of the entry at a place that was found."""
    return directory_cell(self, place.home, place.slot)


cdef inline double directory_ends(
    const expiring_table *self, const directory_place *place
) noexcept nogil:
    """Return the expiry of the entry at a place that was found."""
    return directory_expires(self, place.home, place.slot)[0]


# From a tag to the entries that may have it

cdef inline uint32_t *directory_at(const expiring_table *self, uint32_t tag) noexcept nogil:
    return &self.directory[<uint64_t>tag >> (32 - self.depth)]


cdef inline uint32_t directory_first_bucket(
    const expiring_table *self, uint32_t tag
) noexcept nogil:
    """Return the bucket that holds the entries with such tags, or the first of the chain that does.

    Only of a table that has a directory.
    """
    return directory_at(self, tag)[0] & ~DIRECTORY_CHAINED


cdef inline cell *directory_next(
    const expiring_table *self, directory_place *place
) noexcept nogil:
    """Return the next entry that may have the tag, or NULL.

    Only while the table does not change.
    """
    while place.candidates == 0:
        if not place.chained or place.home.next == SLAB_NONE:
            return NULL
        place.handle = place.home.next
        place.home = directory_bucket(self, place.handle)
        place.candidates = bucket_match(place.home.marks, bucket_mark(place.tag))
    place.slot = bits_take(&place.candidates)
    return directory_held(self, place)


cdef inline cell *directory_first(
    const expiring_table *self, uint32_t tag, directory_place *place
) noexcept nogil:
    """Return the first entry that may have the tag, or NULL. They come in no promised order."""
    cdef uint32_t first
    if self.directory == NULL:
        memset(place, 0, sizeof(directory_place))
        return NULL
    place.tag = tag
    first = directory_at(self, tag)[0]
    place.handle = first & ~DIRECTORY_CHAINED
    place.chained = first & DIRECTORY_CHAINED != 0
    place.home = directory_bucket(self, place.handle)
    bucket_prefetch(place.home)
    place.candidates = bucket_match(place.home.marks, bucket_mark(tag))
    return directory_next(self, place)


cdef inline cell *directory_find(
    const expiring_table *self, uint32_t tag, uint64_t first, directory_place *place
) noexcept nogil:
    """Return the entry of a tag whose cell begins with that word, or NULL."""
    cdef cell *held = directory_first(self, tag, place)
    while held != NULL and held.first != first:
        held = directory_next(self, place)
    return held


# Every entry

cdef inline void directory_begin(directory_place *place) noexcept nogil:
    """Set a place before all entries, for `directory_each` to start from."""
    memset(place, 0, sizeof(directory_place))
    place.handle = SLAB_NONE  # and so the handle after it is 0


cdef inline cell *directory_each(
    const expiring_table *self, directory_place *place
) noexcept nogil:
    """Return the next of all entries, or NULL after the last. Only while the table does not change.

    Buckets come in the order of their handles, and the entries of each in that of its places.
    """
    while place.candidates == 0:
        place.handle = slab_next_used(&self.buckets, place.handle + 1)
        if place.handle == SLAB_NONE:
            return NULL
        place.home = directory_bucket(self, place.handle)
        place.candidates = bucket_occupied(place.home)
    place.slot = bits_take(&place.candidates)
    return directory_held(self, place)


# The directory itself

cdef inline void directory_point(expiring_table *self, uint32_t handle) noexcept nogil:
    """Let every directory place of a bucket's prefix lead to it, or to the chain that it begins."""
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint32_t *place = directory_at(self, home.prefix)
    cdef uint32_t value = handle if home.next == SLAB_NONE else handle | DIRECTORY_CHAINED, i
    for i in range(1u << (self.depth - home.depth)):
        place[i] = value


cdef inline int directory_double(expiring_table *self) noexcept nogil:
    cdef size_t length = <size_t>1 << self.depth, i
    cdef uint32_t *directory
    directory = <uint32_t *>PyMem_RawRealloc(self.directory, 2 * length * sizeof(uint32_t))
    if directory == NULL:
        return -1
    self.directory = directory
    for i in range(length, 0, -1):
        directory[2 * i - 1] = directory[2 * i - 2] = directory[i - 1]
    self.depth += 1
    return 0


cdef inline void directory_halve(expiring_table *self) noexcept nogil:
    cdef size_t length, i
    cdef uint32_t *directory
    while self.depth > 0 and self.at_depth[self.depth] == 0:
        self.depth -= 1
        length = <size_t>1 << self.depth
        for i in range(length):
            self.directory[i] = self.directory[2 * i]
        directory = <uint32_t *>PyMem_RawRealloc(self.directory, length * sizeof(uint32_t))
        if directory != NULL:
            self.directory = directory

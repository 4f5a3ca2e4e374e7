"""The structure of a table: its directory and its buckets, and how those are reached, split, merged and scheduled. ``table.pxd`` says what for.

Only what keeps the structure whole belongs here; what is done to entries is the table's. No Python object is touched and no lock taken.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from table.bucket cimport (
    BUCKET_ENTRIES, bucket, bucket_mark, bucket_match, bucket_occupied, bucket_prefetch,
)
from table.heap cimport (
    expiry_heap, heap_bytes, heap_free, heap_init, heap_insert, heap_move, heap_remove,
)
from table.rows cimport (
    ROW_ENTRIES, ROW_NONE, cell, row, row_pool, rows_add, rows_at, rows_bytes, rows_drop, rows_free,
    rows_init, rows_owner,
)
from table.slab cimport (
    SLAB_NONE, slab, slab_allocate, slab_at, slab_bytes, slab_free, slab_init, slab_release,
)
from table.wheel cimport timer_wheel, wheel_cancel, wheel_init, wheel_lowest_bit, wheel_schedule


cdef enum:
    DEEPEST_DIRECTORY = 26
    PACKED_AT = 16           # free places: a bucket that has more gives a row back
    MERGED_AT_MOST = 40      # entries in a merged bucket: far from splitting again


cdef extern from *:
    """
    #define DIRECTORY_CHAINED ((uint32_t)0x80000000u)
    #define DIRECTORY_LAST ((uint64_t)-1)
    """
    uint32_t DIRECTORY_CHAINED   # set in a directory place whose bucket is the first of a chain
    uint64_t DIRECTORY_LAST      # the sequence number of no entry


ctypedef uint32_t (*directory_tag)(const cell *held, const void *context) noexcept nogil


cdef struct expiring_table:
    uint32_t *directory
    slab buckets
    row_pool rows
    timer_wheel wheel
    expiry_heap heap
    directory_tag tag_of         # the tag of an entry, always the same; asked with ``context``
    const void *context
    uint32_t depth           # the directory has 2**depth places
    uint32_t count           # entries
    bint ranked              # whether the heap is kept
    uint64_t sequence        # of the entry set last
    uint64_t version         # grows with every entry that comes, goes or moves
    uint32_t[DEEPEST_DIRECTORY + 1] at_depth  # first buckets of that depth; while none is as deep as the directory, it can halve


cdef struct directory_place:
    uint32_t handle          # the bucket
    uint32_t slot
    bucket *home
    uint64_t candidates      # places of the bucket that are yet to be looked at
    uint32_t tag
    bint chained


cdef inline void directory_init(expiring_table *self, bint ranked, directory_tag tag_of, const void *context) noexcept nogil:
    memset(self, 0, sizeof(expiring_table))
    slab_init(&self.buckets, sizeof(bucket))
    rows_init(&self.rows, ranked)
    wheel_init(&self.wheel)
    heap_init(&self.heap)
    self.ranked = ranked
    self.tag_of = tag_of
    self.context = context


cdef inline void directory_free(expiring_table *self) noexcept nogil:
    """Give everything back; the table is then empty and can be used again."""
    cdef uint64_t version = self.version
    slab_free(&self.buckets)
    rows_free(&self.rows)
    heap_free(&self.heap)
    PyMem_RawFree(self.directory)
    directory_init(self, self.ranked, self.tag_of, self.context)
    self.version = version + 1


cdef inline size_t directory_bytes(const expiring_table *self) noexcept nogil:
    cdef size_t directory = (<size_t>sizeof(uint32_t) << self.depth) if self.directory != NULL else 0
    return sizeof(expiring_table) + directory + slab_bytes(&self.buckets) + rows_bytes(&self.rows) + heap_bytes(&self.heap)


# Where an entry is

cdef inline bucket *directory_bucket(const expiring_table *self, uint32_t handle) noexcept nogil:
    return <bucket *>slab_at(&self.buckets, handle)


cdef inline row *_directory_row(const expiring_table *self, const bucket *of, uint32_t slot) noexcept nogil:
    return rows_at(&self.rows, of.rows[slot // ROW_ENTRIES])


cdef inline cell *directory_cell(const expiring_table *self, const bucket *of, uint32_t slot) noexcept nogil:
    return &_directory_row(self, of, slot).cells[slot % ROW_ENTRIES]


cdef inline double *directory_expires(const expiring_table *self, const bucket *of, uint32_t slot) noexcept nogil:
    return &_directory_row(self, of, slot).expires[slot % ROW_ENTRIES]


cdef inline uint64_t *directory_sequence(const expiring_table *self, const bucket *of, uint32_t slot) noexcept nogil:
    return &_directory_row(self, of, slot).sequences[slot % ROW_ENTRIES]


cdef inline uint32_t *_directory_at(const expiring_table *self, uint32_t tag) noexcept nogil:
    return &self.directory[<uint64_t>tag >> (32 - self.depth)]


cdef inline uint32_t directory_first_bucket(const expiring_table *self, uint32_t tag) noexcept nogil:
    """The bucket that holds the entries with such tags, or the first of the chain that does. Only of a table that has a directory."""
    return _directory_at(self, tag)[0] & ~DIRECTORY_CHAINED


cdef inline cell *directory_next(const expiring_table *self, directory_place *place) noexcept nogil:
    """The next entry that may have the tag, or NULL. Only while the table does not change."""
    while place.candidates == 0:
        if not place.chained or place.home.next == SLAB_NONE:
            return NULL
        place.handle = place.home.next
        place.home = directory_bucket(self, place.handle)
        place.candidates = bucket_match(place.home.marks, bucket_mark(place.tag))
    place.slot = <uint32_t>wheel_lowest_bit(place.candidates)
    place.candidates &= place.candidates - 1
    return directory_cell(self, place.home, place.slot)


cdef inline cell *directory_first(const expiring_table *self, uint32_t tag, directory_place *place) noexcept nogil:
    """The first entry that may have the tag, or NULL. They come in no promised order."""
    cdef uint32_t first
    if self.directory == NULL:
        memset(place, 0, sizeof(directory_place))
        return NULL
    place.tag = tag
    first = _directory_at(self, tag)[0]
    place.handle = first & ~DIRECTORY_CHAINED
    place.chained = first & DIRECTORY_CHAINED != 0
    place.home = directory_bucket(self, place.handle)
    bucket_prefetch(place.home)
    place.candidates = bucket_match(place.home.marks, bucket_mark(tag))
    return directory_next(self, place)


# When a bucket is due

cdef inline double directory_soonest_in(const expiring_table *self, const bucket *of, uint64_t *sequence, uint32_t *slot) noexcept nogil:
    """The expiry of the bucket's entry that ends first and, in a table that evicts, was set longest ago; infinite when there is none."""
    cdef double soonest = INFINITY, expires
    cdef uint64_t occupied = bucket_occupied(of), one
    cdef uint32_t i
    sequence[0] = DIRECTORY_LAST
    while occupied:
        i = <uint32_t>wheel_lowest_bit(occupied)
        occupied &= occupied - 1
        expires = directory_expires(self, of, i)[0]
        if expires > soonest:
            continue
        one = directory_sequence(self, of, i)[0] if self.ranked else 0
        if expires < soonest or one < sequence[0]:
            soonest = expires
            sequence[0] = one
            slot[0] = i
    return soonest


cdef inline void directory_rebound(expiring_table *self, uint32_t handle) noexcept nogil:
    """Find anew when the bucket's first entry ends, and schedule that. It may be on the wheel or off."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint64_t sequence
    cdef uint32_t slot
    wheel_cancel(&self.wheel, &self.buckets, handle)
    of.expires = directory_soonest_in(self, of, &sequence, &slot)
    wheel_schedule(&self.wheel, &self.buckets, handle)
    if self.ranked:
        heap_move(&self.heap, &self.buckets, handle, sequence)


cdef inline void directory_lower(expiring_table *self, uint32_t handle, double expires, uint64_t sequence) noexcept nogil:
    """Take into account an entry that has come to the bucket, or has been given that expiry."""
    cdef bucket *of = directory_bucket(self, handle)
    if expires < of.expires:
        wheel_cancel(&self.wheel, &self.buckets, handle)
        of.expires = expires
        wheel_schedule(&self.wheel, &self.buckets, handle)
    elif not self.ranked or expires > of.expires or sequence > self.heap.nodes[of.place].sequence:
        return
    if self.ranked:
        heap_move(&self.heap, &self.buckets, handle, sequence)


# Buckets that come, grow and go

cdef inline uint32_t _directory_new_bucket(expiring_table *self, uint32_t depth, uint32_t prefix) noexcept nogil:
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


cdef inline void _directory_drop_row(expiring_table *self, bucket *of) noexcept nogil:
    """Give the bucket's last row back, and tell the owner of the row that then moves into its place."""
    cdef uint32_t handle = of.rows[of.rows_held - 1], moved = rows_drop(&self.rows, handle), i = 0
    cdef bucket *owner
    of.rows_held -= 1
    if moved != ROW_NONE:
        owner = directory_bucket(self, rows_owner(&self.rows, handle)[0])
        while owner.rows[i] != moved:
            i += 1
        owner.rows[i] = handle


cdef inline void _directory_drop_chain(expiring_table *self, uint32_t handle) noexcept nogil:
    cdef bucket *of
    cdef uint32_t following
    while handle != SLAB_NONE:
        of = directory_bucket(self, handle)
        following = of.next
        while of.rows_held:
            _directory_drop_row(self, of)
        wheel_cancel(&self.wheel, &self.buckets, handle)
        if self.ranked:
            heap_remove(&self.heap, &self.buckets, handle)
        slab_release(&self.buckets, handle)
        handle = following


cdef inline int _directory_add_row(expiring_table *self, uint32_t handle) noexcept nogil:
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t added = rows_add(&self.rows, handle)
    if added == ROW_NONE:
        return -1
    of.rows[of.rows_held] = added
    of.rows_held += 1
    return 0


cdef inline int directory_free_slot(expiring_table *self, uint32_t handle) noexcept nogil:
    """A free place in a bucket that is not full; -1 when there is no memory for a row."""
    cdef bucket *of = directory_bucket(self, handle)
    if of.used == of.rows_held * ROW_ENTRIES and _directory_add_row(self, handle) < 0:
        return -1
    return wheel_lowest_bit(bucket_match(of.marks, 0))


cdef inline void _directory_copy(expiring_table *self, bucket *to, uint32_t slot, const bucket *of, uint32_t other) noexcept nogil:
    """Copy an entry into a free place."""
    cdef row *target = _directory_row(self, to, slot)
    cdef row *source = _directory_row(self, of, other)
    target.expires[slot % ROW_ENTRIES] = source.expires[other % ROW_ENTRIES]
    target.cells[slot % ROW_ENTRIES] = source.cells[other % ROW_ENTRIES]
    if self.ranked:
        target.sequences[slot % ROW_ENTRIES] = source.sequences[other % ROW_ENTRIES]
    to.marks[slot] = of.marks[other]
    to.used += 1


cdef inline void _directory_point(expiring_table *self, uint32_t handle) noexcept nogil:
    """Let every directory place of the prefix lead to the bucket, or to the chain that it begins."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t *place = _directory_at(self, of.prefix)
    cdef uint32_t value = handle if of.next == SLAB_NONE else handle | DIRECTORY_CHAINED, i
    for i in range(1u << (self.depth - of.depth)):
        place[i] = value


cdef inline int _directory_double(expiring_table *self) noexcept nogil:
    cdef size_t length = <size_t>1 << self.depth, i
    cdef uint32_t *directory = <uint32_t *>PyMem_RawRealloc(self.directory, 2 * length * sizeof(uint32_t))
    if directory == NULL:
        return -1
    self.directory = directory
    for i in range(length, 0, -1):
        directory[2 * i - 1] = directory[2 * i - 2] = directory[i - 1]
    self.depth += 1
    return 0


cdef inline void _directory_halve(expiring_table *self) noexcept nogil:
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


cdef inline bint _directory_divides(const expiring_table *self, uint32_t handle, uint32_t bit) noexcept nogil:
    """Whether a split of the chain would keep any entries apart."""
    cdef uint64_t occupied
    cdef uint32_t seen = 2, one, slot
    cdef bucket *of
    while handle != SLAB_NONE:
        of = directory_bucket(self, handle)
        occupied = bucket_occupied(of)
        while occupied:
            slot = <uint32_t>wheel_lowest_bit(occupied)
            occupied &= occupied - 1
            one = self.tag_of(directory_cell(self, of, slot), self.context) & bit != 0
            if seen == 2:
                seen = one
            elif one != seen:
                return True
        handle = of.next
    return False


cdef inline uint64_t _directory_upper_half(const expiring_table *self, const bucket *of, uint32_t bit) noexcept nogil:
    """The places of a bucket whose tags have the bit. No branch waits for a tag, so the processor asks memory for many keys at a time."""
    cdef uint64_t upper = 0
    cdef uint32_t slot
    for slot in range(of.rows_held * ROW_ENTRIES):
        if of.marks[slot]:
            upper |= <uint64_t>(self.tag_of(directory_cell(self, of, slot), self.context) & bit != 0) << slot
    return upper


cdef inline uint32_t _directory_chain_bucket(expiring_table *self, uint32_t handle) noexcept nogil:
    """A new bucket in the chain, behind one that may be all of it so far; SLAB_NONE when there is no memory."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t fresh = _directory_new_bucket(self, of.depth, of.prefix)
    if fresh != SLAB_NONE:
        directory_bucket(self, fresh).next = of.next
        of.next = fresh
        of.chained = directory_bucket(self, fresh).chained = 1
    return fresh


cdef inline int _directory_deal(expiring_table *self, uint32_t handle, uint32_t bit, uint32_t *halves) noexcept nogil:
    """Copy the entries of a chain into two, by a bit of their tags; -1 when there is no memory."""
    cdef uint32_t[2] last
    cdef uint64_t upper
    cdef uint32_t slot, side
    cdef int to
    cdef bucket *of
    last[0] = halves[0]
    last[1] = halves[1]
    while handle != SLAB_NONE:
        of = directory_bucket(self, handle)
        upper = _directory_upper_half(self, of, bit)
        for slot in range(of.rows_held * ROW_ENTRIES):
            if of.marks[slot] == 0:
                continue
            side = upper >> slot & 1
            if directory_bucket(self, last[side]).used == BUCKET_ENTRIES:
                last[side] = _directory_chain_bucket(self, last[side])
                if last[side] == SLAB_NONE:
                    return -1
            to = directory_free_slot(self, last[side])
            if to < 0:
                return -1
            _directory_copy(self, directory_bucket(self, last[side]), <uint32_t>to, of, slot)
        handle = of.next
    return 0


cdef inline int _directory_split(expiring_table *self, uint32_t handle) noexcept nogil:
    """Split a bucket, or a chain, in two; -1 when there is no memory, and then nothing has changed."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t depth = of.depth + 1u, bit = 0x80000000u >> of.depth, side, part
    cdef uint32_t[2] halves
    if depth > self.depth and _directory_double(self) < 0:
        return -1
    halves[0] = _directory_new_bucket(self, depth, of.prefix)
    halves[1] = _directory_new_bucket(self, depth, of.prefix | bit)
    if halves[0] == SLAB_NONE or halves[1] == SLAB_NONE or _directory_deal(self, handle, bit, halves) < 0:
        _directory_drop_chain(self, halves[0])
        _directory_drop_chain(self, halves[1])
        return -1
    for side in range(2):
        part = halves[side]
        while part != SLAB_NONE:
            directory_rebound(self, part)
            part = directory_bucket(self, part).next
        _directory_point(self, halves[side])
    self.at_depth[depth - 1] -= 1
    self.at_depth[depth] += 2
    _directory_drop_chain(self, handle)
    return 0


cdef inline uint32_t directory_room(expiring_table *self, uint32_t tag) noexcept nogil:
    """A bucket for the tag that is not full; SLAB_NONE when there is no memory, and then no entry has changed."""
    cdef uint32_t first, handle
    cdef bucket *of
    cdef bint splittable
    if self.directory == NULL:
        self.directory = <uint32_t *>PyMem_RawMalloc(sizeof(uint32_t))
        first = SLAB_NONE if self.directory == NULL else _directory_new_bucket(self, 0, 0)
        if first == SLAB_NONE:
            PyMem_RawFree(self.directory)
            self.directory = NULL
            return SLAB_NONE
        self.directory[0] = first
        self.at_depth[0] = 1
    while True:
        first = directory_first_bucket(self, tag)
        of = directory_bucket(self, first)
        if of.used < BUCKET_ENTRIES:
            return first
        # A directory of one place per 8 entries is several times what spread tags need: more is for no good.
        splittable = of.depth < self.depth or (self.depth < DEEPEST_DIRECTORY and <uint64_t>16 << self.depth <= self.count)
        if not splittable or not _directory_divides(self, first, 0x80000000u >> of.depth):
            break
        if _directory_split(self, first) < 0:
            return SLAB_NONE
    handle = of.next
    while handle != SLAB_NONE and directory_bucket(self, handle).used == BUCKET_ENTRIES:
        handle = directory_bucket(self, handle).next
    if handle == SLAB_NONE:
        handle = _directory_chain_bucket(self, first)
        _directory_point(self, first)
    return handle


cdef inline void _directory_unchain(expiring_table *self, uint32_t handle) noexcept nogil:
    """Take an empty bucket out of its chain."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t first = directory_first_bucket(self, of.prefix), before = first
    if handle == first:
        first = of.next
    else:
        while directory_bucket(self, before).next != handle:
            before = directory_bucket(self, before).next
        directory_bucket(self, before).next = of.next
    of.next = SLAB_NONE
    _directory_drop_chain(self, handle)
    directory_bucket(self, first).chained = directory_bucket(self, first).next != SLAB_NONE
    _directory_point(self, first)


cdef inline uint32_t _directory_merge(expiring_table *self, uint32_t handle) noexcept nogil:
    """Merge a bucket with its neighbour, if both are sparse: the one that is left, or SLAB_NONE. Without memory for that, they stay as they are."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t bit, other, slot
    cdef uint64_t occupied
    cdef bucket *source
    if of.depth == 0 or of.used > MERGED_AT_MOST // 2:
        return SLAB_NONE
    bit = 0x80000000u >> (of.depth - 1)
    other = _directory_at(self, of.prefix ^ bit)[0]
    if of.chained or other & DIRECTORY_CHAINED:
        return SLAB_NONE
    source = directory_bucket(self, other)
    if source.depth != of.depth or of.used + source.used > MERGED_AT_MOST:
        return SLAB_NONE
    if source.used > of.used:
        handle, other = other, handle
        of, source = source, of
    while of.rows_held * ROW_ENTRIES - of.used < source.used:
        if _directory_add_row(self, handle) < 0:
            return SLAB_NONE
    occupied = bucket_occupied(source)
    while occupied:
        slot = <uint32_t>wheel_lowest_bit(occupied)
        occupied &= occupied - 1
        _directory_copy(self, of, <uint32_t>wheel_lowest_bit(bucket_match(of.marks, 0)), source, slot)
    self.at_depth[of.depth] -= 2
    of.depth -= 1
    of.prefix &= ~bit
    self.at_depth[of.depth] += 1
    _directory_point(self, handle)
    directory_lower(self, handle, source.expires, self.heap.nodes[source.place].sequence if self.ranked else 0)
    _directory_drop_chain(self, other)
    _directory_halve(self)
    return handle


cdef inline void directory_tidy(expiring_table *self, uint32_t handle) noexcept nogil:
    """Give back what a bucket needs no longer, after entries have left it. It may be gone afterwards."""
    cdef bucket *of = directory_bucket(self, handle)
    cdef uint32_t slot
    while of.rows_held and (of.used == 0 or of.rows_held * ROW_ENTRIES - of.used >= PACKED_AT):
        for slot in range((of.rows_held - 1) * ROW_ENTRIES, of.rows_held * ROW_ENTRIES):
            if of.marks[slot]:
                _directory_copy(self, of, <uint32_t>wheel_lowest_bit(bucket_match(of.marks, 0)), of, slot)
                of.marks[slot] = 0
                of.used -= 1
        _directory_drop_row(self, of)
    if of.chained and of.used == 0:
        _directory_unchain(self, handle)
    elif of.depth == 0 and of.used == 0:
        _directory_drop_chain(self, handle)
        PyMem_RawFree(self.directory)
        self.directory = NULL
        self.at_depth[0] = 0
    else:
        while handle != SLAB_NONE:
            handle = _directory_merge(self, handle)

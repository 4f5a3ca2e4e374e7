"""A hash index: from a 32-bit tag to the handles of the entries that may be meant.

Only tags and handles belong here; comparing keys is the caller's, and so is mixing its hash into a
well-spread tag.

Theory: extendible hashing (Fagin, Nievergelt, Pippenger and Strong, ACM TODS 1979). A directory,
addressed by the top bits of a tag, leads to segments (``segment.pxd``). A full segment is split in
two, so no insertion ever waits for more than ``FULL_SEGMENT`` places to be rehashed; two sparse
neighbours are merged again, so memory returns while work goes on. A first segment is small. Tags
that no split can tell apart make their segment grow instead: slower, never wrong.

No Python object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from token.segment cimport (
    SEGMENT_EMPTY, SEGMENT_NONE, SMALLEST_SEGMENT, segment, segment_bytes, segment_capacity_for,
    segment_check, segment_new, segment_put, segment_put_all, segment_remove, segment_upper,
)


cdef enum:
    FULL_SEGMENT = 512       # places, 4 KiB: splitting one takes a few microseconds
    MERGED_AT_MOST = 192     # entries in a merged segment: far from splitting again
    DEEPEST_DIRECTORY = 26


cdef struct hash_index:
    segment **directory
    size_t bytes
    uint32_t depth           # the directory has 2**depth places
    uint32_t deepest         # segments of that very depth; without any, the directory can halve
    uint32_t count


cdef struct index_cursor:
    segment *home
    uint32_t position
    uint32_t tag


cdef inline void index_init(hash_index *self) noexcept nogil:
    memset(self, 0, sizeof(hash_index))


cdef inline uint32_t _index_slot(const hash_index *self, uint32_t tag) noexcept nogil:
    return <uint32_t>(<uint64_t>tag >> (32 - self.depth))


cdef inline segment *_index_new_segment(
    hash_index *self, uint32_t depth, uint32_t capacity
) noexcept nogil:
    cdef segment *fresh = segment_new(depth, capacity)
    if fresh != NULL:
        self.bytes += segment_bytes(capacity)
    return fresh


cdef inline void _index_drop_segment(hash_index *self, segment *home) noexcept nogil:
    if home != NULL:
        self.bytes -= segment_bytes(home.capacity)
        PyMem_RawFree(home)


cdef inline void index_free(hash_index *self) noexcept nogil:
    """Give all memory back. The index is empty then, and can be used again."""
    cdef uint64_t slot = 0
    cdef uint32_t depth
    if self.directory != NULL:
        while slot < <uint64_t>1 << self.depth:
            depth = self.directory[slot].depth
            PyMem_RawFree(self.directory[slot])
            slot += <uint64_t>1 << (self.depth - depth)
        PyMem_RawFree(self.directory)
    index_init(self)


cdef inline uint32_t index_find_next(index_cursor *cursor) noexcept nogil:
    """Return the next handle under the cursor's tag, or SEGMENT_NONE.

    Only while the index does not change.
    """
    cdef uint32_t mask = cursor.home.capacity - 1
    cdef uint64_t place
    while True:
        place = cursor.home.places[cursor.position]
        if place == SEGMENT_EMPTY:
            return SEGMENT_NONE
        cursor.position = (cursor.position + 1) & mask
        if <uint32_t>(place >> 32) == cursor.tag:
            return <uint32_t>place


cdef inline uint32_t index_find_first(
    const hash_index *self, uint32_t tag, index_cursor *cursor
) noexcept nogil:
    """Return the first handle under a tag, or SEGMENT_NONE.

    Handles with equal tags come in no promised order.
    """
    cursor.home = NULL
    cursor.tag = tag
    if self.count == 0:
        return SEGMENT_NONE
    cursor.home = self.directory[_index_slot(self, tag)]
    cursor.position = tag & (cursor.home.capacity - 1)
    return index_find_next(cursor)


cdef inline void _index_point(
    hash_index *self, uint32_t tag, segment *home
) noexcept nogil:
    """Let every directory place that a segment is responsible for lead to it.

    These are the ones whose top bits, as many as it is deep, are those of the tag.
    """
    cdef uint32_t span = 1u << (self.depth - home.depth), slot
    cdef uint32_t first = _index_slot(self, tag) & ~(span - 1)
    for slot in range(first, first + span):
        self.directory[slot] = home


cdef inline int _index_resize(
    hash_index *self, uint32_t tag, segment *old, uint32_t capacity
) noexcept nogil:
    cdef segment *home = _index_new_segment(self, old.depth, capacity)
    if home == NULL:
        return -1
    segment_put_all(home, old)
    _index_point(self, tag, home)
    _index_drop_segment(self, old)
    return 0


cdef inline int _index_double_directory(hash_index *self) noexcept nogil:
    cdef uint64_t length = <uint64_t>1 << self.depth, slot
    cdef size_t bytes = <size_t>(2 * length * sizeof(void *))
    cdef segment **directory = <segment **>PyMem_RawRealloc(self.directory, bytes)
    if directory == NULL:
        return -1
    self.directory = directory
    for slot in range(length, 0, -1):
        directory[2 * slot - 1] = directory[2 * slot - 2] = directory[slot - 1]
    self.bytes += <size_t>(length * sizeof(void *))
    self.depth += 1
    self.deepest = 0
    return 0


cdef inline void _index_halve_directory(hash_index *self) noexcept nogil:
    cdef uint64_t length, slot
    cdef size_t bytes
    cdef segment **directory
    while self.depth > 0 and self.deepest == 0:
        self.depth -= 1
        length = <uint64_t>1 << self.depth
        for slot in range(length):
            self.directory[slot] = self.directory[2 * slot]
            self.deepest += self.directory[slot].depth == self.depth and (
                slot == 0 or self.directory[slot] != self.directory[slot - 1]
            )
        bytes = <size_t>(length * sizeof(void *))
        self.bytes -= bytes
        directory = <segment **>PyMem_RawRealloc(self.directory, bytes)
        if directory != NULL:
            self.directory = directory


cdef inline int _index_split(
    hash_index *self, uint32_t tag, segment *old, uint32_t upper_tags
) noexcept nogil:
    cdef segment *lower
    cdef segment *upper
    cdef segment *half
    cdef uint32_t position, bit = 0x80000000u >> old.depth, depth = old.depth + 1
    if old.depth == self.depth and _index_double_directory(self) < 0:
        return -1
    lower = _index_new_segment(self, depth, segment_capacity_for(old.used - upper_tags))
    upper = _index_new_segment(self, depth, segment_capacity_for(upper_tags))
    if lower == NULL or upper == NULL:
        _index_drop_segment(self, lower)
        _index_drop_segment(self, upper)
        return -1
    for position in range(old.capacity):
        if old.places[position] != SEGMENT_EMPTY:
            half = upper if <uint32_t>(old.places[position] >> 32) & bit else lower
            segment_put(half, old.places[position])
    _index_point(self, tag & ~bit, lower)
    _index_point(self, tag | bit, upper)
    if depth == self.depth:
        self.deepest += 2
    _index_drop_segment(self, old)
    return 0


cdef inline int _index_make_room(hash_index *self, uint32_t tag) noexcept nogil:
    """Grow or split the tag's segment until it has a place to spare."""
    cdef segment *home
    cdef uint32_t upper_tags
    cdef bint splittable
    if self.directory == NULL:
        self.directory = <segment **>PyMem_RawMalloc(sizeof(void *))
        if self.directory == NULL:
            return -1
        self.directory[0] = _index_new_segment(self, 0, SMALLEST_SEGMENT)
        if self.directory[0] == NULL:
            PyMem_RawFree(self.directory)
            self.directory = NULL
            return -1
        self.bytes += sizeof(void *)
        self.deepest = 1
    while True:
        home = self.directory[_index_slot(self, tag)]
        if <uint64_t>home.used * 4 < <uint64_t>home.capacity * 3:
            return 0
        upper_tags = 0
        # A directory of one place per 64 entries is several times what spread tags need: more is
        # for no good.
        splittable = home.capacity >= FULL_SEGMENT and (
            home.depth < self.depth
            or (self.depth < DEEPEST_DIRECTORY and <uint64_t>128 << self.depth <= self.count)
        )
        if splittable:
            upper_tags = segment_upper(home)
        if upper_tags == 0 or upper_tags == home.used:
            if home.capacity >= 0x80000000u:
                return -1
            if _index_resize(self, tag, home, home.capacity * 2) < 0:
                return -1
        elif _index_split(self, tag, home, upper_tags) < 0:
            return -1


cdef inline int index_insert(hash_index *self, uint32_t tag, uint32_t handle) noexcept nogil:
    """Add an entry. Return -1, with no entry changed, when there is no memory."""
    if _index_make_room(self, tag) < 0:
        return -1
    segment_put(self.directory[_index_slot(self, tag)], <uint64_t>tag << 32 | handle)
    self.count += 1
    return 0


cdef inline void _index_shrink(
    hash_index *self, uint32_t tag, segment *home
) noexcept nogil:
    """Merge a sparse segment with its buddy, or let it shrink.

    Without memory for that, it stays as it is.
    """
    cdef segment *buddy
    cdef segment *merged
    cdef uint32_t bit, capacity
    if home.depth > 0:
        bit = 0x80000000u >> (home.depth - 1)
        buddy = self.directory[_index_slot(self, tag ^ bit)]
        if buddy.depth == home.depth and home.used + buddy.used <= MERGED_AT_MOST:
            capacity = segment_capacity_for(home.used + buddy.used)
            merged = _index_new_segment(self, home.depth - 1, capacity)
            if merged == NULL:
                return
            segment_put_all(merged, home)
            segment_put_all(merged, buddy)
            if home.depth == self.depth:
                self.deepest -= 2
            _index_point(self, tag, merged)
            _index_drop_segment(self, home)
            _index_drop_segment(self, buddy)
            _index_halve_directory(self)
            return
    if home.capacity > SMALLEST_SEGMENT and home.used * 8 <= home.capacity:
        _index_resize(self, tag, home, segment_capacity_for(home.used))


cdef inline int index_remove(hash_index *self, uint32_t tag, uint32_t handle) noexcept nogil:
    """Remove an entry. Return -1 when there is no such entry. Never needs memory."""
    cdef segment *home
    if self.count == 0:
        return -1
    home = self.directory[_index_slot(self, tag)]
    if not segment_remove(home, <uint64_t>tag << 32 | handle):
        return -1
    self.count -= 1
    if home.used <= MERGED_AT_MOST // 2:
        _index_shrink(self, tag, home)
    return 0


cdef inline const char *index_check(const hash_index *self) noexcept nogil:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef uint64_t slot = 0, span, other, length
    cdef uint32_t count = 0, deepest = 0
    cdef size_t bytes = 0
    cdef segment *home
    cdef const char *broken
    if self.directory == NULL:
        if self.count != 0 or self.bytes != 0:
            return b"an index without a directory counts entries or memory"
        return NULL
    length = <uint64_t>1 << self.depth
    while slot < length:
        home = self.directory[slot]
        if home.depth > self.depth:
            return b"a segment is deeper than the directory"
        span = <uint64_t>1 << (self.depth - home.depth)
        for other in range(slot, slot + span):
            if self.directory[other] != home:
                return b"a directory place leads to another segment than its prefix demands"
        broken = segment_check(home, slot >> (self.depth - home.depth))
        if broken != NULL:
            return broken
        count += home.used
        deepest += home.depth == self.depth
        bytes += segment_bytes(home.capacity)
        slot += span
    if count != self.count:
        return b"the index has miscounted its entries"
    if deepest != self.deepest:
        return b"the index has miscounted its deepest segments"
    if bytes + length * sizeof(void *) != self.bytes:
        return b"the index has miscounted its memory"
    return NULL

"""A hash index: from a 32-bit tag to the handles of the entries that may be meant.

Only tags and handles belong here; comparing keys is the caller's, and so is mixing its hash into a
well-spread tag.

Theory: extendible hashing (Fagin, Nievergelt, Pippenger and Strong, ACM TODS 1979). A directory,
addressed by the top bits of a tag, leads to segments; a segment is a small open-addressing table,
probed linearly from the tag's low bits, with backward-shift deletion (Knuth, volume 3, 6.4,
algorithm R). A full segment is split in two, so no insertion ever waits for more than 512 places to
be rehashed; two sparse neighbours are merged again, so memory returns while work goes on. A first
segment starts with 8 places. Tags that no split can tell apart (a hostile ``__hash__``) make their
segment grow instead: slower, never wrong.

No Python object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset


cdef enum:
    SMALLEST_SEGMENT = 8
    FULL_SEGMENT = 512       # places, 4 KiB: splitting one takes a few microseconds
    MERGED_AT_MOST = 192     # entries in a merged segment: far from splitting again
    DEEPEST_DIRECTORY = 26


cdef extern from *:
    """
    #define INDEX_NONE ((uint32_t)0xFFFFFFFFu)
    #define INDEX_EMPTY ((uint64_t)-1)
    """
    uint32_t INDEX_NONE      # no handle
    uint64_t INDEX_EMPTY     # a place without an entry


cdef struct index_segment:
    uint32_t depth           # top bits that all its tags share
    uint32_t capacity        # a power of two
    uint32_t used
    uint32_t spare
    uint64_t places[1]       # ``capacity`` of them: tag << 32 | handle


cdef struct hash_index:
    index_segment **directory
    size_t bytes
    uint32_t depth           # the directory has 2**depth places
    uint32_t deepest         # segments of that very depth; without any, the directory can halve
    uint32_t count


cdef struct index_cursor:
    index_segment *segment
    uint32_t position
    uint32_t tag


cdef inline void index_init(hash_index *self) noexcept nogil:
    memset(self, 0, sizeof(hash_index))


cdef inline size_t index_bytes(const hash_index *self) noexcept nogil:
    return self.bytes


cdef inline size_t _index_segment_bytes(uint32_t capacity) noexcept nogil:
    return sizeof(index_segment) + (capacity - 1) * sizeof(uint64_t)


cdef inline uint32_t _index_capacity_for(uint32_t used) noexcept nogil:
    """Places for so many entries with room to grow: at most five eighths full."""
    cdef uint32_t capacity = SMALLEST_SEGMENT
    while <uint64_t>capacity * 5 < <uint64_t>used * 8:
        capacity *= 2
    return capacity


cdef inline uint32_t _index_slot(const hash_index *self, uint32_t tag) noexcept nogil:
    return <uint32_t>(<uint64_t>tag >> (32 - self.depth))


cdef inline index_segment *_index_new_segment(
    hash_index *self, uint32_t depth, uint32_t capacity
) noexcept nogil:
    cdef index_segment *segment = <index_segment *>PyMem_RawMalloc(_index_segment_bytes(capacity))
    if segment != NULL:
        segment.depth = depth
        segment.capacity = capacity
        segment.used = 0
        memset(segment.places, 0xFF, capacity * sizeof(uint64_t))
        self.bytes += _index_segment_bytes(capacity)
    return segment


cdef inline void _index_drop_segment(hash_index *self, index_segment *segment) noexcept nogil:
    if segment != NULL:
        self.bytes -= _index_segment_bytes(segment.capacity)
        PyMem_RawFree(segment)


cdef inline void index_free(hash_index *self) noexcept nogil:
    """Give everything back; the index is then empty and can be used again."""
    cdef uint64_t slot = 0
    cdef uint32_t depth
    if self.directory != NULL:
        while slot < <uint64_t>1 << self.depth:
            depth = self.directory[slot].depth
            PyMem_RawFree(self.directory[slot])
            slot += <uint64_t>1 << (self.depth - depth)
        PyMem_RawFree(self.directory)
    index_init(self)


cdef inline void index_clear(hash_index *self) noexcept nogil:
    index_free(self)


cdef inline uint32_t index_find_next(index_cursor *cursor) noexcept nogil:
    """The next handle under the same tag, or INDEX_NONE. Only while the index does not change."""
    cdef uint32_t mask = cursor.segment.capacity - 1
    cdef uint64_t place
    while True:
        place = cursor.segment.places[cursor.position]
        if place == INDEX_EMPTY:
            return INDEX_NONE
        cursor.position = (cursor.position + 1) & mask
        if <uint32_t>(place >> 32) == cursor.tag:
            return <uint32_t>place


cdef inline uint32_t index_find_first(
    const hash_index *self, uint32_t tag, index_cursor *cursor
) noexcept nogil:
    """The first handle under a tag, or INDEX_NONE.

    Handles with equal tags come in no promised order.
    """
    cursor.segment = NULL
    cursor.tag = tag
    if self.count == 0:
        return INDEX_NONE
    cursor.segment = self.directory[_index_slot(self, tag)]
    cursor.position = tag & (cursor.segment.capacity - 1)
    return index_find_next(cursor)


cdef inline void _index_put(index_segment *segment, uint64_t place) noexcept nogil:
    cdef uint32_t mask = segment.capacity - 1, position = <uint32_t>(place >> 32) & mask
    while segment.places[position] != INDEX_EMPTY:
        position = (position + 1) & mask
    segment.places[position] = place
    segment.used += 1


cdef inline void _index_put_all(index_segment *target, const index_segment *source) noexcept nogil:
    cdef uint32_t position
    for position in range(source.capacity):
        if source.places[position] != INDEX_EMPTY:
            _index_put(target, source.places[position])


cdef inline void _index_point(
    hash_index *self, uint32_t tag, index_segment *segment
) noexcept nogil:
    """Let every directory place whose top ``segment.depth`` bits are those of the tag lead to the
    segment.
    """
    cdef uint32_t span = 1u << (self.depth - segment.depth), first = _index_slot(self, tag) & ~(span - 1), slot
    for slot in range(first, first + span):
        self.directory[slot] = segment


cdef inline int _index_resize(
    hash_index *self, uint32_t tag, index_segment *old, uint32_t capacity
) noexcept nogil:
    cdef index_segment *segment = _index_new_segment(self, old.depth, capacity)
    if segment == NULL:
        return -1
    _index_put_all(segment, old)
    _index_point(self, tag, segment)
    _index_drop_segment(self, old)
    return 0


cdef inline int _index_double_directory(hash_index *self) noexcept nogil:
    cdef uint64_t length = <uint64_t>1 << self.depth, slot
    cdef index_segment **directory = <index_segment **>PyMem_RawRealloc(self.directory, <size_t>(2 * length * sizeof(void *)))
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
    cdef index_segment **directory
    while self.depth > 0 and self.deepest == 0:
        self.depth -= 1
        length = <uint64_t>1 << self.depth
        for slot in range(length):
            self.directory[slot] = self.directory[2 * slot]
            self.deepest += self.directory[slot].depth == self.depth and (
                slot == 0 or self.directory[slot] != self.directory[slot - 1]
            )
        self.bytes -= <size_t>(length * sizeof(void *))
        directory = <index_segment **>PyMem_RawRealloc(self.directory, <size_t>(length * sizeof(void *)))
        if directory != NULL:
            self.directory = directory


cdef inline uint32_t _index_ones(const index_segment *segment) noexcept nogil:
    """How many of its tags a split would put into the upper half."""
    cdef uint32_t position, ones = 0
    for position in range(segment.capacity):
        if segment.places[position] != INDEX_EMPTY:
            ones += <uint32_t>(segment.places[position] >> (63 - segment.depth)) & 1
    return ones


cdef inline int _index_split(
    hash_index *self, uint32_t tag, index_segment *old, uint32_t ones
) noexcept nogil:
    cdef index_segment *lower
    cdef index_segment *upper
    cdef uint32_t position, bit = 0x80000000u >> old.depth, depth = old.depth + 1
    if old.depth == self.depth and _index_double_directory(self) < 0:
        return -1
    lower = _index_new_segment(self, depth, _index_capacity_for(old.used - ones))
    upper = _index_new_segment(self, depth, _index_capacity_for(ones))
    if lower == NULL or upper == NULL:
        _index_drop_segment(self, lower)
        _index_drop_segment(self, upper)
        return -1
    for position in range(old.capacity):
        if old.places[position] != INDEX_EMPTY:
            _index_put(upper if <uint32_t>(old.places[position] >> 32) & bit else lower, old.places[position])
    _index_point(self, tag & ~bit, lower)
    _index_point(self, tag | bit, upper)
    if depth == self.depth:
        self.deepest += 2
    _index_drop_segment(self, old)
    return 0


cdef inline int _index_make_room(hash_index *self, uint32_t tag) noexcept nogil:
    """Grow or split the tag's segment until it has a place to spare."""
    cdef index_segment *segment
    cdef uint32_t ones
    cdef bint splittable
    if self.directory == NULL:
        self.directory = <index_segment **>PyMem_RawMalloc(sizeof(void *))
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
        segment = self.directory[_index_slot(self, tag)]
        if <uint64_t>segment.used * 4 < <uint64_t>segment.capacity * 3:
            return 0
        ones = 0
        # A directory of one place per 64 entries is several times what spread tags need: more is
        # for no good.
        splittable = segment.capacity >= FULL_SEGMENT and (
            segment.depth < self.depth or (self.depth < DEEPEST_DIRECTORY and <uint64_t>128 << self.depth <= self.count)
        )
        if splittable:
            ones = _index_ones(segment)
        if ones == 0 or ones == segment.used:
            if segment.capacity >= 0x80000000u or _index_resize(self, tag, segment, segment.capacity * 2) < 0:
                return -1
        elif _index_split(self, tag, segment, ones) < 0:
            return -1


cdef inline int index_insert(hash_index *self, uint32_t tag, uint32_t handle) noexcept nogil:
    """0, or -1 when there is no memory, and then no entry has changed."""
    if _index_make_room(self, tag) < 0:
        return -1
    _index_put(self.directory[_index_slot(self, tag)], <uint64_t>tag << 32 | handle)
    self.count += 1
    return 0


cdef inline void _index_shrink(
    hash_index *self, uint32_t tag, index_segment *segment
) noexcept nogil:
    """Merge a sparse segment with its buddy, or let it shrink.

    Without memory for that, it stays as it is.
    """
    cdef index_segment *buddy
    cdef index_segment *merged
    cdef uint32_t bit
    if segment.depth > 0:
        bit = 0x80000000u >> (segment.depth - 1)
        buddy = self.directory[_index_slot(self, tag ^ bit)]
        if buddy.depth == segment.depth and segment.used + buddy.used <= MERGED_AT_MOST:
            merged = _index_new_segment(self, segment.depth - 1, _index_capacity_for(segment.used + buddy.used))
            if merged == NULL:
                return
            _index_put_all(merged, segment)
            _index_put_all(merged, buddy)
            if segment.depth == self.depth:
                self.deepest -= 2
            _index_point(self, tag, merged)
            _index_drop_segment(self, segment)
            _index_drop_segment(self, buddy)
            _index_halve_directory(self)
            return
    if segment.capacity > SMALLEST_SEGMENT and segment.used * 8 <= segment.capacity:
        _index_resize(self, tag, segment, _index_capacity_for(segment.used))


cdef inline int index_remove(hash_index *self, uint32_t tag, uint32_t handle) noexcept nogil:
    """0, or -1 when there is no such entry. Never needs memory."""
    cdef uint64_t place = <uint64_t>tag << 32 | handle, other
    cdef index_segment *segment
    cdef uint32_t mask, hole, position
    if self.count == 0:
        return -1
    segment = self.directory[_index_slot(self, tag)]
    mask = segment.capacity - 1
    hole = tag & mask
    while segment.places[hole] != place:
        if segment.places[hole] == INDEX_EMPTY:
            return -1
        hole = (hole + 1) & mask
    position = hole
    while True:
        position = (position + 1) & mask
        other = segment.places[position]
        if other == INDEX_EMPTY:
            break
        # An entry may move back into the hole unless its own home lies after the hole.
        if ((position - <uint32_t>(other >> 32)) & mask) >= ((position - hole) & mask):
            segment.places[hole] = other
            hole = position
    segment.places[hole] = INDEX_EMPTY
    segment.used -= 1
    self.count -= 1
    if segment.used <= MERGED_AT_MOST // 2:
        _index_shrink(self, tag, segment)
    return 0


cdef inline const char *_index_check_segment(
    const hash_index *self, const index_segment *segment, uint64_t first
) noexcept nogil:
    cdef uint32_t position, home, used = 0, mask = segment.capacity - 1
    cdef uint64_t prefix = first >> (self.depth - segment.depth)
    for position in range(segment.capacity):
        if segment.places[position] == INDEX_EMPTY:
            continue
        used += 1
        if segment.places[position] >> 32 >> (32 - segment.depth) != prefix:
            return b"an entry lies in the segment of another prefix"
        home = <uint32_t>(segment.places[position] >> 32) & mask
        while home != position:
            if segment.places[home] == INDEX_EMPTY:
                return b"a gap lies between an entry and the place where its probe begins"
            home = (home + 1) & mask
    if used != segment.used:
        return b"a segment has miscounted its entries"
    if used >= segment.capacity:
        return b"a segment has no empty place to end a probe"
    return NULL


cdef inline const char *index_check(const hash_index *self) noexcept nogil:
    """Return what is wrong with the index as a sentence, for tests; NULL where every invariant
    holds.
    """
    cdef uint64_t slot = 0, span, other, length
    cdef uint32_t count = 0, deepest = 0
    cdef size_t bytes = 0
    cdef index_segment *segment
    cdef const char *broken
    if self.directory == NULL:
        if self.count != 0 or self.bytes != 0:
            return b"an index without a directory counts entries or memory"
        return NULL
    length = <uint64_t>1 << self.depth
    while slot < length:
        segment = self.directory[slot]
        if segment.depth > self.depth:
            return b"a segment is deeper than the directory"
        span = <uint64_t>1 << (self.depth - segment.depth)
        for other in range(slot, slot + span):
            if self.directory[other] != segment:
                return b"a directory place leads to another segment than its prefix demands"
        broken = _index_check_segment(self, segment, slot)
        if broken != NULL:
            return broken
        count += segment.used
        deepest += segment.depth == self.depth
        bytes += _index_segment_bytes(segment.capacity)
        slot += span
    if count != self.count:
        return b"the index has miscounted its entries"
    if deepest != self.deepest:
        return b"the index has miscounted its deepest segments"
    if bytes + length * sizeof(void *) != self.bytes:
        return b"the index has miscounted its memory"
    return NULL

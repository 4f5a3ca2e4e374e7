"""A segment of the hash index: a small open-addressing table of tags and handles.

Only one segment's own layout belongs here. It is probed linearly from a tag's low bits, with
backward-shift deletion (Knuth, volume 3, 6.4, algorithm R). An empty place is always left, so that
every probe ends. No Python object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawMalloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset


cdef enum:
    SMALLEST_SEGMENT = 8     # places


cdef extern from *:
    """
    #define SEGMENT_NONE ((uint32_t)0xFFFFFFFFu)
    #define SEGMENT_EMPTY ((uint64_t)-1)
    """
    uint32_t SEGMENT_NONE    # no handle
    uint64_t SEGMENT_EMPTY   # a place without an entry


cdef struct segment:
    uint32_t depth           # top bits that all its tags share
    uint32_t capacity        # a power of two
    uint32_t used
    uint32_t spare
    uint64_t places[1]       # ``capacity`` of them: tag << 32 | handle


cdef inline size_t segment_bytes(uint32_t capacity) noexcept nogil:
    """Return how much memory a segment of so many places takes."""
    return sizeof(segment) + (capacity - 1) * sizeof(uint64_t)


cdef inline uint32_t segment_capacity_for(uint32_t used) noexcept nogil:
    """Return places for so many entries with room to grow: at most five eighths full."""
    cdef uint32_t capacity = SMALLEST_SEGMENT
    while <uint64_t>capacity * 5 < <uint64_t>used * 8:
        capacity *= 2
    return capacity


cdef inline segment *segment_new(uint32_t depth, uint32_t capacity) noexcept nogil:
    """Return an empty segment, or NULL when there is no memory."""
    cdef segment *self = <segment *>PyMem_RawMalloc(segment_bytes(capacity))
    if self != NULL:
        self.depth = depth
        self.capacity = capacity
        self.used = 0
        memset(self.places, 0xFF, capacity * sizeof(uint64_t))
    return self


cdef inline void segment_put(segment *self, uint64_t place) noexcept nogil:
    cdef uint32_t mask = self.capacity - 1, position = <uint32_t>(place >> 32) & mask
    while self.places[position] != SEGMENT_EMPTY:
        position = (position + 1) & mask
    self.places[position] = place
    self.used += 1


cdef inline void segment_put_all(segment *self, const segment *source) noexcept nogil:
    cdef uint32_t position
    for position in range(source.capacity):
        if source.places[position] != SEGMENT_EMPTY:
            segment_put(self, source.places[position])


cdef inline bint segment_remove(segment *self, uint64_t place) noexcept nogil:
    """Remove an entry. Return False where there is no such entry."""
    cdef uint32_t mask = self.capacity - 1
    cdef uint32_t hole = <uint32_t>(place >> 32) & mask, position
    cdef uint64_t other
    while self.places[hole] != place:
        if self.places[hole] == SEGMENT_EMPTY:
            return False
        hole = (hole + 1) & mask
    position = hole
    while True:
        position = (position + 1) & mask
        other = self.places[position]
        if other == SEGMENT_EMPTY:
            break
        # An entry may move back into the hole unless its own home lies after the hole.
        if ((position - <uint32_t>(other >> 32)) & mask) >= ((position - hole) & mask):
            self.places[hole] = other
            hole = position
    self.places[hole] = SEGMENT_EMPTY
    self.used -= 1
    return True


cdef inline uint32_t segment_upper(const segment *self) noexcept nogil:
    """Return how many of its tags a split would put into the upper half."""
    cdef uint32_t position, upper = 0
    for position in range(self.capacity):
        if self.places[position] != SEGMENT_EMPTY:
            upper += <uint32_t>(self.places[position] >> (63 - self.depth)) & 1
    return upper


cdef inline const char *segment_check(const segment *self, uint64_t prefix) noexcept nogil:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef uint32_t position, home, used = 0, mask = self.capacity - 1
    for position in range(self.capacity):
        if self.places[position] == SEGMENT_EMPTY:
            continue
        used += 1
        if self.places[position] >> 32 >> (32 - self.depth) != prefix:
            return b"an entry lies in the segment of another prefix"
        home = <uint32_t>(self.places[position] >> 32) & mask
        while home != position:
            if self.places[home] == SEGMENT_EMPTY:
                return b"a gap lies between an entry and the place where its probe begins"
            home = (home + 1) & mask
    if used != self.used:
        return b"a segment has miscounted its entries"
    if used >= self.capacity:
        return b"a segment has no empty place to end a probe"
    return NULL

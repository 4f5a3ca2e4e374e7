"""A bucket: up to 64 entries whose tags begin alike, found by two bytes each.

Only one bucket's own layout belongs here. Splitting, merging and the order of time never do.
A bucket is three cache lines: what it holds, and its *marks*, the last 16 bits of each entry's tag,
or 0 where there is none. All 64 marks are compared at once, as in Google's Swiss tables
(Kulukundis, CppCon 2017), so looking for what is not there touches nothing but the marks.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from table.bits cimport bits_lowest
from table.slab cimport slab_link


cdef extern from *:
    """
    #if defined(__SSE2__) || defined(_M_X64)
    #include <emmintrin.h>
    static inline uint64_t bucket_match(const uint16_t *marks, uint16_t mark) {
        const __m128i sought = _mm_set1_epi16((short)mark), *parts = (const __m128i *)marks;
        uint64_t matches = 0;
        for (int part = 0; part < 4; part++) {
            const __m128i first = _mm_cmpeq_epi16(_mm_loadu_si128(parts + 2 * part), sought);
            const __m128i last = _mm_cmpeq_epi16(_mm_loadu_si128(parts + 2 * part + 1), sought);
            const int both = _mm_movemask_epi8(_mm_packs_epi16(first, last));
            matches |= (uint64_t)(uint32_t)both << (16 * part);
        }
        return matches;
    }
    #else
    static inline uint64_t bucket_match(const uint16_t *marks, uint16_t mark) {
        uint64_t matches = 0;
        for (int slot = 0; slot < 64; slot++) matches |= (uint64_t)(marks[slot] == mark) << slot;
        return matches;
    }
    #endif
    #if defined(__GNUC__)
    #define bucket_prefetch(address) __builtin_prefetch(address)
    #else
    #define bucket_prefetch(address) ((void)0)
    #endif
    """
    # a bit for each place that has the mark
    uint64_t bucket_match(const uint16_t *marks, uint16_t mark) noexcept nogil
    void bucket_prefetch(const void *address) noexcept nogil


cdef enum:
    BUCKET_ENTRIES = 64
    BUCKET_ROWS = 8


cdef struct bucket:
    double expires           # no entry's is earlier
    slab_link link           # the timer wheel's
    uint32_t place           # in the heap of a table that evicts
    uint32_t next            # the next bucket of a chain, or SLAB_NONE
    uint32_t prefix          # the top bits that all its tags share, the rest 0
    uint8_t depth            # how many those are
    uint8_t used             # entries
    # rows; the first free place is always in one of them, or else they are all full
    uint8_t rows_held
    # whether it is part of a chain: of buckets that no split can keep apart
    uint8_t chained
    uint32_t[BUCKET_ROWS] rows
    uint16_t[BUCKET_ENTRIES] marks


cdef inline uint32_t bucket_tag(uint32_t mixed) noexcept nogil:
    """Return a tag that can be marked: of 32 mixed bits, the last 16 not all 0."""
    return mixed if mixed & 0xFFFF else mixed | 0x8000


cdef inline uint16_t bucket_mark(uint32_t tag) noexcept nogil:
    """Return a tag's last bits, never 0. Its first bits are the ones that choose the bucket."""
    return <uint16_t>tag


cdef inline uint64_t bucket_occupied(const bucket *self) noexcept nogil:
    return ~bucket_match(self.marks, 0)


cdef inline uint32_t bucket_free(const bucket *self) noexcept nogil:
    """Return the lowest free place of a bucket that is not full."""
    return <uint32_t>bits_lowest(bucket_match(self.marks, 0))

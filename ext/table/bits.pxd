"""Sets of up to 64 places as the bits of one word: the lowest, the highest, and each in turn.

Only the arithmetic of bits belongs here. A walk through a set is written
``while places: slot = bits_take(&places)``.
"""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static __inline int bits_lowest(unsigned __int64 bits) {
        unsigned long i;
        _BitScanForward64(&i, bits);
        return (int)i;
    }
    static __inline int bits_highest(unsigned __int64 bits) {
        unsigned long i;
        _BitScanReverse64(&i, bits);
        return (int)i;
    }
    #else
    #define bits_lowest(bits) __builtin_ctzll(bits)
    #define bits_highest(bits) (63 - __builtin_clzll(bits))
    #endif
    """
    int bits_lowest(uint64_t bits) noexcept nogil    # of a word that is not 0
    int bits_highest(uint64_t bits) noexcept nogil   # of a word that is not 0


cdef inline uint32_t bits_take(uint64_t *places) noexcept nogil:
    """Take the lowest place out of a set that is not empty, and return it."""
    cdef uint32_t place = <uint32_t>bits_lowest(places[0])
    places[0] &= places[0] - 1
    return place

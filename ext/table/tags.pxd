"""Tags under a secret: 32 bits mixed from 16 bytes, for tables whose keys others may choose.

Only the mixing belongs here. Who does not know the secret cannot make tags collide on purpose. The
table of revocations mixes them from session ids, the memory of verified tokens from signatures.
"""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static __inline unsigned __int64 tags_folded_product(unsigned __int64 a, unsigned __int64 b) {
        return a * b ^ __umulh(a, b);
    }
    #else
    static inline uint64_t tags_folded_product(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    #endif
    """
    uint64_t tags_folded_product(uint64_t a, uint64_t b) noexcept nogil


cdef inline uint32_t tags_mix(uint64_t first, uint64_t last, const uint64_t *secret) noexcept nogil:
    """Return the tag of two words: a folded 64 by 64 bit product under the secret, as in wyhash."""
    return <uint32_t>(tags_folded_product(first ^ secret[0], last ^ secret[1]) >> 32)

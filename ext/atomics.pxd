"""Reads and writes of fields that threads share without a lock.

Where there is a GIL they are plain ones. Without it, a read sees all that its writer had written
before (acquire and release). On x86-64 that costs nothing either: only the compiler is kept from
moving them.
"""

from libc.stdint cimport uint8_t, uint64_t


cdef extern from *:
    """
    #include <stdint.h>

    #if !defined(Py_GIL_DISABLED)
    #define ATOMICS_OF(name, type)                                                     \\
        static inline type atomics_##name(const type *place) { return *place; }       \\
        static inline void atomics_set_##name(type *place, type value) { *place = value; }
    #elif defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    #if defined(_M_ARM64)
    #define ATOMICS_FENCE() __dmb(0xB)  /* the inner shareable domain */
    #else
    #define ATOMICS_FENCE() _ReadWriteBarrier()
    #endif
    #define ATOMICS_OF(name, type)                                                     \\
        static __inline type atomics_##name(const type *place) {                      \\
            type value = *(const volatile type *)place;                               \\
            ATOMICS_FENCE();                                                          \\
            return value;                                                             \\
        }                                                                             \\
        static __inline void atomics_set_##name(type *place, type value) {            \\
            ATOMICS_FENCE();                                                          \\
            *(volatile type *)place = value;                                          \\
        }
    #else
    #define ATOMICS_OF(name, type)                                                     \\
        static inline type atomics_##name(const type *place) {                        \\
            type value;                                                               \\
            __atomic_load(place, &value, __ATOMIC_ACQUIRE);                           \\
            return value;                                                             \\
        }                                                                             \\
        static inline void atomics_set_##name(type *place, type value) {              \\
            __atomic_store(place, &value, __ATOMIC_RELEASE);                          \\
        }
    #endif

    ATOMICS_OF(byte, uint8_t)
    ATOMICS_OF(number, uint64_t)
    ATOMICS_OF(seconds, double)
    typedef const void *atomics_address;
    ATOMICS_OF(pointer, atomics_address)

    /* Adds 1 and returns the sum. */
    static inline uint64_t atomics_next(uint64_t *place) {
    #if !defined(Py_GIL_DISABLED)
        return ++*place;
    #elif defined(_MSC_VER) && !defined(__clang__)
        return (uint64_t)_InterlockedIncrement64((volatile long long *)place);
    #else
        return __atomic_add_fetch(place, 1, __ATOMIC_ACQ_REL);
    #endif
    }
    """
    uint8_t atomics_byte(const uint8_t *place) noexcept nogil
    void atomics_set_byte(uint8_t *place, uint8_t value) noexcept nogil
    uint64_t atomics_number(const uint64_t *place) noexcept nogil
    void atomics_set_number(uint64_t *place, uint64_t value) noexcept nogil
    double atomics_seconds(const double *place) noexcept nogil
    void atomics_set_seconds(double *place, double value) noexcept nogil
    const void *atomics_pointer(const void **place) noexcept nogil
    void atomics_set_pointer(const void **place, const void *value) noexcept nogil
    uint64_t atomics_next(uint64_t *place) noexcept nogil

"""Base64url without padding (RFC 4648, section 5; RFC 7515, section 2).

Only digits and the bytes they stand for belong here. Decoding is strict: one spelling for each
sequence of bytes, and nothing else is taken. These are plain C loops; on x86-64, 16 digits are
made or decoded at a time. Only the last two functions touch Python objects.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t


cdef extern from *:
    """
    static const unsigned char base64url_digits[64] = {
        'A','B','C','D','E','F','G','H','I','J','K','L','M','N','O','P',
        'Q','R','S','T','U','V','W','X','Y','Z','a','b','c','d','e','f',
        'g','h','i','j','k','l','m','n','o','p','q','r','s','t','u','v',
        'w','x','y','z','0','1','2','3','4','5','6','7','8','9','-','_'
    };
    /* The value of each digit; 0xFF for what is none, so one bit tells for four digits at once. */
    static const unsigned char base64url_values[256] = {
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255, 62,255,255,
         52, 53, 54, 55, 56, 57, 58, 59, 60, 61,255,255,255,255,255,255,
        255,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
         15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,255,255,255,255, 63,
        255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
         41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255
    };

    #if defined(__x86_64__) && defined(__GNUC__)
    #include <tmmintrin.h>
    #include <string.h>
    static inline __m128i base64url_between(__m128i digits, char first, char last) {
        return _mm_and_si128(
            _mm_cmpgt_epi8(digits, _mm_set1_epi8((char)(first - 1))),
            _mm_cmplt_epi8(digits, _mm_set1_epi8((char)(last + 1))));
    }
    /* Decodes 16 digits to 12 bytes; 0, or 128 where one of them is no digit. */
    static inline uint32_t base64url_decode_16(const unsigned char *source, unsigned char *target) {
        const __m128i digits = _mm_loadu_si128((const __m128i *)source);
        const __m128i upper = base64url_between(digits, 'A', 'Z');
        const __m128i lower = base64url_between(digits, 'a', 'z');
        const __m128i decimal = base64url_between(digits, '0', '9');
        const __m128i minus = _mm_cmpeq_epi8(digits, _mm_set1_epi8('-'));
        const __m128i underscore = _mm_cmpeq_epi8(digits, _mm_set1_epi8('_'));
        const __m128i letter = _mm_or_si128(
            _mm_and_si128(upper, _mm_set1_epi8(0 - 'A')),
            _mm_and_si128(lower, _mm_set1_epi8(26 - 'a')));
        const __m128i sign = _mm_or_si128(
            _mm_and_si128(minus, _mm_set1_epi8(62 - '-')),
            _mm_and_si128(underscore, _mm_set1_epi8(63 - '_')));
        const __m128i shift = _mm_or_si128(
            _mm_or_si128(letter, sign), _mm_and_si128(decimal, _mm_set1_epi8(52 - '0')));
        const __m128i known = _mm_or_si128(
            _mm_or_si128(_mm_or_si128(upper, lower), decimal), _mm_or_si128(minus, underscore));
        const __m128i values = _mm_add_epi8(digits, shift);  /* 6 bits in each 8 */
        const __m128i pairs = _mm_or_si128(
            _mm_slli_epi16(_mm_and_si128(values, _mm_set1_epi16(63)), 6),
            _mm_srli_epi16(values, 8));
        /* 24 bits in each 32, the first of them highest */
        const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
        const uint64_t first = (uint64_t)_mm_cvtsi128_si64(fours);
        const uint64_t last = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(fours, fours));
        const uint64_t head = __builtin_bswap64(first << 40 | first >> 32 << 16);
        const uint64_t tail = __builtin_bswap64(last << 40 | last >> 32 << 16);
        memcpy(target, &head, 8);
        memcpy(target + 6, &tail, 6);
        return _mm_movemask_epi8(known) == 0xFFFF ? 0 : 128;
    }
    /* The same where the processor can look up 16 bytes at once, as nearly all can. */
    __attribute__((target("ssse3")))
    static uint32_t base64url_decode_by_lookup(
        const unsigned char *source, Py_ssize_t length, unsigned char *target) {
        /* By the upper and the lower four bits of a byte: no digit has a bit in both. */
        const __m128i wrong_upper = _mm_setr_epi8(
            32, 32, 1, 2, 4, 8, 4, 16, 32, 32, 32, 32, 32, 32, 32, 32);
        const __m128i wrong_lower = _mm_setr_epi8(
            37, 33, 33, 33, 33, 33, 33, 33, 33, 33, 35, 59, 59, 58, 59, 51);
        /* By the upper four bits, from a digit to its value. Only the underscore goes elsewhere. */
        const __m128i steps = _mm_setr_epi8(
            0, 0, 62 - '-', 52 - '0', 0 - 'A', 0 - 'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0);
        const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
        const __m128i low = _mm_set1_epi8(15);
        __m128i wrong = _mm_setzero_si128();
        for (; length >= 16; source += 16, target += 12, length -= 16) {
            const __m128i digits = _mm_loadu_si128((const __m128i *)source);
            const __m128i upper = _mm_and_si128(_mm_srli_epi32(digits, 4), low);
            const __m128i lower = _mm_and_si128(digits, low);
            const __m128i underscore = _mm_and_si128(
                _mm_cmpeq_epi8(digits, _mm_set1_epi8('_')), _mm_set1_epi8(63 - '_' + 'A'));
            const __m128i values = _mm_add_epi8(  /* 6 bits in each 8 */
                digits, _mm_add_epi8(_mm_shuffle_epi8(steps, upper), underscore));
            const __m128i pairs = _mm_maddubs_epi16(values, _mm_set1_epi32(0x01400140));
            /* 24 bits in each 32, the first of them highest */
            const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
            const __m128i bytes = _mm_shuffle_epi8(fours, order);
            const int tail = _mm_cvtsi128_si32(_mm_srli_si128(bytes, 8));
            wrong = _mm_or_si128(wrong, _mm_and_si128(
                _mm_shuffle_epi8(wrong_upper, upper), _mm_shuffle_epi8(wrong_lower, lower)));
            _mm_storel_epi64((__m128i *)target, bytes);
            memcpy(target + 8, &tail, 4);
        }
        wrong = _mm_cmpeq_epi8(wrong, _mm_setzero_si128());
        return _mm_movemask_epi8(wrong) == 0xFFFF ? 0 : 128;
    }
    /* Decodes all digits but the last up to 15; 0, or 128 where one of them is no digit. */
    static inline uint32_t base64url_decode_by_16(
        const unsigned char *source, Py_ssize_t length, unsigned char *target) {
        uint32_t seen = 0;
        if (__builtin_cpu_supports("ssse3"))
            return base64url_decode_by_lookup(source, length, target);
        for (; length >= 16; source += 16, target += 12, length -= 16)
            seen |= base64url_decode_16(source, target);
        return seen;
    }
    /* Encodes 12 bytes as 16 digits. */
    static inline void base64url_encode_16(const unsigned char *source, unsigned char *target) {
        uint32_t words[4];
        memcpy(&words[0], source, 4);
        memcpy(&words[1], source + 3, 4);
        memcpy(&words[2], source + 6, 4);
        memcpy(&words[3], source + 8, 4);
        /* 24 bits and 8 of no meaning in each 32, the first of them highest */
        const __m128i fours = _mm_set_epi32(
            (int)(__builtin_bswap32(words[3]) << 8), (int)__builtin_bswap32(words[2]),
            (int)__builtin_bswap32(words[1]), (int)__builtin_bswap32(words[0]));
        const __m128i values = _mm_or_si128(  /* 6 bits in each 8 */
            _mm_or_si128(
                _mm_srli_epi32(fours, 26),
                _mm_and_si128(_mm_srli_epi32(fours, 12), _mm_set1_epi32(0x3F00))),
            _mm_or_si128(
                _mm_and_si128(_mm_slli_epi32(fours, 2), _mm_set1_epi32(0x3F0000)),
                _mm_and_si128(_mm_slli_epi32(fours, 16), _mm_set1_epi32(0x3F000000))));
        /* Each step begins where the digits go on elsewhere in ASCII. */
        const __m128i lower = _mm_cmpgt_epi8(values, _mm_set1_epi8(25));
        const __m128i decimal = _mm_cmpgt_epi8(values, _mm_set1_epi8(51));
        const __m128i minus = _mm_cmpgt_epi8(values, _mm_set1_epi8(61));
        const __m128i underscore = _mm_cmpgt_epi8(values, _mm_set1_epi8(62));
        const __m128i steps = _mm_add_epi8(
            _mm_add_epi8(
                _mm_and_si128(lower, _mm_set1_epi8('a' - 26 - 'A')),
                _mm_and_si128(decimal, _mm_set1_epi8(('0' - 52) - ('a' - 26)))),
            _mm_add_epi8(
                _mm_and_si128(minus, _mm_set1_epi8(('-' - 62) - ('0' - 52))),
                _mm_and_si128(underscore, _mm_set1_epi8(('_' - 63) - ('-' - 62)))));
        _mm_storeu_si128(
            (__m128i *)target, _mm_add_epi8(_mm_add_epi8(values, _mm_set1_epi8('A')), steps));
    }
    #define BASE64URL_BY_16 1
    #else
    #define base64url_decode_by_16(source, length, target) 128
    #define base64url_encode_16(source, target) ((void)0)
    #define BASE64URL_BY_16 0
    #endif
    """
    const uint8_t[64] base64url_digits
    const uint8_t[256] base64url_values
    bint BASE64URL_BY_16
    void base64url_encode_16(const uint8_t *source, uint8_t *target) noexcept nogil
    uint32_t base64url_decode_by_16(
        const uint8_t *source, Py_ssize_t length, uint8_t *target) noexcept nogil


cdef inline Py_ssize_t base64url_encoded_length(Py_ssize_t length) noexcept nogil:
    return length // 3 * 4 + (0 if length % 3 == 0 else length % 3 + 1)


cdef inline Py_ssize_t base64url_encode(
    const uint8_t *source, Py_ssize_t length, uint8_t *target
) noexcept nogil:
    """Write the digits of ``length`` bytes. Return how many there are."""
    cdef uint8_t *written = target
    cdef uint32_t bits
    while BASE64URL_BY_16 and length >= 12:
        base64url_encode_16(source, written)
        source += 12
        written += 16
        length -= 12
    while length >= 3:
        bits = <uint32_t>source[0] << 16 | <uint32_t>source[1] << 8 | source[2]
        written[0] = base64url_digits[bits >> 18]
        written[1] = base64url_digits[bits >> 12 & 63]
        written[2] = base64url_digits[bits >> 6 & 63]
        written[3] = base64url_digits[bits & 63]
        source += 3
        written += 4
        length -= 3
    if length == 2:
        bits = <uint32_t>source[0] << 8 | source[1]
        written[0] = base64url_digits[bits >> 10]
        written[1] = base64url_digits[bits >> 4 & 63]
        written[2] = base64url_digits[bits << 2 & 63]
        written += 3
    elif length == 1:
        written[0] = base64url_digits[source[0] >> 2]
        written[1] = base64url_digits[source[0] << 4 & 63]
        written += 2
    return written - target


cdef inline Py_ssize_t base64url_decode(
    const uint8_t *source, Py_ssize_t length, uint8_t *target
) noexcept nogil:
    """Write the bytes of ``length`` digits. Return how many there are.

    Return -1 where the text is not the one spelling of them.
    """
    cdef uint8_t *written = target
    cdef uint32_t a, b, c, d
    cdef uint32_t seen = 0
    if BASE64URL_BY_16 and length >= 16:
        seen = base64url_decode_by_16(source, length, written)
        source += length & ~<Py_ssize_t>15
        written += length // 16 * 12
        length &= 15
    while length >= 4:
        a = base64url_values[source[0]]
        b = base64url_values[source[1]]
        c = base64url_values[source[2]]
        d = base64url_values[source[3]]
        seen |= a | b | c | d
        written[0] = <uint8_t>(a << 2 | b >> 4)
        written[1] = <uint8_t>(b << 4 | c >> 2)
        written[2] = <uint8_t>(c << 6 | d)
        source += 4
        written += 3
        length -= 4
    if length == 1:
        return -1
    if length >= 2:
        a = base64url_values[source[0]]
        b = base64url_values[source[1]]
        c = 0
        written[0] = <uint8_t>(a << 2 | b >> 4)
        written += 1
        if length == 3:
            c = base64url_values[source[2]]
            written[0] = <uint8_t>(b << 4 | c >> 2)
            written += 1
        # What the last digit holds beyond the last byte must be zero (RFC 4648, section 3.5).
        seen |= a | b | c
        if (length == 2 and b & 15) or c & 3:
            return -1
    return -1 if seen & 128 else written - target


# Of and to Python's bytes

cdef inline bytes base64url_encoded(bytes raw):
    """Return the digits of some bytes."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(raw)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, base64url_encoded_length(length))
    base64url_encode(
        <const uint8_t *>PyBytes_AS_STRING(raw), length, <uint8_t *>PyBytes_AS_STRING(text)
    )
    return text


cdef inline bytes base64url_decoded(const char *text, Py_ssize_t length):
    """Return the bytes of a non-empty canonical text, or None where it is anything else."""
    cdef bytes raw
    if length == 0 or length % 4 == 1:
        return None
    raw = PyBytes_FromStringAndSize(NULL, length * 3 // 4)
    if base64url_decode(<const uint8_t *>text, length, <uint8_t *>PyBytes_AS_STRING(raw)) < 0:
        return None
    return raw

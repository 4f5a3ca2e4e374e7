"""Base64url without padding (RFC 4648, section 5; RFC 7515, section 2), in plain C loops.

Decoding is strict: one spelling for each sequence of bytes, and nothing else is taken. No Python object is touched.
"""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from *:
    """
    static const unsigned char base64url_digits[64] = {
        'A','B','C','D','E','F','G','H','I','J','K','L','M','N','O','P','Q','R','S','T','U','V','W','X','Y','Z',
        'a','b','c','d','e','f','g','h','i','j','k','l','m','n','o','p','q','r','s','t','u','v','w','x','y','z',
        '0','1','2','3','4','5','6','7','8','9','-','_'
    };
    /* The value of each digit; 0xFF for what is none, so that one bit tells for four digits at once. */
    static const unsigned char base64url_values[256] = {
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255, 62,255,255, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,255,255,255,255,255,255,
        255,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,255,255,255,255, 63,
        255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,
        255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255,255
    };
    """
    const uint8_t[64] base64url_digits
    const uint8_t[256] base64url_values


cdef inline Py_ssize_t base64url_encoded_length(Py_ssize_t length) noexcept nogil:
    return length // 3 * 4 + (0 if length % 3 == 0 else length % 3 + 1)


cdef inline Py_ssize_t base64url_encode(const uint8_t *source, Py_ssize_t length, uint8_t *target) noexcept nogil:
    """Write the digits of ``length`` bytes; how many there are."""
    cdef uint8_t *written = target
    cdef uint32_t bits
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


cdef inline Py_ssize_t base64url_decode(const uint8_t *source, Py_ssize_t length, uint8_t *target) noexcept nogil:
    """Write the bytes of ``length`` digits; how many there are, or -1 where the text is not the one spelling of them."""
    cdef uint8_t *written = target
    cdef uint32_t a, b, c, d
    cdef uint32_t seen = 0
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

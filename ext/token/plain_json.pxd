"""JSON objects in the plain form in which this library's signer writes most claims, read in place.

Only the form belongs here, and never what a member means. No Python object is touched.

The form: one object without white space, of at most 32 members with distinct names. A value is a
string, a whole number of at most 15 digits, ``true``, ``false``, ``null`` or an array of strings.
Each string is printable ASCII and has no escape. On such a text no two parsers differ (RFC 8259),
so what is found here needs no second reading. Whatever else stands in a text is not wrong: it is
merely for a parser that reads all of JSON.

Behind a text stand sixteen bytes of 0. As 0 stands in no plain text, every walk ends there and
needs no other bound.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from table.bits cimport bits_lowest


cdef extern from *:
    """
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    /* Of which of 16 bytes a string in plain form has no such character: a bit for each. */
    static inline uint64_t plain_json_others(const unsigned char *text) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)text);
        const __m128i below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(32));  /* or above 127 */
        const __m128i delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(127));
        const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x22));
        const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x5C));
        return (uint64_t)_mm_movemask_epi8(
            _mm_or_si128(_mm_or_si128(below, delete), _mm_or_si128(quote, backslash)));
    }
    enum { PLAIN_JSON_STEP = 16, PLAIN_JSON_STEP_BITS = 1 };
    #else
    /* Of eight bytes: the highest bit of each tells that it is below 32, above 126, a quote or a
       backslash. What is none of these is told wrong only by what is carried from one before. */
    static inline uint64_t plain_json_others(const unsigned char *text) {
        const uint64_t ones = 0x0101010101010101;
        uint64_t word, others;
        memcpy(&word, text, sizeof(word));
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        others = word | (word - 0x20 * ones) | (word + ones);
        others |= ((word ^ 0x22 * ones) - ones) | ((word ^ 0x5C * ones) - ones);
        return others & 0x80 * ones;
    }
    enum { PLAIN_JSON_STEP = 8, PLAIN_JSON_STEP_BITS = 8 };
    #endif
    """
    const uint32_t PLAIN_JSON_STEP  # bytes
    const uint32_t PLAIN_JSON_STEP_BITS  # for each of them
    uint64_t plain_json_others(const uint8_t* text) noexcept nogil


cdef enum:
    PLAIN_JSON_MOST_MEMBERS = 32
    PLAIN_JSON_MOST_DIGITS = 15  # fewer than a double holds exactly
    PLAIN_JSON_READ_BEYOND = 16  # bytes of 0

cdef enum plain_json_kind:
    PLAIN_JSON_STRING
    PLAIN_JSON_STRINGS  # an array of them
    PLAIN_JSON_NUMBER
    PLAIN_JSON_TRUE
    PLAIN_JSON_FALSE
    PLAIN_JSON_NULL


cdef struct plain_json_member:
    int64_t number
    uint16_t name  # where it begins, behind its quote
    uint16_t name_length
    uint16_t value  # where a string or an array begins, behind its quote or bracket
    uint16_t length  # of that, without the quotes or brackets around it
    plain_json_kind kind


cdef inline int plain_json_read(
    const uint8_t* text, uint32_t length, plain_json_member* members
) noexcept nogil:
    """Write the members of a text of less than 64 KiB, which may be anything.

    Return how many there are, or -1 where the text is not plain. Whether their names are distinct
    is asked apart, as a text that is read again needs no second answer.
    """
    cdef uint32_t place = 1
    cdef int count = 0
    if text[0] != c"{":
        return -1
    while count < PLAIN_JSON_MOST_MEMBERS:
        place = _plain_json_member(text, place, &members[count])
        if place == 0:
            return -1
        count += 1
        if text[place] == c"}":
            return count if place + 1 == length else -1
        if text[place] != c",":
            return -1
        place += 1
    return -1


cdef inline bint plain_json_are_distinct(
    const uint8_t* text, const plain_json_member* members, int count
) noexcept nogil:
    """Return whether no two members have the same name."""
    cdef const plain_json_member* member
    cdef int place, before
    cdef uint64_t bit, seen = 0
    for place in range(count):
        member = &members[place]
        # Equal names have equal bits, as a quote and a colon are behind the shortest. Few others
        # have, so that most names are compared with none.
        bit = <uint64_t>1 << (
            (text[member.name] + 5 * text[member.name + 1] + 3 * member.name_length) & 63
        )
        if seen & bit:
            for before in range(place):
                if plain_json_is(
                    text, &members[before], text + member.name, member.name_length
                ):
                    return False
        seen |= bit
    return True


cdef inline bint plain_json_is(
    const uint8_t* text, const plain_json_member* member, const uint8_t* name, Py_ssize_t length
) noexcept nogil:
    """Return whether a member has this name."""
    return member.name_length == length and memcmp(text + member.name, name, length) == 0


cdef inline uint32_t plain_json_string_end(const uint8_t* text, uint32_t place) noexcept nogil:
    """Return the first place from here on whose byte is not a plain character of a string."""
    cdef uint64_t others = plain_json_others(text + place)
    while not others:
        place += PLAIN_JSON_STEP
        others = plain_json_others(text + place)
    return place + <uint32_t>bits_lowest(others) // PLAIN_JSON_STEP_BITS


# What follows returns the place behind what it reads, or 0 where that is not plain.

cdef inline uint32_t _plain_json_member(
    const uint8_t* text, uint32_t place, plain_json_member* member
) noexcept nogil:
    cdef uint32_t start
    if text[place] != c'"':
        return 0
    member.name = <uint16_t>(place + 1)
    place = plain_json_string_end(text, place + 1)
    member.name_length = <uint16_t>(place - member.name)
    if text[place] != c'"' or text[place + 1] != c":":
        return 0
    place += 2
    start = place + 1
    member.value = <uint16_t>start
    member.number = 0
    if text[place] == c'"':
        member.kind = PLAIN_JSON_STRING
        place = plain_json_string_end(text, start)
        member.length = <uint16_t>(place - start)
        return place + 1 if text[place] == c'"' else 0
    if text[place] == c"[":
        member.kind = PLAIN_JSON_STRINGS
        place = _plain_json_strings(text, start)
        member.length = <uint16_t>(place - start - 1)
        return place
    if text[place] == c"t":
        member.kind = PLAIN_JSON_TRUE
        return place + 4 if memcmp(text + place, b"true", 4) == 0 else 0
    if text[place] == c"f":
        member.kind = PLAIN_JSON_FALSE
        return place + 5 if memcmp(text + place, b"false", 5) == 0 else 0
    if text[place] == c"n":
        member.kind = PLAIN_JSON_NULL
        return place + 4 if memcmp(text + place, b"null", 4) == 0 else 0
    member.kind = PLAIN_JSON_NUMBER
    return _plain_json_number(text, place, &member.number)


cdef inline uint32_t _plain_json_strings(const uint8_t* text, uint32_t place) noexcept nogil:
    """Read the rest of an array of strings, from behind its bracket on."""
    if text[place] == c"]":
        return place + 1
    while text[place] == c'"':
        place = plain_json_string_end(text, place + 1)
        if text[place] != c'"':
            return 0
        if text[place + 1] == c"]":
            return place + 2
        if text[place + 1] != c",":
            return 0
        place += 2
    return 0


cdef inline uint32_t _plain_json_number(
    const uint8_t* text, uint32_t place, int64_t* number
) noexcept nogil:
    cdef bint is_negative = text[place] == c"-"
    cdef uint32_t start = place + is_negative
    cdef int64_t whole = 0
    place = start
    while c"0" <= text[place] <= c"9" and place - start <= PLAIN_JSON_MOST_DIGITS:
        whole = 10 * whole + (text[place] - c"0")
        place += 1
    if not 0 < place - start <= PLAIN_JSON_MOST_DIGITS:
        return 0
    # Of -0, parsers make an integer or a double.
    if text[start] == c"0" and (place - start > 1 or is_negative):
        return 0
    number[0] = -whole if is_negative else whole
    return place

"""The registered claims of a payload in plain form (``plain_json.pxd``), checked where they stand.

What is demanded of each is what ``claim_values.pxd`` demands of the values that a parser made of
the same text. Nothing is refused here: where a claim is missing or not as it must be, the answer is
that a reader of all JSON should look, which then says what is wrong.
"""

from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp

from token.base64url cimport base64url_decode
from token.claim_values cimport LONGEST_SUBJECT, SESSION_ID_LENGTH
from token.plain_json cimport (
    PLAIN_JSON_NUMBER, PLAIN_JSON_STRING, PLAIN_JSON_STRINGS, plain_json_member,
    plain_json_string_end,
)
from unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII


cdef enum:
    _PLAIN_CLAIMS_REQUIRED = 6  # iss, aud, sub, sid, exp and iat


cdef struct plain_claims:
    double issued_at
    double expires_at
    double starts_at
    uint32_t generation
    uint8_t[12] session
    uint16_t subject  # where it stands in the payload
    uint16_t subject_length
    bint has_accepted_audience


cdef inline bint plain_claims_find(
    plain_claims* claims, const uint8_t* text, const plain_json_member* members, int count,
    str issuer, tuple accepted,
) noexcept:
    """Return whether all registered claims are there that must be, each as it must be.

    If so, they are written. ``claims`` is all zeros before.
    """
    cdef const plain_json_member* member
    cdef int place
    cdef int required = 0
    for place in range(count):
        member = &members[place]
        if member.name_length == 3 and not _plain_claims_take(
            claims, text, member, issuer, accepted, &required
        ):
            return False
    if claims.starts_at < claims.issued_at:
        claims.starts_at = claims.issued_at
    return required == _PLAIN_CLAIMS_REQUIRED


cdef inline bint _plain_claims_take(
    plain_claims* claims, const uint8_t* text, const plain_json_member* member,
    str issuer, tuple accepted, int* required,
) noexcept:
    """Return whether a member with a name of three letters is as it must be."""
    cdef const uint8_t* name = text + member.name
    cdef const uint8_t* value = text + member.value
    # With the quote behind the name, each comparison is of one word.
    if memcmp(name, b'iss"', 4) == 0:
        required[0] += 1
        return member.kind == PLAIN_JSON_STRING and _plain_claims_is(issuer, value, member.length)
    if memcmp(name, b'aud"', 4) == 0:
        required[0] += 1
        return _plain_claims_audience(text, member, accepted, &claims.has_accepted_audience)
    if memcmp(name, b'sub"', 4) == 0:
        required[0] += 1
        claims.subject = member.value
        claims.subject_length = member.length
        return member.kind == PLAIN_JSON_STRING and 0 < member.length <= LONGEST_SUBJECT
    if memcmp(name, b'sid"', 4) == 0:
        required[0] += 1
        return (
            member.kind == PLAIN_JSON_STRING
            and member.length == SESSION_ID_LENGTH
            and base64url_decode(value, SESSION_ID_LENGTH, claims.session) >= 0
        )
    if memcmp(name, b'exp"', 4) == 0:
        required[0] += 1
        return _plain_claims_date(member, &claims.expires_at)
    if memcmp(name, b'iat"', 4) == 0:
        required[0] += 1
        return _plain_claims_date(member, &claims.issued_at)
    if memcmp(name, b'nbf"', 4) == 0:
        return _plain_claims_date(member, &claims.starts_at)
    if memcmp(name, b'gen"', 4) == 0:
        claims.generation = <uint32_t>member.number
        return member.kind == PLAIN_JSON_NUMBER and 0 <= member.number <= <long long>2**32 - 2
    if memcmp(name, b'jti"', 4) == 0:
        return member.kind == PLAIN_JSON_STRING
    return True


cdef inline bint _plain_claims_date(const plain_json_member* member, double* seconds) noexcept:
    seconds[0] = <double>member.number
    return member.kind == PLAIN_JSON_NUMBER and member.number >= 0


cdef inline bint _plain_claims_audience(
    const uint8_t* text, const plain_json_member* member, tuple accepted, bint* is_accepted
) noexcept:
    """Return whether an ``aud`` is one text or several, none of them empty.

    Write whether one of them is accepted.
    """
    cdef uint32_t place = member.value
    cdef uint32_t behind = place + member.length
    cdef uint32_t end
    if member.kind == PLAIN_JSON_STRING:
        is_accepted[0] = _plain_claims_is_any(accepted, text + place, member.length)
        return member.length > 0
    if member.kind != PLAIN_JSON_STRINGS or member.length == 0:
        return False
    while place < behind:
        place += 1  # the quote
        end = plain_json_string_end(text, place)
        if end == place:
            return False
        if not is_accepted[0]:
            is_accepted[0] = _plain_claims_is_any(accepted, text + place, end - place)
        place = end + 2  # the quote, and the comma or the bracket
    return True


cdef inline bint _plain_claims_is_any(
    tuple accepted, const uint8_t* text, Py_ssize_t length
) noexcept:
    cdef Py_ssize_t place
    for place in range(PyTuple_GET_SIZE(accepted)):
        if _plain_claims_is(<str>PyTuple_GET_ITEM(accepted, place), text, length):
            return True
    return False


cdef inline bint _plain_claims_is(str known, const uint8_t* text, Py_ssize_t length) noexcept:
    return (
        PyUnicode_GET_LENGTH(known) == length
        and PyUnicode_IS_ASCII(known)
        and memcmp(PyUnicode_1BYTE_DATA(known), text, length) == 0
    )

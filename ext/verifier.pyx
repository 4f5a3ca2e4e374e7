"""Verifies access tokens, and remembers those that verified.

The compiled twin of ``_pure/verifier.py``, which is the one to read first. It has more than 500
lines since a C attribute can be reached only from its own module: ``Claims``, the keys in use and
the memory of verified tokens, which ``Verifier`` reads at each call, can't be modules of their own.

The order of checks is: shape and size, header, signature, claims, time, revocation. No byte of the
payload is parsed before its signature was verified (RFC 8725, section 3.1). What each check is made
of is in ``token/``: HMAC is OpenSSL's (``token/evp.pxd``), and an asymmetric signature is checked
by ``cryptography``, through the key. A payload in the plain form of ``token/plain_json.pxd`` is
read where it lies, and can only be accepted by that. All else is for a JSON parser.

Remembered tokens are found by the last characters of their signature, mixed with a secret of this
process, and then compared in full. Only tokens that verified are ever put in, so nobody without a
key chooses where one goes. When the memory is full, the clock hand (second chance) goes round and
drops the first token that nobody asked for since it last came by.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.object cimport Py_TPFLAGS_BASETYPE, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, Py_XINCREF, PyObject
from libc.math cimport INFINITY, floor
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from atomics cimport (
    atomics_byte, atomics_number, atomics_pointer, atomics_seconds, atomics_set_byte,
    atomics_set_number, atomics_set_pointer, atomics_set_seconds,
)
from clock cimport clock_begin, clock_wall
from once cimport once_fill, once_get, once_is_first
from seconds cimport (
    PyBool_Check, PyLong_Check, SECONDS_LONGEST, seconds_duration, seconds_number, seconds_reading,
)
from table.revocation_table cimport (
    revocation_table, revocation_table_additions, revocation_table_have_news,
    revocation_table_part, revocation_table_refuse,
)
from table.tags cimport tags_mix
from thread_own cimport HAS_GIL, thread_own_defer
from token.base64url cimport base64url_decode, base64url_decoded, base64url_encode
from token.claim_values cimport (
    claim_values_accepts, claim_values_copy, claim_values_date, claim_values_find,
    claim_values_generation, claim_values_is_audience, claim_values_is_subject,
    claim_values_session_id,
)
from token.evp cimport (
    EVP_LARGEST_DIGEST, evp_equal, evp_hmac, evp_hmac_digest, evp_hmac_for, evp_hmac_free,
    evp_load_from_hashlib,
)
from token.front cimport FRONT_WAYS, front_keep, front_next_epoch, front_of, front_set
from token.header_fields cimport (
    header_fields_find, header_fields_is_b64token, header_fields_token,
)
from token.index cimport (
    hash_index, index_check, index_cursor, index_find_first, index_find_next, index_free,
    index_init, index_insert, index_remove,
)
from token.jose_header cimport jose_header_encoded
from token.json_object cimport json_object_parse
from token.plain_claims cimport plain_claims, plain_claims_find
from token.plain_json cimport (
    PLAIN_JSON_MOST_MEMBERS, PLAIN_JSON_READ_BEYOND, plain_json_are_distinct, plain_json_is,
    plain_json_member, plain_json_read,
)
from token.plain_values cimport plain_values_dict, plain_values_of, plain_values_text
from token.remembered cimport (
    remembered, remembered_check, remembered_free, remembered_put, remembered_reserve,
    remembered_take,
)
from token.segment cimport SEGMENT_NONE
from unicode cimport (
    PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII, PyUnicode_New, PyUnicode_READY,
)

import os
from collections.abc import ItemsView, KeysView, Mapping, ValuesView

from tokenwheel._native.plain_json import LARGEST_PAYLOAD, MAX_NESTING, copy_plain
from tokenwheel._native.revocations import RevocationTable
from tokenwheel.clocks_apart import ClocksApart
from tokenwheel.errors import (
    AccessTokenExpired, AccessTokenNotYetValid, AccessTokenRevoked, ConfigurationError,
    InvalidAccessToken, InvalidArgument, TokenwheelError,
)
from tokenwheel.exact import as_given, text_of, texts_of, type_name_of
from tokenwheel.json_refusal import shown_class
from tokenwheel.json_text import dumps, loads, loads_quickly
from tokenwheel.pydantic_hooks import claims_json_schema, claims_schema, claims_serializer
from tokenwheel.seconds import wall_time
from tokenwheel.wrapping import wrapping_of

__all__ = ["MAX_TOKEN_LENGTH", "Claims", "Verifier"]

MAX_TOKEN_LENGTH = 8192  # bytes, 8 KiB
CACHE_BYTES = 67_108_864  # 64 MiB
LARGEST_CACHE = 2**31 - 1  # tokens
LARGEST_CACHE_BYTES = 2**62

cdef Py_ssize_t LONGEST_TOKEN = MAX_TOKEN_LENGTH
# Seconds between two looks. What a source puts off a little counts within one second all the same.
cdef double LOOK_AFTER_KEYS = 0.9
cdef int DEEPEST = MAX_NESTING
cdef object json_loads_quickly = loads_quickly
cdef object json_loads = loads
# Bytes: the claims' objects, beside their text, which counts twice. Until somebody asks for two of
# them, there are none and a token takes less than half. What they may come to take is what counts.
cdef Py_ssize_t REMEMBERED_OVERHEAD = 576
cdef Py_ssize_t TAG_CHARACTERS = 16  # of the signature: 96 bits of it
cdef enum:
    DECODED_BYTES = 6144 + PLAIN_JSON_READ_BEYOND  # of a payload as long as a token may be

# The names of claims as the parser hands them out, for as long as it remembers them: a dict finds
# the very same object sooner than an equal one.
cdef str ISS, AUD, SUB, SID, GEN, JTI, EXP, IAT, NBF
ISS, AUD, SUB, SID, GEN, JTI, EXP, IAT, NBF = json_loads_quickly(
    b'{"iss":0,"aud":0,"sub":0,"sid":0,"gen":0,"jti":0,"exp":0,"iat":0,"nbf":0}'
)

# What claims made by hand must have, and the types it has in a token.
cdef tuple KINDS = (
    ("sub", (str,)), ("sid", (str,)), ("iat", (int, float)), ("exp", (int, float)),
)

clock_begin()
evp_load_from_hashlib()

cdef extern from "Python.h":
    object PyObject_CallNoArgs(object function)


@cython.final
@cython.freelist(16)
@cython.no_gc  # It holds plain JSON, and nobody else holds that: there can be no cycle.
@cython.collection_type("mapping")
cdef class Claims:
    """The claims of a verified access token (RFC 7519, section 4): a mapping nobody can change.

    A value that is an object or an array is handed out as a copy, so that what one caller does to
    it reaches no other. ``Claims(mapping)`` takes claims that were not verified, for the tests of
    an application. It copies them once, and has arrays as lists, as a token has.

    Args:
        claims: a mapping with at least ``sub``, ``sid``, ``iat`` and ``exp``.

    Raises:
        InvalidArgument: one of these claims is missing or of another type than in a token, or the
            mapping holds what no token can: see ``claims`` of ``create``.
        AttributeError: these claims have been set already.
    """

    # All claims as a dict. There is none for a token in plain form until that is asked for: its
    # claims are then read from its text. That was verified as a whole, so nothing can fail.
    cdef PyObject* members
    cdef PyObject* subject_text  # once it was asked for

    # What must be checked at each read, where they are a token's that verified, and what the memory
    # of such tokens keeps.
    cdef object token  # a str or bytes, which nobody can change
    cdef const char* text  # of the token, within that
    cdef double starts_at
    cdef double expires_at
    cdef double issued_at
    cdef uint8_t[12] session
    cdef uint32_t generation
    cdef uint32_t tag
    cdef uint32_t cost
    cdef uint16_t length  # of the token
    cdef uint16_t payload  # where its digits begin in the token
    cdef uint16_t payload_length
    cdef uint16_t subject_place  # in the JSON of the payload
    cdef uint8_t subject_length
    cdef uint8_t was_asked  # for a single claim before
    cdef uint8_t has_accepted_audience
    cdef uint8_t asked_for  # since the clock hand last came by
    cdef uint8_t part  # of the additions to the table of revocations, once that was asked
    # When the table last said that the token is not refused: how many additions there had been by
    # then (0: it was never asked), and the time.
    cdef uint64_t cleared_as_of
    cdef double cleared_at

    __reversed__ = None

    def __init__(self, claims):
        cdef dict copied = copy_plain(claims, "claims", "claim", LARGEST_PAYLOAD)
        for name, kinds in KINDS:
            if type(copied.get(name)) not in kinds:
                raise InvalidArgument(
                    f"claims must have {name!r}, of the type it has in an access token"
                )
        # Only now, since the mapping may have been made to call this while it was read.
        if self.text != NULL or once_get(&self.members) != NULL:
            raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")
        if once_fill(&self.members, copied) != <PyObject*>copied:
            raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")

    def __dealloc__(self):
        Py_XDECREF(self.members)
        Py_XDECREF(self.subject_text)

    @property
    def subject(self):
        """The user or account that the session belongs to: the claim ``sub``."""
        cdef PyObject* kept = once_get(&self.subject_text)
        if kept != NULL:
            return <object>kept
        if is_read_from_text(self):
            return subject_of(self)
        return members_of(self)[SUB]

    @property
    def session_id(self):
        """The public id of the session: the claim ``sid``."""
        if is_read_from_text(self):
            return session_id_of(self)
        return members_of(self)[SID]

    @property
    def issued_at(self):
        """When the token was issued, as Unix time in whole seconds: the claim ``iat``."""
        if is_read_from_text(self):
            return <long long>self.issued_at
        return int(members_of(self)[IAT])

    @property
    def expires_at(self):
        """When the token expires, as Unix time in whole seconds: the claim ``exp``."""
        if is_read_from_text(self):
            return <long long>self.expires_at
        return int(members_of(self)[EXP])

    def to_dict(self):
        """Return the claims as a dict of the caller's own, nested values copied too."""
        cdef dict members = members_of(self)
        return {name: claim_values_copy(members[name]) for name in members}

    def get(self, key, default=None):
        """Return the value of a claim, or ``default`` if there is no such claim.

        A value that is an object or an array is a copy.
        """
        return find_claim(self, key, default)

    def keys(self):
        """Return a view of the claims' names."""
        return KeysView(self)

    def items(self):
        """Return a view of the claims as ``(name, value)``, objects and arrays as copies."""
        return ItemsView(self)

    def values(self):
        """Return a view of the claims' values, objects and arrays as copies."""
        return ValuesView(self)

    def __getitem__(self, name):
        cdef object value = find_claim(self, name, MISSING)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __contains__(self, name):
        return find_claim(self, name, MISSING) is not MISSING

    def __iter__(self):
        return iter(members_of(self))

    def __len__(self):
        return len(members_of(self))

    def __eq__(self, other):
        if isinstance(other, Mapping):
            # A copy, since what stands in the other may be asked to compare itself.
            return self.to_dict() == dict(other)
        return NotImplemented

    def __repr__(self):
        return f"<Claims of session {self.session_id!r}>"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TypeError("Claims cannot be pickled; to_dict() gives a dict that can")

    @property
    def __class__(self):
        return SHOWN

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return claims_schema(Claims)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        return claims_json_schema()

    @property
    def __pydantic_serializer__(self):
        return claims_serializer(Claims)


Mapping.register(Claims)

cdef object MISSING = object()  # where a claim may be None


cdef inline bint is_read_from_text(Claims claims) noexcept:
    """Return whether claims are those of a token, and have not been made into a dict."""
    return once_get(&claims.members) == NULL and claims.text != NULL


cdef inline dict members_of(Claims claims):
    """Return all claims as the dict that holds them, made now if it has not been before."""
    cdef PyObject* members = once_get(&claims.members)
    if members == NULL:
        if claims.text == NULL:
            raise TypeError("Claims must be made of a mapping before they are used")
        return members_made(claims)
    return <dict>members


cdef dict members_made(Claims claims):
    cdef uint8_t[DECODED_BYTES] payload
    cdef plain_json_member[PLAIN_JSON_MOST_MEMBERS] members
    cdef int count = read_again(claims, payload, members)
    return <dict>once_fill(&claims.members, plain_values_dict(payload, members, count))


cdef int read_again(Claims claims, uint8_t* payload, plain_json_member* members) noexcept:
    """Write the payload of a token in plain form, and its members. Return how many there are."""
    cdef Py_ssize_t length = decode_payload(
        claims.text + claims.payload, claims.payload_length, payload
    )
    return plain_json_read(payload, <uint32_t>length, members)


cdef Py_ssize_t decode_payload(
    const char* digits, Py_ssize_t length, uint8_t* payload
) noexcept:
    """Write the bytes of a token's payload, and behind them what plain_json.pxd asks for.

    Return how many there are, or -1 where the text is not the one spelling of them.
    """
    cdef Py_ssize_t size = base64url_decode(<const uint8_t*>digits, length, payload)
    if size >= 0:
        memset(payload + size, 0, PLAIN_JSON_READ_BEYOND)
    return size


cdef object find_claim(Claims claims, object name, object missing):
    """Return the value of a claim, for the caller to keep, or ``missing`` where there is none.

    The first that is asked for is read from the text alone, as many read a single claim of a token
    that they never see again. With the second all are made into a dict.
    """
    cdef PyObject* value
    if (
        is_read_from_text(claims)
        and type(name) is str
        and PyUnicode_IS_ASCII(name)
        and once_is_first(&claims.was_asked)
    ):
        return single_claim(claims, name, missing)
    value = PyDict_GetItemWithError(members_of(claims), name)
    return missing if value == NULL else claim_values_copy(<object>value)


cdef object single_claim(Claims claims, object name, object missing):
    cdef uint8_t[DECODED_BYTES] payload
    cdef plain_json_member[PLAIN_JSON_MOST_MEMBERS] members
    cdef int count = read_again(claims, payload, members)
    cdef int place
    for place in range(count):
        if plain_json_is(
            payload, &members[place], PyUnicode_1BYTE_DATA(name), PyUnicode_GET_LENGTH(name)
        ):
            return plain_values_of(payload, &members[place])
    return missing


cdef object audience_of(Claims claims):
    """Return the audience, which the caller must neither change nor keep."""
    if is_read_from_text(claims) and once_is_first(&claims.was_asked):
        return single_claim(claims, AUD, None)
    return members_of(claims)[AUD]


cdef object subject_of(Claims claims):
    """Return the subject, decoded from the digits that it stands in, and keep it."""
    cdef uint8_t[264] octets  # the longest, from the first of three octets to the last of three
    cdef Py_ssize_t behind = claims.subject_place + claims.subject_length
    cdef Py_ssize_t first = claims.subject_place // 3 * 4
    cdef Py_ssize_t last = min((behind + 2) // 3 * 4, claims.payload_length)
    base64url_decode(
        <const uint8_t*>claims.text + claims.payload + first, last - first, octets
    )
    return <object>once_fill(
        &claims.subject_text,
        plain_values_text(octets + claims.subject_place % 3, claims.subject_length),
    )


cdef object session_id_of(Claims claims):
    cdef object made = PyUnicode_New(16, 127)
    base64url_encode(claims.session, 12, PyUnicode_1BYTE_DATA(made))
    return made


cdef object shown_once():
    """Return the one subclass of Claims, which no other code is let make."""
    cdef PyTypeObject* final = <PyTypeObject*>Claims
    final.tp_flags |= Py_TPFLAGS_BASETYPE
    try:
        return shown_class(Claims)
    finally:
        final.tp_flags &= ~Py_TPFLAGS_BASETYPE


cdef object SHOWN = shown_once()


@cython.final
@cython.internal
cdef class KeyInUse:
    """A key, and the header this service itself puts before what it signs with it."""

    cdef object kid
    cdef object algorithm
    cdef object verify
    cdef evp_hmac hash  # zeros for all but HMAC
    cdef bytes header  # its base64url text

    def __dealloc__(self):
        evp_hmac_free(&self.hash)


@cython.final
@cython.no_gc_clear  # The pointers behind its objects must never outlive them.
cdef class Verifier:
    """Verifies the access tokens of one issuer, and remembers those that verified.

    Args:
        keys: the keys that a token may be signed with, at most one of them without a ``kid``.
        issuer: what a token's ``iss`` must be.
        audience: the names of which a token's ``aud`` must hold at least one.
        leeway: seconds of tolerance on ``exp``, ``nbf`` and ``iat``, for clocks that differ.
        largest_leeway: the most seconds of leeway that a call of :meth:`verify` may ask for.
        cache_size: how many tokens are remembered at most, or 0 for none.
        cache_bytes: how much memory remembered tokens may take, as estimated from their length.
        clock: returns Unix time in seconds.
        revocations: the table of revoked sessions, which is asked about every token.
        key_source: what the keys come from, where they change by themselves. Its ``look`` is called
            before a token is verified, once in 0.9 seconds at most while it raises nothing; its
            ``miss`` where a token names a key that is not among them.

    Raises:
        ConfigurationError: an argument cannot be used, or this verifier has been made already.
    """

    cdef object __weakref__
    cdef str issuer
    cdef tuple audience
    cdef object common_audience  # the ``aud`` of the token remembered last
    cdef double leeway
    cdef double largest_leeway
    cdef readonly object clocks_apart
    cdef object clock
    cdef bint is_default_clock  # which can mostly be read without running Python code
    cdef object revocations  # keeps the table behind the pointer alive
    cdef object revocations_clock  # None where it is the same as the verifier's
    cdef revocation_table* table  # NULL until the verifier has been made
    cdef list keys
    cdef object key_source
    cdef double looked_at  # by the clock; minus infinity where the last look has failed
    # The memory of verified tokens. Only C code that waits for nobody runs in the midst of a change
    # to it, so that the lock is not given up meanwhile.
    cdef remembered tokens
    cdef hash_index places
    cdef uint64_t epoch  # see token/front.pxd
    cdef uint64_t[2] seed
    cdef Py_ssize_t cache_size
    cdef Py_ssize_t cache_bytes
    cdef Py_ssize_t cached_bytes
    cdef Py_ssize_t hand
    cdef uint64_t additions  # to that memory, ever

    def __cinit__(self):
        index_init(&self.places)

    def __init__(
        self, keys, *, issuer, audience, leeway, largest_leeway, cache_size,
        cache_bytes=CACHE_BYTES, clock, revocations, key_source=None,
    ):
        cdef str checked_issuer = check_issuer(issuer)
        cdef tuple accepted = check_accepted(audience)
        cdef double tolerated = check_tolerance("leeway", leeway)
        cdef double most_tolerated = check_tolerance("largest_leeway", largest_leeway)
        cdef Py_ssize_t most = check_size("cache_size", cache_size, LARGEST_CACHE)
        cdef Py_ssize_t most_bytes = check_size("cache_bytes", cache_bytes, LARGEST_CACHE_BYTES)
        cdef object revocations_clock = check_table(clock, revocations)
        cdef revocation_table* table = <revocation_table*>PyCapsule_GetPointer(
            RevocationTable._capsule(revocations), b"tokenwheel._native.revocations.table"
        )
        cdef bytes drawn = os.urandom(sizeof(self.seed))
        cdef list in_use = [key_in_use(key) for key in keys]
        cdef object clocks_apart = ClocksApart(tolerated)
        # From here on nothing can fail, and no code but this runs.
        with cython.critical_section(self):
            if self.table != NULL:
                raise ConfigurationError("a Verifier can be constructed only once")
            memcpy(self.seed, PyBytes_AS_STRING(drawn), sizeof(self.seed))
            self.issuer = checked_issuer
            self.audience = accepted
            self.leeway = tolerated
            self.largest_leeway = most_tolerated
            self.clocks_apart = clocks_apart
            self.cache_size = most
            self.cache_bytes = most_bytes
            self.clock = clock
            self.is_default_clock = clock is wall_time
            self.revocations = revocations
            self.revocations_clock = None if revocations_clock is clock else revocations_clock
            self.keys = in_use
            self.key_source = key_source
            self.looked_at = -INFINITY
            self.epoch = front_next_epoch()
            atomics_set_pointer(<const void**>&self.table, table)

    def __dealloc__(self):
        let_go(&self.tokens)
        index_free(&self.places)

    def __reduce__(self):
        raise TypeError("a Verifier cannot be copied or pickled")

    def __repr__(self):
        with cython.critical_section(self):
            keys = self.keys
        number = 0 if keys is None else len(keys)
        return f"<Verifier with {number} keys, {self.remembered} tokens remembered>"

    @property
    def remembered(self):
        """The number of tokens that are remembered."""
        cdef uint32_t count
        with cython.critical_section(self):
            count = self.places.count
        return count

    @property
    def remembered_bytes(self):
        """The memory that remembered tokens are estimated to take, in bytes."""
        cdef Py_ssize_t taken
        with cython.critical_section(self):
            taken = self.cached_bytes
        return taken

    def set_keys(self, keys):
        """Verify by these keys from now on, and forget every remembered token.

        Args:
            keys: the keys that a token may be signed with, at most one of them without a ``kid``.
        """
        cdef list in_use = [key_in_use(key) for key in keys]
        cdef list keys_before
        cdef remembered tokens_before
        cdef hash_index places_before
        self.check_made()
        with cython.critical_section(self):
            # Let go of once all is in its place again, since what is released then may verify.
            keys_before = self.keys
            tokens_before = self.tokens
            places_before = self.places
            memset(&self.tokens, 0, sizeof(self.tokens))
            index_init(&self.places)
            self.keys = in_use
            self.cached_bytes = 0
            self.hand = 0
            atomics_set_number(&self.epoch, front_next_epoch())
        let_go(&tokens_before)
        index_free(&places_before)

    cdef int check_made(self) except -1:
        if atomics_pointer(<const void**>&self.table) == NULL:
            raise ConfigurationError("a Verifier must be constructed before it is used")
        return 0

    # As a method of C's, not of Cython's: calling that counts references to what threads share.
    # Then only the format "clinic" tells ``inspect`` the parameters.
    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def verify(self, access_token, *, audience=None, leeway=None):
        """Return the claims of an access token that is valid now.

        Of a token that was verified before, only audience, time and revocation are checked again.

        Args:
            access_token: the token's text, or its octets.
            audience: the names of which the token's ``aud`` must hold at least one. If left out,
                those that the verifier was made with.
            leeway: seconds of tolerance on ``exp``, ``nbf`` and ``iat``, for clocks that differ. If
                left out, those that the verifier was made with.

        Raises:
            InvalidAccessToken: the token is malformed, not signed by a key of this service, of
                another issuer, or for another audience.
            AccessTokenExpired: the token has expired.
            AccessTokenNotYetValid: its ``nbf`` or ``iat`` lies in the future.
            AccessTokenRevoked: it has been revoked.
            InvalidArgument: ``audience`` or ``leeway`` cannot be used.
        """
        cdef double tolerated = self.leeway
        cdef double now
        cdef const char* text
        cdef Py_ssize_t length
        self.check_made()
        if leeway is not None:
            tolerated = check_leeway(leeway, self.largest_leeway)
        now = self.time_of_read()
        if isinstance(access_token, str):
            PyUnicode_READY(access_token)
            if not PyUnicode_IS_ASCII(access_token):
                refuse_shape(access_token)
            text = <const char*>PyUnicode_1BYTE_DATA(access_token)
            length = PyUnicode_GET_LENGTH(access_token)
        elif isinstance(access_token, bytes):
            text = PyBytes_AS_STRING(access_token)
            length = PyBytes_GET_SIZE(access_token)
        else:
            raise InvalidAccessToken(
                f"an access token is a str or bytes, not {type_name_of(access_token)}"
            )
        return self.admit(text, length, access_token, audience, tolerated, now)

    cdef inline double time_of_read(self) except? -1:
        """Return what the clock tells. The keys have been looked after when it returns.

        It is part of each read: what is rarely done is apart, so that the rest takes no call.
        """
        cdef double now = 0
        if not self.is_default_clock or clock_wall(&now) < 0:
            now = self.time_told()
        if self.key_source is not None and self.is_look_due(now):
            self.look_after_keys(now)
        return now

    cdef double time_told(self) except? -1:
        """Return what another clock than the default one tells, or a test has put in its place."""
        return seconds_reading(PyObject_CallNoArgs(self.clock))

    cdef inline bint is_look_due(self, double now) noexcept:
        return not 0 <= now - atomics_seconds(&self.looked_at) < LOOK_AFTER_KEYS

    cdef int look_after_keys(self, double now) except -1:
        """Have the keys looked after. If that raises, so does every read until a look succeeds.

        After a look that succeeded, only the first to find it too old waits for the next one.
        Meanwhile others, and what reads in the midst of it, take the keys that are there.
        """
        cdef bint succeeded = atomics_seconds(&self.looked_at) > -INFINITY
        if succeeded:
            atomics_set_seconds(&self.looked_at, now)
        try:
            self.key_source.look()
        except BaseException:
            atomics_set_seconds(&self.looked_at, -INFINITY)
            raise
        if not succeeded:
            atomics_set_seconds(&self.looked_at, now)
        return 0

    cdef Claims admit(
        self, const char* text, Py_ssize_t length, object holder, object audience,
        double tolerated, double now
    ):
        """Return the claims of a token that is valid now. Its text lies within ``holder``."""
        cdef uint64_t additions = self.additions if HAS_GIL else 0
        cdef Claims known
        cdef bint is_accepted
        known = self.recall(text, length)
        if known is None:
            if not is_bare(text, length):
                refuse_shape(
                    PyBytes_FromStringAndSize(text, min(length, LONGEST_TOKEN + 1)).decode(
                        "ascii", "surrogateescape"
                    )
                )
            known = self.verify_unseen(text, length, holder, additions)
        # Written out, since Cython makes Python objects of what a conditional expression mixes.
        if audience is None:
            is_accepted = known.has_accepted_audience
        else:
            is_accepted = is_for(known, audience)
        if not is_accepted:
            raise InvalidAccessToken("the access token is for another audience")
        if not now - tolerated < known.expires_at:
            raise AccessTokenExpired("the access token has expired")
        if known.starts_at > now + tolerated:
            self.clocks_apart.see(known.issued_at, now)
            raise AccessTokenNotYetValid("the access token is not valid yet")
        if self.is_revoked(known, now):
            raise AccessTokenRevoked("the access token has been revoked")
        return known

    def verify_request(self, bytes cookie, bint bearer, method, fields):
        """Return the claims of a request with plain header fields, or None.

        None says nothing: others have to look at the request, and to decide about it. So it is with
        a token in a cookie that is not good, which may be worth a refresh, or count as nobody's.

        Args:
            cookie: the name of the cookie that may hold the token, or None.
            bearer: whether ``Authorization`` is taken; it then decides alone where there is one.
            method: the request's method. A cookie counts for one that changes nothing, or where a
                page of the same origin has made the request.
            fields: the raw fields of ASGI, a list of tuples ``(name in lower case, value)``; or a
                dict, the environment of WSGI (PEP 3333).

        Raises:
            TokenwheelError: what ``verify`` raises for a bearer.
        """
        cdef header_fields_token token
        cdef object holder
        self.check_made()
        holder = header_fields_find(fields, cookie, bearer, method, &token)
        if holder is None:
            return None
        try:
            return self.admit(
                token.text.start, token.text.length, holder, None, self.leeway,
                self.time_of_read()
            )
        except TokenwheelError:
            if token.is_bearer and header_fields_is_b64token(token.text):
                raise
            return None

    cdef bint is_revoked(self, Claims known, double now) except -1:
        """Return whether a token, not expired at ``now``, is refused.

        Where the table has a clock of its own, what it refuses must be over by both.
        """
        cdef double by_table = now
        cdef uint64_t additions
        cdef bint refused
        if self.revocations_clock is not None:
            by_table = seconds_reading(PyObject_CallNoArgs(self.revocations_clock))
        if revocation_table_have_news(self.table, by_table):
            self.revocations._take_news(by_table)
        if by_table < now:
            now = by_table
        if known.cleared_as_of:
            if (
                revocation_table_additions(self.table, known.part) == known.cleared_as_of
                and known.cleared_at <= now
            ):
                return False
        else:
            known.part = revocation_table_part(self.table, known.session)
        # The count is read before the table is asked. What is added in between then makes the next
        # read ask again.
        additions = revocation_table_additions(self.table, known.part)
        with cython.critical_section(self.revocations):
            refused = revocation_table_refuse(self.table, known.session, known.generation, now)
        if not refused:
            known.cleared_as_of = additions
            known.cleared_at = now
        return refused

    # The memory of verified tokens.

    cdef uint32_t tag_of(self, const char* text, Py_ssize_t length) noexcept:
        """Return the tag under which the index finds a token.

        It is mixed from the last characters of the token's signature and a secret of this verifier.
        """
        cdef uint64_t words[2]
        memcpy(words, text + length - TAG_CHARACTERS, sizeof(words))
        return tags_mix(words[0], words[1], self.seed)

    cdef Claims recall(self, const char* text, Py_ssize_t length):
        """Return what is remembered of a token, or None. Where there is no GIL, this thread's own.

        Threads then share nothing but what they only read. In particular an entry of a front counts
        only while the token in the shared memory is marked as asked for: that is never so once it
        was dropped, and where it is not so, the clock hand has to be told.
        """
        cdef front_set* own
        cdef int way
        cdef uint32_t tag
        cdef uint64_t epoch
        cdef Claims known
        if length < TAG_CHARACTERS:
            return None
        tag = self.tag_of(text, length)
        if HAS_GIL:
            return self.find(text, length, tag)
        own = front_of(tag)
        if own != NULL:
            epoch = atomics_number(&self.epoch)
            for way in range(FRONT_WAYS):
                if own.tags[way] != tag or own.epochs[way] != epoch:
                    continue
                known = <Claims>own.known[way]
                if is_token(known, text, length) and atomics_byte(
                    &(<Claims>own.origins[way]).asked_for
                ):
                    return known
        return self.recall_shared(text, length, tag)

    cdef Claims recall_shared(self, const char* text, Py_ssize_t length, uint32_t tag):
        """Return what all threads share of a token as this thread's own, and keep it at the front.
        """
        cdef Claims origin, known
        cdef front_set* own
        cdef uint64_t epoch
        cdef int way
        with cython.critical_section(self):
            origin = self.find(text, length, tag)
            epoch = self.epoch
        if origin is None:
            return None
        own = front_of(tag)
        if own != NULL:
            for way in range(FRONT_WAYS):
                if own.epochs[way] == epoch and own.origins[way] == <void*>origin:
                    return <Claims>own.known[way]
        known = own_claims(origin)
        front_keep(tag, epoch, known, origin, origin.cost, self.cache_size, self.cache_bytes)
        return known

    cdef Claims find(self, const char* text, Py_ssize_t length, uint32_t tag):
        """Return the remembered token, which counts as asked for now, or None. Under the lock."""
        cdef Claims known
        cdef index_cursor cursor
        cdef uint32_t place = index_find_first(&self.places, tag, &cursor)
        while place != SEGMENT_NONE:
            known = <Claims>self.tokens.tokens[place]
            if is_token(known, text, length):
                atomics_set_byte(&known.asked_for, True)
                return known
            place = index_find_next(&cursor)
        return None

    cdef int remember(
        self, const char* text, Py_ssize_t length, Claims known, list keys, uint64_t additions
    ) except -1:
        """Remember a token, unless the keys have changed since it was verified by ``keys``.

        With a GIL, it can't be there if nothing was added since ``additions`` were counted, before
        it was looked for.
        """
        cdef list dropped
        if length < TAG_CHARACTERS or not self.cache_size or known.cost > self.cache_bytes:
            return 0
        if not is_read_from_text(known):
            # By itself, since comparing an audience may wait for another thread.
            with cython.critical_section(self):
                self.share(members_of(known))
        known.tag = self.tag_of(text, length)
        # Let go of once all is in its place. With a GIL, nothing takes the room in between.
        dropped = None if HAS_GIL and self.has_room(known.cost) else []
        with cython.critical_section(self):
            if self.keys is keys and (
                HAS_GIL and self.additions == additions
                or self.find(text, length, known.tag) is None
            ):
                self.put(known, dropped)
        return 0

    cdef bint has_room(self, Py_ssize_t cost) noexcept:
        return (
            <Py_ssize_t>self.places.count < self.cache_size
            and self.cached_bytes + cost <= self.cache_bytes
        )

    cdef int put(self, Claims known, list dropped) except -1:
        """Put a token into the memory, and what it takes the place of into a list.

        Without memory for it, it is not remembered: the next read verifies it again.
        """
        cdef uint32_t place
        while not self.has_room(known.cost):
            self.drop_one(dropped)
        if remembered_reserve(&self.tokens) < 0:
            return 0
        Py_INCREF(known)
        place = remembered_put(&self.tokens, <PyObject*>known)
        if index_insert(&self.places, known.tag, place) < 0:
            remembered_take(&self.tokens, place)
            Py_DECREF(known)
            return 0
        self.cached_bytes += known.cost
        self.additions += 1
        return 0

    cdef int share(self, dict claims) except -1:
        """Let a token's claims hold the issuer and audience of those before it.

        Nearly all tokens have them equal: so they are held once.
        """
        cdef object audience = claim_values_find(claims, AUD)
        claims[ISS] = self.issuer
        if audience == self.common_audience:
            claims[AUD] = self.common_audience
        else:
            self.common_audience = audience
        return 0

    cdef int drop_one(self, list dropped) except -1:
        """Drop the next token that nobody asked for since the clock hand last came by."""
        cdef Claims known
        while True:
            self.hand = (self.hand + 1) % self.tokens.used
            if self.tokens.tokens[self.hand] == NULL:
                continue
            known = <Claims>self.tokens.tokens[self.hand]
            if known.asked_for:
                atomics_set_byte(&known.asked_for, False)
                continue
            dropped.append(known)
            index_remove(&self.places, known.tag, <uint32_t>self.hand)
            Py_DECREF(<object>remembered_take(&self.tokens, <uint32_t>self.hand))
            self.cached_bytes -= known.cost
            return 0

    def _spare_counts(self, *objects):
        """Spare threads the count of references to what all of them use as long as it lives.

        Where there is no GIL, only the garbage collector frees these objects from now on.
        """
        for shared in objects:
            thread_own_defer(shared)

    def _check(self):
        """Verify every invariant of the memory of verified tokens, for tests.

        Raises:
            AssertionError: with a sentence that says what is broken.
        """
        cdef const char* broken
        cdef Claims known
        cdef Py_ssize_t bytes_held = 0
        cdef uint32_t place, count = 0
        self.check_made()
        with cython.critical_section(self):
            broken = index_check(&self.places)
            if broken != NULL:
                raise AssertionError((<bytes>broken).decode())
            broken = remembered_check(&self.tokens)
            if broken != NULL:
                raise AssertionError((<bytes>broken).decode())
            for place in range(self.tokens.used):
                if self.tokens.tokens[place] == NULL:
                    continue
                known = <Claims>self.tokens.tokens[place]
                count += 1
                bytes_held += known.cost
                assert self.place_of(known) == place, "a token is not found where it lies"
            assert count == self.places.count, "the index has miscounted the tokens remembered"
            assert bytes_held == self.cached_bytes, "the memory has miscounted its bytes"
            assert count <= self.cache_size, "more tokens are remembered than allowed"
            assert bytes_held <= self.cache_bytes, (
                "the tokens remembered take more bytes than allowed"
            )

    cdef Py_ssize_t place_of(self, Claims known) except -2:
        """Return the place at which the index finds a token by its text alone, or -1."""
        cdef index_cursor cursor
        cdef uint32_t tag = self.tag_of(known.text, known.length)
        cdef uint32_t place = index_find_first(&self.places, tag, &cursor)
        while place != SEGMENT_NONE:
            if self.tokens.tokens[place] == <PyObject*>known:
                return place
            place = index_find_next(&cursor)
        return -1

    cdef Claims verify_unseen(
        self, const char* text, Py_ssize_t length, object holder, uint64_t additions
    ):
        cdef uint8_t[DECODED_BYTES] payload
        cdef Py_ssize_t size = 0
        cdef list keys, keys_after
        cdef const char* first
        cdef const char* second
        cdef const char* end = text + length
        cdef KeyInUse key
        cdef bint has_kid = False
        cdef Claims known
        with cython.critical_section(self):
            keys = self.keys
        first = <const char*>memchr(text, c".", length)
        second = NULL if first == NULL else <const char*>memchr(first + 1, c".", end - first - 1)
        if second == NULL or memchr(second + 1, c".", end - second - 1) != NULL:
            raise InvalidAccessToken("an access token has three parts")
        if length <= LONGEST_TOKEN:
            size = decode_payload(first + 1, second - first - 1, payload)
        if size <= 0 or second + 1 == end:
            raise InvalidAccessToken("the access token is not canonical base64url")
        key = key_for(text, first - text, keys, &has_kid)
        if key is None and self.key_source is not None:
            self.key_source.miss()
            with cython.critical_section(self):
                keys_after = self.keys
            if keys_after is not keys:
                keys = keys_after
                key = key_for(text, first - text, keys, &has_kid)
        if key is None:
            raise InvalidAccessToken(
                "the access token's 'alg' is not that of its key" if has_kid
                else "the access token names no key of this service"
            )
        if not is_signed(key, text, second, end):
            raise InvalidAccessToken("the access token's signature is not by a key of this service")
        known = Claims.__new__(Claims)
        known.token = token_held(text, length, holder)
        known.text = text_within(known.token)
        known.length = <uint16_t>length
        known.payload = <uint16_t>(first + 1 - text)
        known.payload_length = <uint16_t>(second - first - 1)
        known.cost = <uint32_t>(length + 2 * size + REMEMBERED_OVERHEAD)
        if not self.take_plain_claims(known, payload, size):
            self.check_claims(known, PyBytes_FromStringAndSize(<const char*>payload, size))
        self.remember(text, length, known, keys, additions)
        return known

    cdef bint take_plain_claims(self, Claims known, uint8_t* payload, Py_ssize_t size) noexcept:
        """Return whether a payload is in plain form and has all claims as they must be.

        If so, what must be checked at each read is taken from it, and no more.
        """
        cdef plain_json_member[PLAIN_JSON_MOST_MEMBERS] members
        cdef plain_claims claims
        cdef int count
        count = plain_json_read(payload, <uint32_t>size, members)
        memset(&claims, 0, sizeof(claims))
        if (
            count < 0
            or not plain_json_are_distinct(payload, members, count)
            or not plain_claims_find(
                &claims, payload, members, count, self.issuer, self.audience
            )
        ):
            return False
        known.issued_at = claims.issued_at
        known.expires_at = claims.expires_at
        known.starts_at = claims.starts_at
        known.generation = claims.generation
        known.session = claims.session
        known.subject_place = claims.subject
        known.subject_length = <uint8_t>claims.subject_length
        known.has_accepted_audience = claims.has_accepted_audience
        return True

    cdef int check_claims(self, Claims known, bytes payload) except -1:
        """Check the claims of any payload, and let ``known`` have them as a dict."""
        cdef dict claims = json_object_parse(json_loads_quickly, json_loads, payload, DEEPEST)
        cdef object value
        if claims is None:
            raise InvalidAccessToken(
                "the access token's claims are not one well-formed JSON object"
            )
        value = claim_values_find(claims, ISS)
        if type(value) is not str or <str>value != self.issuer:
            raise InvalidAccessToken("the access token is of another issuer")
        value = claim_values_find(claims, AUD)
        if not claim_values_is_audience(value):
            raise InvalidAccessToken("the access token's 'aud' is missing or malformed")
        known.has_accepted_audience = claim_values_accepts(self.audience, value)
        if not claim_values_is_subject(claim_values_find(claims, SUB)):
            raise InvalidAccessToken("the access token's 'sub' is missing or malformed")
        if not claim_values_session_id(claim_values_find(claims, SID), known.session):
            raise InvalidAccessToken("the access token's 'sid' is missing or malformed")
        if GEN in claims and not claim_values_generation(
            claim_values_find(claims, GEN), &known.generation
        ):
            raise InvalidAccessToken("the access token's 'gen' is malformed")
        if JTI in claims and type(claim_values_find(claims, JTI)) is not str:
            raise InvalidAccessToken("the access token's 'jti' is malformed")
        if not claim_values_date(claim_values_find(claims, EXP), &known.expires_at):
            raise InvalidAccessToken("the access token's 'exp' is missing or malformed")
        if not claim_values_date(claim_values_find(claims, IAT), &known.issued_at):
            raise InvalidAccessToken("the access token's 'iat' is missing or malformed")
        if NBF in claims and not claim_values_date(
            claim_values_find(claims, NBF), &known.starts_at
        ):
            raise InvalidAccessToken("the access token's 'nbf' is missing or malformed")
        known.expires_at = floor(known.expires_at)
        known.starts_at = max(known.starts_at, known.issued_at)
        once_fill(&known.members, claims)
        return 0


cdef object token_held(const char* text, Py_ssize_t length, object holder):
    """Return the immutable object whose text is a token's: the caller's own, or else a copy.

    What holds more than the token is not kept, nor what is of a class of the caller's.
    """
    if type(holder) is str:
        if PyUnicode_GET_LENGTH(holder) == length:
            return holder
    elif type(holder) is bytes and PyBytes_GET_SIZE(holder) == length:
        return holder
    return PyBytes_FromStringAndSize(text, length)


cdef inline const char* text_within(object token) noexcept:
    if type(token) is str:
        return <const char*>PyUnicode_1BYTE_DATA(token)
    return PyBytes_AS_STRING(token)


cdef bint is_bare(const char* text, Py_ssize_t length) noexcept:
    """Return whether nothing speaks against a token yet: its length, what is not ASCII, its ends.

    A header is a JSON object, whose base64url begins with ``e`` unless there are blanks in it. Of
    what is left around a token by mistake, all is below ``-``, and so is no base64url.
    """
    cdef Py_ssize_t place
    cdef char letters = 0
    if not 0 < length <= LONGEST_TOKEN or text[0] != c"e" or text[length - 1] < c"-":
        return False
    for place in range(length):
        letters |= text[place]
    return not letters & 0x80


cdef int refuse_shape(object token) except -1:
    """Raise for a text that is too long, not ASCII, or came with something around it.

    Return 0 where it is none of these, and its ends merely looked so.
    """
    cdef object wrapping
    if PyUnicode_GET_LENGTH(token) > LONGEST_TOKEN:
        raise InvalidAccessToken(f"an access token has at most {MAX_TOKEN_LENGTH} bytes")
    wrapping = wrapping_of(text_of(token))
    if wrapping is not None:
        raise InvalidAccessToken(wrapping)
    if not PyUnicode_IS_ASCII(token):
        raise InvalidAccessToken("the access token is not canonical base64url")
    return 0


cdef void let_go(remembered* tokens) noexcept:
    cdef uint32_t place
    for place in range(tokens.used):
        if tokens.tokens[place] != NULL:
            Py_DECREF(<object>tokens.tokens[place])
    remembered_free(tokens)


cdef Claims own_claims(Claims origin):
    """Return the claims of a remembered token as another object, for this thread.

    All that verifying a token sets is taken over, and not what reading it does.
    """
    cdef Claims known = Claims.__new__(Claims)
    known.members = once_get(&origin.members)
    Py_XINCREF(known.members)
    known.subject_text = once_get(&origin.subject_text)
    Py_XINCREF(known.subject_text)
    known.token = origin.token
    known.text = origin.text
    known.starts_at = origin.starts_at
    known.expires_at = origin.expires_at
    known.issued_at = origin.issued_at
    known.session = origin.session
    known.generation = origin.generation
    known.cost = origin.cost
    known.length = origin.length
    known.payload = origin.payload
    known.payload_length = origin.payload_length
    known.subject_place = origin.subject_place
    known.subject_length = origin.subject_length
    known.has_accepted_audience = origin.has_accepted_audience
    return known


cdef KeyInUse key_in_use(object key):
    cdef KeyInUse made = KeyInUse.__new__(KeyInUse)
    made.kid = key.kid
    made.algorithm = key.algorithm
    made.verify = key.verify
    if key._secret is not None:
        evp_hmac_for(&made.hash, key.algorithm, key._secret)
    made.header = jose_header_encoded(dumps, key)
    return made


cdef inline bint is_token(Claims known, const char* text, Py_ssize_t length) noexcept:
    return known.length == length and memcmp(known.text, text, length) == 0


cdef inline bint is_text(bytes known, const char* text, Py_ssize_t length) noexcept:
    return (
        PyBytes_GET_SIZE(known) == length and memcmp(PyBytes_AS_STRING(known), text, length) == 0
    )


cdef KeyInUse key_for(const char* text, Py_ssize_t length, list keys, bint* has_kid):
    """Return the key that a token names (RFC 7515, sections 4.1 and 5.2), or None.

    A header that this service writes itself needs no parsing. Where there is no such key,
    ``has_kid`` tells whether there is one of that kid, for another algorithm.
    """
    cdef KeyInUse key
    for key in keys:
        if is_text(key.header, text, length):
            return key
    return key_by_header(text, length, keys, has_kid)


cdef KeyInUse key_by_header(const char* text, Py_ssize_t length, list keys, bint* has_kid):
    cdef bytes raw = base64url_decoded(text, length)
    cdef dict header
    cdef KeyInUse key
    cdef KeyInUse named = None
    if raw is None:
        raise InvalidAccessToken("the access token is not canonical base64url")
    header = json_object_parse(json_loads_quickly, None, raw, DEEPEST)
    if header is None:
        raise InvalidAccessToken("the access token's header is not one well-formed JSON object")
    kid = header.get("kid")
    algorithm = header.get("alg")
    has_kid[0] = False
    if type(kid) is str or "kid" not in header:
        # One kid may be that of several keys, each for another algorithm.
        for key in keys:
            if key.kid == kid:
                has_kid[0] = True
                if algorithm == key.algorithm:
                    named = key
                    break
    if named is None:
        return None
    if header.get("typ") != "at+jwt":
        raise InvalidAccessToken(
            "the token was not issued as an access token: its 'typ' is another"
        )
    if "crit" in header or "b64" in header:
        raise InvalidAccessToken("the access token demands an extension this service does not know")
    return named


cdef bint is_signed(KeyInUse key, const char* text, const char* second, const char* end) except -1:
    """Return whether the part after the second dot signs what stands before it.

    For HMAC the texts are compared, in constant time. That refuses every spelling of the signature
    but the canonical one.
    """
    cdef uint8_t hashed[EVP_LARGEST_DIGEST]
    cdef uint8_t expected[2 * EVP_LARGEST_DIGEST]
    cdef Py_ssize_t size
    cdef bytes signature
    size = evp_hmac_digest(&key.hash, text, second - text, hashed)
    if size:
        size = base64url_encode(hashed, size, expected)
        return size == end - second - 1 and evp_equal(expected, second + 1, size)
    signature = base64url_decoded(second + 1, end - second - 1)
    if signature is None:
        return False
    return key.verify(PyBytes_FromStringAndSize(text, second - text), signature)


cdef bint is_for(Claims known, object audience) except -1:
    cdef tuple accepted = texts_of(audience)
    if accepted is None:
        raise InvalidArgument("audience must be a non-empty str or a non-empty sequence of such")
    return claim_values_accepts(accepted, audience_of(known))


cdef double check_leeway(object leeway, double largest) except -1:
    cdef double seconds = seconds_duration(leeway)
    if not 0 <= seconds <= largest:
        raise InvalidArgument(
            f"leeway must be a number of seconds from 0 to {largest:g}, "
            f"or a timedelta of whole seconds, {as_given(leeway)}"
        )
    return seconds


# What a verifier is made with.

cdef str check_issuer(object issuer):
    text = text_of(issuer)
    if text is None:
        raise ConfigurationError("issuer must be a str")
    return text


cdef tuple check_accepted(object audience):
    names = [text_of(name) for name in <tuple>audience] if type(audience) is tuple else [None]
    if None in names:
        raise ConfigurationError("audience must be a tuple of str")
    return tuple(names)


cdef double check_tolerance(str name, object leeway) except -1:
    cdef double seconds = seconds_number(leeway)
    if not 0 <= seconds <= SECONDS_LONGEST:
        raise ConfigurationError(f"{name} must be a number of seconds from 0 to 3155760000")
    return seconds


cdef Py_ssize_t check_size(str name, object size, Py_ssize_t largest) except -1:
    cdef int is_out_of_range = 0
    cdef long long number = -1
    if PyLong_Check(size) and not PyBool_Check(size):
        number = PyLong_AsLongLongAndOverflow(size, &is_out_of_range)
    if is_out_of_range or not 0 <= number <= largest:
        raise ConfigurationError(f"{name} must be a whole number from 0 to {largest}")
    return number


cdef object check_table(object clock, object revocations):
    """Return the clock of a table of revocations that has been made."""
    if not callable(clock):
        raise ConfigurationError("clock must be a callable that returns Unix seconds")
    if not issubclass(type(revocations), RevocationTable):
        raise ConfigurationError("revocations must be a RevocationTable")
    theirs = RevocationTable.clock.__get__(revocations)
    if theirs is None:
        raise ConfigurationError("a RevocationTable must be constructed before it is used")
    return theirs

"""Random tokens, base64url, digests, parts of refresh tokens.

The compiled twin of ``_pure/tokens.py``, which is the one to read first. Random bytes are drawn
from the operating system in blocks, since each request costs a system call. Bytes that were handed
out are wiped from the block, so that whoever reads this process's memory later finds no token
there. ``pthread_atfork`` empties the block in a forked child, so that parent and child never hand
out the same bytes: it sees every ``fork`` of the C library, not only those that Python makes. A
second interpreter in the process is refused, as Cython's modules refuse it.

The block and the state of the hash are a ``workplace``, which a single thread uses at a time: with
the GIL the whole process has one, as nothing lets go of the GIL while it is used. Without, each
thread has its own. A lock would make all threads wait for each other, and for a line of memory.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from token.base64url cimport base64url_decode, base64url_encode, base64url_encoded_length
from token.evp cimport (
    EVP_LARGEST_DIGEST, evp_hash, evp_hash_digest, evp_hash_free, evp_hash_hmac, evp_hash_init,
    evp_load_from_hashlib,
)
from unicode cimport (
    PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII, PyUnicode_New, PyUnicode_READY,
)

from hashlib import sha256
from hmac import digest as hmac_digest
from os import urandom

from tokenwheel.errors import InvalidArgument

__all__ = [
    "MAX_TOKEN_BYTES", "decode", "digest", "encode", "hmac_sha256", "new_token", "random_bytes",
    "take_apart",
]

MAX_TOKEN_BYTES = 65_536  # 64 KiB

cdef Py_ssize_t LARGEST = MAX_TOKEN_BYTES
cdef enum:
    BLOCK = 4096  # bytes

cdef extern from "Python.h":
    bint PyBool_Check(object)
    bint PyLong_Check(object)
    PyObject *PyThreadState_GetDict()

cdef extern from *:
    """
    static volatile long tokens_forks = 0;
    #if defined(_WIN32)
    static int tokens_watch_forks(void) { return 0; }
    #else
    #include <pthread.h>
    static void tokens_forked(void) { tokens_forks++; }
    static int tokens_watch_forks(void) { return pthread_atfork(NULL, NULL, tokens_forked); }
    #endif
    """
    long tokens_forks
    int tokens_watch_forks()

cdef extern from *:
    """
    #include <errno.h>
    #if defined(__linux__) && defined(__has_include)
    #if __has_include(<sys/random.h>)
    #include <sys/random.h>
    #define tokens_getrandom(target, count) getrandom(target, count, GRND_NONBLOCK)
    #endif
    #endif
    #ifndef tokens_getrandom
    #define tokens_getrandom(target, count) ((void)(target), (void)(count), (Py_ssize_t)-1)
    #endif

    /* Fills the target from the system's generator. Returns 0, or -1 where that is absent, refuses,
       or would block. The GIL is kept: nothing here waits. */
    static int tokens_draw(unsigned char *target, Py_ssize_t count) {
        while (count > 0) {
            const Py_ssize_t drawn = tokens_getrandom(target, (size_t)count);
            if (drawn > 0) {  /* A signal may cut it short. */
                target += drawn;
                count -= drawn;
            } else if (drawn == 0 || errno != EINTR) {
                return -1;
            }
        }
        return 0;
    }

    #if !defined(Py_GIL_DISABLED)
    #define TOKENS_OF_THREAD 0
    static void *tokens_workplace;
    #else
    #define TOKENS_OF_THREAD 1
    #if defined(_MSC_VER)
    static __declspec(thread) void *tokens_workplace;
    #else
    static __thread void *tokens_workplace;
    #endif
    #endif
    """
    int tokens_draw(uint8_t *target, Py_ssize_t count) noexcept
    bint TOKENS_OF_THREAD          # whether each thread has a workplace of its own
    void *tokens_workplace         # NULL until this thread needs it

if tokens_watch_forks() != 0:
    raise MemoryError("no memory to watch for forks")


cdef struct workplace:
    uint8_t[BLOCK] held      # random bytes, held back for the next tokens
    Py_ssize_t used          # how many of them were handed out and wiped
    long forks               # how many there had been when the bytes were drawn
    evp_hash hash            # a SHA-256 of OpenSSL's


@cython.final
@cython.internal
cdef class Workplace:
    """Keeps a workplace for as long as its thread, or the process, lives."""

    cdef workplace kept

    def __cinit__(self):
        self.kept.used = BLOCK
        evp_hash_init(&self.kept.hash, b"SHA256")

    def __dealloc__(self):
        global tokens_workplace
        if tokens_workplace == &self.kept:  # What this thread still runs makes another.
            tokens_workplace = NULL
        evp_hash_free(&self.kept.hash)


cdef object WORKPLACE = object()  # the key of a thread's workplace in its state


cdef workplace *make_workplace() except NULL:
    global tokens_workplace
    cdef Workplace made = Workplace.__new__(Workplace)
    cdef PyObject *state
    if TOKENS_OF_THREAD:
        state = PyThreadState_GetDict()
        if state == NULL:
            raise MemoryError
        (<dict>state)[WORKPLACE] = made
    else:
        Py_INCREF(made)
    tokens_workplace = &made.kept
    return &made.kept


cdef inline workplace *own_workplace() except NULL:
    if tokens_workplace == NULL:
        return make_workplace()
    return <workplace *>tokens_workplace


cdef inline int refill(workplace *self, Py_ssize_t count) except -1:
    """Hold so many bytes, at most ``BLOCK``, and none that another process has a copy of."""
    if self.used + count > BLOCK or self.forks != tokens_forks:
        draw_block(self)
    return 0


cdef int draw_block(workplace *self) except -1:
    cdef bytes fresh
    self.forks = tokens_forks
    self.used = BLOCK  # should the system's generator fail, nothing old is handed out
    if tokens_draw(self.held, BLOCK) < 0:
        # This one waits for the generator, or says why there is none. Meanwhile another thread, or
        # a signal's handler, may refill the block.
        fresh = urandom(BLOCK)
        memcpy(self.held, PyBytes_AS_STRING(fresh), BLOCK)
        memset(PyBytes_AS_STRING(fresh), 0, BLOCK)
    self.used = 0
    return 0


cdef inline void wipe(workplace *self, Py_ssize_t count) noexcept:
    """Forget the next bytes, which were handed out."""
    memset(self.held + self.used, 0, count)
    self.used += count


cdef Py_ssize_t checked(object nbytes) except -1:
    cdef int is_out_of_range = 0
    cdef long long count = 0
    if PyLong_Check(nbytes) and not PyBool_Check(nbytes):  # The value of a subclass, as it is.
        count = PyLong_AsLongLongAndOverflow(nbytes, &is_out_of_range)
    if is_out_of_range or not 1 <= count <= LARGEST:
        raise InvalidArgument(f"nbytes must be an int from 1 to {MAX_TOKEN_BYTES}")
    return count


def random_bytes(nbytes):
    """Return ``nbytes`` random bytes from the operating system's generator.

    Args:
        nbytes: how many bytes.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """
    cdef Py_ssize_t count = checked(nbytes)
    cdef bytes taken
    cdef workplace *own
    if count > BLOCK:
        return urandom(count)
    taken = PyBytes_FromStringAndSize(NULL, count)
    own = own_workplace()
    refill(own, count)
    memcpy(PyBytes_AS_STRING(taken), own.held + own.used, count)
    wipe(own, count)
    return taken


def new_token(nbytes):
    """Return a random token: ``nbytes`` random bytes as base64url text without padding.

    The bytes come from the operating system's generator, and the text is safe in a URL. A token of
    16 bytes (128 bits) or more cannot be guessed.

    Args:
        nbytes: how many random bytes the token holds.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """
    cdef Py_ssize_t count = checked(nbytes)
    cdef object token
    cdef workplace *own
    if count > BLOCK:
        return encode(urandom(count))
    token = PyUnicode_New(base64url_encoded_length(count), 127)
    own = own_workplace()
    refill(own, count)
    base64url_encode(own.held + own.used, count, PyUnicode_1BYTE_DATA(token))
    wipe(own, count)
    return token


def encode(bytes data not None):
    """Return bytes as base64url text without padding (RFC 7515, section 2)."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
    if length == 0:
        return ""
    text = PyUnicode_New(base64url_encoded_length(length), 127)
    base64url_encode(<const uint8_t*>PyBytes_AS_STRING(data), length, PyUnicode_1BYTE_DATA(text))
    return text


def decode(text):
    """Return the bytes that a canonical base64url text stands for (RFC 7515, section 2).

    A canonical text has no padding, no white space and no stray bits after the last byte. So no two
    of them stand for the same bytes.

    Raises:
        ValueError: ``text`` is not canonical base64url.
    """
    cdef Py_ssize_t length
    cdef bytes data
    cdef uint8_t* target
    if isinstance(text, str):
        PyUnicode_READY(text)
        if PyUnicode_IS_ASCII(text):
            length = PyUnicode_GET_LENGTH(text)
            if length == 0:
                return b""
            data = PyBytes_FromStringAndSize(NULL, length * 3 // 4)
            target = <uint8_t*>PyBytes_AS_STRING(data)
            if base64url_decode(PyUnicode_1BYTE_DATA(text), length, target) >= 0:
                return data
    raise ValueError("not canonical base64url")


evp_load_from_hashlib()

cdef enum:
    SHA256_BYTES = 32
    SHA256_BLOCK = 64  # bytes


def digest(bytes data not None):
    """Return the SHA-256 digest of ``data``, 32 bytes (RFC 6234)."""
    return digest_of(data, NULL, 0)


cdef bytes digest_of(bytes data, const void* following, Py_ssize_t length):
    """Return the SHA-256 digest of bytes and of those that follow."""
    cdef uint8_t[EVP_LARGEST_DIGEST] hashed
    cdef unsigned int size
    cdef workplace *own = own_workplace()
    size = evp_hash_digest(
        &own.hash, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), following, length, hashed
    )
    if size != SHA256_BYTES:
        return sha256(data + PyBytes_FromStringAndSize(<const char*>following, length)).digest()
    return PyBytes_FromStringAndSize(<char*>hashed, SHA256_BYTES)


def hmac_sha256(bytes key not None, bytes message not None):
    """Return the HMAC-SHA256 of ``message`` under ``key``, 32 bytes (RFC 2104).

    Nothing prepared from the key is kept, as suits a key that is used only once.
    """
    cdef uint8_t[EVP_LARGEST_DIGEST] hashed
    cdef unsigned int size
    cdef workplace *own = own_workplace()
    size = evp_hash_hmac(
        &own.hash, SHA256_BLOCK,
        <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key),
        PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), hashed,
    )
    if size != SHA256_BYTES:
        return hmac_digest(key, message, "sha256")
    return PyBytes_FromStringAndSize(<char*>hashed, SHA256_BYTES)


cdef enum:
    SESSION_ID_BYTES = 12
    SESSION_ID_LENGTH = 16  # characters
    FIXED_BYTES = 27  # of the session id and the family secret
    FAMILY_BYTES = FIXED_BYTES - SESSION_ID_BYTES
    SHORTEST_SECRET = 15  # bytes
    LONGEST_SECRET = 1024  # bytes
    LONGEST_TEXT = 1402  # characters of the longest secret and what stands before it


def take_apart(str text not None):
    """Return the parts of a refresh token, or None where the text cannot be one.

    It is base64url of 12 bytes of the session id, 15 of the family secret, and 15 to 1024 of the
    rotating one.

    Returns:
        The session id as text, the family secret, the rotating secret, and the SHA-256 of the
        family secret and of the other one's length in two bytes.
    """
    cdef uint8_t[FIXED_BYTES + LONGEST_SECRET] raw
    cdef uint8_t[2] packed
    cdef Py_ssize_t length, size
    cdef bytes family, secret
    PyUnicode_READY(text)
    length = PyUnicode_GET_LENGTH(text)
    if length > LONGEST_TEXT or not PyUnicode_IS_ASCII(text):
        return None
    size = base64url_decode(PyUnicode_1BYTE_DATA(text), length, raw) - FIXED_BYTES
    if size < SHORTEST_SECRET:
        return None
    family = PyBytes_FromStringAndSize(<const char*>raw + SESSION_ID_BYTES, FAMILY_BYTES)
    secret = PyBytes_FromStringAndSize(<const char*>raw + FIXED_BYTES, size)
    packed[0], packed[1] = size >> 8, size & 0xff
    family_hash = digest_of(family, packed, sizeof(packed))
    return text[:SESSION_ID_LENGTH], family, secret, family_hash

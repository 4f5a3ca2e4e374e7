"""HMAC (RFC 2104) and SHA-2 by the libcrypto that ``hashlib`` itself has loaded.

Only calls of that library belong here. An HMAC begins from digest states that have taken in the key
already. No cryptography of our own and no second libcrypto: the EVP functions are looked up in the
interpreter's ``_hashlib`` module when an extension is imported, and only pointers whose target
nobody looks into are passed around, so one build serves OpenSSL 1.1 and 3. Where they can't be
found (Windows, an interpreter with ``_hashlib`` built in or without it), and whenever a call fails,
the digest is of no bytes, and the caller asks ``hmac.digest``.

An HMAC is made in a scratch state. With a GIL each key has its own. Without it each thread has its
own, for all keys, and needs no lock: the keyed states are only copied. An ``evp_hash`` has its own
in any case, so two threads must not use it at once: its owner is the lock.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

from thread_own cimport HAS_GIL  # whose C is used here


cdef extern from *:
    """
    #include <stddef.h>
    #include <string.h>
    #if !defined(_WIN32)
    #include <dlfcn.h>
    #endif

    #define EVP_LARGEST_DIGEST 64
    #define EVP_LARGEST_BLOCK 128

    static struct {
        void *(*state_new)(void);
        void (*state_free)(void *);
        int (*state_copy)(void *, const void *);
        int (*init)(void *, const void *, void *);
        int (*update)(void *, const void *, size_t);
        int (*final)(void *, unsigned char *, unsigned int *);
        const void *(*digest_by_name)(const char *);
        void (*cleanse)(void *, size_t);
        int (*compare)(const void *, const void *, size_t);
    } evp;

    static int evp_is_loaded = 0;

    /* Takes the functions from the shared library at this path, which is in memory already, and
       keeps that library there. */
    static inline int evp_load(const char *path) {
    #if defined(_WIN32)
        (void)path;
    #else
        void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
        if (library == NULL)
            return 0;
        *(void **)&evp.state_new = dlsym(library, "EVP_MD_CTX_new");
        *(void **)&evp.state_free = dlsym(library, "EVP_MD_CTX_free");
        *(void **)&evp.state_copy = dlsym(library, "EVP_MD_CTX_copy_ex");
        *(void **)&evp.init = dlsym(library, "EVP_DigestInit_ex");
        *(void **)&evp.update = dlsym(library, "EVP_DigestUpdate");
        *(void **)&evp.final = dlsym(library, "EVP_DigestFinal_ex");
        *(void **)&evp.digest_by_name = dlsym(library, "EVP_get_digestbyname");
        *(void **)&evp.cleanse = dlsym(library, "OPENSSL_cleanse");
        *(void **)&evp.compare = dlsym(library, "CRYPTO_memcmp");
        evp_is_loaded = evp.state_new && evp.state_free && evp.state_copy && evp.init && evp.update
            && evp.final && evp.digest_by_name && evp.cleanse && evp.compare;
    #endif
        return evp_is_loaded;
    }

    typedef struct {
        void *inner;
        void *outer;
        void *scratch;
        unsigned int size;
    } evp_hmac;

    static inline void evp_hmac_free(evp_hmac *hash) {
        if (evp_is_loaded) {
            evp.state_free(hash->inner);
            evp.state_free(hash->outer);
            evp.state_free(hash->scratch);
        }
        memset(hash, 0, sizeof(*hash));
    }

    static inline int evp_hmac_take_in(
        void *state, const void *digest, const unsigned char *key, size_t length, unsigned char pad,
        size_t block) {
        unsigned char padded[EVP_LARGEST_BLOCK];
        size_t position;
        int done;
        memset(padded, pad, block);
        for (position = 0; position < length; position++)
            padded[position] ^= key[position];
        done = state != NULL && evp.init(state, digest, NULL) && evp.update(state, padded, block);
        evp.cleanse(padded, sizeof(padded));
        return done;
    }

    /* Keys a hash of zeros. Returns 0, and leaves zeros, where libcrypto is absent or refuses. */
    static inline int evp_hmac_init(
        evp_hmac *hash, const char *name, size_t block, const unsigned char *key, size_t length) {
        unsigned char shortened[EVP_LARGEST_DIGEST];
        const void *digest = evp_is_loaded ? evp.digest_by_name(name) : NULL;
        int done = 0;
        if (digest == NULL)
            return 0;
        hash->inner = evp.state_new();
        hash->outer = evp.state_new();
        hash->scratch = evp.state_new();
        if (hash->inner && hash->outer && hash->scratch) {
            done = 1;
            if (length > block) {
                unsigned int size = 0;
                done = evp.init(hash->scratch, digest, NULL)
                    && evp.update(hash->scratch, key, length)
                    && evp.final(hash->scratch, shortened, &size);
                key = shortened;
                length = size;
            }
            done = done && evp_hmac_take_in(hash->inner, digest, key, length, 0x36, block)
                && evp_hmac_take_in(hash->outer, digest, key, length, 0x5c, block);
            evp.cleanse(shortened, sizeof(shortened));
        }
        if (!done)
            evp_hmac_free(hash);
        return done;
    }

    #ifdef Py_GIL_DISABLED
    static THREAD_OWN void *evp_scratch_here = NULL;

    static void evp_scratch_end(PyObject *capsule) {
        void *scratch = PyCapsule_GetPointer(capsule, NULL);
        if (evp_scratch_here == scratch) evp_scratch_here = NULL;
        evp.state_free(scratch);
    }

    static void *evp_scratch_begin(void) {
        void *scratch = evp.state_new();
        if (scratch != NULL && thread_own_keep(scratch, evp_scratch_end) < 0) {
            evp.state_free(scratch);
            scratch = NULL;
        }
        return evp_scratch_here = scratch;
    }

    static inline void *evp_scratch(evp_hmac *hash) {
        (void)hash;
        return evp_scratch_here != NULL ? evp_scratch_here : evp_scratch_begin();
    }
    #else
    static inline void *evp_scratch(evp_hmac *hash) { return hash->scratch; }
    #endif

    /* Writes the HMAC of a message. Returns how many bytes that are, or 0 if it can't be made. */
    static inline unsigned int evp_hmac_digest(
        evp_hmac *hash, const void *message, size_t length, unsigned char *target) {
        unsigned int size = 0;
        void *scratch;
        if (hash->inner == NULL)
            return 0;
        scratch = evp_scratch(hash);
        if (scratch != NULL
            && evp.state_copy(scratch, hash->inner)
            && evp.update(scratch, message, length)
            && evp.final(scratch, target, &size)
            && evp.state_copy(scratch, hash->outer)
            && evp.update(scratch, target, size)
            && evp.final(scratch, target, &size))
            return size;
        return 0;
    }

    /* A hash that is used again and again: its fresh state is copied and never written to, since
       setting one up costs more than a short message. */
    typedef struct {
        void *fresh;
        void *scratch;
    } evp_hash;

    static inline int evp_hash_init(evp_hash *hash, const char *name) {
        const void *digest = evp_is_loaded ? evp.digest_by_name(name) : NULL;
        if (digest == NULL)
            return 0;
        hash->fresh = evp.state_new();
        hash->scratch = evp.state_new();
        if (hash->fresh && hash->scratch && evp.init(hash->fresh, digest, NULL))
            return 1;
        evp.state_free(hash->fresh);
        evp.state_free(hash->scratch);
        memset(hash, 0, sizeof(*hash));
        return 0;
    }

    static inline void evp_hash_free(evp_hash *hash) {
        if (evp_is_loaded) {
            evp.state_free(hash->fresh);
            evp.state_free(hash->scratch);
        }
        memset(hash, 0, sizeof(*hash));
    }

    /* Writes the digest of two pieces, one after the other. Returns how many bytes that are, or 0
       if it can't be made. */
    static inline unsigned int evp_hash_digest(
        evp_hash *hash, const void *first, size_t first_length, const void *second,
        size_t second_length, unsigned char *target) {
        unsigned int size = 0;
        if (hash->fresh != NULL
            && evp.state_copy(hash->scratch, hash->fresh)
            && evp.update(hash->scratch, first, first_length)
            && evp.update(hash->scratch, second, second_length)
            && evp.final(hash->scratch, target, &size))
            return size;
        return 0;
    }

    /* Writes an HMAC whose key is used this once, and no longer than a block. */
    static inline unsigned int evp_hash_hmac(
        evp_hash *hash, size_t block, const unsigned char *key, size_t length, const void *message,
        size_t message_length, unsigned char *target) {
        unsigned char padded[EVP_LARGEST_BLOCK];
        unsigned int size = 0;
        size_t position;
        if (hash->fresh == NULL || length > block)
            return 0;
        memset(padded, 0x36, block);
        for (position = 0; position < length; position++)
            padded[position] ^= key[position];
        size = evp_hash_digest(hash, padded, block, message, message_length, target);
        for (position = 0; position < block; position++)
            padded[position] ^= 0x36 ^ 0x5c;
        if (size)
            size = evp_hash_digest(hash, padded, block, target, size, target);
        evp.cleanse(padded, sizeof(padded));
        return size;
    }

    static inline int evp_equal(const void *text, const void *other, size_t length) {
        return evp.compare(text, other, length) == 0;
    }
    """
    ctypedef struct evp_hmac:
        pass
    ctypedef struct evp_hash:
        pass
    const int EVP_LARGEST_DIGEST
    bint evp_load(const char *path)
    bint evp_hmac_init(
        evp_hmac *hash, const char *name, size_t block, const uint8_t *key, size_t length)
    void evp_hmac_free(evp_hmac *hash)
    unsigned int evp_hmac_digest(
        evp_hmac *hash, const void *message, size_t length, uint8_t *target)
    bint evp_hash_init(evp_hash *hash, const char *name)
    void evp_hash_free(evp_hash *hash)
    unsigned int evp_hash_digest(
        evp_hash *hash, const void *first, size_t first_length, const void *second,
        size_t second_length, uint8_t *target)
    unsigned int evp_hash_hmac(
        evp_hash *hash, size_t block, const uint8_t *key, size_t length, const void *message,
        size_t message_length, uint8_t *target)
    bint evp_equal(const void *text, const void *other, size_t length) nogil


cdef inline bint evp_hmac_for(evp_hmac *hash, str algorithm, bytes secret) except -1:
    """Key a hash of zeros for ``HS256``, ``HS384`` or ``HS512``.

    Return False, and leave zeros, where that can't be done here.
    """
    return evp_hmac_init(
        hash,
        b"SHA256" if algorithm == "HS256" else b"SHA384" if algorithm == "HS384" else b"SHA512",
        64 if algorithm == "HS256" else 128,
        <const uint8_t*>PyBytes_AS_STRING(secret),
        PyBytes_GET_SIZE(secret),
    )


cdef inline int evp_load_from_hashlib() except -1:
    """Find the functions. A module that uses them calls this once, when it is imported."""
    try:
        import _hashlib
        import sys
    except ImportError:
        return 0
    path = getattr(_hashlib, "__file__", None)
    if path is not None:
        evp_load(<bytes>path.encode(sys.getfilesystemencoding(), "surrogateescape"))
    return 0

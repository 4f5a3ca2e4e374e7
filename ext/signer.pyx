"""Signs access tokens: the compiled twin of ``_pure/signer.py``, which is the one to read first.

HMAC is OpenSSL's, through the states of ``token/evp.pxd`` that have taken in the key already, or
else ``hmac``. Every other signature is the key's own.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from atomics cimport atomics_byte, atomics_set_byte
from token.base64url cimport base64url_encode, base64url_encoded_length
from token.evp cimport (
    EVP_LARGEST_DIGEST, evp_hmac, evp_hmac_digest, evp_hmac_for, evp_hmac_free,
    evp_load_from_hashlib,
)
from token.jose_header cimport jose_header_encoded
from token.plain_writing cimport PLAIN_WRITING_ROOM, plain_writing_object
from unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_New

from tokenwheel.errors import ConfigurationError
from tokenwheel.json_text import dumps

__all__ = ["Signer"]

cdef extern from "Python.h":
    const char* bytes_text "PyBytes_AS_STRING" (PyObject* text)
    Py_ssize_t bytes_length "PyBytes_GET_SIZE" (PyObject* text)

evp_load_from_hashlib()


@cython.final
cdef class Signer:
    """Signs access tokens with one key.

    Args:
        key: a key that can sign. Its algorithm and ``kid`` go into the header of each token.

    Raises:
        ConfigurationError: this signer has a key already.
    """

    cdef object key
    cdef bytes header  # its base64url text and the dot
    cdef evp_hmac hash
    cdef uint8_t is_made  # only then nothing here changes any more

    def __init__(self, key):
        cdef bytes header = jose_header_encoded(dumps, key) + b"."
        cdef bytes secret = key._secret
        cdef str algorithm = None if secret is None else key.algorithm
        with cython.critical_section(self):
            if self.key is not None:
                raise ConfigurationError("a Signer cannot be given another key")
            self.key = key
            self.header = header
            if secret is not None:
                evp_hmac_for(&self.hash, algorithm, secret)
            atomics_set_byte(&self.is_made, True)

    def __dealloc__(self):
        evp_hmac_free(&self.hash)

    def __repr__(self):
        return f"<Signer with {self.key!r}>"

    def __reduce__(self):
        raise TypeError("a Signer cannot be copied or pickled")

    def sign_claims(self, dict claims not None):
        """Return claims as a signed token, as :meth:`sign` returns those of a payload.

        Args:
            claims: a dict of plain JSON that has been checked, and that nobody changes meanwhile.

        Raises:
            ConfigurationError: this signer has no key, or its key returned no bytes.
        """
        cdef uint8_t text[PLAIN_WRITING_ROOM]
        cdef Py_ssize_t length = plain_writing_object(claims, text)
        if length < 0:
            return self.sign(dumps(claims))
        return self.signed(text, length)

    def sign(self, bytes payload not None):
        """Return ``payload`` as a signed token: a JWS in compact form (RFC 7515, section 7.1).

        The token's header says that it is an access token: its ``typ`` is ``at+jwt`` (RFC 9068,
        section 2.1).

        Args:
            payload: the claims, as the bytes of a JSON object.

        Raises:
            ConfigurationError: this signer has no key, or its key returned no bytes.
        """
        return self.signed(
            <const uint8_t*>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload)
        )

    cdef str signed(self, const uint8_t* payload, Py_ssize_t length):
        cdef uint8_t hashed[EVP_LARGEST_DIGEST]
        cdef const uint8_t* signature = hashed
        cdef PyObject* header  # No reference is counted, since threads share it.
        cdef Py_ssize_t header_length, signed_length, size = 0
        cdef bytes signed
        cdef object made, token
        if not atomics_byte(&self.is_made):
            raise ConfigurationError("a Signer must be constructed before it is used")
        header = <PyObject*>self.header
        header_length = bytes_length(header)
        signed_length = header_length + base64url_encoded_length(length)
        signed = PyBytes_FromStringAndSize(NULL, signed_length)
        memcpy(PyBytes_AS_STRING(signed), bytes_text(header), header_length)
        base64url_encode(
            payload, length, <uint8_t*>PyBytes_AS_STRING(signed) + header_length
        )
        size = evp_hmac_digest(&self.hash, PyBytes_AS_STRING(signed), signed_length, hashed)
        if not size:
            made = self.key.sign(signed)
            if type(made) is not bytes:
                raise ConfigurationError("a key's sign must return bytes")
            size = PyBytes_GET_SIZE(made)
            signature = <const uint8_t*>PyBytes_AS_STRING(made)
        token = PyUnicode_New(signed_length + 1 + base64url_encoded_length(size), 127)
        memcpy(PyUnicode_1BYTE_DATA(token), PyBytes_AS_STRING(signed), signed_length)
        PyUnicode_1BYTE_DATA(token)[signed_length] = c"."
        base64url_encode(signature, size, PyUnicode_1BYTE_DATA(token) + signed_length + 1)
        return token

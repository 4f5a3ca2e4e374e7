"""The header of an access token (RFC 7515, section 4; RFC 9068, section 2.1).

Only what this service writes into a header belongs here. A signer puts it before what it signs; a
verifier knows it by its text, and so needs no parser for it.
"""

from token.base64url cimport base64url_encoded


cdef inline bytes jose_header_encoded(object dumps, object key):
    """Return the base64url text of the header for a key. ``dumps`` makes JSON of a dict."""
    cdef dict header = {"alg": key.algorithm, "typ": "at+jwt"}
    if key.kid is not None:
        header["kid"] = key.kid
    return base64url_encoded(dumps(header))

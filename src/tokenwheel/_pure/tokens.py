"""Random tokens, base64url, digests, parts of refresh tokens: the readable twin of ``tokens.pyx``.

Randomness is the operating system's and nothing else's. The compiled twin draws it in blocks, to
save a system call for each token. In Python, keeping a block costs more than the call it saves. So
here nothing is held back, nothing needs wiping, and no thread or forked child can come upon
another's bytes.

Base64url is that of RFC 4648, section 5, without padding (RFC 7515, section 2). Decoding is strict:
it takes one spelling for each sequence of bytes. A token with a second spelling would be one that
two lists know under different names.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re

from ..errors import InvalidArgument
from ..exact import whole_number_of

__all__ = [
    "MAX_TOKEN_BYTES",
    "decode",
    "digest",
    "encode",
    "hmac_sha256",
    "new_token",
    "random_bytes",
    "take_apart",
]

MAX_TOKEN_BYTES = 65_536  # 64 KiB
_SESSION_ID_BYTES = 12
_SESSION_ID_LENGTH = 16  # characters
_FIXED_BYTES = 27  # of the session id and the family secret
_SHORTEST_SECRET = 15  # bytes
_LONGEST_TEXT = 1402  # characters of the longest secret and what stands before it
_LENGTH_BYTES = 2  # of the rotating secret's length, where it is hashed
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_FROM_STANDARD = bytes.maketrans(b"+/", b"-_")
# The digits whose bits beyond the last byte are zero (RFC 4648, section 3.5): two bits remain after
# three digits, four after two.
_LAST_DIGITS = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


def random_bytes(nbytes: int) -> bytes:
    """Return ``nbytes`` random bytes from the operating system's generator.

    Args:
        nbytes: how many bytes.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """
    count = whole_number_of(nbytes)
    if count is None or not 1 <= count <= MAX_TOKEN_BYTES:
        raise InvalidArgument(f"nbytes must be an int from 1 to {MAX_TOKEN_BYTES}")
    return os.urandom(count)


def new_token(nbytes: int) -> str:
    """Return a random token: ``nbytes`` random bytes as base64url text without padding.

    The bytes come from the operating system's generator, and the text is safe in a URL. A token of
    16 bytes (128 bits) or more cannot be guessed.

    Args:
        nbytes: how many random bytes the token holds.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """
    return encode(random_bytes(nbytes))


def encode(data: bytes) -> str:
    """Return bytes as base64url text without padding (RFC 7515, section 2)."""
    return binascii.b2a_base64(data, newline=False).translate(_FROM_STANDARD, b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes that a canonical base64url text stands for (RFC 7515, section 2).

    A canonical text has no padding, no white space and no stray bits after the last byte. So no two
    of them stand for the same bytes.

    Raises:
        ValueError: ``text`` is not canonical base64url.
    """
    if not isinstance(text, str) or not is_canonical(text):
        del text  # It may be a token.
        raise ValueError("not canonical base64url")
    return decode_canonical(text)


def decode_canonical(text: str) -> bytes:
    """Return the bytes that a text stands for which :func:`is_canonical` takes."""
    return binascii.a2b_base64(text.encode().translate(_TO_STANDARD) + b"=" * (-len(text) % 4))


def is_canonical(text: str) -> bool:
    """Return True if ``decode`` takes ``text``."""
    spare_digits = len(text) % 4
    return (
        _ALPHABET.fullmatch(text) is not None
        and spare_digits != 1
        and (spare_digits == 0 or text[-1] in _LAST_DIGITS[spare_digits])
    )


def digest(data: bytes) -> bytes:
    """Return the SHA-256 digest of ``data``, 32 bytes (RFC 6234)."""
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of ``message`` under ``key``, 32 bytes (RFC 2104).

    Nothing prepared from the key is kept, as suits a key that is used only once.
    """
    return hmac.digest(key, message, "sha256")


def take_apart(text: str) -> tuple[str, bytes, bytes, bytes] | None:
    """Return the parts of a refresh token, or None where the text cannot be one.

    It is base64url of 12 bytes of the session id, 15 of the family secret, and 15 to 1024 of the
    rotating one.

    Returns:
        The session id as text, the family secret, the rotating secret, and the SHA-256 of the
        family secret and of the other one's length in two bytes.
    """
    if len(text) > _LONGEST_TEXT or not is_canonical(text):
        return None
    raw = decode_canonical(text)
    if len(raw) < _FIXED_BYTES + _SHORTEST_SECRET:
        return None
    family, secret = raw[_SESSION_ID_BYTES:_FIXED_BYTES], raw[_FIXED_BYTES:]
    family_hash = digest(family + len(secret).to_bytes(_LENGTH_BYTES))
    return text[:_SESSION_ID_LENGTH], family, secret, family_hash

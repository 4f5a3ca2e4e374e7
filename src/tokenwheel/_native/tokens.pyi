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

MAX_TOKEN_BYTES: int
"""The most random bytes that a token may hold: 64 KiB."""

def random_bytes(nbytes: int) -> bytes:
    """Return ``nbytes`` random bytes from the operating system's generator.

    Args:
        nbytes: how many bytes.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """

def new_token(nbytes: int) -> str:
    """Return a random token: ``nbytes`` random bytes as base64url text without padding.

    The bytes come from the operating system's generator, and the text is safe in a URL. A token of
    16 bytes (128 bits) or more cannot be guessed.

    Args:
        nbytes: how many random bytes the token holds.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """

def encode(data: bytes) -> str:
    """Return bytes as base64url text without padding (RFC 7515, section 2)."""

def decode(text: str) -> bytes:
    """Return the bytes that a canonical base64url text stands for (RFC 7515, section 2).

    A canonical text has no padding, no white space and no stray bits after the last byte. So no two
    of them stand for the same bytes.

    Raises:
        ValueError: ``text`` is not canonical base64url.
    """

def digest(data: bytes) -> bytes:
    """Return the SHA-256 digest of ``data``, 32 bytes (RFC 6234)."""

def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of ``message`` under ``key``, 32 bytes (RFC 2104).

    Nothing prepared from the key is kept, as suits a key that is used only once.
    """

def take_apart(text: str) -> tuple[str, bytes, bytes, bytes] | None:
    """Return the parts of a refresh token, or None where the text cannot be one.

    It is base64url of 12 bytes of the session id, 15 of the family secret, and 15 to 1024 of the
    rotating one.

    Returns:
        The session id as text, the family secret, the rotating secret, and the SHA-256 of the
        family secret and of the other one's length in two bytes.
    """

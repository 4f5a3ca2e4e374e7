__all__ = [
    "MAX_TOKEN_BYTES",
    "decode",
    "digest",
    "encode",
    "hmac_sha256",
    "new_token",
    "random_bytes",
]

MAX_TOKEN_BYTES: int
"""The longest token, in bytes: 64 KiB."""

def random_bytes(nbytes: int) -> bytes:
    """So many bytes from the operating system's generator.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """

def new_token(nbytes: int) -> str:
    """A random token: URL-safe text (base64url without padding) of so many bytes from the operating system's generator.

    16 bytes (128 bits) or more cannot be guessed.

    Raises:
        InvalidArgument: ``nbytes`` is not an int from 1 to 65,536.
    """

def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""

def decode(text: str) -> bytes:
    """The bytes of a base64url text in its one canonical spelling: no padding, no white space, no stray bits at the end.

    Raises:
        ValueError: it is anything else.
    """

def digest(data: bytes) -> bytes:
    """SHA-256."""

def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) with a key that is used only once."""

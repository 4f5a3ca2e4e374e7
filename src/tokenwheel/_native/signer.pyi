from typing import NoReturn, Protocol, final

__all__ = ["Signer"]

class _SigningKey(Protocol):
    @property
    def kid(self) -> str | None: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def _secret(self) -> bytes | None: ...
    def sign(self, message: bytes, /) -> bytes: ...

@final
class Signer:
    """Signs with one key, and knows the header that goes before what it signs."""

    def __init__(self, key: _SigningKey) -> None: ...
    def sign(self, payload: bytes) -> str:
        """The payload as a JWS in compact form (RFC 7515, section 7.1) of type ``at+jwt``."""
    def __reduce__(self) -> NoReturn: ...

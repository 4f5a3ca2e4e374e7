"""Signs access tokens: the readable reference of ``ext/signer.pyx``."""

from __future__ import annotations

from typing import NoReturn, Protocol

import orjson

from .tokens import encode

__all__ = ["Signer"]


class _SigningKey(Protocol):
    @property
    def kid(self) -> str | None: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def _secret(self) -> bytes | None: ...
    def sign(self, message: bytes, /) -> bytes: ...


class Signer:
    """Signs with one key, and knows the header that goes before what it signs.

    Args:
        key: one that can sign.
    """

    __slots__ = ("_header", "_key")

    def __init__(self, key: _SigningKey) -> None:
        if hasattr(self, "_key"):
            raise AttributeError("a Signer cannot be given another key")
        header = {"alg": key.algorithm, "typ": "at+jwt"}
        if key.kid is not None:
            header["kid"] = key.kid
        self._header = encode(orjson.dumps(header)) + "."
        self._key = key

    def __repr__(self) -> str:
        return f"<Signer with {self._key!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Signer cannot be copied or pickled")

    def sign(self, payload: bytes) -> str:
        """The payload as a JWS in compact form (RFC 7515, section 7.1) of type ``at+jwt``."""
        signed = self._header + encode(payload)
        return f"{signed}.{encode(self._key.sign(signed.encode('ascii')))}"

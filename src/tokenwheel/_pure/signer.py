"""Signs access tokens (RFC 7515): the readable twin of ``signer.pyx``.

Only the header and the signature belong here. The payload is made by whoever issues tokens.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

import orjson

from .tokens import encode

__all__ = ["Signer"]


class _SigningKey(Protocol):
    """What a signer needs of a key: see :class:`tokenwheel.Key`."""

    @property
    def kid(self) -> str | None: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def _secret(self) -> bytes | None: ...
    def sign(self, message: bytes, /) -> bytes: ...


class Signer:
    """Signs access tokens with one key.

    Args:
        key: a key that can sign. Its algorithm and ``kid`` go into the header of each token.

    Raises:
        AttributeError: this signer has a key already.
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
        """Return ``payload`` as a signed token: a JWS in compact form (RFC 7515, section 7.1).

        The token's header says that it is an access token: its ``typ`` is ``at+jwt`` (RFC 9068,
        section 2.1).

        Args:
            payload: the claims, as the bytes of a JSON object.
        """
        signed = self._header + encode(payload)
        try:
            return f"{signed}.{encode(self._key.sign(signed.encode('ascii')))}"
        finally:
            del signed

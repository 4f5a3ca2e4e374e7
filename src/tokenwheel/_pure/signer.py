"""Signs access tokens (RFC 7515): the readable twin of ``signer.pyx``.

Only the header and the signature belong here. What the claims are is up to whoever issues tokens.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol, Self

from ..errors import ConfigurationError
from ..json_text import dumps
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
        ConfigurationError: this signer has a key already.
    """

    __slots__ = ("_header", "_key")

    def __new__(cls, *arguments: object, **options: object) -> Self:
        self = super().__new__(cls)
        self._begin()
        return self

    def _begin(self) -> None:
        """Hold nothing, and refuse whatever is asked before ``__init__``."""
        self._key: _SigningKey | None = None

    def __init__(self, key: _SigningKey) -> None:
        header = {"alg": key.algorithm, "typ": "at+jwt"}
        if key.kid is not None:
            header["kid"] = key.kid
        encoded = encode(dumps(header)) + "."
        if self._key is not None:
            raise ConfigurationError("a Signer cannot be given another key")
        self._header = encoded
        self._key = key

    def __repr__(self) -> str:
        return f"<Signer with {self._key!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Signer cannot be copied or pickled")

    def sign_claims(self, claims: dict[str, Any]) -> str:
        """Return claims as a signed token, as :meth:`sign` returns those of a payload.

        Args:
            claims: a dict of plain JSON that has been checked, and that nobody changes meanwhile.

        Raises:
            ConfigurationError: this signer has no key, or its key returned no bytes.
        """
        return self.sign(dumps(claims))

    def sign(self, payload: bytes) -> str:
        """Return ``payload`` as a signed token: a JWS in compact form (RFC 7515, section 7.1).

        The token's header says that it is an access token: its ``typ`` is ``at+jwt`` (RFC 9068,
        section 2.1).

        Args:
            payload: the claims, as the bytes of a JSON object.

        Raises:
            ConfigurationError: this signer has no key, or its key returned no bytes.
        """
        if self._key is None:
            raise ConfigurationError("a Signer must be constructed before it is used")
        signed = self._header + encode(payload)
        try:
            made = self._key.sign(signed.encode("ascii"))
            if type(made) is not bytes:
                raise ConfigurationError("a key's sign must return bytes")
            return f"{signed}.{encode(made)}"
        finally:
            del signed

from typing import Any, NoReturn, Protocol, Self, final

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
    """Signs access tokens with one key.

    Args:
        key: a key that can sign. Its algorithm and ``kid`` go into the header of each token.

    Raises:
        ConfigurationError: this signer has a key already.
    """

    def __new__(cls, *arguments: object, **options: object) -> Self: ...
    def __init__(self, key: _SigningKey) -> None: ...
    def sign_claims(self, claims: dict[str, Any]) -> str:
        """Return claims as a signed token, as :meth:`sign` returns those of a payload.

        Args:
            claims: a dict of plain JSON that has been checked, and that nobody changes meanwhile.

        Raises:
            ConfigurationError: this signer has no key, or its key returned no bytes.
        """

    def sign(self, payload: bytes) -> str:
        """Return ``payload`` as a signed token: a JWS in compact form (RFC 7515, section 7.1).

        The token's header says that it is an access token: its ``typ`` is ``at+jwt`` (RFC 9068,
        section 2.1).

        Args:
            payload: the claims, as the bytes of a JSON object.

        Raises:
            ConfigurationError: this signer has no key, or its key returned no bytes.
        """
    def __reduce__(self) -> NoReturn: ...

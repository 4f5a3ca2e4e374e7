from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from datetime import timedelta
from typing import Any, NoReturn, Protocol, Self, TypeVar, final, overload

from ..clocks_apart import ClocksApart
from .revocations import RevocationTable

__all__ = ["MAX_TOKEN_LENGTH", "Claims", "Verifier"]

_T = TypeVar("_T")

MAX_TOKEN_LENGTH: int
"""The most bytes that an access token may have: 8 KiB."""
CACHE_BYTES: int
"""The memory that remembered tokens may take unless told otherwise, in bytes: 64 MiB."""

class _VerificationKey(Protocol):
    @property
    def kid(self) -> str | None: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def _secret(self) -> bytes | None: ...
    def verify(self, message: bytes, signature: bytes, /) -> bool: ...

class _KeySource(Protocol):
    def look(self) -> None: ...
    def miss(self) -> None: ...

@final
class Claims(Mapping[str, Any]):
    """The claims of a verified access token (RFC 7519, section 4): a mapping nobody can change.

    A value that is an object or an array is handed out as a copy, so that what one caller does to
    it reaches no other. ``Claims(mapping)`` takes claims that were not verified, for the tests of
    an application. It copies them once, and has arrays as lists, as a token has.

    Args:
        claims: a mapping with at least ``sub``, ``sid``, ``iat`` and ``exp``.

    Raises:
        InvalidArgument: one of these claims is missing or of another type than in a token, or the
            mapping holds what no token can: see ``claims`` of ``create``.
        AttributeError: these claims have been set already.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self: ...
    def __init__(self, claims: Mapping[str, Any]) -> None: ...
    @property
    def subject(self) -> str:
        """The user or account that the session belongs to: the claim ``sub``."""
    @property
    def session_id(self) -> str:
        """The public id of the session: the claim ``sid``."""
    @property
    def issued_at(self) -> int:
        """When the token was issued, as Unix time in whole seconds: the claim ``iat``."""
    @property
    def expires_at(self) -> int:
        """When the token expires, as Unix time in whole seconds: the claim ``exp``."""
    def to_dict(self) -> dict[str, Any]:
        """Return the claims as a dict of the caller's own, nested values copied too."""
    @overload
    def get(self, key: str, default: None = None) -> Any | None:
        """Return the value of a claim, or ``default`` if there is no such claim.

        A value that is an object or an array is a copy.
        """
    @overload
    def get(self, key: str, default: _T) -> Any | _T: ...
    def keys(self) -> KeysView[str]:
        """Return a view of the claims' names."""
    def items(self) -> ItemsView[str, Any]:
        """Return a view of the claims as ``(name, value)``, objects and arrays as copies."""
    def values(self) -> ValuesView[Any]:
        """Return a view of the claims' values, objects and arrays as copies."""
    def __getitem__(self, name: str, /) -> Any: ...
    def __contains__(self, name: object, /) -> bool: ...
    __reversed__: None
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]
    def __copy__(self) -> Claims: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> Claims: ...
    def __reduce__(self) -> NoReturn: ...
    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any: ...
    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]: ...
    @property
    def __pydantic_serializer__(self) -> Any: ...

@final
class Verifier:
    """Verifies the access tokens of one issuer, and remembers those that verified.

    Args:
        keys: the keys that a token may be signed with, at most one of them without a ``kid``.
        issuer: what a token's ``iss`` must be.
        audience: the names of which a token's ``aud`` must hold at least one.
        leeway: seconds of tolerance on ``exp``, ``nbf`` and ``iat``, for clocks that differ.
        largest_leeway: the most seconds of leeway that a call of :meth:`verify` may ask for.
        cache_size: how many tokens are remembered at most, or 0 for none.
        cache_bytes: how much memory remembered tokens may take, as estimated from their length.
        clock: returns Unix time in seconds.
        revocations: the table of revoked sessions, which is asked about every token.
        key_source: what the keys come from, where they change by themselves. Its ``look`` is called
            before a token is verified, once in 0.9 seconds at most while it raises nothing; its
            ``miss`` where a token names a key that is not among them.

    Raises:
        ConfigurationError: an argument cannot be used, or this verifier has been made already.
    """

    def __new__(cls, *arguments: object, **options: object) -> Self: ...
    def __init__(
        self,
        keys: Sequence[_VerificationKey],
        *,
        issuer: str,
        audience: tuple[str, ...],
        leeway: float,
        largest_leeway: float,
        cache_size: int,
        cache_bytes: int = ...,
        clock: Callable[[], float],
        revocations: RevocationTable,
        key_source: _KeySource | None = None,
    ) -> None: ...
    @property
    def clocks_apart(self) -> ClocksApart:
        """What is shown dates that other nodes have set, and says so where their clocks differ."""
    @property
    def remembered(self) -> int:
        """The number of tokens that are remembered."""
    @property
    def remembered_bytes(self) -> int:
        """The memory that remembered tokens are estimated to take, in bytes."""
    def set_keys(self, keys: Sequence[_VerificationKey]) -> None:
        """Verify by these keys from now on, and forget every remembered token.

        Args:
            keys: the keys that a token may be signed with, at most one of them without a ``kid``.
        """
    def verify(
        self,
        access_token: str | bytes,
        *,
        audience: str | Sequence[str] | None = None,
        leeway: float | timedelta | None = None,
    ) -> Claims:
        """Return the claims of an access token that is valid now.

        Of a token that was verified before, only audience, time and revocation are checked again.

        Args:
            access_token: the token's text, or its octets.
            audience: the names of which the token's ``aud`` must hold at least one. If left out,
                those that the verifier was made with.
            leeway: seconds of tolerance on ``exp``, ``nbf`` and ``iat``, for clocks that differ. If
                left out, those that the verifier was made with.

        Raises:
            InvalidAccessToken: the token is malformed, not signed by a key of this service, of
                another issuer, or for another audience.
            AccessTokenExpired: the token has expired.
            AccessTokenNotYetValid: its ``nbf`` or ``iat`` lies in the future.
            AccessTokenRevoked: it has been revoked.
            InvalidArgument: ``audience`` or ``leeway`` cannot be used.
        """
    def verify_request(
        self, cookie: bytes | None, bearer: bool, method: object, fields: object
    ) -> Claims | None:
        """Return the claims of a request with plain header fields, or None.

        None says nothing: others have to look at the request, and to decide about it. So it is with
        a token in a cookie that is not good, which may be worth a refresh, or count as nobody's.

        Args:
            cookie: the name of the cookie that may hold the token, or None.
            bearer: whether ``Authorization`` is taken; it then decides alone where there is one.
            method: the request's method. A cookie counts for one that changes nothing, or where a
                page of the same origin has made the request.
            fields: the raw fields of ASGI, a list of tuples ``(name in lower case, value)``; or a
                dict, the environment of WSGI (PEP 3333).

        Raises:
            TokenwheelError: what ``verify`` raises for a bearer.
        """
    def __reduce__(self) -> NoReturn: ...
    def _spare_counts(self, *objects: object) -> None:
        """Spare threads the count of references to what all of them use as long as it lives.

        Where there is no GIL, only the garbage collector frees these objects from now on.
        """
    def _check(self) -> None:
        """Verify every invariant of the memory of verified tokens, for tests.

        Raises:
            AssertionError: with a sentence that says what is broken.
        """

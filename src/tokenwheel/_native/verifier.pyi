from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any, NoReturn, Protocol, TypeVar, final, overload

from .revocations import RevocationTable

__all__ = ["MAX_NESTING", "MAX_TOKEN_LENGTH", "Claims", "Verifier"]

_T = TypeVar("_T")

MAX_TOKEN_LENGTH: int
"""Bytes that an access token may have: 8 KiB."""
MAX_NESTING: int
"""Levels of JSON objects and arrays in the claims, the claims themselves being the first."""
CACHE_BYTES: int
"""Memory for remembered tokens by default: 64 MiB."""

class _VerificationKey(Protocol):
    @property
    def kid(self) -> str | None: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def _secret(self) -> bytes | None: ...
    def verify(self, message: bytes, signature: bytes, /) -> bool: ...

@final
class Claims(Mapping[str, Any]):
    """The claims of a verified access token: a mapping that nobody can change."""

    def __init__(self, claims: Mapping[str, Any]) -> None: ...
    @property
    def subject(self) -> str:
        """``sub``: the user or account."""
    @property
    def session_id(self) -> str:
        """``sid``: the public id of the session."""
    @property
    def issued_at(self) -> int:
        """``iat`` in Unix seconds."""
    @property
    def expires_at(self) -> int:
        """``exp`` in Unix seconds."""
    def to_dict(self) -> dict[str, Any]:
        """A private copy, nested values included, that may be changed."""
    @overload
    def get(self, key: str, default: None = None) -> Any | None: ...
    @overload
    def get(self, key: str, default: _T) -> Any | _T: ...
    def keys(self) -> KeysView[str]: ...
    def items(self) -> ItemsView[str, Any]: ...
    def values(self) -> ValuesView[Any]: ...
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

@final
class Verifier:
    """Verifies the access tokens of one issuer, and remembers those that verified."""

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
    ) -> None: ...
    @property
    def remembered(self) -> int:
        """How many tokens are remembered."""
    @property
    def remembered_bytes(self) -> int:
        """How much memory they are estimated to take."""
    def set_keys(self, keys: Sequence[_VerificationKey]) -> None:
        """Verifies by these keys from now on, and forgets every token that verified by others."""
    def verify(
        self,
        access_token: str,
        *,
        audience: str | Sequence[str] | None = None,
        leeway: float | None = None,
    ) -> Claims:
        """The claims of an access token that is good now. See :meth:`tokenwheel.SessionManager.read`."""
    def __reduce__(self) -> NoReturn: ...

"""The claims of an access token, as whoever reads a token gets them.

Only the read-only mapping belongs here. Which claims a token must have, and whether they are true,
is the business of ``verifier.py``, which shares the name ``Claims`` with its compiled twin.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, NoReturn, Self, final

from ..errors import InvalidArgument
from ..json_refusal import shown_class
from ..pydantic_hooks import claims_json_schema, claims_schema, claims_serializer
from .claim_values import copy_of
from .plain_json import LARGEST_PAYLOAD, copy_plain

__all__ = ["Claims"]

_KINDS = (("sub", (str,)), ("sid", (str,)), ("iat", (int, float)), ("exp", (int, float)))


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

    __slots__ = ("_claims",)
    # Where the compiled twin has it too, and what users see in messages.
    __module__ = "tokenwheel._pure.verifier"
    _claims: dict[str, Any]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        made = super().__new__(cls)
        # As in the compiled twin, where whatever needs claims that were never set is a TypeError.
        object.__setattr__(made, "_claims", None)
        return made

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("Claims cannot be subclassed: nothing may change what a token says")

    def __init__(self, claims: Mapping[str, Any]) -> None:
        copied = copy_plain(claims, "claims", "claim", LARGEST_PAYLOAD)
        for name, kinds in _KINDS:
            if type(copied.get(name)) not in kinds:
                raise InvalidArgument(
                    f"claims must have {name!r}, of the type it has in an access token"
                )
        # Only now, since the mapping may have been made to call this while it was read.
        if self._claims is not None:
            raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")
        object.__setattr__(self, "_claims", copied)

    @classmethod
    def _adopt(cls, claims: dict[str, Any]) -> Claims:
        """Return claims around a dict that nobody else holds."""
        made = object.__new__(cls)
        object.__setattr__(made, "_claims", claims)
        return made

    @property
    def subject(self) -> str:
        """The user or account that the session belongs to: the claim ``sub``."""
        subject: str = self._claims["sub"]
        return subject

    @property
    def session_id(self) -> str:
        """The public id of the session: the claim ``sid``."""
        session_id: str = self._claims["sid"]
        return session_id

    @property
    def issued_at(self) -> int:
        """When the token was issued, as Unix time in whole seconds: the claim ``iat``."""
        return int(self._claims["iat"])

    @property
    def expires_at(self) -> int:
        """When the token expires, as Unix time in whole seconds: the claim ``exp``."""
        return int(self._claims["exp"])

    def to_dict(self) -> dict[str, Any]:
        """Return the claims as a dict of the caller's own, nested values copied too."""
        return {name: copy_of(self._claims[name]) for name in self._claims}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a claim, or ``default`` if there is no such claim.

        A value that is an object or an array is a copy.
        """
        try:
            return copy_of(self._claims[key])
        except KeyError:
            return default

    def keys(self) -> KeysView[str]:
        """Return a view of the claims' names."""
        return KeysView(self)

    def items(self) -> ItemsView[str, Any]:
        """Return a view of the claims as ``(name, value)``, objects and arrays as copies."""
        return ItemsView(self)

    def values(self) -> ValuesView[Any]:
        """Return a view of the claims' values, objects and arrays as copies."""
        return ValuesView(self)

    def __getitem__(self, name: str) -> Any:
        return copy_of(self._claims[name])

    def __contains__(self, name: object) -> bool:
        return name in self._claims

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping):
            # A copy, since what stands in the other mapping may be asked to compare itself.
            return self.to_dict() == dict(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Claims of session {self.session_id!r}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")

    def __copy__(self) -> Claims:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Claims:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("Claims cannot be pickled; to_dict() gives a dict that can")

    @property  # type: ignore[misc]
    def __class__(self) -> type[Claims]:
        return _SHOWN

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return claims_schema(Claims)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return claims_json_schema()

    @property
    def __pydantic_serializer__(self) -> Any:
        return claims_serializer(Claims)


_SHOWN = shown_class(Claims)

"""What pydantic, and so FastAPI, is told of the values that an application gets from a manager.

pydantic is optional, and is imported only inside functions that pydantic itself has called. Which
class calls which function is the business of ``models.py`` and of both twins' ``Claims``.

What came from outside is never taken for verified: claims are what ``read`` returned, and neither a
mapping nor JSON becomes such. Nor does what was refused appear in an error, where it may hold a
token.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import CoreSchema, SchemaSerializer, ValidationError

__all__ = ["claims_json_schema", "claims_schema", "claims_serializer", "secret_schema"]

_HIDDEN = "hidden, since it may hold a token"
_NOT_VERIFIED = "Claims must be what read returned: what a client sends was verified by nobody"


def claims_schema(claims_type: type) -> CoreSchema:
    """Return what pydantic does with claims: it takes them as they are, and writes their members.

    Args:
        claims_type: the class ``Claims`` of the implementation in use.
    """
    from pydantic_core import core_schema

    def check(value: object) -> object:
        if type(value) is claims_type:
            return value
        raise _refusal("Claims", [("verified_claims", _NOT_VERIFIED, ())])

    def write(claims: Mapping[str, object], write_members: Callable[[object], object]) -> object:
        return write_members(dict(claims))

    return core_schema.no_info_plain_validator_function(
        check,
        ref=f"{claims_type.__module__}.{claims_type.__qualname__}",
        serialization=core_schema.wrap_serializer_function_ser_schema(
            write, schema=core_schema.dict_schema(core_schema.str_schema())
        ),
    )


@cache
def claims_serializer(claims_type: type) -> SchemaSerializer:
    """Return what writes claims where pydantic was not told of their type, as under ``Any``.

    Raises:
        AttributeError: pydantic is not installed, so nobody has asked but who looks at everything.
    """
    try:
        from pydantic_core import SchemaSerializer
    except ImportError:
        raise AttributeError("pydantic is not installed") from None
    return SchemaSerializer(claims_schema(claims_type))


def claims_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of claims: an object with those that each access token has."""
    return {
        "title": "Claims",
        "description": "The claims of a verified access token (RFC 7519, section 4).",
        "type": "object",
        "properties": {
            "sub": {"type": "string", "description": "The user or account."},
            "sid": {"type": "string", "description": "The public id of the session."},
            "iat": {"type": "number", "description": "When it was issued, in Unix seconds."},
            "exp": {"type": "number", "description": "When it expires, in Unix seconds."},
        },
        "required": ["sub", "sid", "iat", "exp"],
        "additionalProperties": True,
    }


def secret_schema(source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
    """Return pydantic's own schema of a class, whose errors do not repeat what was refused."""
    from pydantic_core import ValidationError, core_schema

    def check(value: object, validate: Callable[[object], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            lines = error.errors(include_url=False, include_context=False, include_input=False)
            refusal = _refusal(
                error.title, [(line["type"], line["msg"], line["loc"]) for line in lines]
            )
        raise refusal

    return core_schema.no_info_wrap_validator_function(check, handler(source))


def _refusal(title: str, lines: list[tuple[str, str, tuple[int | str, ...]]]) -> ValidationError:
    """Return an error of pydantic with these types, reasons and places, and no input."""
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(type=PydanticCustomError(kind, reason), loc=place, input=_HIDDEN)
            for kind, reason, place in lines
        ],
    )

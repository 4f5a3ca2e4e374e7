"""The refresh token in the body of a request: JSON, or a form (RFC 6749, section 6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from ..errors import InvalidArgument
from ..exact import bytes_of, named
from .errors import MalformedCredentials

__all__ = ["LONGEST_BODY", "refresh_token_in"]

LONGEST_BODY = 16_384  # bytes; a refresh token has some hundred
_NAME = "refresh_token"
_MOST_FIELDS = 64


class _NoObject(ValueError):
    """What is in the body is JSON, and no object."""


class _NameTwice(ValueError):
    """An object of JSON has a name twice, and it can't be told which one is meant."""


def refresh_token_in(content_type: str | None, body: bytes | None) -> str | None:
    """Return the refresh token in a body, or None where it has none.

    A body of another content type has none, whatever it holds.

    Raises:
        MalformedCredentials: the body is over 16 KiB, is not what its content type says, or has a
            refresh token twice or one that is no text.
        InvalidArgument: the body is not bytes.
    """
    if body is None:
        return None
    octets = bytes_of(body)
    if octets is None:
        raise InvalidArgument(f"body must be bytes, not {named(body)}")
    if not octets:
        return None
    if len(octets) > LONGEST_BODY:
        raise MalformedCredentials(f"the body has more than {LONGEST_BODY} bytes")
    media_type = (content_type or "").partition(";")[0].strip(" \t").lower()
    reading = _reading_of(media_type)
    if reading is None:
        return None
    if "," in (content_type or ""):
        raise MalformedCredentials("the body has two content types, and it can't be told which")
    read, refusal = reading
    try:
        found = read(octets)
    except _NameTwice:
        refusal = "the body has a name twice"
    except (ValueError, RecursionError):
        pass
    else:
        if found is None or (isinstance(found, str) and found):
            return found
        refusal = "refresh_token must be a text"
    # Not beside the parser's error, which has the whole body in it.
    raise MalformedCredentials(refusal)


def _reading_of(media_type: str) -> tuple[Callable[[bytes], Any], str] | None:
    """Return what reads a body of this type, and what is said of one that can't be read."""
    if media_type == "application/x-www-form-urlencoded":
        return _in_form, "the body is no form"
    if media_type == "application/json" or media_type.endswith("+json"):
        return _in_json, "the body is no object of JSON"
    return None


def _in_json(body: bytes) -> Any:
    # As UTF-8 and nothing else (RFC 8259, section 8.1): json.loads would guess from bytes.
    content = json.loads(
        body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant
    )
    if not isinstance(content, dict):
        raise _NoObject
    return content.get(_NAME)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _NameTwice
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(constant)


def _in_form(body: bytes) -> str | None:
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
    found = [value for name, value in pairs if name == _NAME]
    if len(found) > 1:
        raise _NameTwice
    return found[0] if found else None

"""The refresh token in the body of a request: JSON, or a form (RFC 6749, section 6)."""

from __future__ import annotations

import json
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from .errors import MalformedCredentials

__all__ = ["LONGEST_BODY", "refresh_token_in"]

LONGEST_BODY = 16_384  # bytes; a refresh token has some hundred
_NAME = "refresh_token"
_MOST_FIELDS = 64


def refresh_token_in(content_type: str | None, body: bytes | None) -> str | None:
    """Return the refresh token in a body, or None where it has none.

    A body of another content type has none, whatever it holds.

    Raises:
        MalformedCredentials: the body is over 16 KiB, is not what its content type says, or has a
            refresh token twice or one that is no text.
    """
    if not body:
        return None
    if len(body) > LONGEST_BODY:
        raise MalformedCredentials(f"the body has more than {LONGEST_BODY} bytes")
    media_type = (content_type or "").partition(";")[0].strip(" \t").lower()
    if media_type == "application/x-www-form-urlencoded":
        found = _in_form(body)
    elif media_type == "application/json" or media_type.endswith("+json"):
        found = _in_json(body)
    else:
        return None
    if found is not None and (not isinstance(found, str) or not found):
        raise MalformedCredentials("refresh_token must be a text")
    return found


def _in_json(body: bytes) -> Any:
    try:
        content = json.loads(bytes(body), object_pairs_hook=_object, parse_constant=_refuse)
    except MalformedCredentials:
        raise
    except (ValueError, RecursionError):
        raise MalformedCredentials("the body is no JSON") from None
    if not isinstance(content, dict):
        raise MalformedCredentials("the body must be an object of JSON")
    return content.get(_NAME)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise MalformedCredentials("the body has a name twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _in_form(body: bytes) -> str | None:
    try:
        pairs = parse_qsl(
            bytes(body).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise MalformedCredentials("the body is no form") from None
    found = [value for name, value in pairs if name == _NAME]
    if len(found) > 1:
        raise MalformedCredentials("the body has a refresh token twice")
    return found[0] if found else None

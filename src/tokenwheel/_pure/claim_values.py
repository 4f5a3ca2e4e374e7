"""The values of single claims: checked for type and size, and copied for whoever asks.

Each function here knows one claim or one type, and nothing of tokens, keys or time. What RFC 7519
and the contract demand of a claim stands with its function. The order of the checks is that of
``verifier.py``. The readable twin of ``claim_values.pxd``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidAccessToken

__all__ = [
    "audiences_in",
    "check_subject",
    "check_token_id",
    "copy_of",
    "date_in",
    "generation_in",
    "session_id_in",
]

_LARGEST_DATE = 2**53  # seconds; larger numbers lose whole seconds on their way through JSON
_LARGEST_GENERATION = 2**32 - 2
_LONGEST_SUBJECT = 255  # characters
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{16}")


def audiences_in(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return whom a token is for: ``aud``, one text or several (RFC 7519, section 4.1.3).

    Raises:
        InvalidAccessToken: the claim is missing or malformed.
    """
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if (
        not isinstance(audiences, list)
        or not all(isinstance(name, str) and name for name in audiences)
        or not audiences
    ):
        raise InvalidAccessToken("the access token's 'aud' is missing or malformed")
    return tuple(audiences)


def check_subject(claims: Mapping[str, Any]) -> None:
    """Check the user or account: ``sub``, up to 255 characters (RFC 7519, section 4.1.2).

    Raises:
        InvalidAccessToken: the claim is missing or malformed.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        raise InvalidAccessToken("the access token's 'sub' is missing or malformed")


def session_id_in(claims: Mapping[str, Any]) -> str:
    """Return the session's public id: ``sid``, 16 base64url characters.

    Raises:
        InvalidAccessToken: the claim is missing or malformed.
    """
    session_id = claims.get("sid")
    if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
        raise InvalidAccessToken("the access token's 'sid' is missing or malformed")
    return session_id


def generation_in(claims: Mapping[str, Any]) -> int:
    """Return the session's generation: ``gen``, from 0 to 2**32 - 2, or 0 if it is missing.

    Raises:
        InvalidAccessToken: the claim is malformed.
    """
    generation = claims.get("gen", 0)
    if type(generation) is not int or not 0 <= generation <= _LARGEST_GENERATION:
        raise InvalidAccessToken("the access token's 'gen' is malformed")
    return generation


def check_token_id(claims: Mapping[str, Any]) -> None:
    """Check the token's id, if it has one: ``jti``, any text (RFC 7519, section 4.1.7).

    Raises:
        InvalidAccessToken: the claim is no text.
    """
    if not isinstance(claims.get("jti", ""), str):
        raise InvalidAccessToken("the access token's 'jti' is malformed")


def date_in(claims: Mapping[str, Any], name: str) -> int | float:
    """Return the claim ``name``, a NumericDate: Unix time in seconds (RFC 7519, section 2).

    Raises:
        InvalidAccessToken: the claim is missing or malformed, or of no sensible size.
    """
    date = claims.get(name)
    if (type(date) is not int and type(date) is not float) or not 0 <= date <= _LARGEST_DATE:
        raise InvalidAccessToken(f"the access token's {name!r} is missing or malformed")
    return date


def copy_of(value: Any) -> Any:
    """Return a value that its receiver may change without changing anybody else's."""
    if type(value) is dict:
        return {name: copy_of(item) for name, item in value.items()}
    if type(value) is list:
        return [copy_of(item) for item in value]
    return value

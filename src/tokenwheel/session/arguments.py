"""Checks of what a caller hands to a manager's method, each before anything is done with it.

Every refusal is an :class:`~tokenwheel.errors.InvalidArgument` that says which argument and why,
and never repeats its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

import orjson

from .._impl import MAX_NESTING, Claims
from ..errors import InvalidArgument
from ..models import Device, SessionContext
from .refresh_tokens import SESSION_ID_LENGTH, session_id_of

__all__ = [
    "LONGEST_LIFETIME",
    "RESERVED_CLAIMS",
    "ShownToken",
    "check_claims",
    "check_context",
    "check_identity",
    "check_lifetime",
    "check_session_id",
    "check_subject",
    "is_refresh_token",
    "shown_token",
]

RESERVED_CLAIMS = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen"})
LONGEST_SUBJECT = 255  # characters
LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days
_LONGEST_TEXT = 1024  # characters of one text in a context
_LARGEST_DEVICE = 4096  # bytes of JSON
_SMALLEST_INTEGER = -(2**63)
_LARGEST_INTEGER = 2**64 - 1

_NO_CONTEXT = SessionContext()


def _is_unicode(text: str) -> bool:
    """Return True where the text has a UTF-8 form, which a lone surrogate has not."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_subject(subject: object) -> str:
    """Return a subject as it is stored and put into tokens."""
    if not isinstance(subject, str):
        raise InvalidArgument(f"subject must be a str, not {type(subject).__name__}")
    if not 0 < len(subject) <= LONGEST_SUBJECT:
        raise InvalidArgument(
            f"subject must have 1 to {LONGEST_SUBJECT} characters, and has {len(subject)}"
        )
    if "\0" in subject:
        raise InvalidArgument("subject must not contain NUL")
    if not _is_unicode(subject):
        raise InvalidArgument("subject must not contain a lone surrogate")
    return str(subject)


def check_session_id(session_id: object) -> str:
    """Return the session id in a session id or a full refresh token."""
    checked_id = session_id_of(session_id)
    if checked_id is None:
        raise InvalidArgument(
            "session_id must be a session id (16 base64url characters) or a refresh token"
        )
    return checked_id


def is_refresh_token(session_id: object) -> bool:
    """Return True where what stands for a session, already checked, is a full refresh token."""
    return isinstance(session_id, str) and len(session_id) > SESSION_ID_LENGTH


def check_lifetime(name: str, seconds: object, default: int) -> int:
    """Return the lifetime of one call, in seconds: the one given, or else the manager's own."""
    if seconds is None:
        return default
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int)
        or not 0 < seconds <= LONGEST_LIFETIME
    ):
        raise InvalidArgument(
            f"{name} must be a whole number of seconds from 1 to {LONGEST_LIFETIME} (100 years)"
        )
    return seconds


def check_claims(claims: object) -> Mapping[str, Any]:
    """Return the application's claims: plain JSON, none the library's (RFC 7519, section 4)."""
    if claims is None:
        return {}
    if type(claims) is not dict and not isinstance(claims, Mapping):
        raise InvalidArgument(f"claims must be a mapping, not {type(claims).__name__}")
    for name, value in claims.items():
        if not isinstance(name, str):
            raise InvalidArgument("claims must have names of type str")
        if name in RESERVED_CLAIMS:
            raise InvalidArgument(f"claim {name!r} is the library's own and cannot be given")
        if not name.isascii() and not _is_unicode(name):
            raise InvalidArgument("claims must have names without lone surrogates")
        if type(value) is str and value.isascii():
            continue
        reason = _why_not_json(value, depth=2)
        if reason is not None:
            raise InvalidArgument(f"claim {name!r} {reason}")
    return claims


def _why_not_json(value: Any, depth: int) -> str | None:
    """Return why a value would not come back from a token as it went in, or None if it would."""
    kind = type(value)
    if value is None or kind is bool:
        return None
    if kind is str:
        return None if _is_unicode(value) else "has a text with a lone surrogate"
    if kind is int:
        return (
            None
            if _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER
            else "has an integer of more than 64 bits"
        )
    if kind is float:
        return (
            None if isfinite(value) else "has a number that JSON cannot hold (NaN or an infinity)"
        )
    if kind is not list and kind is not tuple and kind is not dict:
        return f"has a value of type {kind.__name__}, which is not JSON"
    if depth > MAX_NESTING:
        return f"is nested deeper than {MAX_NESTING} levels"
    if kind is dict:
        for name in value:
            if type(name) is not str or not _is_unicode(name):
                return "has an object with a name that is not a str of valid Unicode"
        value = value.values()
    for item in value:
        reason = _why_not_json(item, depth + 1)
        if reason is not None:
            return reason
    return None


def check_context(context: object) -> SessionContext:
    """Return a context that can be stored, and that the caller can no longer change."""
    if context is None:
        return _NO_CONTEXT
    if not isinstance(context, SessionContext):
        raise InvalidArgument(f"context must be a SessionContext, not {type(context).__name__}")
    _check_text("context.ip", context.ip)
    _check_text("context.location", context.location)
    device = context.device
    if device is None:
        return context
    if not isinstance(device, Device):
        raise InvalidArgument(f"context.device must be a Device, not {type(device).__name__}")
    for name in ("name", "type"):
        if not isinstance(getattr(device, name), str):
            raise InvalidArgument(f"context.device.{name} must be a str")
        _check_text(f"context.device.{name}", getattr(device, name))
    if not device.extra:
        return context
    return SessionContext(
        context.ip, Device(device.name, device.type, _private_copy(device.extra)), context.location
    )


def _check_text(name: str, text: object) -> None:
    if text is None:
        return
    if (
        not isinstance(text, str)
        or len(text) > _LONGEST_TEXT
        or "\0" in text
        or not _is_unicode(text)
    ):
        raise InvalidArgument(
            f"{name} must be a str of at most {_LONGEST_TEXT} characters, "
            "without NUL or a lone surrogate"
        )


def _private_copy(extra: object) -> dict[str, Any]:
    if not isinstance(extra, Mapping):
        raise InvalidArgument("context.device.extra must be a mapping")
    copied = dict(extra)
    reason = _why_not_json(copied, depth=1)
    if reason is not None:
        raise InvalidArgument(f"context.device.extra {reason}")
    text = orjson.dumps(copied)
    if len(text) > _LARGEST_DEVICE:
        raise InvalidArgument(
            f"context.device.extra must have at most {_LARGEST_DEVICE} bytes of JSON, "
            f"and has {len(text)}"
        )
    copy: dict[str, Any] = orjson.loads(text)
    return copy


def check_identity(claims: object) -> tuple[str, str]:
    """Return the subject and the session id of claims that ``read`` returned."""
    if not isinstance(claims, Mapping):
        raise InvalidArgument(
            "claims must be what read returned, or a mapping with 'sub' and 'sid'"
        )
    return check_subject(claims.get("sub")), check_session_id(claims.get("sid"))


class ShownToken(NamedTuple):
    """What is known of an access token whose claims a caller shows."""

    generation: int
    expires_at: float
    """Unix seconds."""


def shown_token(claims: object) -> ShownToken | None:
    """Return what is known of the access token whose claims ``read`` returned; else None.

    Any other mapping was not verified, and says nothing of a token.
    """
    if not isinstance(claims, Claims):
        return None
    generation, expires_at = claims.get("gen", 0), claims["exp"]
    if type(generation) is not int or generation < 0 or not isfinite(expires_at):
        return None  # Made by hand.
    return ShownToken(generation, expires_at)

"""Checks of what a caller hands to a manager's method, each before anything is done with it.

Each argument is looked at once (``exact.py``, ``copy_plain``). What is returned was checked and
belongs to nobody else, so what the caller or another thread does to the original changes nothing.

Every refusal is an :class:`~tokenwheel.errors.InvalidArgument` that says which argument and why,
and never repeats its content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .._impl import LARGEST_PAYLOAD, Claims, copy_plain
from ..conformance import is_coroutine_function
from ..errors import InvalidArgument
from ..exact import as_given, named, seconds_of, text_of
from ..json_text import dumps
from ..models import Device, Session, SessionContext
from .refresh_tokens import SESSION_ID_LENGTH, session_id_of

__all__ = [
    "ASYNC_CLAIMS",
    "LIFETIME_RULE",
    "LONGEST_LIFETIME",
    "RESERVED_CLAIMS",
    "ClaimsCallable",
    "ShownToken",
    "check_claims",
    "check_claims_callable",
    "check_context",
    "check_identity",
    "check_kept",
    "check_lifetime",
    "check_session_id",
    "check_subject",
    "is_refresh_token",
    "lifetime_of",
    "shown_token",
]

RESERVED_CLAIMS = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen"})
LONGEST_SUBJECT = 255  # characters
LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days
LIFETIME_RULE = (
    f"a whole number of seconds from 1 to {LONGEST_LIFETIME} (100 years), "
    "or a timedelta of whole seconds"
)
_LONGEST_TEXT = 1024  # characters of one text in a context
_LARGEST_DEVICE = 4096  # bytes of JSON

ASYNC_CLAIMS = "claims must not be async in a SessionManager; AsyncSessionManager takes it"
ClaimsCallable = Callable[[Session], Any]

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
    text = text_of(subject)
    if text is None:
        raise InvalidArgument(f"subject must be a str, not {named(subject)}")
    if not 0 < len(text) <= LONGEST_SUBJECT:
        raise InvalidArgument(
            f"subject must have 1 to {LONGEST_SUBJECT} characters, and has {len(text)}"
        )
    if "\0" in text:
        raise InvalidArgument("subject must not contain NUL")
    if not _is_unicode(text):
        raise InvalidArgument("subject must not contain a lone surrogate")
    return text


def check_session_id(session_id: object) -> str:
    """Return the session id in a session id or a full refresh token."""
    checked_id = session_id_of(session_id)
    del session_id  # It may be a refresh token with a mistake in it.
    if checked_id is None:
        raise InvalidArgument(
            "session_id must be a session id (16 base64url characters) or a refresh token"
        )
    return checked_id


def check_kept(keep: object) -> str | None:
    """Return the id of the session that a call leaves alone, or None where it spares none."""
    if keep is None:
        return None
    kept_id = session_id_of(keep)
    del keep  # It may be a refresh token with a mistake in it.
    if kept_id is None:
        raise InvalidArgument(
            "keep must be a session id (16 base64url characters) or a refresh token, or None"
        )
    return kept_id


def is_refresh_token(session_id: object) -> bool:
    """Return True where what stands for a session, already checked, is a full refresh token."""
    text = text_of(session_id)
    return text is not None and len(text) > SESSION_ID_LENGTH


def lifetime_of(value: object) -> int | None:
    """Return the seconds of a lifetime, or None where it cannot be one."""
    seconds = seconds_of(value)
    return seconds if type(seconds) is int and 0 < seconds <= LONGEST_LIFETIME else None


def check_lifetime(name: str, value: object, default: int) -> int:
    """Return the lifetime of one call, in seconds: the one given, or else the manager's own."""
    if value is None:
        return default
    seconds = lifetime_of(value)
    if seconds is None:
        raise InvalidArgument(f"{name} must be {LIFETIME_RULE}, {as_given(value)}")
    return seconds


def check_claims(claims: object) -> dict[str, Any]:
    """Return the application's claims: plain JSON, none the library's (RFC 7519, section 4)."""
    if claims is None:
        return {}
    copied = copy_plain(claims, "claims", "claim", LARGEST_PAYLOAD)
    if not RESERVED_CLAIMS.isdisjoint(copied):
        name = next(name for name in copied if name in RESERVED_CLAIMS)
        raise InvalidArgument(f"claim {name!r} is the library's own and cannot be given")
    return copied


def check_claims_callable(claims: object, *, takes_async: bool) -> ClaimsCallable | None:
    """Return the callable that is to be asked for the claims, or None where these are given."""
    if not callable(claims) or issubclass(type(claims), Mapping):
        return None
    if not takes_async and is_coroutine_function(claims):
        raise InvalidArgument(ASYNC_CLAIMS)
    return claims


def check_context(context: object) -> SessionContext:
    """Return a context that can be stored, and that the caller can no longer change."""
    if context is None:
        return _NO_CONTEXT
    if not issubclass(type(context), SessionContext):
        raise InvalidArgument(f"context must be a SessionContext, not {named(context)}")
    return SessionContext(
        _check_text("context.ip", _field("context", context, "ip")),
        _check_device(_field("context", context, "device")),
        _check_text("context.location", _field("context", context, "location")),
    )


def _check_device(device: object) -> Device | None:
    if device is None:
        return None
    if not issubclass(type(device), Device):
        raise InvalidArgument(f"context.device must be a Device, not {named(device)}")
    name = _check_text("context.device.name", _field("context.device", device, "name"))
    kind = _check_text("context.device.type", _field("context.device", device, "type"))
    if name is None or kind is None:
        missing = "name" if name is None else "type"
        raise InvalidArgument(f"context.device.{missing} must be a str")
    return Device(name, kind, _check_extra(_field("context.device", device, "extra")))


def _check_extra(extra: object) -> dict[str, Any]:
    what = "context.device.extra"
    copied = copy_plain(extra, what, what, _LARGEST_DEVICE)
    size = len(dumps(copied))
    if size > _LARGEST_DEVICE:
        raise InvalidArgument(
            f"{what} must have at most {_LARGEST_DEVICE} bytes of JSON, and has {size}"
        )
    return copied


def _field(what: str, owner: object, name: str) -> object:
    """Return a field of what a caller handed in. It may be a property that answers as it likes."""
    try:
        return getattr(owner, name)
    except Exception as error:
        raise InvalidArgument(f"{what}.{name} cannot be read") from error


def _check_text(name: str, given: object) -> str | None:
    if given is None:
        return None
    text = text_of(given)
    if text is None or len(text) > _LONGEST_TEXT or "\0" in text or not _is_unicode(text):
        raise InvalidArgument(
            f"{name} must be a str of at most {_LONGEST_TEXT} characters, "
            "without NUL or a lone surrogate"
        )
    return text


def check_identity(claims: Any) -> tuple[str, str]:
    """Return the subject and the session id of claims that ``read`` returned."""
    try:
        is_mapping = isinstance(claims, Mapping)
    except Exception:  # any: __class__ is the caller's own
        is_mapping = False
    if not is_mapping:
        del claims
        raise InvalidArgument(
            "claims must be what read returned, or a mapping with 'sub' and 'sid'"
        )
    try:
        subject, session_id = claims.get("sub"), session_id_of(claims.get("sid"))
    except Exception as error:
        raise InvalidArgument(
            "claims must be a mapping whose 'sub' and 'sid' can be read"
        ) from error
    finally:
        del claims  # Their 'sid' may be a refresh token.
    return check_subject(subject), check_session_id(session_id)


class ShownToken(NamedTuple):
    """What is known of an access token whose claims a caller shows."""

    generation: int
    expires_at: float
    """Unix seconds."""


def shown_token(claims: object) -> ShownToken | None:
    """Return what is known of the access token whose claims ``read`` returned; else None.

    Any other mapping was not verified, and says nothing of a token.
    """
    if type(claims) is not Claims:
        return None
    generation, expires_at = claims.get("gen", 0), claims["exp"]
    if type(generation) is not int or generation < 0:
        return None  # Made by hand.
    return ShownToken(generation, expires_at)

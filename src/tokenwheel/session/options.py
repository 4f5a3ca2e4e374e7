"""A manager's options, checked once, when it is made.

Each refusal names the option and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..conformance import check_call
from ..errors import ConfigurationError
from ..exact import (
    as_given,
    is_instance,
    items_of,
    named,
    seconds_of,
    text_of,
    text_or_bytes_of,
    texts_of,
    whole_number_of,
)
from ..keys import Key, KeySet, storage_secret
from ..keys.checks import require_cryptography
from ..keys.forms.mistakes import not_a_text
from ..option_checks import check_clocks
from .arguments import LIFETIME_RULE, LONGEST_LIFETIME, lifetime_of
from .hooks import RefreshHook, same_device
from .refresh_tokens import LONGEST_SECRET, PLAIN_SECRET, SHORTEST_SECRET

__all__ = [
    "DEFAULT_LEEWAY",
    "LARGEST_CALL_LEEWAY",
    "Lifecycle",
    "TokenOptions",
    "check_hook",
    "check_lifecycle",
    "check_storage_key",
    "check_tokens",
]

DEFAULT_LEEWAY = 5  # seconds: nodes that differ by 0.4 refused half of each other's fresh tokens
LARGEST_CALL_LEEWAY = 60  # seconds a single read may ask for, whatever the manager's own leeway
_LARGEST_LEEWAY = 86_400  # seconds: one day
_LONGEST_ISSUER = 1024  # characters: it is in each token and in each record
_LONGEST_AUDIENCE = 4096  # characters in all: they are in each token, which has at most 8 KiB
_MOST_SESSIONS = 2**31  # of a subject
_LARGEST_CACHE = 2**24  # tokens
_MOST_STORAGE_KEYS = 1024
_SHARED_SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The options that the flow needs. Lifetimes are in seconds."""

    access_ttl: int
    refresh_ttl: int
    idle_ttl: int | None
    secret_length: int
    rotate: bool
    reuse_grace: float
    """Seconds for which a replaced refresh token may be retried.

    A retry may reach another node, whose clock differs from that of the node that replaced the
    token. A grace has room for a usual difference. What the leeway allows for beyond that is added.
    """
    max_sessions: int | None
    when_full: Literal["reject", "evict_oldest"]
    revocation_margin: float
    """Seconds for which a revocation is kept after the last access token's ``exp``.

    That is the largest leeway that a read can have.
    """


class TokenOptions(NamedTuple):
    """The options about tokens, checked."""

    keys: KeySet
    issuer: str
    audience: str | tuple[str, ...]
    """What is put into tokens."""
    accept_audience: tuple[str, ...]
    """Of these, one must be in a token."""
    leeway: float
    """Seconds."""
    cache_size: int


def check_tokens(
    *,
    keys: object,
    algorithm: object,
    issuer: object,
    audience: object,
    accept_audience: object,
    leeway: object,
    verified_cache_size: object,
    clock: object,
) -> TokenOptions:
    """Return the options about tokens, checked."""
    checked_issuer = _check_issuer(issuer)
    tolerated = _check_number("leeway", leeway, _LARGEST_LEEWAY)
    cache_size = _check_integer("verified_cache_size", verified_cache_size, 0, _LARGEST_CACHE)
    check_clocks(clock=clock)
    issued = _check_audience("audience", audience)
    accepted = (
        issued if accept_audience is None else _check_audience("accept_audience", accept_audience)
    )
    return TokenOptions(
        keys=_check_keys(keys, algorithm),
        issuer=checked_issuer,
        audience=issued,
        accept_audience=(accepted,) if isinstance(accepted, str) else accepted,
        leeway=tolerated,
        cache_size=cache_size,
    )


def check_lifecycle(
    *,
    access_ttl: object,
    refresh_ttl: object,
    idle_ttl: object,
    refresh_token_length: object,
    rotate_refresh_tokens: object,
    reuse_grace: object,
    max_sessions: object,
    when_full: object,
    leeway: float,
) -> Lifecycle:
    """Return the options for the life of a session, checked."""
    if type(rotate_refresh_tokens) is not bool:
        raise ConfigurationError(
            f"rotate_refresh_tokens must be True or False, {as_given(rotate_refresh_tokens)}"
        )
    secret_length = _check_integer(
        "refresh_token_length", refresh_token_length, SHORTEST_SECRET, LONGEST_SECRET
    )
    if secret_length > PLAIN_SECRET:
        require_cryptography(f"a refresh_token_length over {PLAIN_SECRET}")
    grace = _check_number("reuse_grace", reuse_grace, LONGEST_LIFETIME)
    return Lifecycle(
        access_ttl=_check_lifetime("access_ttl", access_ttl),
        refresh_ttl=_check_lifetime("refresh_ttl", refresh_ttl),
        idle_ttl=None if idle_ttl is None else _check_lifetime("idle_ttl", idle_ttl),
        secret_length=secret_length,
        rotate=rotate_refresh_tokens,
        reuse_grace=grace + max(leeway - DEFAULT_LEEWAY, 0) if grace else 0,
        max_sessions=(
            None
            if max_sessions is None
            else _check_integer("max_sessions", max_sessions, 1, _MOST_SESSIONS)
        ),
        when_full=_check_when_full(when_full),
        revocation_margin=max(leeway, LARGEST_CALL_LEEWAY),
    )


def _check_when_full(when_full: object) -> Literal["reject", "evict_oldest"]:
    text = text_of(when_full)
    if text == "reject":
        return "reject"
    if text == "evict_oldest":
        return "evict_oldest"
    what = "" if text is not None else f", not {named(when_full)}"
    raise ConfigurationError(f"when_full must be 'reject' or 'evict_oldest'{what}")


def check_storage_key(storage_key: object) -> tuple[bytes, ...]:
    """Return the secrets with which records are sealed, the one that is used for new ones first."""
    if storage_key is None:
        return ()
    storage_keys = items_of(storage_key, _MOST_STORAGE_KEYS)
    if storage_keys is not None:
        secrets = tuple(map(storage_secret, storage_keys))
        if not secrets:
            raise ConfigurationError("storage_key must have at least one secret, or be None")
        if len(frozenset(secrets)) < len(secrets):
            raise ConfigurationError("storage_key must not have the same secret twice")
        return secrets
    return (storage_secret(storage_key),)


def check_hook(hook: object) -> RefreshHook:
    """Return the refresh hook, or the default one."""
    if hook is None:
        return same_device
    if not callable(hook):
        raise ConfigurationError(
            "refresh_hook must be a callable that takes a Session and a SessionContext"
        )
    check_call("refresh_hook", hook, ["session", "context"])
    checked: Callable[..., Any] = hook
    return checked


def _check_keys(keys: object, algorithm: object) -> KeySet:
    if is_instance(keys, KeySet):
        return keys
    if is_instance(keys, Key):
        return KeySet(keys)
    secret = text_or_bytes_of(keys)
    if secret is None:
        raise ConfigurationError(
            not_a_text("keys", keys, "a shared secret (str or bytes), a Key or a KeySet")
        )
    name = text_of(algorithm)
    if name not in _SHARED_SECRET_ALGORITHMS:
        raise ConfigurationError(
            f"algorithm must be one of {', '.join(_SHARED_SECRET_ALGORITHMS)} for a shared secret; "
            "others need a KeySet"
        )
    return KeySet(Key.from_secret(secret, name))


def _check_issuer(issuer: object) -> str:
    text = text_of(issuer)
    if text is None or not 0 < len(text) <= _LONGEST_ISSUER or not _is_plain_text(text):
        raise ConfigurationError(
            f"issuer must be a non-empty str of at most {_LONGEST_ISSUER} characters, "
            f"without NUL or a lone surrogate{_unless_text(issuer)}"
        )
    return text


def _check_audience(name: str, audience: object) -> str | tuple[str, ...]:
    audiences = texts_of(audience)
    if audiences is None or not all(map(_is_plain_text, audiences)):
        is_sequence = items_of(audience, _LONGEST_AUDIENCE) is not None
        raise ConfigurationError(
            f"{name} must be a non-empty str or a non-empty sequence of such, "
            f"without NUL or a lone surrogate{'' if is_sequence else _unless_text(audience)}"
        )
    length = sum(map(len, audiences))
    if length > _LONGEST_AUDIENCE:
        raise ConfigurationError(
            f"{name} must have at most {_LONGEST_AUDIENCE} characters in all, and has {length}"
        )
    return audiences if text_of(audience) is None else audiences[0]


def _is_plain_text(text: str) -> bool:
    """Return True for a text without NUL and with a UTF-8 form, which a lone surrogate has not."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _unless_text(value: object) -> str:
    """Return what to say of a value's type where that is the mistake."""
    return "" if text_of(value) is not None else f", not {named(value)}"


def _check_integer(name: str, value: object, least: int, most: int) -> int:
    number = whole_number_of(value)
    if number is None or not least <= number <= most:
        raise ConfigurationError(f"{name} must be an int from {least} to {most}, {as_given(value)}")
    return number


def _check_number(name: str, value: object, most: int) -> float:
    seconds = seconds_of(value)
    if seconds is None or not 0 <= seconds <= most:
        raise ConfigurationError(
            f"{name} must be a number of seconds from 0 to {most}, "
            f"or a timedelta of whole seconds, {as_given(value)}"
        )
    return seconds


def _check_lifetime(name: str, value: object) -> int:
    seconds = lifetime_of(value)
    if seconds is None:
        raise ConfigurationError(f"{name} must be {LIFETIME_RULE}, {as_given(value)}")
    return seconds

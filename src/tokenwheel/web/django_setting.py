"""What the setting ``TOKENWHEEL`` of a Django project names: a gate, and what goes with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .._impl import Claims
from ..conformance import check_call
from ..errors import ConfigurationError
from ..exact import is_instance, named, text_of
from .demands import AskClaims
from .endpoints import Endpoints
from .gate import Gate

__all__ = ["DjangoAuth", "LoadUser", "current_auth"]

LoadUser = Callable[[Claims], Any | Awaitable[Any]]
"""Returns the user of an access token, or None where there is no such user any more."""

_EXAMPLE = 'TOKENWHEEL = "config.sessions.gate"'


class DjangoAuth:
    """A gate, and what a Django project adds to it.

    Args:
        gate: decides who is admitted.
        claims: returns the application's own claims for the next access token of a session; by
            default what the gate has as ``renew``, and without it none.
        user_loader: returns the user that ``request.user`` is of where somebody is signed in, or
            None where there is no such user any more. May be a coroutine function. Without it,
            ``request.user`` is what Django's own middleware has set.

    Raises:
        ConfigurationError: an option makes no sense; says which, and what is allowed.
    """

    __slots__ = ("endpoints", "gate", "user_loader")

    def __init__(
        self,
        gate: Gate,
        *,
        claims: AskClaims | None = None,
        user_loader: LoadUser | None = None,
    ) -> None:
        if not is_instance(gate, Gate):
            raise ConfigurationError(f"gate must be a Gate, not {named(gate)}")
        if user_loader is not None:
            if not callable(user_loader):
                raise ConfigurationError("user_loader must be a callable that takes claims")
            check_call("user_loader", user_loader, ["claims"])
        self.gate = gate
        self.endpoints = Endpoints(gate, claims)
        self.user_loader = user_loader


@cache
def current_auth() -> DjangoAuth:
    """Return what the setting ``TOKENWHEEL`` names. It is imported once, at first use.

    Raises:
        ImproperlyConfigured: it is missing, can't be imported, or is of a wrong type.
    """
    path = text_of(getattr(settings, "TOKENWHEEL", None))
    if path is None:
        raise ImproperlyConfigured(
            f"the setting TOKENWHEEL must be the dotted path of a Gate: {_EXAMPLE}"
        )
    try:
        value = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"the setting TOKENWHEEL is {path!r}, which can't be imported: {error}"
        ) from error
    if is_instance(value, DjangoAuth):
        return value
    if is_instance(value, Gate):
        return DjangoAuth(value)
    raise ImproperlyConfigured(
        f"the setting TOKENWHEEL must name a Gate or DjangoAuth(gate, ...), and {path!r} is "
        f"{named(value)}"
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "TOKENWHEEL":
        current_auth.cache_clear()


setting_changed.connect(_forget)

"""What the admin shows of a session: when it began and ends, and where it came from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.admin import display
from django.utils.timezone import make_naive
from django.utils.translation import gettext_lazy as _

from ..models import SessionContext
from ..storage.context import unpack_context
from .models import Session

__all__ = ["SHOWN"]


@display(description=_("created"), ordering="created_at")  # type: ignore[untyped-decorator]
def created(session: Session) -> datetime | None:
    """Return when the user has logged in."""
    return _moment(session.created_at)


@display(description=_("last used"), ordering="last_used_at")  # type: ignore[untyped-decorator]
def last_used(session: Session) -> datetime | None:
    """Return when the session was last refreshed."""
    return _moment(session.last_used_at)


@display(description=_("ends"), ordering="ends_at")  # type: ignore[untyped-decorator]
def ends(session: Session) -> datetime | None:
    """Return when the session ends unless it is refreshed."""
    return _moment(session.ends_at)


@display(description=_("device"))  # type: ignore[untyped-decorator]
def device(session: Session) -> str | None:
    """Return what the client has said it runs on."""
    named = _context_of(session).device
    return None if named is None else f"{named.name} ({named.type})"


@display(description=_("IP address"))  # type: ignore[untyped-decorator]
def ip(session: Session) -> str | None:
    """Return the address that the login came from."""
    return _context_of(session).ip


@display(description=_("location"))  # type: ignore[untyped-decorator]
def location(session: Session) -> str | None:
    """Return the place that the login came from, as the application has told it."""
    return _context_of(session).location


SHOWN = (created, last_used, ends, device, ip, location)
"""The columns that the admin shows beside the subject."""


def _moment(seconds: float) -> datetime | None:
    """Return a time in Unix seconds as Django shows it; None for what is none."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    shown: datetime = moment if settings.USE_TZ else make_naive(moment)
    return shown


def _context_of(session: Any) -> SessionContext:
    try:
        return unpack_context(bytes(session.context or b""))
    except (ValueError, TypeError):  # It is damaged, and can still be ended.
        return SessionContext()

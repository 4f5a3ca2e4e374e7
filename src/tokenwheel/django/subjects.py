"""Which subject the sessions of a user have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

__all__ = ["subject_of"]


def subject_of(user: Any) -> str | None:
    """Return the subject of a user's sessions, or None for a user who never has any.

    It is the primary key as text, or what the callable returns that ``TOKENWHEEL_SUBJECT_OF`` is,
    or names by its dotted path.

    Raises:
        ImproperlyConfigured: there is no such callable.
    """
    named = getattr(settings, "TOKENWHEEL_SUBJECT_OF", None)
    if named is None:
        return str(user.pk)
    try:
        find: Callable[[Any], str | None] = (
            import_string(named) if isinstance(named, str) else named
        )
    except ImportError as error:
        raise ImproperlyConfigured(
            f"the setting TOKENWHEEL_SUBJECT_OF is {named!r}, which can't be imported: {error}"
        ) from error
    return find(user)

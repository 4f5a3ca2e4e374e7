"""What ``manage.py check`` says of the settings that the app reads. Nothing is imported for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core import checks

from .signals import OCCASIONS, occasions
from .site import has_manager

__all__ = ["check_settings", "connect"]


def connect() -> None:
    """Have ``manage.py check`` look at the settings."""
    checks.register(check_settings)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Return what is wrong with the settings of the app."""
    found = []
    if not has_manager():
        found.append(
            checks.Warning(
                "The setting TOKENWHEEL is missing, so no session ends when a password changes, "
                "or when a user is deactivated or deleted.",
                hint='Name the gate of the site: TOKENWHEEL = "config.sessions.gate".',
                id="tokenwheel.W001",
            )
        )
    chosen: object = occasions()
    if isinstance(chosen, str) or not isinstance(chosen, Collection) or set(chosen) - OCCASIONS:
        found.append(
            checks.Error(
                "The setting TOKENWHEEL_END_SESSIONS_ON must be a set of some of these: "
                f"{', '.join(map(repr, sorted(OCCASIONS)))}.",
                hint="An empty set ends no sessions.",
                id="tokenwheel.E001",
            )
        )
    return found

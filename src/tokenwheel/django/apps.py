"""The app, as ``INSTALLED_APPS`` lists it."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["TokenwheelConfig"]


class TokenwheelConfig(AppConfig):  # type: ignore[misc]
    """Make ``tokenwheel.django`` an app of Django, with the label ``tokenwheel``."""

    name = "tokenwheel.django"
    label = "tokenwheel"
    verbose_name: Any = _("Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Look at the settings, at users who change, and at connections, which may be a test's."""
        from . import checks, shared_connections, signals  # which need all models

        shared_connections.watch_connections()
        checks.connect()
        signals.connect()

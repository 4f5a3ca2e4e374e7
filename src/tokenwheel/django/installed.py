"""The database of a storage or a feed, made only where Django is ready for it.

So :class:`~tokenwheel.DjangoStorage` and :class:`~tokenwheel.DjangoFeed` can be imported at any
time: without Django, before its apps are ready, or by its settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .database import DjangoDatabase

__all__ = ["installed_database"]


def installed_database(using: str, timeout: float) -> DjangoDatabase:
    """Return one of the databases of the project.

    Raises:
        ConfigurationError: Django isn't installed or set up, or the app isn't; or an option makes
            no sense.
    """
    try:
        from django.apps import apps
    except ImportError as error:
        raise ConfigurationError(
            "Django is not installed: install tokenwheel[django], or use another storage"
        ) from error
    if not apps.models_ready:
        raise ConfigurationError(
            "Django's models are not loaded yet: make DjangoStorage and DjangoFeed after "
            "django.setup(), in a module that neither the settings nor a model imports"
        )
    if not apps.is_installed("tokenwheel.django"):
        raise ConfigurationError(
            'INSTALLED_APPS lacks "tokenwheel.django": add it, and run manage.py migrate'
        )
    from .database import DjangoDatabase

    return DjangoDatabase(using, timeout)

"""Fields of the models that Django lacks."""

from __future__ import annotations

from typing import Any

from django.db import models

__all__ = ["NameField"]


class NameField(models.CharField):  # type: ignore[misc]
    """A text that is found by equality alone.

    On PostgreSQL Django would make a second index of a ``CharField`` that is a primary key, for
    ``LIKE``. Each write would have to keep it.
    """

    def db_type(self, connection: Any) -> str | None:
        """Return the column's type, by a name for which Django makes no such index."""
        name: str | None = super().db_type(connection)
        if name is not None and connection.vendor == "postgresql":
            return name.replace("varchar", "character varying")
        return name

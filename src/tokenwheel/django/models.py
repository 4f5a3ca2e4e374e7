"""The tables, as ``tables/protocol.py`` describes them. ``tokenwheel.sql`` has them by these names.

Nothing here is changed through a model. Sessions are begun and ended by a manager.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import NameField

__all__ = ["Revocation", "Session", "Value"]


class Session(models.Model):  # type: ignore[misc]
    """A session of a user on a device, as the fields of a ``SessionRecord``.

    Times are Unix seconds.
    """

    id = NameField(max_length=16, primary_key=True)
    version = models.BigIntegerField()
    subject = models.CharField(_("subject"), max_length=255)
    issuer = models.TextField(_("issuer"))
    created_at = models.FloatField(_("created"))
    expires_at = models.BigIntegerField(_("expires"))
    ends_at = models.BigIntegerField(_("ends"))
    last_used_at = models.FloatField(_("last used"))
    generation = models.BigIntegerField()
    access_expires_at = models.BigIntegerField()
    family_hash = models.BinaryField()
    secret_hash = models.BinaryField()
    previous_hash = models.BinaryField(null=True)
    salt = models.BinaryField(null=True)
    rotated_at = models.FloatField(null=True)
    context = models.BinaryField(null=True)
    mac = models.BinaryField(null=True)
    subject_hash = models.CharField(max_length=64)

    class Meta:
        """Name the table."""

        db_table = "tokenwheel_sessions"
        indexes = (
            models.Index(fields=["subject_hash"], name="tokenwheel_sessions_subject"),
            models.Index(fields=["ends_at"], name="tokenwheel_sessions_end"),
        )
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        # Neither an id nor a subject, since this is shown where an error is.
        return str(self._meta.verbose_name)


class Revocation(models.Model):  # type: ignore[misc]
    """A row of the log of revocations, which every process of a service reads."""

    position = models.BigAutoField(primary_key=True)
    mark = models.CharField(max_length=16)
    session_id = models.CharField(max_length=16)
    expires_at = models.FloatField()
    before = models.BigIntegerField(null=True)
    published_at = models.FloatField()

    class Meta:
        """Name the table."""

        db_table = "tokenwheel_revocations"
        indexes = (models.Index(fields=["expires_at"], name="tokenwheel_revocations_end"),)
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")


class Value(models.Model):  # type: ignore[misc]
    """A whole number that is kept under a name, such as the version of the tables."""

    name = NameField(max_length=100, primary_key=True)
    number = models.BigIntegerField()

    class Meta:
        """Name the table."""

        db_table = "tokenwheel_values"
        verbose_name = _("number")
        verbose_name_plural = _("numbers")

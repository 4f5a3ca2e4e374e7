"""Make the three tables."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from tokenwheel.django.fields import NameField


def hold_all_texts(apps: Any, schema_editor: Any) -> None:
    """Let the tables of MySQL and MariaDB hold every text, and compare texts by their characters.

    The database's default may be an older character set, which has no emoji.
    """
    if schema_editor.connection.vendor == "mysql":
        for name in ("Session", "Revocation", "Value"):
            table = schema_editor.quote_name(apps.get_model("tokenwheel", name)._meta.db_table)
            schema_editor.execute(
                f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )


def keep_version(apps: Any, schema_editor: Any) -> None:
    """Keep the version of the tables in them, where other processes look for it."""
    values = apps.get_model("tokenwheel", "Value").objects.using(schema_editor.connection.alias)
    values.create(name="schema_version", number=1)


class Migration(migrations.Migration):  # type: ignore[misc]
    """Make the tables of sessions, of revocations and of values."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Session",
            fields=[
                ("id", NameField(max_length=16, primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
                ("subject", models.CharField(max_length=255, verbose_name="subject")),
                ("issuer", models.TextField(verbose_name="issuer")),
                ("created_at", models.FloatField(verbose_name="created")),
                ("expires_at", models.BigIntegerField(verbose_name="expires")),
                ("ends_at", models.BigIntegerField(verbose_name="ends")),
                ("last_used_at", models.FloatField(verbose_name="last used")),
                ("generation", models.BigIntegerField()),
                ("access_expires_at", models.BigIntegerField()),
                ("family_hash", models.BinaryField()),
                ("secret_hash", models.BinaryField()),
                ("previous_hash", models.BinaryField(null=True)),
                ("salt", models.BinaryField(null=True)),
                ("rotated_at", models.FloatField(null=True)),
                ("context", models.BinaryField(null=True)),
                ("mac", models.BinaryField(null=True)),
                ("subject_hash", models.CharField(max_length=64)),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "db_table": "tokenwheel_sessions",
                "indexes": [
                    models.Index(fields=["subject_hash"], name="tokenwheel_sessions_subject"),
                    models.Index(fields=["ends_at"], name="tokenwheel_sessions_end"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Revocation",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("mark", models.CharField(max_length=16)),
                ("session_id", models.CharField(max_length=16)),
                ("expires_at", models.FloatField()),
                ("before", models.BigIntegerField(null=True)),
                ("published_at", models.FloatField()),
            ],
            options={
                "verbose_name": "revocation",
                "verbose_name_plural": "revocations",
                "db_table": "tokenwheel_revocations",
                "indexes": [models.Index(fields=["expires_at"], name="tokenwheel_revocations_end")],
            },
        ),
        migrations.CreateModel(
            name="Value",
            fields=[
                ("name", NameField(max_length=100, primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "number",
                "verbose_name_plural": "numbers",
                "db_table": "tokenwheel_values",
            },
        ),
        migrations.RunPython(hold_all_texts, migrations.RunPython.noop, atomic=False),
        migrations.RunPython(keep_version, migrations.RunPython.noop),
    )

"""Written by hand: the index for the beginning of an object's name, which each engine wants in its own form (secrets_app/models/looking.py)."""

from django.db import migrations

TABLE = "secrets_app_auditentry"


def add(apps, schema_editor):
    how = " text_pattern_ops" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"CREATE INDEX audit_by_object ON {TABLE} (lower(target){how}, seq)")


def drop(apps, schema_editor):
    schema_editor.execute("DROP INDEX audit_by_object")


class Migration(migrations.Migration):
    dependencies = [("secrets_app", "0002_append_only")]

    operations = [migrations.RunPython(add, drop)]

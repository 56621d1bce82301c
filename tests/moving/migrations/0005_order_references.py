"""The old rows are checked, and the old key gets an index. The site is on again."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

NOT_CHECKED = """
    SELECT conrelid::regclass::text, conname FROM pg_constraint
    WHERE contype = 'f' AND NOT convalidated AND confrelid = 'shop_order'::regclass
"""


def validate(apps, schema_editor):
    """Check each foreign key, without stopping writers."""
    quote = schema_editor.connection.ops.quote_name
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(NOT_CHECKED)
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote(name)}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("shop", "0004_order_key")]

    operations = [
        migrations.RunPython(validate, migrations.RunPython.noop),
        AddIndexConcurrently("order", models.Index("old_id", name="shop_order_old_id")),
    ]

"""All that takes long and can be had while the site is on. No writer is stopped."""

from __future__ import annotations

from django.db import migrations

CHECK = """
    ALTER TABLE shop_order
    ADD CONSTRAINT shop_order_has_uid CHECK (uid IS NOT NULL) NOT VALID
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("shop", "0002_order_uid")]

    # Each step first takes back what an earlier try has left, so it may be run again.
    operations = [
        migrations.RunSQL(
            [
                "DROP INDEX CONCURRENTLY IF EXISTS shop_order_uid",
                "CREATE UNIQUE INDEX CONCURRENTLY shop_order_uid ON shop_order (uid)",
            ],
            "DROP INDEX shop_order_uid",
        ),
        # With this, SET NOT NULL need not read the table.
        migrations.RunSQL(
            [
                "ALTER TABLE shop_order DROP CONSTRAINT IF EXISTS shop_order_has_uid",
                CHECK,
                "ALTER TABLE shop_order VALIDATE CONSTRAINT shop_order_has_uid",
            ],
            "ALTER TABLE shop_order DROP CONSTRAINT shop_order_has_uid",
        ),
    ]

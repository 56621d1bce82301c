"""The UIDs become the key, here and in all that refers to it. The site is off."""

from __future__ import annotations

from django.db import migrations, models

from django_uidgen.fields import UidAutoField

#: Every column that refers to the key: of foreign keys, of tables between, of its own.
#: Not those that refer to another column of the table.
REFERENCES = """
    SELECT constr.conrelid::regclass::text, quote_ident(refers.attname),
        quote_ident(constr.conname)
    FROM pg_constraint constr
    JOIN pg_attribute refers
      ON refers.attrelid = constr.conrelid AND refers.attnum = constr.conkey[1]
    JOIN pg_attribute key
      ON key.attrelid = constr.confrelid AND key.attnum = constr.confkey[1]
    WHERE constr.contype = 'f' AND constr.confrelid = 'shop_order'::regclass
      AND key.attname = 'id'
"""

#: Nobody reads or writes the orders from here on. The temporary table is what tells
#: the new key of each: the orders themselves are rewritten where they refer to orders.
BEGIN = """
    LOCK TABLE shop_order IN ACCESS EXCLUSIVE MODE;
    CREATE TEMPORARY TABLE moved ON COMMIT DROP AS SELECT id, uid FROM shop_order;
    ALTER TABLE moved ADD PRIMARY KEY (id);
    CREATE FUNCTION pg_temp.uid_of(bigint) RETURNS bigint LANGUAGE sql STABLE STRICT
        AS 'SELECT uid FROM pg_temp.moved WHERE id = $1';
"""

# The table is written once, and its indexes are built once.
FOLLOW = """
    ALTER TABLE {table} DROP CONSTRAINT {constraint},
        ALTER COLUMN {column} TYPE bigint USING pg_temp.uid_of({column})
"""

SWAP = """
    ALTER TABLE shop_order DROP CONSTRAINT shop_order_pkey;
    ALTER TABLE shop_order ALTER COLUMN id DROP IDENTITY IF EXISTS;
    ALTER TABLE shop_order ALTER COLUMN id DROP DEFAULT;
    ALTER TABLE shop_order ALTER COLUMN id DROP NOT NULL;
    ALTER TABLE shop_order RENAME COLUMN id TO old_id;
    ALTER TABLE shop_order RENAME COLUMN uid TO id;
    ALTER TABLE shop_order ALTER COLUMN id SET NOT NULL;
    ALTER TABLE shop_order DROP CONSTRAINT shop_order_has_uid;
    ALTER TABLE shop_order
        ADD CONSTRAINT shop_order_pkey PRIMARY KEY USING INDEX shop_order_uid;
"""

# Checked for new rows from now on, and for the old ones by the next migration.
FASTEN = """
    ALTER TABLE {table} ADD CONSTRAINT {constraint}
        FOREIGN KEY ({column}) REFERENCES shop_order (id)
        DEFERRABLE INITIALLY DEFERRED NOT VALID
"""


def move(apps, schema_editor):
    """Swap the keys, in the transaction of the migration: all of it or nothing."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(BEGIN)
        cursor.execute(REFERENCES)
        references = [
            dict(zip(("table", "column", "constraint"), row, strict=True))
            for row in cursor.fetchall()
        ]
        for reference in references:
            cursor.execute(FOLLOW.format(**reference))
        cursor.execute(SWAP)
        for reference in references:
            cursor.execute(FASTEN.format(**reference))


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_order_uid_index")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(move)],
            state_operations=[
                migrations.RemoveField("order", "uid"),
                migrations.AlterField("order", "id", UidAutoField(primary_key=True)),
                migrations.AddField(
                    "order", "old_id", models.IntegerField(null=True, editable=False)
                ),
            ],
        ),
    ]

from __future__ import annotations

import os

from django.db import migrations


def make_rows(apps, schema_editor):
    """Create rows as a data migration does, singly and in bulk."""
    model = apps.get_model("a_before", "Row")
    model.objects.create(name="single")
    model.objects.bulk_create(model(name=str(n)) for n in range(50))
    if os.environ.get("UIDGEN_TEST_PLAN_FAILS") == "a_before":
        print("", *model.objects.values_list("pk", flat=True))  # noqa: T201
        raise RuntimeError("a_before fails")


class Migration(migrations.Migration):
    dependencies = [("a_before", "0001_initial")]

    operations = [migrations.RunPython(make_rows, migrations.RunPython.noop)]

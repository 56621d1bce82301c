from __future__ import annotations

import os

from django.db import migrations


def make_rows(apps, schema_editor):
    """Create rows as a data migration does, singly and in bulk."""
    model = apps.get_model("z_after", "Row")
    model.objects.create(name="single")
    model.objects.bulk_create(model(name=str(n)) for n in range(50))
    if os.environ.get("UIDGEN_TEST_PLAN_FAILS") == "z_after":
        print("", *model.objects.values_list("pk", flat=True))  # noqa: T201
        raise RuntimeError("z_after fails")


class Migration(migrations.Migration):
    dependencies = [("z_after", "0001_initial")]

    operations = [migrations.RunPython(make_rows, migrations.RunPython.noop)]

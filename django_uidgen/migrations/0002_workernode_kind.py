from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def set_kinds(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Set the kind of the rows that are not leases of processes.

    The first term of a reserved worker id has no ticks; its other rows are leases of
    backdated UIDs. They are all sealed, so no other process changes them.
    """
    nodes = apps.get_model("django_uidgen", "WorkerNode")._default_manager.using(
        schema_editor.connection.alias
    )
    reserved = nodes.filter(sealed=True, term=1, reserved_until=0)
    for generator, worker_id in list(reserved.values_list("generator", "worker_id")):
        rows = nodes.filter(generator=generator, worker_id=worker_id)
        rows.filter(term=1).update(kind="reserved")
        rows.filter(term__gt=1).update(kind="backdated")


class Migration(migrations.Migration):
    dependencies = [("django_uidgen", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="workernode",
            name="kind",
            field=models.CharField(
                choices=[
                    ("process", "lease of a process"),
                    ("backdated", "lease of backdated UIDs"),
                    ("reserved", "reserves a worker id for backdated UIDs"),
                ],
                db_default="process",
                default="process",
                max_length=9,
                verbose_name="kind",
            ),
        ),
        migrations.RunPython(set_kinds, migrations.RunPython.noop, elidable=True),
    ]

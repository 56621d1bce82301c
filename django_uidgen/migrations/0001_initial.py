from __future__ import annotations

from django.db import migrations, models

from django_uidgen.bootstrap import enter_leases


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="WorkerNode",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "generator",
                    models.CharField(max_length=64, verbose_name="generator"),
                ),
                ("worker_id", models.BigIntegerField(verbose_name="worker id")),
                (
                    "term",
                    models.PositiveIntegerField(
                        help_text="Counts the leases of one worker id: 1, 2, 3 …",
                        verbose_name="term",
                    ),
                ),
                (
                    "reserved_from",
                    models.BigIntegerField(
                        help_text="Tick.", verbose_name="reserved from"
                    ),
                ),
                (
                    "reserved_until",
                    models.BigIntegerField(
                        help_text="Tick, not included.", verbose_name="reserved until"
                    ),
                ),
                (
                    "sealed",
                    models.BooleanField(
                        default=False,
                        help_text="A successor has taken the worker id; this lease is over.",
                        verbose_name="sealed",
                    ),
                ),
                (
                    "released_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When a clean exit released the lease.",
                        null=True,
                        verbose_name="released at",
                    ),
                ),
                (
                    "layout",
                    models.CharField(
                        help_text="Widths, length of a tick, epoch.",
                        max_length=80,
                        verbose_name="layout",
                    ),
                ),
                (
                    "host_name",
                    models.CharField(max_length=255, verbose_name="host name"),
                ),
                ("process_id", models.BigIntegerField(verbose_name="process id")),
                (
                    "node_type",
                    models.PositiveSmallIntegerField(
                        choices=[(1, "container"), (2, "actual machine")],
                        verbose_name="node type",
                    ),
                ),
                ("launched_at", models.DateTimeField(verbose_name="launched at")),
                (
                    "created",
                    models.DateTimeField(auto_now_add=True, verbose_name="created"),
                ),
                (
                    "modified",
                    models.DateTimeField(auto_now=True, verbose_name="modified"),
                ),
            ],
            options={
                "verbose_name": "worker node",
                "verbose_name_plural": "worker nodes",
                "indexes": [
                    models.Index(
                        fields=["generator", "sealed", "worker_id"],
                        name="uidgen_by_worker_id",
                    ),
                    models.Index(
                        fields=["generator", "sealed", "reserved_until"],
                        name="uidgen_by_end",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("generator", "worker_id", "term"),
                        name="uidgen_one_lease_a_term",
                    )
                ],
            },
        ),
        # Bootstrap leases of data migrations that ran before this one.
        migrations.RunPython(enter_leases, migrations.RunPython.noop, elidable=False),
    ]

"""The shop as it was: integer keys, a foreign key, a table between, and a self-join."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

KEY = ("id", models.AutoField(primary_key=True))


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel("Tag", [KEY, ("name", models.CharField(max_length=20))]),
        migrations.CreateModel(
            "Order",
            [
                KEY,
                ("number", models.IntegerField(unique=True)),
                ("created_at", models.DateTimeField()),
                (
                    "replaces",
                    models.ForeignKey(
                        "shop.Order", django.db.models.deletion.SET_NULL, null=True
                    ),
                ),
                ("tags", models.ManyToManyField("shop.Tag")),
            ],
        ),
        migrations.CreateModel(
            "OrderLine",
            [
                KEY,
                (
                    "order",
                    models.ForeignKey("shop.Order", django.db.models.deletion.CASCADE),
                ),
                ("order_number", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            "Note",
            [
                KEY,
                (
                    "order",
                    models.ForeignKey(
                        "shop.Order",
                        django.db.models.deletion.CASCADE,
                        to_field="number",
                    ),
                ),
            ],
        ),
    ]

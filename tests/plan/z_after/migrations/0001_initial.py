from __future__ import annotations

from django.db import migrations, models

import django_uidgen.fields


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Row",
            fields=[
                (
                    "id",
                    django_uidgen.fields.UidAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("name", models.CharField(max_length=20)),
            ],
        ),
    ]

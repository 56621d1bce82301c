from __future__ import annotations

import django.db.models.deletion
import django_uidgen.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Crate",
            fields=[
                (
                    "id",
                    django_uidgen.fields.UidField(primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=50)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    django_uidgen.fields.UidField(primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=50)),
            ],
        ),
        migrations.CreateModel(
            name="Order",
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
                ("name", models.CharField(max_length=50)),
            ],
        ),
        migrations.CreateModel(
            name="Tag",
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
                ("name", models.CharField(max_length=50, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="Ticket",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "number",
                    django_uidgen.fields.UidField(generator="orders", unique=True),
                ),
                ("seat", models.CharField(max_length=50, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="LoudEvent",
            fields=[
                (
                    "event_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="testapp.event",
                    ),
                ),
                ("volume", models.IntegerField(default=11)),
            ],
            bases=("testapp.event",),
        ),
        migrations.CreateModel(
            name="EventNote",
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
                ("text", models.CharField(max_length=50)),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notes",
                        to="testapp.event",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GiftOrder",
            fields=[
                (
                    "order_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="testapp.order",
                    ),
                ),
                ("message", models.CharField(max_length=50)),
            ],
            bases=("testapp.order",),
        ),
        migrations.CreateModel(
            name="Receipt",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="testapp.order",
                    ),
                ),
                ("text", models.CharField(max_length=50)),
            ],
        ),
        migrations.CreateModel(
            name="OrderLine",
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
                ("product", models.CharField(max_length=50)),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="testapp.order",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Parcel",
            fields=[
                (
                    "id",
                    django_uidgen.fields.UidField(primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=50)),
                ("barcode", django_uidgen.fields.UidField(editable=True, unique=True)),
                (
                    "returned_as",
                    django_uidgen.fields.UidField(blank=True, editable=True, null=True),
                ),
                ("posted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "event",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="testapp.event",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="testapp.order",
                    ),
                ),
                (
                    "seen_at",
                    models.ManyToManyField(
                        blank=True, related_name="parcels_seen", to="testapp.event"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                (
                    "id",
                    django_uidgen.fields.UidAutoField(
                        generator="orders", primary_key=True, serialize=False
                    ),
                ),
                (
                    "parcel",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, to="testapp.parcel"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="order",
            name="tags",
            field=models.ManyToManyField(blank=True, to="testapp.tag"),
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                (
                    "id",
                    django_uidgen.fields.UidAutoField(
                        generator="orders", primary_key=True, serialize=False
                    ),
                ),
                ("text", models.CharField(blank=True, max_length=50)),
                (
                    "ticket",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="testapp.ticket",
                        to_field="number",
                    ),
                ),
            ],
        ),
    ]

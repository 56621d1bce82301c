"""A column for the UIDs, empty at first. The table is locked for a moment."""

from __future__ import annotations

from django.db import migrations

from django_uidgen.fields import UidField
from django_uidgen.operations import AddUidField


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        AddUidField("order", "uid", UidField(null=True), backfill=False),
    ]

"""A table of ten rows that get UIDs, and what tests of that share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import models

from django_uidgen.fields import UidField
from django_uidgen.operations import AddUidField
from tests.support.movers import model

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
KEY = ("id", models.AutoField(primary_key=True))
NAME = ("name", models.CharField(max_length=20))
CREATED = ("created_at", models.DateTimeField(null=True))


def uids_of(movers, name="Thing"):
    """Return the UIDs in the order of the key."""
    rows = movers.model(name).objects.order_by("pk")
    return list(rows.values_list("uid", flat=True))


def add(**options):
    field = UidField(unique=True, **options.pop("field", {}))
    return AddUidField("Thing", "uid", field, **options)


def add_empty(**options):
    return AddUidField("Thing", "uid", UidField(null=True), backfill=False, **options)


def make_things(movers):
    """Make a table of ten rows with integer keys, the newest first."""
    movers.forwards(model("Thing", KEY, NAME, CREATED))
    thing = movers.model("Thing")
    thing.objects.bulk_create(
        thing(name=str(number), created_at=NOON - number * HOUR) for number in range(10)
    )
    return movers

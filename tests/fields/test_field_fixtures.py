"""Fixtures and serializers: rows with UID keys, written and read."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.apps import apps
from django.core import serializers
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Max

from django_uidgen import parse
from tests.testapp.models import (
    Crate,
    Event,
    GiftOrder,
    Invoice,
    LoudEvent,
    Order,
    OrderLine,
    Parcel,
    Receipt,
    Seal,
    Tag,
    Ticket,
)

MODELS = [
    Crate,
    Event,
    GiftOrder,
    Invoice,
    LoudEvent,
    Order,
    OrderLine,
    Parcel,
    Receipt,
    Seal,
    Tag,
    Ticket,
]

both_keys = pytest.mark.parametrize("model", [Event, Order])


@pytest.fixture
def load(tmp_path):
    """Return a function that loads objects, as a fixture file says them."""

    def load(*objects):
        path = tmp_path / "objects.json"
        path.write_text(json.dumps(list(objects)))
        call_command("loaddata", str(path), verbosity=0)

    return load


def dump(*options):
    """Return what dumpdata writes of the app of the suite."""
    out = StringIO()
    call_command("dumpdata", "testapp", *options, stdout=out)
    return json.loads(out.getvalue())


def add_rows():
    """Make a row of each model, with its relations."""
    order = Order.objects.create(name="a")
    order.tags.create(name="b")
    OrderLine.objects.create(order=order, product="c")
    Receipt.objects.create(order=order, text="d")
    GiftOrder.objects.create(name="e", message="f").tags.set(Tag.objects.all())
    event = Event.objects.create(name="g")
    LoudEvent.objects.create(name="h")
    ticket = Ticket.objects.create(seat="1")
    Invoice.objects.create(ticket=ticket)
    parcel = Parcel.objects.create(order=order, event=event, returned_as=None)
    parcel.seen_at.add(event)
    Seal.objects.create(parcel=parcel)
    Crate.objects.create()


def contents():
    """Return all rows, and the rows in between."""
    between = [Order.tags.through, Parcel.seen_at.through]
    rows = {
        model._meta.label: list(model.objects.order_by("pk").values())
        for model in MODELS
    }
    return rows | {
        model._meta.label: sorted(
            tuple(row.values())[1:] for row in model.objects.values()
        )
        for model in between
    }


def delete_rows():
    """Delete what add_rows() has made."""
    for model in (Invoice, Ticket, Parcel, Crate, Order, Event, Tag):
        model.objects.all().delete()
    assert dump() == []


@pytest.mark.django_db
@pytest.mark.parametrize("format_", ["json", "jsonl", "xml"])
def test_dumped_and_loaded(tmp_path, format_):
    """Every row comes back with its key, its relations and its other UIDs."""
    add_rows()
    before = contents()
    path = str(tmp_path / f"rows.{format_}")
    call_command("dumpdata", "testapp", format=format_, output=path)
    delete_rows()
    call_command("loaddata", path, verbosity=0)
    assert contents() == before
    assert connection.check_constraints() is None
    # Once more: the rows are there, and are overwritten.
    Order.objects.update(name="changed")
    call_command("loaddata", path, verbosity=0)
    assert contents() == before


@pytest.mark.django_db
def test_rows_after_a_fixture_get_new_keys(load):
    """Nothing has to be reset, and what is numbered by the database goes on."""
    add_rows()
    objects = dump()
    highest = Ticket.objects.aggregate(Max("pk"))["pk__max"]
    delete_rows()
    load(*objects)
    new = [model.objects.create(name="z") for model in (Tag, Crate)]
    assert {row.pk for row in new}.isdisjoint(each["pk"] for each in objects)
    assert Ticket.objects.create(seat="2").pk > highest


@pytest.mark.django_db
@both_keys
def test_keys_are_dumped_as_numbers(model):
    """As Django writes every integer key."""
    row = model.objects.create(name="a")
    [written] = dump()
    assert written["pk"] == row.pk
    assert "id" not in written["fields"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model",
    ["testapp.event", "testapp.order", "testapp.crate"],
)
@pytest.mark.parametrize("without", [{}, {"pk": None}], ids=["absent", "null"])
def test_objects_without_keys_get_them(load, model, without):
    """Each its own, new at every load."""
    objects = [
        {"model": model, "fields": {"name": name}, **without} for name in ("a", "b")
    ]
    load(*objects)
    load(*objects)
    rows = apps.get_model(model).objects.all()
    assert len({row.pk for row in rows}) == 4
    assert all(parse(row.pk) for row in rows)


@pytest.mark.django_db
def test_uid_beside_the_key_that_a_fixture_leaves_out(load):
    """It is minted, as when the object is made by hand."""
    load(
        {"model": "testapp.ticket", "pk": 5, "fields": {"seat": "1"}},
        {"model": "testapp.ticket", "pk": 6, "fields": {"seat": "2", "number": 77}},
    )
    assert parse(Ticket.objects.get(pk=5).number, "orders")
    assert Ticket.objects.get(pk=6).number == 77


@pytest.mark.django_db
def test_keys_given_by_hand(load):
    """Small numbers and strings of digits are taken as they are."""
    for model in (Event, Order):
        label = model._meta.label_lower
        load(
            {"model": label, "pk": 1, "fields": {"name": "a"}},
            {"model": label, "pk": "2", "fields": {"name": "b"}},
        )
        assert list(model.objects.order_by("pk").values_list("pk", flat=True)) == [1, 2]


@pytest.mark.django_db
def test_natural_keys(load):
    """A row of that natural key keeps its UID; a new one gets one."""
    old = Tag.objects.create(name="a")
    order = Order.objects.create()
    order.tags.add(old)
    objects = dump("--natural-primary", "--natural-foreign")
    tag = next(each for each in objects if each["model"] == "testapp.tag")
    assert "pk" not in tag
    load(*objects, {"model": "testapp.tag", "fields": {"name": "b"}})
    assert Tag.objects.get(name="a").pk == old.pk
    assert parse(Tag.objects.get(name="b").pk)
    assert list(order.tags.all()) == [old]

    order.tags.clear()
    Tag.objects.all().delete()
    load(*objects)
    new = Tag.objects.get()
    assert (new.name, new.pk == old.pk) == ("a", False)
    assert list(order.tags.all()) == [new]


@pytest.mark.django_db
@both_keys
@pytest.mark.parametrize("format_", ["python", "json", "jsonl", "xml"])
def test_serializers(model, format_):
    """There and back, without a row in the database."""
    row = model(pk=2**63 - 1, name="a")
    text = serializers.serialize(format_, [row])
    [read] = serializers.deserialize(format_, text)
    assert (read.object.pk, read.object.name) == (row.pk, "a")
    read.save()
    assert model.objects.get() == row


@pytest.mark.django_db
def test_serialized_unsaved_object():
    """A UidField has a key to write, a UidAutoField has none."""
    event, invoice = Event(name="a"), Invoice()
    [with_key, without] = serializers.serialize("python", [event, invoice])
    assert (with_key["pk"], without["pk"]) == (event.pk, None)


# Sequences.


@pytest.mark.django_db
def test_sequence_reset():
    """What sqlsequencereset prints can be run. Only Ticket has something to reset."""
    out = StringIO()
    call_command("sqlsequencereset", "testapp", stdout=out, stderr=StringIO())
    statements = connection.ops.sequence_reset_sql(no_style(), MODELS)
    if connection.vendor != "postgresql":
        assert statements == []
        return
    assert '"testapp_ticket"' in out.getvalue()
    Ticket.objects.create(pk=500, seat="1")
    Order.objects.create(name="a")
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    assert Ticket.objects.create(seat="2").pk == 501
    assert parse(Order.objects.create(name="b").pk)


@pytest.mark.django_db(transaction=True)
def test_flush():
    """All rows go, and sequences start again where there are any."""
    add_rows()
    Ticket.objects.create(seat="2")
    call_command("flush", interactive=False, verbosity=0)
    assert dump() == []
    add_rows()
    assert parse(Order.objects.get(name="a").pk)
    assert Ticket.objects.get().pk == 1

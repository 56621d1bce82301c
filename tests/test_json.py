"""JSON of plain Django."""

from __future__ import annotations

import io
import json
from collections import namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum

import pytest
from django.contrib.auth.models import Permission
from django.db.models import CharField, Count, F, Max, Value
from django.db.models.functions import Length
from django.http import JsonResponse
from django.test.utils import register_lookup
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_uidgen.json import MAX_SAFE_INTEGER, UidJSONEncoder
from tests.testapp.models import (
    Event,
    GiftOrder,
    Invoice,
    Order,
    OrderLine,
    Parcel,
    Receipt,
    Tag,
    Ticket,
)


def written(value):
    """Return what a client reads."""
    return json.loads(json.dumps(value, cls=UidJSONEncoder))


@pytest.fixture
def order(db):
    """An order with a small key, which only its field tells to be a UID."""
    return Order.objects.create(pk=5, name="tea")


# Values that are out of their model.


@pytest.mark.parametrize("sign", [1, -1])
def test_ints_that_javascript_would_change(sign):
    """Are strings, wherever they stand; all others stay numbers."""
    safe, unsafe = sign * MAX_SAFE_INTEGER, sign * (MAX_SAFE_INTEGER + 1)
    assert written(safe) == safe
    assert written(unsafe) == str(unsafe)
    assert written([unsafe, (unsafe, safe)]) == [str(unsafe), [str(unsafe), safe]]
    assert written({"a": {"b": [unsafe]}}) == {"a": {"b": [str(unsafe)]}}
    assert written({unsafe: 1}) == {str(unsafe): 1}


def test_other_values_are_as_django_writes_them():
    """Bools, floats, texts, moments and the rest."""
    point = namedtuple("Point", "x y")(1, 2**60)  # noqa: PYI024
    big = IntEnum("Big", {"UID": 2**60})
    assert written([True, None, 1.5, "7", Decimal("1.5"), 1e300]) == [
        *[True, None, 1.5, "7", "1.5", 1e300]
    ]
    assert written(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
    assert written(gettext_lazy("yes")) == "yes"
    assert written(point) == [1, str(2**60)]
    assert written(big.UID) == str(2**60)
    with pytest.raises(TypeError, match="not JSON serializable"):
        written(object())


def test_all_ways_to_write():
    """To a file as well, with indents, with the keys in order."""
    file = io.StringIO()
    json.dump({"b": 2**60, "a": 1}, file, cls=UidJSONEncoder, sort_keys=True, indent=1)
    assert file.getvalue() == f'{{\n "a": 1,\n "b": "{2**60}"\n}}'


# Instances.


def test_an_instance(order):
    """Its columns; keys and foreign keys are strings, however small."""
    line = OrderLine.objects.create(pk=7, order=order, product="cup")
    assert written(line) == {"id": "7", "order_id": "5", "product": "cup"}
    assert written({"order": order}) == {"order": {"id": "5", "name": "tea"}}


@pytest.mark.django_db
def test_instances_of_every_shape(order):
    """A key that is a relation, a child, a key of another column, null, plain keys."""
    assert written(Receipt(order=order, text="t")) == {"order_id": "5", "text": "t"}
    gift = GiftOrder.objects.create(pk=6, name="n", message="m")
    assert written(gift) == {
        "id": "6",
        "name": "n",
        "order_ptr_id": "6",
        "message": "m",
    }
    ticket = Ticket.objects.create(number=8, seat="A1")
    assert written(ticket) == {"id": ticket.pk, "number": "8", "seat": "A1"}
    invoice = Invoice.objects.create(pk=9, ticket=ticket)
    assert written(invoice) == {"id": "9", "ticket_id": "8", "text": ""}
    assert written(Invoice()) == {"id": None, "ticket_id": None, "text": ""}
    permission = written(Permission.objects.first())
    assert type(permission["id"]) is type(permission["content_type_id"]) is int


def test_columns_that_were_not_loaded(order, django_assert_num_queries):
    """Are left out: writing asks the database for nothing."""
    row = Order.objects.only("id").get()
    with django_assert_num_queries(0):
        assert written(row) == {"id": "5"}


def test_a_response(order):
    """The encoder of JsonResponse."""
    response = JsonResponse({"orders": Order.objects.all()}, encoder=UidJSONEncoder)
    assert json.loads(response.content) == {"orders": [{"id": "5", "name": "tea"}]}


# Querysets.


def test_a_queryset_of_models(order, django_assert_num_queries):
    """A list of objects, for one query."""
    with django_assert_num_queries(1):
        assert written([Order.objects.all()]) == [[{"id": "5", "name": "tea"}]]
    assert written(Order.objects.none()) == []


@pytest.fixture
def rows(order):
    """A line of the order, and a tag."""
    OrderLine.objects.create(pk=7, order=order, product="cup")
    order.tags.add(Tag.objects.create(pk=8, name="hot"))
    Receipt.objects.create(order=order, text="paid")


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (OrderLine, "id", "7"),
        (OrderLine, "pk", "7"),
        (OrderLine, "order", "5"),
        (OrderLine, "order_id", "5"),
        (OrderLine, "order__id", "5"),
        (OrderLine, "order__pk", "5"),
        (OrderLine, "order__lines", "7"),
        (OrderLine, "order__receipt__order", "5"),
        (OrderLine, "order__name", "tea"),
        (OrderLine, "product__length", 3),
        (Order, "lines", "7"),
        (Order, "lines__order", "5"),
        (Order, "tags", "8"),
        (Order, "tags__pk", "8"),
        (Order, "receipt", "5"),
        (Tag, "order", "5"),
    ],
)
def test_values(rows, model, name, value):
    """``values()`` and ``values_list()``: the columns are found by their paths."""
    with register_lookup(CharField, Length):
        rows = model.objects.all()
        assert written(rows.values(name)) == [{name: value}]
        assert written(rows.values_list(name)) == [[value]]
        assert written(rows.values_list(name, flat=True)) == [value]
        assert written(rows.values_list(name, named=True)) == [[value]]


def test_values_of_all_columns(order):
    """With no name given."""
    assert written(Order.objects.values()) == [{"id": "5", "name": "tea"}]
    assert written(Order.objects.values_list()) == [["5", "tea"]]


def test_values_that_are_worked_out(rows):
    """By the field of the expression, in the order that was asked for."""
    orders = Order.objects.annotate(lines_=Count("lines"), last=Max("lines__id"))
    row = orders.values("lines_", "last", key=F("id"), three=Value(3))
    assert written(row) == [{"key": "5", "three": 3, "lines_": 1, "last": "7"}]
    assert written(orders.values_list("last", "lines_", "id", F("pk"))) == [
        ["7", 1, "5", "5"]
    ]
    assert written(orders.values_list(F("pk"), flat=True)) == ["5"]
    assert written(orders)[0] == {"id": "5", "name": "tea"}


@pytest.mark.django_db
def test_values_that_are_null():
    """Are null."""
    Parcel.objects.create(name="p", returned_as=None)
    names = ["order", "event__id", "returned_as"]
    assert written(Parcel.objects.values_list(*names)) == [[None, None, None]]


def test_values_of_extra_columns(order):
    """Nothing is known of them."""
    orders = Order.objects.extra(select={"one": "1"})
    assert written(orders.values("one", "id")) == [{"one": 1, "id": "5"}]
    assert written(orders.values_list("id", "one")) == [["5", 1]]


@pytest.mark.django_db
def test_dates_and_unions():
    """Other kinds of querysets."""
    Parcel.objects.create(name="p", posted_at=datetime(2026, 5, 1, tzinfo=UTC))
    # Of any other zone MariaDB has to have tables.
    with timezone.override(UTC):
        assert written(Parcel.objects.dates("posted_at", "year")) == ["2026-01-01"]
    events = [Event.objects.create(pk=pk, name="e") for pk in (3, 4)]
    both = Event.objects.filter(pk=3).union(Event.objects.filter(pk=4))
    assert written(both.order_by("pk")) == [
        {"id": str(event.pk), "name": "e"} for event in events
    ]
    assert written(both.values_list("id", flat=True).order_by("id")) == ["3", "4"]


@pytest.mark.django_db
def test_other_large_ints_of_rows():
    """Are strings as well, as JavaScript would change them."""
    ticket = Ticket.objects.create(pk=2**60, number=8, seat="A1")
    assert written(ticket)["id"] == str(2**60)
    assert written(Ticket.objects.values_list("id", flat=True)) == [str(2**60)]

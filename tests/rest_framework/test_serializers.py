"""Serializers made from models: every key that is a UID is a string, both ways."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.test import APIRequestFactory

from django_uidgen.rest_framework.fields import (
    UID_RULE,
    UidField,
    UidPrimaryKeyRelatedField,
    UidSlugRelatedField,
)
from django_uidgen.rest_framework.serializers import (
    UidModelSerializer,
    UidModelSerializerMixin,
)
from tests.testapp.models import (
    Event,
    EventNote,
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

pytestmark = pytest.mark.django_db

NO_UIDS = [
    True,
    False,
    1.0,
    1.5,
    float("nan"),
    -1,
    -(2**63),
    "007",
    "00",
    "+1",
    "-1",
    "-0",
    "1.0",
    "1e3",
    "0x1f",
    "1_000",
    " 1",
    "1 ",
    "1\n",
    "abc",
    "٣",
    "²",
    "9" * 20,
    "9" * 10_000,
    b"1",
    [],
    [1],
    {},
    {"id": 1},
]


def serializer_of(model_, fields_="__all__", base=UidModelSerializer, **options):
    """Return a serializer class of a model."""
    meta = type("Meta", (), {"model": model_, "fields": fields_, **options})
    return type(f"{model_.__name__}Serializer", (base,), {"Meta": meta})


def shown(instance, fields_="__all__", **options):
    """Return what a client of JSON reads."""
    context = options.pop("context", {})
    serializer = serializer_of(type(instance), fields_, **options)
    rendered = JSONRenderer().render(serializer(instance, context=context).data)
    return json.loads(rendered)


def taken(model, fields, **data):
    """Return the row that a request makes."""
    serializer = serializer_of(model, list(fields))(data=data)
    serializer.is_valid(raise_exception=True)
    return serializer.save()


@pytest.fixture
def order():
    return Order.objects.create(name="tea")


@pytest.fixture
def ticket():
    return Ticket.objects.create(seat="A1")


# The field.


@pytest.mark.parametrize("uid", [0, 1, 2**53 + 1, 2**63 - 1])
def test_a_uid_is_taken_as_text_and_as_int(uid):
    """Both are the same UID; it is given as text."""
    assert UidField().run_validation(str(uid)) == uid
    assert UidField().run_validation(uid) == uid
    assert UidField().to_representation(uid) == str(uid)


@pytest.mark.parametrize("data", NO_UIDS, ids=lambda data: repr(data)[:12])
def test_what_is_no_uid(data):
    """One message, that says what a UID is."""
    with pytest.raises(serializers.ValidationError) as caught:
        UidField().run_validation(data)
    assert caught.value.detail == [UID_RULE]
    assert caught.value.get_codes() == ["invalid"]


@pytest.mark.parametrize("data", [2**63, str(2**63), "9" * 19, 10**4000])
def test_more_than_63_bits(data):
    """No column holds it."""
    with pytest.raises(serializers.ValidationError) as caught:
        UidField().run_validation(data)
    assert caught.value.get_codes() == ["max_value"]
    assert "63 bits" in caught.value.detail[0]


def test_a_list_of_uids():
    """In a ListField, as in any other."""
    field = serializers.ListField(child=UidField())
    assert field.run_validation(["5", 6]) == [5, 6]
    assert field.to_representation([5, 2**62]) == ["5", str(2**62)]
    with pytest.raises(serializers.ValidationError) as caught:
        field.run_validation(["5", "x"])
    assert caught.value.detail == {1: [UID_RULE]}


def test_null():
    """Where it is allowed."""
    assert UidField(allow_null=True).run_validation(None) is None
    with pytest.raises(serializers.ValidationError):
        UidField().run_validation(None)


# Keys and columns.


def test_keys_of_both_fields(order):
    """Strings; they cannot be set by a client."""
    event = Event.objects.create(name="fair")
    assert shown(order, ["id", "name"]) == {"id": str(order.pk), "name": "tea"}
    assert shown(event) == {"id": str(event.pk), "name": "fair"}
    made = taken(Order, ["id", "name"], id="5", name="milk")
    assert made.pk != 5


def test_other_columns_of_uids():
    """Editable ones are taken as well, and null is null."""
    parcel = Parcel.objects.create(name="p", returned_as=None)
    answer = shown(parcel, ["barcode", "returned_as"])
    assert answer == {"barcode": str(parcel.barcode), "returned_as": None}
    made = taken(
        Parcel,
        ["name", "barcode", "returned_as"],
        name="q",
        barcode="7",
        returned_as=None,
    )
    assert (made.barcode, made.returned_as) == (7, None)
    made = taken(Parcel, ["name", "returned_as"], name="q", returned_as=str(2**63 - 1))
    assert made.returned_as == 2**63 - 1


def test_a_unique_column():
    """The validators of the column stay."""
    Parcel.objects.create(name="p", barcode=7)
    serializer = serializer_of(Parcel, ["name", "barcode"])(
        data={"name": "q", "barcode": "7"}
    )
    assert not serializer.is_valid()
    assert serializer.errors["barcode"][0].code == "unique"


def test_a_plain_key_beside_a_uid(ticket):
    """Integers that are no UIDs stay numbers."""
    assert shown(ticket) == {
        "id": ticket.pk,
        "number": str(ticket.number),
        "seat": "A1",
    }


def test_choices_are_left_alone():
    """As REST framework has them."""
    column = Parcel._meta.get_field("barcode").clone()
    column.choices = [(1, "one")]
    column.set_attributes_from_name("barcode")
    column.model = Parcel
    field_class, _ = UidModelSerializer().build_standard_field("barcode", column)
    assert field_class is serializers.ChoiceField


@pytest.mark.parametrize("name", ["pk", "order_id"])
def test_names_that_are_no_fields(order, name):
    """``pk`` and the attribute of a foreign key."""
    line = OrderLine.objects.create(order=order, product="cup")
    assert shown(line, [name]) == {name: str(getattr(line, name))}


def test_other_attributes(ticket):
    """Are as REST framework has them."""
    assert shown(ticket, ["pk", "natural"], base=WithNatural) == {
        "pk": ticket.pk,
        "natural": "A1",
    }
    assert shown(ticket, ["__str__"]) == {"__str__": "A1"}


class WithNatural(UidModelSerializer):
    """A serializer with a field of its own."""

    natural = serializers.CharField(source="seat")


def test_a_name_that_is_nothing():
    """Is refused, as by REST framework."""
    with pytest.raises(Exception, match="not valid for model"):
        serializer_of(Order, ["nope"])().fields["nope"]


# Relations.


def test_a_foreign_key(order):
    """A string, by which the row is found again; an int will do."""
    line = OrderLine.objects.create(order=order, product="cup")
    assert shown(line)["order"] == str(order.pk)
    for key in (str(order.pk), order.pk):
        assert taken(OrderLine, ["order", "product"], order=key, product="x").order == (
            order
        )


@pytest.mark.parametrize("key", [*NO_UIDS, 2**63, "9" * 19])
def test_a_foreign_key_that_is_no_uid(key):
    """The same message as of the field."""
    serializer = serializer_of(OrderLine, ["order"])(data={"order": key})
    assert not serializer.is_valid()
    (error,) = serializer.errors["order"]
    assert error.code in {"invalid", "max_value"}
    assert "UID" in error


@pytest.mark.parametrize("key", ["0", "5", str(2**63 - 1)])
def test_a_foreign_key_of_no_row(key):
    """Said so, on every database."""
    serializer = serializer_of(OrderLine, ["order"])(data={"order": key})
    assert not serializer.is_valid()
    (error,) = serializer.errors["order"]
    assert error.code == "does_not_exist"


def test_null_foreign_keys():
    """Null both ways."""
    parcel = Parcel.objects.create(name="p")
    assert shown(parcel, ["order", "event"]) == {"order": None, "event": None}
    made = taken(Parcel, ["name", "order"], name="q", order=None)
    assert made.order is None
    invoice = Invoice.objects.create()
    assert shown(invoice, ["ticket"]) == {"ticket": None}


def test_a_foreign_key_to_a_column(ticket):
    """By the UID that it holds, not by the key of the other row."""
    invoice = Invoice.objects.create(ticket=ticket)
    assert shown(invoice)["ticket"] == str(ticket.number)
    assert shown(invoice, ["ticket_id"]) == {"ticket_id": str(ticket.number)}
    made = taken(Invoice, ["ticket"], ticket=str(ticket.number))
    assert made.ticket == ticket
    serializer = serializer_of(Invoice, ["ticket"])(data={"ticket": "007"})
    assert not serializer.is_valid()
    assert serializer.errors["ticket"] == [UID_RULE]


def test_a_key_that_is_a_relation(order):
    """Receipt.order is the key of its row, and that of another."""
    receipt = Receipt.objects.create(order=order, text="paid")
    for name in ("order", "order_id", "pk"):
        assert shown(receipt, [name]) == {name: str(order.pk)}
    other = Order.objects.create(name="milk")
    made = taken(Receipt, ["order", "text"], order=str(other.pk), text="paid")
    assert made.pk == other.pk
    serializer = serializer_of(Receipt, ["order"])(data={"order": 1.0})
    assert not serializer.is_valid()
    assert serializer.errors["order"] == [UID_RULE]


@pytest.mark.parametrize("model", [GiftOrder, LoudEvent])
def test_the_key_of_a_child(model):
    """It is the key of the parent."""
    child = model.objects.create(name="n")
    assert shown(child)["id"] == str(child.pk)
    for name in ("pk", model._meta.pk.attname):
        assert shown(child, [name]) == {name: str(child.pk)}


def test_many_to_many():
    """Lists of strings, both ways; bad ones are refused."""
    tags = [Tag.objects.create(name=name) for name in "ab"]
    keys = sorted(str(tag.pk) for tag in tags)
    made = taken(Order, ["name", "tags"], name="tea", tags=[keys[0], int(keys[1])])
    assert sorted(shown(made, ["tags"])["tags"]) == keys
    serializer = serializer_of(Order, ["name", "tags"])(
        data={"name": "tea", "tags": [keys[0], "007"]}
    )
    assert not serializer.is_valid()
    assert serializer.errors["tags"] == [UID_RULE]


def test_a_through_table(order):
    """Its rows have keys, and two foreign keys."""
    tag = Tag.objects.create(name="a")
    order.tags.add(tag)
    row = Order.tags.through.objects.get()
    assert shown(row) == {
        "id": str(row.pk),
        "order": str(order.pk),
        "tag": str(tag.pk),
    }


def test_reverse_relations(order, ticket):
    """One and many, and of a foreign key to a column."""
    lines = [OrderLine.objects.create(order=order, product=p) for p in "ab"]
    Receipt.objects.create(order=order, text="paid")
    tag = Tag.objects.create(name="a")
    order.tags.add(tag)
    answer = shown(order, ["lines", "receipt"])
    assert sorted(answer["lines"]) == sorted(str(line.pk) for line in lines)
    assert answer["receipt"] == str(order.pk)
    assert shown(tag, ["order_set"]) == {"order_set": [str(order.pk)]}
    invoice = Invoice.objects.create(ticket=ticket)
    assert shown(ticket, ["invoice_set"]) == {"invoice_set": [str(invoice.pk)]}


def test_a_relation_to_a_plain_key(ticket):
    """Stays a number, and takes what REST framework takes."""
    user_of_tickets = serializer_of(Invoice, ["ticket"])
    field = serializers.PrimaryKeyRelatedField(queryset=Ticket.objects.all())
    assert field.to_representation(ticket) == ticket.pk
    assert "ticket" in user_of_tickets().fields
    answer = shown(Permission.objects.first(), ["id", "content_type"])
    assert all(type(value) is int for value in answer.values())


def test_a_foreign_key_to_a_text():
    """A to_field that is no UID is left alone."""
    with isolate_apps("tests.testapp"):

        class Seat(models.Model):  # noqa: DJ008
            code = models.CharField(max_length=9, unique=True)

            class Meta:
                app_label = "testapp"

        class Guest(models.Model):  # noqa: DJ008
            seat = models.ForeignKey(Seat, models.CASCADE, to_field="code")

            class Meta:
                app_label = "testapp"

        field = serializer_of(Guest, ["seat"])().fields["seat"]
    assert type(field) is serializers.SlugRelatedField


def test_relations_declared_by_hand(ticket, order):
    """With the fields of ours."""
    by_key = UidPrimaryKeyRelatedField(queryset=Order.objects.all(), many=True)
    assert by_key.run_validation([str(order.pk)]) == [order]
    assert by_key.to_representation([order]) == [str(order.pk)]
    by_number = UidSlugRelatedField("number", queryset=Ticket.objects.all())
    assert by_number.run_validation(str(ticket.number)) == ticket
    assert by_number.to_representation(ticket) == str(ticket.number)
    for key in (True, "007", 2**63):
        with pytest.raises(serializers.ValidationError):
            by_number.run_validation(key)
    returned = UidSlugRelatedField("returned_as", queryset=Parcel.objects.all())
    assert returned.to_representation(Parcel(returned_as=None)) is None


# Nested.


def test_nested_serializers():
    """Of the same kind, as deep as they go."""
    order = Order.objects.create(name="tea")
    parcel = Parcel.objects.create(name="p", order=order)
    parcel.seen_at.add(event := Event.objects.create(name="fair"))
    seal = Seal.objects.create(parcel=parcel)
    tag = Tag.objects.create(name="a")
    order.tags.add(tag)
    answer = shown(seal, depth=3)
    assert answer["id"] == str(seal.pk)
    assert answer["parcel"]["id"] == str(parcel.pk)
    assert answer["parcel"]["barcode"] == str(parcel.barcode)
    assert answer["parcel"]["seen_at"] == [{"id": str(event.pk), "name": "fair"}]
    assert answer["parcel"]["order"]["id"] == str(order.pk)
    assert answer["parcel"]["order"]["tags"] == [{"id": str(tag.pk), "name": "a"}]
    assert answer["parcel"]["event"] is None
    nested = serializer_of(Seal, depth=1)().fields["parcel"]
    assert isinstance(nested, UidModelSerializerMixin)
    assert type(nested).__name__ == "NestedParcelSerializer"


def test_many_rows():
    """``many=True``."""
    orders = [Order.objects.create(name=name) for name in "ab"]
    answer = serializer_of(Order, ["id"])(orders, many=True).data
    assert [row["id"] for row in answer] == [str(order.pk) for order in orders]


class Linked(UidModelSerializerMixin, serializers.HyperlinkedModelSerializer):
    """Relations are addresses, columns of UIDs are strings."""


def test_hyperlinks(settings):
    """An address holds the digits; nested rows have one, too."""
    settings.ROOT_URLCONF = "tests.rest_framework.urls"
    event = Event.objects.create(name="fair")
    note = EventNote.objects.create(event=event, text="t")
    context = {"request": APIRequestFactory().get("/")}
    options = {"base": Linked, "context": context}
    answer = shown(note, ["id", "url", "event", "event_id"], **options)
    assert answer == {
        "id": str(note.pk),
        "url": f"http://testserver/notes/{note.pk}/",
        "event": f"http://testserver/events/{event.pk}/",
        "event_id": str(event.pk),
    }
    nested = shown(note, ["event"], depth=1, **options)["event"]
    assert nested == {"url": f"http://testserver/events/{event.pk}/", "name": "fair"}
    serializer = serializer_of(EventNote, ["event", "text"], Linked)(
        data={"event": answer["event"], "text": "x"}, context=context
    )
    assert serializer.is_valid(), serializer.errors


# The setting of REST framework.


@pytest.mark.parametrize("coerce", [True, False])
def test_with_the_setting_for_big_integers(ticket, coerce):
    """UIDs are strings with both values; plain integers are as the setting has them."""
    column = serializers.ModelSerializer.serializer_field_mapping
    with override_settings(REST_FRAMEWORK={"COERCE_BIGINT_TO_STRING": coerce}):
        invoice = Invoice.objects.create(ticket=ticket)
        answer = shown(ticket)
        assert answer["number"] == str(ticket.number)
        assert shown(invoice)["ticket"] == str(ticket.number)
        assert shown(invoice)["id"] == str(invoice.pk)
        known = any(field.__name__ == "BigIntegerField" for field in column.values())
        assert answer["id"] == (str(ticket.pk) if coerce and known else ticket.pk)


# Addresses.


@pytest.fixture
def visit(client, settings):
    """Return a function that gets an address of the view sets."""
    settings.ROOT_URLCONF = "tests.rest_framework.urls"
    return client.get


def test_a_row_by_its_uid(visit):
    """The address that the answer names."""
    event = Event.objects.create(name="fair")
    response = visit(f"/events/{event.pk}/")
    assert response.status_code == 200
    assert response.json() == {"id": str(event.pk), "name": "fair"}


@pytest.mark.parametrize(
    "key", ["007", "+1", "-1", "1.0", "abc", "%D9%A3", "9" * 20, "9" * 19, "5"]
)
def test_addresses_of_no_row(visit, key):
    """404, whatever stands there: a UID has one address only."""
    Event.objects.create(pk=7, name="fair")
    assert visit(f"/events/{key}/").status_code == 404

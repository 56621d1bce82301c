"""OpenAPI, as drf-spectacular writes it of the example project and of our endpoints."""

from __future__ import annotations

import re

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework import serializers
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ModelViewSet

from django_uidgen.rest_framework.fields import (
    UidField,
    UidSlugRelatedField,
    uid_schema,
)
from django_uidgen.rest_framework.serializers import UidModelSerializer
from tests.testapp.models import Invoice, OrderLine, Ticket

UID = {
    "type": "string",
    "format": "int64",
    "pattern": "^(0|[1-9][0-9]{0,18})$",
    "maxLength": 19,
}


@pytest.fixture
def schema(capsys):
    """The schema of the example project; it is valid, and made without a warning."""
    made = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(made)
    assert capsys.readouterr().err == ""
    return made


def properties(schema, name):
    return {
        field: {key: value for key, value in of.items() if key != "readOnly"}
        for field, of in schema["components"]["schemas"][name]["properties"].items()
    }


def parameters(schema, path, method="get"):
    listed = schema["paths"][path][method]["parameters"]
    return {parameter["name"]: parameter["schema"] for parameter in listed}


def test_keys_and_relations(schema):
    """Strings of digits; lists of them for the many."""
    session = properties(schema, "PublishSessionRow")
    for name in ("id", "connection", "stream"):
        assert session[name] == UID
    stream = properties(schema, "StreamRow")
    assert stream["publish_sessions"] == {"type": "array", "items": UID}
    assert schema["components"]["schemas"]["StreamRow"]["properties"]["id"]["readOnly"]


def test_nested_serializers(schema):
    """Have names of their own."""
    nested = properties(schema, "NestedPublishSession")
    assert nested["id"] == UID
    assert "NestedStream" in str(nested["stream"])
    assert properties(schema, "NestedStream")["id"] == UID


def test_parameters(schema):
    """Of addresses and of filters."""
    path = "/api/publish-sessions/"
    assert parameters(schema, f"{path}{{id}}/") == {"id": UID} | {
        "id": {"type": "string", "pattern": "^(?:0|[1-9][0-9]{0,18})$"}
    }
    listed = parameters(schema, path)
    assert listed["id"] == listed["stream"] == UID
    moment = {"type": "string", "format": "date-time"}
    assert listed["minted_after"] == listed["minted_before"] == moment
    assert listed["page_size"] == {"type": "integer"}


def test_our_endpoints(schema):
    """What is taken and what is answered, errors too."""
    mint = schema["paths"]["/api/uids/"]["post"]
    assert {"201", "400", "401", "403", "429", "503"} <= set(mint["responses"])
    assert properties(schema, "MintRequest") == {
        "count": {"type": "integer", "minimum": 1, "maximum": 1000},
        "generator": {
            "type": "string",
            "enum": ["default", "orders"],
            "default": "default",
            "minLength": 1,
        },
    }
    minted = properties(schema, "MintedUids")
    assert minted["uids"] == {"type": "array", "items": UID}
    read = parameters(schema, "/api/uids/{uid}/")
    assert read["uid"] == UID
    assert read["generator"]["enum"] == ["default", "orders"]
    assert properties(schema, "ParsedUid")["uid"] == UID
    workers = parameters(schema, "/api/workers/")
    assert set(workers) == {"generator", "state", "page", "page_size"}


class PlainSerializer(serializers.ModelSerializer):
    """A serializer of REST framework: its keys are numbers."""

    class Meta:
        """A key and a foreign key."""

        model = OrderLine
        fields = ["id", "order"]


class TicketInvoiceSerializer(UidModelSerializer):
    """A foreign key to a column, and fields that are declared."""

    again = UidSlugRelatedField("number", source="ticket", read_only=True)
    many = serializers.ListField(child=UidField(allow_null=True))

    class Meta:
        """All, and the field of no field."""

        model = Invoice
        fields = ["id", "ticket", "ticket_id", "again", "many"]


class PlainViewSet(ModelViewSet):
    """Found by the default pattern."""

    queryset = OrderLine.objects.all()
    serializer_class = PlainSerializer


class InvoiceViewSet(ModelViewSet):
    """With serializers of ours."""

    queryset = Invoice.objects.all()
    serializer_class = TicketInvoiceSerializer


class TicketViewSet(ModelViewSet):
    """Found by a column of UIDs; the key is a plain integer."""

    queryset = Ticket.objects.all()
    lookup_field = "number"
    serializer_class = type(
        "TicketSerializer",
        (UidModelSerializer,),
        {"Meta": type("Meta", (), {"model": Ticket, "fields": "__all__"})},
    )


class SeatViewSet(TicketViewSet):
    """Found by the key."""

    lookup_field = "pk"


@pytest.fixture
def views(capsys):
    """The schema of the views above."""
    router = SimpleRouter()
    router.register("plain", PlainViewSet, basename="plain")
    router.register("invoices", InvoiceViewSet, basename="invoice")
    router.register("tickets", TicketViewSet, basename="ticket")
    router.register("seats", SeatViewSet, basename="seat")
    made = SchemaGenerator(patterns=router.urls).get_schema(public=True)
    validate_schema(made)
    assert capsys.readouterr().err == ""
    return made


def test_addresses_without_a_pattern(views):
    """The type is that of the column, whatever the serializer makes of it."""
    assert parameters(views, "/plain/{id}/") == {"id": UID}
    assert parameters(views, "/invoices/{id}/") == {"id": UID}
    assert parameters(views, "/tickets/{number}/") == {"number": UID}
    assert parameters(views, "/seats/{id}/")["id"]["type"] == "integer"


def test_bodies_are_what_the_serializers_make(views):
    """A plain one gives numbers, and its schema says so."""
    assert properties(views, "Plain")["id"]["type"] == "integer"
    assert properties(views, "Plain")["order"]["type"] == "integer"
    assert properties(views, "Ticket")["id"]["type"] == "integer"
    assert properties(views, "Ticket")["number"] == UID
    invoice = properties(views, "TicketInvoice")
    assert invoice["ticket"] == {**UID, "nullable": True}
    assert invoice["id"] == invoice["ticket_id"] == invoice["again"] == UID
    assert invoice["many"] == {"type": "array", "items": {**UID, "nullable": True}}


def test_the_pattern_is_that_of_the_field():
    """What the schema allows the field takes, and what it does not is refused."""
    assert uid_schema() == UID
    pattern = re.compile(UID["pattern"], re.ASCII)
    for text in ("0", "1", "10", "9223372036854775807"):
        assert pattern.search(text)
        assert UidField().run_validation(text) == int(text)
    for text in ("", "00", "007", "-1", "+1", "1.0", " 1", "9" * 20, "٣"):
        assert not pattern.search(text)
        with pytest.raises(serializers.ValidationError):
            UidField().run_validation(text)

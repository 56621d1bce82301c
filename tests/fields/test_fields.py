"""The fields themselves: made, copied, written to migrations, checked, in forms."""

from __future__ import annotations

import copy
import pickle

import pytest
from django.core import checks
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, models
from django.db.migrations.writer import MigrationWriter
from django.forms import modelform_factory
from django.test.utils import isolate_apps

from django_uidgen import parse
from django_uidgen.fields import UidAutoField, UidField
from tests.support.columns import BIGINT, of_field
from tests.testapp.models import (
    Crate,
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
    Ticket,
)


def model_with(**fields):
    """Make a model with these fields; the test isolates the app registry."""
    meta = type("Meta", (), {"app_label": "testapp"})
    return type(
        "Bill", (models.Model,), {"__module__": __name__, "Meta": meta} | fields
    )


both_fields = pytest.mark.parametrize("field_class", [UidField, UidAutoField])


class HouseField(UidField):
    """A project's own field."""


class HouseAutoField(UidAutoField):
    """A project's own key."""


# Objects that are never saved. None of these tests may use a database.


def test_uid_field_has_its_value_at_once():
    """As a UUIDField with a default; each object has its own."""
    first, second = Event(), Event()
    assert type(first.pk) is int
    assert first.pk == first.id
    assert first.pk < second.pk
    assert parse(first.pk).worker_id == 0


def test_uid_auto_field_is_none_until_saved():
    """Code asks `if self.pk is None` to know a new object."""
    order = Order(name="a")
    assert order.pk is None
    assert order._state.adding


@pytest.mark.parametrize("model", [Event, Order])
def test_value_given_is_kept(model):
    """Nothing is minted over it."""
    assert model(pk=5).pk == 5
    assert model(id=6).pk == 6


def test_none_given_is_kept():
    """As with every default: it fills only what is not given."""
    assert Event(id=None).pk is None
    assert Parcel(returned_as=None).returned_as is None


def test_null_field_is_filled_all_the_same():
    """It has a default, and NULL is only allowed."""
    assert parse(Parcel().returned_as)


def test_column_beside_the_key_has_its_value_at_once():
    """The key of the model is the database's."""
    ticket = Ticket()
    assert ticket.pk is None
    assert parse(ticket.number, "orders")


def test_abstract_parent_hands_its_field_down():
    """Each child has its own copy of the field, in both ways."""
    parcel, crate = Parcel(), Crate()
    assert parcel.pk != crate.pk
    assert Parcel._meta.pk is not Crate._meta.pk
    assert Parcel._meta.pk.model is Parcel
    assert Seal(parcel=parcel).pk is None


def test_child_table_has_the_uid_of_its_parent_before_its_own_key():
    """The key of a child table is a link, which Django sets when it is saved."""
    event = LoudEvent()
    assert parse(event.id)
    assert event.pk is None
    gift = GiftOrder()
    assert (gift.id, gift.pk) == (None, None)


def test_generator_of_a_field(settings):
    """Each field mints with the generator it names."""
    settings.UIDGEN = {
        "default": {"TEST": {"WORKER_ID": 1}},
        "orders": {"TEST": {"WORKER_ID": 2}},
    }
    assert parse(Event().pk).worker_id == 1
    assert parse(Ticket().number, "orders").worker_id == 2
    assert parse(Seal._meta.pk.mint(), "orders").worker_id == 2


def test_changed_setting_reaches_the_fields(settings):
    """They hold the alias, not the generator."""
    for worker_id in (7, 8):
        settings.UIDGEN = {
            "default": {"TEST": {"WORKER_ID": worker_id}},
            "orders": {"TEST": {"WORKER_ID": worker_id + 10}},
        }
        assert parse(Event().pk).worker_id == worker_id
        assert parse(Ticket().number, "orders").worker_id == worker_id + 10


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda instance: pickle.loads(pickle.dumps(instance))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("model", [Event, Order, Ticket, LoudEvent])
def test_copied_object_has_the_same_values(model, copied):
    """A copy mints nothing."""
    instance = model()
    twin = copied(instance)
    assert twin is not instance
    names = [field.attname for field in instance._meta.concrete_fields]
    assert [getattr(twin, name) for name in names] == [
        getattr(instance, name) for name in names
    ]


# The fields as objects.


@both_fields
@pytest.mark.parametrize("option", ["default", "db_default"])
def test_default_is_refused(field_class, option):
    """A default of one's own would be dropped from migrations, unseen."""
    with pytest.raises(TypeError, match=f"^A {field_class.__name__} takes no default"):
        field_class(**{option: None})


def test_uid_field_is_not_editable_unless_told():
    """It is minted, not typed in."""
    assert not UidField().editable
    assert UidField(editable=True).editable


@both_fields
def test_neither_field_is_returned_by_the_database(field_class):
    """The value is known before the INSERT."""
    assert field_class().db_returning is False
    assert field_class().get_internal_type() == "BigIntegerField"


def test_uid_auto_field_is_an_auto_field():
    """Django and others ask for it by `isinstance`."""
    assert issubclass(UidAutoField, models.AutoField)
    assert isinstance(Order._meta.pk, models.AutoField)
    assert Order._meta.auto_field is Order._meta.pk


DECONSTRUCTED = [
    (UidField(), "UidField", {}),
    (UidField(editable=False), "UidField", {}),
    (UidField(editable=True), "UidField", {"editable": True}),
    (UidField(generator="default"), "UidField", {}),
    (UidField(generator="orders"), "UidField", {"generator": "orders"}),
    (UidField("word", null=True), "UidField", {"verbose_name": "word", "null": True}),
    (UidField(primary_key=True), "UidField", {"primary_key": True}),
    (UidAutoField(primary_key=True), "UidAutoField", {"primary_key": True}),
    (
        UidAutoField(primary_key=True, generator="orders"),
        "UidAutoField",
        {"primary_key": True, "generator": "orders"},
    ),
]


@pytest.mark.parametrize(("field", "name", "options"), DECONSTRUCTED)
def test_deconstruct(field, name, options):
    """The path is the public one, with no default and nothing that is usual."""
    assert field.deconstruct() == (None, f"django_uidgen.fields.{name}", [], options)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (HouseField(generator="orders"), "HouseField"),
        (HouseAutoField(primary_key=True, generator="orders"), "HouseAutoField"),
    ],
)
def test_deconstruct_of_a_subclass(field, name):
    """It has the path of its own module."""
    _, path, _, options = field.deconstruct()
    assert path == f"tests.fields.test_fields.{name}"
    assert options["generator"] == "orders"
    assert "default" not in options


@pytest.mark.parametrize(
    "field", [field for field, *_ in DECONSTRUCTED], ids=lambda field: ""
)
@pytest.mark.parametrize(
    "copied",
    [
        lambda field: field.clone(),
        copy.copy,
        copy.deepcopy,
        lambda field: pickle.loads(pickle.dumps(field)),
    ],
    ids=["clone", "copy", "deepcopy", "pickle"],
)
def test_copied_field_is_the_same_field(field, copied):
    """It mints with the same generator, and has the same default or none."""
    twin = copied(field)
    assert twin is not field
    assert twin.deconstruct() == field.deconstruct()
    assert twin.generator == field.generator
    assert twin.has_default()
    value = twin.get_default()
    assert value is None if isinstance(field, UidAutoField) else parse(value)


@pytest.mark.parametrize("model", [Event, Order])
def test_field_of_a_model_is_pickled_by_name(model):
    """It is the same object again."""
    assert pickle.loads(pickle.dumps(model._meta.pk)) is model._meta.pk


@pytest.mark.parametrize(
    ("field", "written"),
    [
        (UidField(), "django_uidgen.fields.UidField()"),
        (
            UidField(generator="orders", unique=True),
            "django_uidgen.fields.UidField(generator='orders', unique=True)",
        ),
        (
            UidAutoField(primary_key=True),
            "django_uidgen.fields.UidAutoField(primary_key=True)",
        ),
    ],
)
def test_written_to_a_migration(field, written):
    """With no default, and no import but that of the fields."""
    field.set_attributes_from_name("id")
    text, imports = MigrationWriter.serialize(field)
    assert text == written
    assert imports == {"import django_uidgen.fields"}


# Checks.


def test_models_of_the_suite_pass_the_checks():
    """A generator that is configured raises nothing."""
    assert Ticket.check() == Invoice.check() == Seal.check() == []


@isolate_apps("tests.testapp")
@pytest.mark.parametrize(
    "field", [UidField(generator="bills"), UidField(generator=["bills"])]
)
def test_unknown_generator_of_a_uid_field(field):
    """It is found before anything is minted."""
    bill = model_with(number=copy.deepcopy(field))
    assert bill.check() == [
        checks.Error(
            f"There is no generator {field.generator!r}.",
            hint="Add it to UIDGEN, or use one of 'default', 'orders'.",
            obj=bill._meta.get_field("number"),
            id="django_uidgen.E002",
        )
    ]


@isolate_apps("tests.testapp")
def test_unknown_generator_of_a_uid_auto_field():
    """The same for a key."""
    bill = model_with(id=UidAutoField(primary_key=True, generator="bills"))
    assert bill.check() == [
        checks.Error(
            "There is no generator 'bills'.",
            hint="Add it to UIDGEN, or use one of 'default', 'orders'.",
            obj=bill._meta.pk,
            id="django_uidgen.E002",
        )
    ]


@isolate_apps("tests.testapp")
def test_checks_of_django_go_on():
    """Those of the fields that ours are made of are made too."""
    bill = model_with(
        id=models.AutoField(primary_key=True), number_=UidField(null=True)
    )
    assert [error.id for error in bill.check()] == ["fields.E001"]
    auto = UidAutoField()
    auto.set_attributes_from_name("number")
    auto.model = bill
    assert [error.id for error in auto.check()] == ["fields.E100"]


# Checks of Django's own ask the databases.
@pytest.mark.django_db(databases=["default", "other"])
def test_check_command_finds_unknown_generators(settings):
    """Each field that names one is reported."""
    settings.UIDGEN = {"default": {}}
    with pytest.raises(SystemCheckError) as caught:
        call_command("check")
    report = str(caught.value)
    assert report.count("(django_uidgen.E002) There is no generator 'orders'.") == 3
    for field in ("Ticket.number", "Invoice.id", "Seal.id"):
        assert f"testapp.{field}: (django_uidgen.E002)" in report
    assert "HINT: Add it to UIDGEN, or use one of 'default'." in report


@pytest.mark.django_db(databases=["default", "other"])
def test_check_of_a_field_leaves_a_broken_setting_to_the_settings_check(settings):
    """It is reported once, as django_uidgen.E001."""
    settings.UIDGEN = ["default"]
    assert Ticket.check() == []
    with pytest.raises(SystemCheckError, match=r"django_uidgen\.E001") as caught:
        call_command("check")
    assert "E002" not in str(caught.value)


# Form fields.


def test_uid_fields_stay_out_of_forms():
    """Neither key is asked for, nor a column that is not editable."""
    for model in (Event, Order, Ticket, Crate, Seal):
        names = modelform_factory(model, fields="__all__").base_fields
        assert not {"id", "number"} & set(names)
    assert Order._meta.pk.formfield() is None


def test_editable_uid_field_in_a_form():
    """The form offers a new UID, and takes another."""
    form_class = modelform_factory(Parcel, fields=["name", "barcode"])
    form = form_class()
    offer = form["barcode"].initial
    assert parse(offer)
    assert f'value="{offer}"' in str(form["barcode"])


def test_editable_uid_field_refuses_what_no_column_holds():
    """Text and numbers of more than 63 bits."""
    field = UidField(editable=True).formfield()
    for value in ("abc", "1.5", str(2**63)):
        with pytest.raises(ValidationError):
            field.clean(value)
    assert field.clean(str(2**63 - 1)) == 2**63 - 1


# The columns.

UID_COLUMNS = [
    Order._meta.pk,
    Event._meta.pk,
    Parcel._meta.pk,
    Seal._meta.pk,
    Invoice._meta.pk,
    Ticket._meta.get_field("number"),
    Parcel._meta.get_field("barcode"),
    # What points to them.
    OrderLine._meta.get_field("order"),
    EventNote._meta.get_field("event"),
    Receipt._meta.pk,
    GiftOrder._meta.pk,
    LoudEvent._meta.pk,
    Seal._meta.get_field("parcel"),
    *Order.tags.through._meta.concrete_fields,
    *Parcel.seen_at.through._meta.concrete_fields,
]


@pytest.mark.django_db
@pytest.mark.parametrize("field", UID_COLUMNS, ids=str)
def test_column_is_a_plain_bigint(field):
    """No identity, no sequence, no AUTO_INCREMENT, no default."""
    assert of_field(field) == BIGINT
    assert field.db_type(connection) == "bigint"


@pytest.mark.django_db
def test_column_of_a_null_field():
    """NULL is the one thing it adds."""
    field = Parcel._meta.get_field("returned_as")
    assert of_field(field) == BIGINT._replace(null=True)
    to_number = Invoice._meta.get_field("ticket")
    assert of_field(to_number) == BIGINT._replace(null=True)


@pytest.mark.django_db
def test_column_of_djangos_own_key():
    """The catalogue does tell a column that the database numbers."""
    assert of_field(Ticket._meta.pk).generated
    assert of_field(Ticket._meta.pk).type in {"bigint", "integer"}

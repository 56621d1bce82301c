"""Rows with UID keys: saved, copied, created in bulk, related, inherited, queried."""

from __future__ import annotations

import copy
import pickle

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import Count, Max, Min
from django.test.utils import CaptureQueriesContext

from django_uidgen import generators, parse
from django_uidgen.core.stocks import TickStock
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
    Tag,
    Ticket,
)

pytestmark = pytest.mark.django_db

# One of each: UidField and UidAutoField.
both_keys = pytest.mark.parametrize("model", [Event, Order])


@pytest.fixture
def statements():
    """Return a function that runs work, and returns the statements it sent."""

    def run(work, *arguments, **options):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            work(*arguments, **options)
        return [
            query["sql"]
            for query in captured
            if not query["sql"].startswith(("SAVEPOINT", "RELEASE SAVEPOINT"))
        ]

    return run


@pytest.fixture
def minted(settings, monkeypatch):
    """Return a function that counts the UIDs minted since it was last called.

    A generator without a stock counts up the sequence in its UIDs by one each time.
    """
    monkeypatch.setattr(TickStock, "LARGEST_CHUNK", 0)
    settings.UIDGEN = {
        "default": {"GENERATOR": "django_uidgen.generators.DefaultUidGenerator"},
        "orders": {},
    }
    size = generators["default"].layout.sequence_size
    seen = [parse(generators["default"].uid()).sequence]

    def count():
        sequence = parse(generators["default"].uid()).sequence
        passed = (sequence - seen[0] - 1) % size
        seen[0] = sequence
        return passed

    return count


# Saving.


@both_keys
def test_create_is_one_insert(model, statements):
    """With the key in it, and nothing returned."""
    [statement] = statements(model.objects.create, name="a")
    assert statement.startswith("INSERT INTO")
    assert "RETURNING" not in statement.upper()
    assert str(model.objects.get().pk) in statement


@both_keys
def test_save_of_a_new_object_is_one_insert(model, statements):
    """There is no UPDATE before it."""
    [statement] = statements(model(name="a").save)
    assert statement.startswith("INSERT INTO")
    assert "RETURNING" not in statement.upper()


def test_create_with_a_key_of_the_database(statements):
    """A UID beside it changes nothing: that key is returned, where it can be."""
    [statement] = statements(Ticket.objects.create, seat="1")
    returns = connection.features.can_return_columns_from_insert
    assert ("RETURNING" in statement.upper()) is returns


def test_saved_object_has_its_key():
    """An int, in the object as in the database."""
    order = Order.objects.create(name="a")
    assert type(order.pk) is int
    assert parse(order.pk)
    assert not order._state.adding
    assert Order.objects.get(name="a").pk == order.pk


def test_key_is_minted_by_the_generator_of_the_field(settings):
    """And by no other."""
    settings.UIDGEN = {"default": {}, "orders": {"TEST": {"WORKER_ID": 9}}}
    assert parse(Invoice.objects.create().pk, "orders").worker_id == 9


@both_keys
def test_save_again_is_one_update(model, statements):
    """The key stays."""
    instance = model.objects.create(name="a")
    key = instance.pk
    instance.name = "b"
    [statement] = statements(instance.save)
    assert statement.startswith("UPDATE")
    assert (model.objects.get().pk, model.objects.get().name) == (key, "b")


@both_keys
def test_save_with_a_new_key_by_hand(model, statements):
    """It is taken as it is."""
    [statement] = statements(model(pk=77, name="a").save)
    assert statement.startswith("INSERT INTO")
    assert model.objects.get().pk == 77


@both_keys
def test_save_of_a_new_object_with_the_key_of_a_row_is_refused(model):
    """As with every key that has a default: AutoField would overwrite the row."""
    row = model.objects.create(name="a")
    with pytest.raises(IntegrityError), transaction.atomic():
        model(pk=row.pk, name="b").save()
    assert model.objects.get().name == "a"


@both_keys
def test_force_update_overwrites_the_row(model, statements):
    """It says what is meant."""
    row = model.objects.create(name="a")
    [statement] = statements(model(pk=row.pk, name="b").save, force_update=True)
    assert statement.startswith("UPDATE")
    assert model.objects.get().name == "b"


@both_keys
def test_forced_update_of_no_row_is_an_error(model):
    """Also where the key was minted for it."""
    for key in (None, 77):
        row = model(pk=key, name="a")
        with (
            pytest.raises(DatabaseError, match="did not affect any rows"),
            transaction.atomic(),
        ):
            row.save(force_update=True)
    assert model.objects.count() == 0


@both_keys
def test_update_fields(model):
    """One column is written, the key stays."""
    row = model.objects.create(name="a")
    row.name = "b"
    row.save(update_fields=["name"])
    assert model.objects.get(pk=row.pk).name == "b"


@both_keys
@pytest.mark.parametrize("adding", [True, False])
def test_copy_by_taking_the_key_away(model, adding):
    """Django's recipe, with and without the line that later versions ask for."""
    row = model.objects.create(name="a")
    first = row.pk
    row.pk = None
    if adding:
        row._state.adding = True
    row.save()
    assert row.pk not in {first, None}
    assert set(model.objects.values_list("pk", "name")) == {(first, "a"), (row.pk, "a")}


@both_keys
def test_copy_of_an_object_marked_as_new_is_one_insert(model, statements):
    """Without the mark Django tries an UPDATE first."""
    row = model.objects.create(name="a")
    row.pk, row._state.adding = None, True
    assert len(statements(row.save)) == 1
    row.pk = None
    update, insert = statements(row.save)
    assert (update[:6], insert[:6]) == ("UPDATE", "INSERT")


def test_failed_insert_can_be_tried_again():
    """It is still a new object, and the same UID serves."""
    first = Parcel.objects.create()
    Tag.objects.create(name="a")
    for row, amend in (
        (Tag(name="a"), {"name": "b"}),
        (Parcel(barcode=first.barcode), {"barcode": 77}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save()
        key = row.pk
        row.__dict__.update(amend)
        row.save()
        assert type(row).objects.filter(pk=key, **amend).exists()
        assert type(row).objects.count() == 2


def test_object_never_saved_burns_no_uid(minted):
    """An UidAutoField mints in save(); an UidField when the object is made."""
    order = Order(name="a")
    order.full_clean()
    copy.copy(order)
    assert minted() == 0
    order.save()
    assert minted() == 1
    order.save()
    Order.objects.get(pk=order.pk).refresh_from_db()
    assert minted() == 0
    Event(name="a")
    assert minted() == 1


def test_row_read_mints_nothing(minted):
    """Nor does a deferred column, in either field."""
    Event.objects.create(name="a")
    Order.objects.create(name="a")
    assert minted() == 2
    for model in (Event, Order):
        list(model.objects.all())
        list(model.objects.only("name"))
        list(model.objects.defer("name"))
        list(model.objects.values())
        list(model.objects.raw(f"SELECT * FROM {model._meta.db_table}"))
    assert minted() == 0


def test_bulk_create_mints_one_for_each_object_without_a_key(minted):
    """And none for the others."""
    Order.objects.bulk_create([Order(), Order(pk=5), Order()])
    assert minted() == 2


def test_rows_are_in_the_order_they_were_made():
    """The keys of one process only grow."""
    keys = []
    for number in range(50):
        keys += [Order.objects.create().pk, Event.objects.create().pk]
        many = Order.objects.bulk_create([Order() for _ in range(number % 3)])
        keys += [order.pk for order in many]
    assert keys == sorted(set(keys))


# In bulk.


@both_keys
def test_bulk_create_is_one_insert(model, statements):
    """The objects have their keys, on every database."""
    new = [model(name=str(number)) for number in range(10)]
    [statement] = statements(model.objects.bulk_create, new)
    assert statement.startswith("INSERT INTO")
    assert "RETURNING" not in statement.upper()
    keys = [row.pk for row in new]
    assert keys == sorted(set(keys))
    assert dict(model.objects.values_list("pk", "name")) == {
        row.pk: row.name for row in new
    }
    assert not any(row._state.adding for row in new)


@both_keys
def test_bulk_create_with_and_without_keys(model, statements):
    """Keys given by hand go into the same statement."""
    new = [model(name="a"), model(pk=5, name="b"), model(name="c")]
    assert len(statements(model.objects.bulk_create, new)) == 1
    assert new[1].pk == 5
    assert model.objects.count() == 3
    assert None not in [row.pk for row in new]


@both_keys
def test_bulk_create_in_batches(model, statements):
    """Each batch is a statement."""
    new = [model(name=str(number)) for number in range(10)]
    assert len(statements(model.objects.bulk_create, new, batch_size=4)) == 3
    assert model.objects.count() == 10


def test_bulk_create_of_many():
    """More than the parameters that one statement may have."""
    Order.objects.bulk_create(Order(name="a") for _ in range(3000))
    assert Order.objects.count() == 3000


@both_keys
def test_bulk_create_of_a_key_that_is_there(model):
    """An IntegrityError, and nothing is stored."""
    row = model.objects.create(name="a")
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.bulk_create([model(name="b"), model(pk=row.pk, name="c")])
    assert model.objects.get().name == "a"


def test_bulk_create_that_ignores_conflicts_of_another_column():
    """The rest is stored. As with every key made in Python, all objects have one."""
    old = Tag.objects.create(name="a")
    new = Tag.objects.bulk_create([Tag(name="a"), Tag(name="b")], ignore_conflicts=True)
    assert dict(Tag.objects.values_list("name", "pk")) == {"a": old.pk, "b": new[1].pk}
    assert new[0].pk not in {None, old.pk}


@both_keys
def test_bulk_create_that_ignores_conflicts_of_the_key(model):
    """The row stays as it is."""
    row = model.objects.create(name="a")
    model.objects.bulk_create(
        [model(pk=row.pk, name="b"), model(name="c")], ignore_conflicts=True
    )
    assert set(model.objects.values_list("name", flat=True)) == {"a", "c"}


def update_on(*names):
    """Return the options of bulk_create that update what is there by ``names``."""
    options = {"update_conflicts": True}
    if connection.features.supports_update_conflicts_with_target:
        options["unique_fields"] = names
    return options


def test_bulk_create_that_updates_conflicts_of_another_column():
    """The row keeps its key. The object has the one that was minted for it."""
    old = Tag.objects.create(name="a")
    new = Tag.objects.bulk_create(
        [Tag(name="a"), Tag(name="b")], update_fields=["name"], **update_on("name")
    )
    assert dict(Tag.objects.values_list("name", "pk")) == {"a": old.pk, "b": new[1].pk}
    assert new[0].pk not in {None, old.pk}


def test_bulk_create_that_updates_a_uid_beside_the_key():
    """Only where it is named."""
    old = Ticket.objects.create(seat="1")
    new = [Ticket(seat="1"), Ticket(seat="2")]
    Ticket.objects.bulk_create(new, update_fields=["seat"], **update_on("seat"))
    assert Ticket.objects.get(seat="1").number == old.number
    assert Ticket.objects.get(seat="2").number == new[1].number
    Ticket.objects.bulk_create(
        [Ticket(seat="1", number=77)], update_fields=["number"], **update_on("seat")
    )
    assert Ticket.objects.get(seat="1").number == 77
    assert Ticket.objects.get(seat="1").pk == old.pk


@both_keys
def test_bulk_create_that_updates_conflicts_of_the_key(model):
    """The row of that key is overwritten, the others are new."""
    row = model.objects.create(name="a")
    model.objects.bulk_create(
        [model(pk=row.pk, name="b"), model(name="c")],
        update_fields=["name"],
        **update_on("pk"),
    )
    assert model.objects.get(pk=row.pk).name == "b"
    assert model.objects.count() == 2


@both_keys
def test_bulk_update(model):
    """By the key."""
    rows = model.objects.bulk_create([model(name="a"), model(name="b")])
    for row in rows:
        row.name *= 2
    assert model.objects.bulk_update(rows, ["name"]) == 2
    assert set(model.objects.values_list("name", flat=True)) == {"aa", "bb"}


@both_keys
def test_get_or_create(model):
    """The key is minted only for what is created, and stays for what is there."""
    row, created = model.objects.get_or_create(name="a")
    assert created
    assert model.objects.get_or_create(name="a") == (row, False)
    assert model.objects.get_or_create(pk=5, defaults={"name": "b"})[1]
    assert not model.objects.get_or_create(pk=5)[1]


@both_keys
def test_update_or_create(model):
    """By another column, and by the key."""
    row, created = model.objects.update_or_create(name="a")
    assert created
    same, created = model.objects.update_or_create(defaults={"name": "b"}, name="a")
    assert (same.pk, same.name, created) == (row.pk, "b", False)
    same, created = model.objects.update_or_create({"name": "c"}, pk=row.pk)
    assert (same.pk, created) == (row.pk, False)
    assert model.objects.get().name == "c"


# Relations.


@both_keys
def test_foreign_key(model):
    """It holds the UID, and cascades."""
    child, name = (OrderLine, "order") if model is Order else (EventNote, "event")
    parent = model.objects.create(name="a")
    row = child.objects.create(**{name: parent})
    assert getattr(row, f"{name}_id") == parent.pk
    assert child.objects.filter(**{f"{name}__name": "a"}).get() == row
    assert child.objects.select_related(name).get() == row
    parent.delete()
    assert child.objects.count() == 0


@both_keys
def test_foreign_key_to_no_row_is_refused(model):
    """The database checks it."""
    field = Parcel._meta.get_field(model._meta.model_name)

    def refer_to_nothing():
        with transaction.atomic():
            Parcel.objects.create(**{field.attname: 2**62})
            connection.check_constraints()

    with pytest.raises(IntegrityError):
        refer_to_nothing()


def test_unsaved_parent_with_a_uid_auto_field():
    """Django sees that it has no key."""
    with pytest.raises(ValueError, match="unsaved related object 'order'"):
        OrderLine.objects.create(order=Order(name="a"))


@pytest.mark.skipif(
    connection.vendor == "mysql", reason="it checks each row, never at the commit"
)
def test_unsaved_parent_with_a_uid_field():
    """It has a key that others may use, if its row comes before the commit."""
    event = Event(name="a")
    note = EventNote.objects.create(event=event)
    event.save()
    connection.check_constraints()
    assert EventNote.objects.get(event__name="a") == note


def test_one_to_one_that_is_the_key():
    """The child has the UID of its parent."""
    order = Order.objects.create(name="a")
    receipt = Receipt.objects.create(order=order)
    assert receipt.pk == order.pk == Order.objects.get(receipt=receipt).pk


def test_one_to_one_beside_a_key():
    """To a UidField, from a UidAutoField."""
    parcel = Parcel.objects.create(name="a")
    seal = Seal.objects.create(parcel=parcel)
    assert seal.parcel_id == parcel.pk != seal.pk
    assert Parcel.objects.get(seal=seal.pk) == parcel
    with pytest.raises(IntegrityError), transaction.atomic():
        Seal.objects.create(parcel=parcel)


def test_foreign_key_to_a_uid_that_is_not_the_key():
    """By `to_field`."""
    ticket = Ticket.objects.create(seat="1")
    invoice = Invoice.objects.create(ticket=ticket)
    assert invoice.ticket_id == ticket.number != ticket.pk
    assert Invoice.objects.get(ticket__seat="1").ticket == ticket


def test_many_to_many_with_a_table_in_between():
    """Its rows have UIDs too, on both ends and in each way of adding."""
    order, tag = Order.objects.create(), Tag.objects.create(name="a")
    order.tags.add(tag)
    order.tags.create(name="b")
    order.tags.set([*order.tags.all(), Tag.objects.create(name="c")])
    keys = Order.tags.through.objects.values_list("pk", flat=True)
    assert len(set(keys)) == 3
    assert all(parse(key) for key in keys)
    order.tags.add(tag)
    tag.order_set.add(order)
    assert order.tags.count() == 3
    order.tags.remove(tag)
    assert set(order.tags.values_list("name", flat=True)) == {"b", "c"}
    order.tags.clear()
    assert Order.tags.through.objects.count() == 0


def test_many_to_many_between_uid_fields():
    """The same, with keys that are there at once."""
    parcel, event = Parcel.objects.create(), Event.objects.create(name="a")
    parcel.seen_at.add(event)
    event.parcels_seen.add(Parcel.objects.create())
    assert event.parcels_seen.count() == 2
    assert all(parse(row.pk) for row in Parcel.seen_at.through.objects.all())
    assert Parcel.objects.prefetch_related("seen_at").get(pk=parcel.pk).seen_at.get()


def test_many_to_many_of_an_unsaved_object():
    """Django asks for the row of an object without a key."""
    with pytest.raises(ValueError, match="needs to have a value"):
        Order().tags.all()
    event = Event()
    assert list(event.parcels_seen.all()) == []


# Inheritance.


@pytest.mark.parametrize(
    ("child", "parent", "link", "values"),
    [
        (GiftOrder, Order, "order_ptr_id", {"message": "a"}),
        (LoudEvent, Event, "event_ptr_id", {"volume": 3}),
    ],
)
class TestChildTables:
    """Multi-table inheritance, from a UidAutoField and from a UidField."""

    def test_create(self, child, parent, link, values, statements):
        """One INSERT for each table, with one key."""
        sent = statements(child.objects.create, name="a", **values)
        assert [statement[:11] for statement in sent] == ["INSERT INTO"] * 2
        row = child.objects.get()
        assert parse(row.pk)
        assert row.pk == row.id == getattr(row, link) == parent.objects.get().pk

    def test_save(self, child, parent, link, values, statements):
        """The same, and updates that keep the key."""
        row = child(name="a", **values)
        assert len(statements(row.save)) == 2
        key = row.pk
        row.name = "b"
        row.save()
        assert (row.pk, parent.objects.get().name) == (key, "b")

    def test_child_of_a_parent_that_is_there(self, child, parent, link, values):
        """By the link, as Django's documentation has it."""
        above = parent.objects.create(name="a")
        row = child(**{link: above.pk}, **values)
        row.__dict__.update(above.__dict__)
        row.save()
        assert child.objects.get().pk == above.pk
        assert parent.objects.count() == 1

    def test_copy(self, child, parent, link, values):
        """Both keys are taken away."""
        row = child.objects.create(name="a", **values)
        first = row.pk
        row.pk = row.id = None
        row._state.adding = True
        row.save()
        assert row.pk == row.id == getattr(row, link) != first
        assert parent.objects.count() == child.objects.count() == 2

    def test_delete(self, child, parent, link, values):
        """The parent goes with the child, unless it is kept."""
        row = child.objects.create(name="a", **values)
        row.delete(keep_parents=True)
        assert (parent.objects.count(), child.objects.count()) == (1, 0)

    def test_bulk_create_is_djangos_refusal(self, child, parent, link, values):
        """It knows no way, whatever the key."""
        with pytest.raises(ValueError, match="multi-table inherited"):
            child.objects.bulk_create([child(name="a", **values)])


def test_abstract_parents():
    """Rows of their children, in tables of their own."""
    crate, parcel = Crate.objects.create(name="a"), Parcel.objects.create(name="b")
    assert crate.pk != parcel.pk
    assert Crate.objects.get() == crate
    seal = Seal(parcel=parcel)
    assert seal.pk is None
    seal.save()
    assert parse(seal.pk, "orders")


# A UID beside the key.


def test_null_field():
    """It takes NULL, and a UID where it is not given."""
    nobody = Parcel.objects.create(returned_as=None)
    somebody = Parcel.objects.create()
    assert Parcel.objects.get(returned_as__isnull=True) == nobody
    assert parse(Parcel.objects.get(returned_as__isnull=False).returned_as)
    assert Parcel.objects.get(returned_as=somebody.returned_as) == somebody


def test_unique_field_refuses_a_value_twice():
    """The database does."""
    parcel = Parcel.objects.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        Parcel.objects.create(barcode=parcel.barcode)


# Queries.


@both_keys
def test_order_and_lookups_of_keys(model):
    """They are numbers in the database too."""
    rows = model.objects.bulk_create(model(name=str(number)) for number in range(9))
    keys = [row.pk for row in rows]
    assert list(model.objects.order_by("pk").values_list("pk", flat=True)) == keys
    assert (
        list(model.objects.order_by("-pk").values_list("pk", flat=True)) == keys[::-1]
    )
    assert model.objects.filter(pk__gt=keys[3]).count() == 5
    assert model.objects.filter(pk__range=(keys[1], keys[3])).count() == 3
    assert model.objects.filter(pk__in=keys[:2]).count() == 2
    assert model.objects.filter(pk=str(keys[0])).get() == rows[0]
    assert model.objects.latest("pk") == rows[-1]
    assert model.objects.in_bulk(keys[:2]) == {keys[0]: rows[0], keys[1]: rows[1]}
    assert model.objects.aggregate(Min("pk"), Max("pk"), Count("pk")) == {
        "pk__min": keys[0],
        "pk__max": keys[-1],
        "pk__count": 9,
    }


@both_keys
@pytest.mark.parametrize("key", [1, 2**63 - 1])
def test_smallest_and_largest_uid(model, key):
    """What 63 bits hold is stored as it is."""
    model.objects.create(pk=key)
    assert model.objects.get(pk=key).pk == key
    assert model.objects.aggregate(Max("pk"))["pk__max"] == key


@both_keys
def test_lookup_of_what_no_column_holds(model):
    """Nothing is found, on databases that would complain."""
    assert not model.objects.filter(pk=2**70).exists()
    assert not model.objects.filter(pk__gt=2**70).exists()
    with pytest.raises(ValueError, match="expected a number"):
        model.objects.filter(pk="abc").exists()


@both_keys
def test_select_for_update(model):
    """Rows are locked by their key."""
    row = model.objects.create(name="a")
    with transaction.atomic():
        assert model.objects.select_for_update().get(pk=row.pk) == row


@both_keys
def test_raw(model):
    """The key is read as from any queryset."""
    row = model.objects.create(name="a")
    table = model._meta.db_table
    assert list(model.objects.raw(f"SELECT id, name FROM {table}")) == [row]


@both_keys
def test_deferred_columns(model, django_assert_num_queries):
    """The key is always loaded, and never minted anew."""
    row = model.objects.create(name="a")
    with django_assert_num_queries(2):
        loaded = model.objects.only("pk").get()
        assert (loaded.pk, loaded.name) == (row.pk, "a")
    loaded = model.objects.defer("name").get()
    loaded.save()
    assert model.objects.get().pk == row.pk


def test_deferred_uid_beside_the_key(django_assert_num_queries):
    """It is loaded, not minted."""
    ticket = Ticket.objects.create(seat="1")
    with django_assert_num_queries(2):
        assert Ticket.objects.defer("number").get().number == ticket.number


@both_keys
def test_refresh_from_db(model):
    """By the key."""
    row = model.objects.create(name="a")
    model.objects.update(name="b")
    row.refresh_from_db()
    assert row.name == "b"
    model.objects.all().delete()
    with pytest.raises(model.DoesNotExist):
        row.refresh_from_db()


@both_keys
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda row: pickle.loads(pickle.dumps(row))]
)
def test_copied_row_is_the_same_row(model, copied):
    """It is saved by an UPDATE."""
    row = model.objects.create(name="a")
    twin = copied(row)
    assert twin == row
    assert hash(twin) == hash(row)
    twin.name = "b"
    twin.save()
    assert model.objects.get().name == "b"


def test_set_of_unsaved_objects():
    """With a UidField they can be hashed and compared before they are saved."""
    assert len({Event(), Event()}) == 2
    with pytest.raises(TypeError, match="without primary key"):
        hash(Order())


@both_keys
def test_only_the_key(model, statements):
    """A row may have nothing else to write, or have it set by an expression."""
    row = model.objects.create(name="a")
    row.name = models.functions.Upper("name")
    statements(row.save)
    assert model.objects.get().name == "A"


@both_keys
def test_delete(model):
    """The object may be saved again, as a new row."""
    row = model.objects.create(name="a")
    assert row.delete()[0] == 1
    assert row.pk is None
    row.save()
    assert model.objects.get().pk == row.pk


# On an event loop.


@both_keys
def test_async_methods(model):
    """acreate, asave, abulk_create, aget_or_create, aupdate_or_create."""

    async def work():
        rows = [await model.objects.acreate(name="a"), model(name="b")]
        await rows[1].asave()
        rows += await model.objects.abulk_create([model(name="c"), model(name="d")])
        rows.append((await model.objects.aget_or_create(name="e"))[0])
        rows.append((await model.objects.aupdate_or_create(name="f"))[0])
        return rows

    rows = async_to_sync(work)()
    keys = [row.pk for row in rows]
    assert keys == sorted(set(keys))
    assert dict(model.objects.values_list("pk", "name")) == dict(
        zip(keys, "abcdef", strict=True)
    )

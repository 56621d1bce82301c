"""UID columns made, changed and filled by migrations, on tables with rows."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import IntegrityError, connection, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.test.utils import CaptureQueriesContext

from django_uidgen import parse, uids
from django_uidgen.fields import UidAutoField, UidField
from tests.columns import BIGINT, column

LABEL = "movers"


class Movers:
    """An app that has no models but those of its migrations."""

    def __init__(self):
        self.states = [ProjectState()]
        self.applied = []

    def forwards(self, *operations):
        """Apply a migration."""
        migration = migrations.Migration(f"{len(self.applied):04}", LABEL)
        migration.operations = list(operations)
        with connection.schema_editor(atomic=migration.atomic) as editor:
            state = migration.apply(self.states[-1].clone(), editor)
        self.applied.append(migration)
        self.states.append(state)

    def backwards(self):
        """Take the last migration back."""
        migration = self.applied.pop()
        self.states.pop()
        with connection.schema_editor(atomic=migration.atomic) as editor:
            migration.unapply(self.states[-1].clone(), editor)

    def to_zero(self):
        """Take all of them back."""
        while self.applied:
            self.backwards()

    def model(self, name):
        """Return the model as it is in the last migration."""
        return self.states[-1].apps.get_model(LABEL, name)

    def tables(self):
        """Return the tables of the app that are there."""
        return {
            name
            for name in connection.introspection.table_names()
            if name.startswith(f"{LABEL}_")
        }


@pytest.fixture
def movers(transactional_db):
    """Return an app; its tables are dropped, whatever state they are in."""
    movers = Movers()
    yield movers
    cascade = "CASCADE" if connection.vendor == "postgresql" else ""
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in movers.tables():
            cursor.execute(f"DROP TABLE {table} {cascade}")


def model(name, *fields, **options):
    """Return the operation that makes a model."""
    return migrations.CreateModel(name, list(fields), options=options)


# Written.


def test_written_migration_shows_no_default():
    """As makemigrations writes it for each model of the suite."""
    state = ProjectState()
    for each in apps.get_app_config("testapp").get_models():
        state.add_model(ModelState.from_model(each))
    changes = MigrationAutodetector(ProjectState(), state)._detect_changes()
    text = "".join(MigrationWriter(each).as_string() for each in changes["testapp"])
    assert text.count("django_uidgen.fields.UidField(") == 6
    assert text.count("django_uidgen.fields.UidAutoField(") == 6
    # That of LoudEvent.volume.
    assert text.count("default") == text.count("default=11") == 1


def test_added_column_is_written_without_a_question():
    """The field has a default, so makemigrations need not ask for one."""
    before, after = ProjectState(), ProjectState()
    key = ("id", models.BigAutoField(primary_key=True))
    before.add_model(ModelState(LABEL, "Cart", [key]))
    after.add_model(ModelState(LABEL, "Cart", [key, ("number", UidField())]))
    [migration] = MigrationAutodetector(before, after)._detect_changes()[LABEL]
    [operation] = migration.operations
    assert isinstance(operation, migrations.AddField)
    assert operation.preserve_default
    assert "field=django_uidgen.fields.UidField()," in (
        MigrationWriter(migration).as_string()
    )


@pytest.mark.parametrize(
    "field",
    [UidField(primary_key=True, editable=True), UidAutoField(primary_key=True)],
    ids=["UidField", "UidAutoField"],
)
def test_same_field_is_no_change(field):
    """Its default is a method of the field, which is never compared."""
    states = [ProjectState(), ProjectState()]
    for state in states:
        state.add_model(ModelState(LABEL, "Cart", [("id", field.clone())]))
    assert MigrationAutodetector(*states)._detect_changes() == {}


@pytest.mark.django_db
def test_no_migration_is_missing_in_the_app_of_the_suite(capsys):
    """The command has nothing to say."""
    call_command("makemigrations", "testapp", check=True, dry_run=True)
    assert "No changes detected" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_sql_of_a_migration_numbers_nothing(capsys):
    """But for the one table that says it wants that."""
    call_command("sqlmigrate", "testapp", "0001")
    sql = capsys.readouterr().out.upper()
    assert sql.count("CREATE TABLE") >= 13
    words = {
        "postgresql": "GENERATED BY DEFAULT AS IDENTITY",
        "mysql": "AUTO_INCREMENT",
        "sqlite": "AUTOINCREMENT",
    }
    assert sql.count(words[connection.vendor]) == 1


# Applied.


def test_forwards_and_to_zero(movers):
    """Tables of both fields, with relations, and nothing left of them."""
    movers.forwards(
        model("Cart", ("id", UidAutoField(primary_key=True))),
        model("Thing", ("id", UidField(primary_key=True))),
        model(
            "Item",
            ("id", UidAutoField(primary_key=True, generator="orders")),
            ("cart", models.ForeignKey(f"{LABEL}.Cart", models.CASCADE)),
            ("thing", models.OneToOneField(f"{LABEL}.Thing", models.CASCADE)),
            ("number", UidField(unique=True, generator="orders")),
        ),
    )
    movers.forwards(
        migrations.AddField("Cart", "things", models.ManyToManyField(f"{LABEL}.Thing"))
    )
    assert len(movers.tables()) == 4
    for table, *names in (
        ("cart", "id"),
        ("thing", "id"),
        ("item", "id", "cart_id", "thing_id", "number"),
        ("cart_things", "id", "cart_id", "thing_id"),
    ):
        for name in names:
            assert column(f"{LABEL}_{table}", name) == BIGINT
    movers.to_zero()
    assert movers.tables() == set()


def test_historical_models_mint(movers):
    """In RunPython, with the generator that the field names."""
    movers.forwards(
        model("Cart", ("id", UidAutoField(primary_key=True))),
        model(
            "Thing",
            ("id", UidField(primary_key=True)),
            ("number", UidField(generator="orders")),
            ("carts", models.ManyToManyField(f"{LABEL}.Cart")),
        ),
    )

    def fill(apps, schema_editor):
        cart_model = apps.get_model(LABEL, "Cart")
        thing_model = apps.get_model(LABEL, "Thing")
        assert cart_model().pk is None
        cart_model.objects.create()
        cart_model().save()
        cart_model.objects.bulk_create(cart_model() for _ in range(3))
        for thing in thing_model.objects.bulk_create([thing_model(), thing_model()]):
            thing.carts.set(cart_model.objects.all())

    def empty(apps, schema_editor):
        apps.get_model(LABEL, "Thing").objects.all().delete()

    movers.forwards(migrations.RunPython(fill, empty))
    carts, things = movers.model("Cart"), movers.model("Thing")
    keys = [row.pk for model in (carts, things) for row in model.objects.all()]
    between = [row.pk for row in things.carts.through.objects.all()]
    numbers = things.objects.values_list("number", flat=True)
    assert (len(keys), len(between)) == (7, 10)
    assert len({*keys, *between}) == 17
    assert all(parse(key) for key in [*keys, *between])
    assert all(parse(number, "orders") for number in numbers)
    assert len(set(numbers)) == 2
    movers.backwards()
    assert things.objects.count() == 0
    movers.to_zero()


# A table with rows, keyed by numbers of the database, is to have UIDs.


def old_tables(key):
    """Return the operations that make a table and others that refer to it."""
    return [
        model("Cart", ("id", key), ("name", models.CharField(max_length=9))),
        model(
            "Item",
            ("id", models.BigAutoField(primary_key=True)),
            ("cart", models.ForeignKey(f"{LABEL}.Cart", models.CASCADE)),
        ),
        model(
            "Bill",
            (
                "cart",
                models.OneToOneField(f"{LABEL}.Cart", models.CASCADE, primary_key=True),
            ),
        ),
        migrations.CreateModel("Gift", [], bases=(f"{LABEL}.Cart",)),
        model("Thing", ("id", UidField(primary_key=True))),
        migrations.AddField("Thing", "carts", models.ManyToManyField(f"{LABEL}.Cart")),
    ]


REFERRING = [
    ("item", "cart_id"),
    ("bill", "cart_id"),
    ("gift", "cart_ptr_id"),
    ("thing_carts", "cart_id"),
]


def fill_old_tables(movers):
    """Make three carts, and a row in each table that refers to them."""
    cart, item, bill, gift, thing = (
        movers.model(name) for name in ("Cart", "Item", "Bill", "Gift", "Thing")
    )
    first, second = cart.objects.create(name="a"), cart.objects.create(name="b")
    gift.objects.create(name="c")
    item.objects.create(cart=first)
    bill.objects.create(cart=second)
    thing.objects.create().carts.add(first, second)


def references(movers):
    """Return the carts that each of the tables refers to, by name."""
    cart = movers.model("Cart")
    return {
        "rows": set(cart.objects.values_list("name", flat=True)),
        "items": [item.cart.name for item in movers.model("Item").objects.all()],
        "bills": [bill.cart.name for bill in movers.model("Bill").objects.all()],
        "gifts": [gift.name for gift in movers.model("Gift").objects.all()],
        "things": [
            {cart.name for cart in thing.carts.all()}
            for thing in movers.model("Thing").objects.all()
        ],
    }


@pytest.mark.parametrize("old_key", [models.AutoField, models.BigAutoField])
def test_old_key_becomes_a_uid_auto_field(movers, old_key):
    """The rows keep their keys; the database numbers no more; new rows have UIDs."""
    movers.forwards(*old_tables(old_key(primary_key=True)))
    fill_old_tables(movers)
    assert column("movers_cart").generated
    before = references(movers)
    keys = dict(movers.model("Cart").objects.values_list("name", "pk"))
    assert sorted(keys.values()) == [1, 2, 3]

    movers.forwards(migrations.AlterField("Cart", "id", UidAutoField(primary_key=True)))
    assert column("movers_cart") == BIGINT
    for table, name in REFERRING:
        assert column(f"movers_{table}", name) == BIGINT
    assert references(movers) == before
    cart = movers.model("Cart")
    assert dict(cart.objects.values_list("name", "pk")) == keys

    new = cart.objects.create(name="d")
    assert parse(new.pk)
    movers.model("Item").objects.create(cart=new)
    movers.model("Bill").objects.create(cart=new)
    movers.model("Thing").objects.get().carts.add(new)
    gift = movers.model("Gift").objects.create(name="e")
    assert gift.pk == gift.id > new.pk
    with pytest.raises(IntegrityError):
        movers.model("Item").objects.create(cart_id=4)


@pytest.mark.parametrize("old_key", [models.AutoField, models.BigAutoField])
def test_old_key_and_back(movers, old_key):
    """While no row has a UID: the database numbers again, after it is told where."""
    movers.forwards(*old_tables(old_key(primary_key=True)))
    fill_old_tables(movers)
    before, was = references(movers), column("movers_cart")
    movers.forwards(migrations.AlterField("Cart", "id", UidAutoField(primary_key=True)))
    movers.backwards()
    assert column("movers_cart") == was
    assert references(movers) == before
    reset_sequence(movers.model("Cart"))
    assert movers.model("Cart").objects.create(name="d").pk == 4


def reset_sequence(of):
    """Do what `manage.py sqlsequencereset` says. Only PostgreSQL needs it."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [of]):
            cursor.execute(statement)


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="others never had sequences"
)
def test_serial_key_becomes_a_uid_auto_field(movers):
    """As Django before 4.1 made it. Its sequence is dropped."""
    movers.forwards(*old_tables(models.AutoField(primary_key=True)))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE movers_cart ALTER id DROP IDENTITY")
        cursor.execute("CREATE SEQUENCE movers_cart_id_seq OWNED BY movers_cart.id")
        cursor.execute(
            "ALTER TABLE movers_cart ALTER id SET DEFAULT nextval('movers_cart_id_seq')"
        )
    fill_old_tables(movers)
    before = references(movers)
    movers.forwards(migrations.AlterField("Cart", "id", UidAutoField(primary_key=True)))
    assert references(movers) == before
    with connection.cursor() as cursor:
        sequences = connection.introspection.get_sequences(cursor, "movers_cart")
    assert sequences == []
    assert column("movers_cart")[:2] == ("bigint", False)
    assert parse(movers.model("Cart").objects.create(name="d").pk)


@pytest.mark.parametrize("new_key", [UidField, UidAutoField])
def test_key_of_uids_from_elsewhere(movers, new_key):
    """A BigIntegerField that was filled in Python can be one of the fields."""
    movers.forwards(model("Cart", ("id", models.BigIntegerField(primary_key=True))))
    old = uids(3)
    movers.model("Cart").objects.bulk_create(
        movers.model("Cart")(pk=key) for key in old
    )
    movers.forwards(migrations.AlterField("Cart", "id", new_key(primary_key=True)))
    assert column("movers_cart") == BIGINT
    new = movers.model("Cart").objects.create()
    keys = movers.model("Cart").objects.order_by("pk").values_list("pk", flat=True)
    assert list(keys) == [*old, new.pk]
    movers.backwards()
    assert movers.model("Cart").objects.count() == 4


def test_one_field_becomes_the_other(movers):
    """UidField and UidAutoField are the same column."""
    movers.forwards(model("Cart", ("id", UidField(primary_key=True))))
    movers.model("Cart").objects.create()
    movers.forwards(migrations.AlterField("Cart", "id", UidAutoField(primary_key=True)))
    movers.model("Cart").objects.create()
    assert column("movers_cart") == BIGINT
    assert movers.model("Cart").objects.count() == 2


# A column of UIDs is added to a table with rows.


def cart_with_rows(movers):
    """Make a table with three rows."""
    movers.forwards(model("Cart", ("id", models.BigAutoField(primary_key=True))))
    cart = movers.model("Cart")
    cart.objects.bulk_create(cart() for _ in range(3))


def test_adding_a_unique_column_to_rows_is_refused(movers):
    """As with every default, one value is made for all rows."""
    cart_with_rows(movers)
    add = migrations.AddField("Cart", "number", UidField(unique=True))
    with pytest.raises(IntegrityError):
        movers.forwards(add)


def test_adding_a_unique_column_to_rows_in_three_steps(movers):
    """As Django's documentation has it: add, fill, make unique."""
    cart_with_rows(movers)
    movers.forwards(migrations.AddField("Cart", "number", UidField(null=True)))
    numbers = movers.model("Cart").objects.values_list("number", flat=True)
    assert len(set(numbers)) == 1

    def fill(apps, schema_editor):
        rows = list(apps.get_model(LABEL, "Cart").objects.order_by("pk"))
        for row, number in zip(rows, uids(len(rows)), strict=True):
            row.number = number
        apps.get_model(LABEL, "Cart").objects.bulk_update(rows, ["number"])

    movers.forwards(migrations.RunPython(fill, migrations.RunPython.noop))
    movers.forwards(migrations.AlterField("Cart", "number", UidField(unique=True)))
    assert column("movers_cart", "number") == BIGINT
    numbers = movers.model("Cart").objects.order_by("pk").values_list("number")
    assert list(numbers) == sorted(set(numbers))
    assert parse(movers.model("Cart").objects.create().number)


# Tables in between, which migrations never change.


def test_old_table_in_between_takes_uids(movers, settings):
    """One made with BigAutoField takes what it is given, numbered or not."""
    settings.DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    movers.forwards(*old_tables(models.BigAutoField(primary_key=True)))
    fill_old_tables(movers)
    settings.DEFAULT_AUTO_FIELD = "django_uidgen.fields.UidAutoField"
    movers.states[-1].clear_delayed_apps_cache()
    movers.forwards(migrations.AlterField("Cart", "id", UidAutoField(primary_key=True)))
    thing = movers.model("Thing")
    assert type(thing.carts.through._meta.pk) is UidAutoField
    # SQLite has made it anew, with all that refer to the key.
    assert column("movers_thing_carts").generated is (connection.vendor != "sqlite")
    for name in "de":
        new = movers.model("Cart").objects.create(name=name)
        thing.objects.get().carts.add(new)
    keys = thing.carts.through.objects.order_by("pk").values_list("pk", flat=True)
    assert list(keys[:2]) == [1, 2]
    assert all(parse(key) for key in keys[2:])
    assert len(keys) == 4


def test_part_of_a_composite_key(movers):
    """The value is there at once, and a row is one INSERT."""
    movers.forwards(
        model(
            "Cart",
            ("pk", models.CompositePrimaryKey("tenant", "id")),
            ("tenant", models.IntegerField()),
            ("id", UidField()),
        )
    )
    carts = movers.model("Cart").objects
    with CaptureQueriesContext(connection) as sent:
        cart = carts.create(tenant=1)
    assert [query["sql"][:11] for query in sent] == ["INSERT INTO"]
    assert cart.pk == (1, cart.id)
    assert carts.get(pk=cart.pk).id == cart.id
    movers.to_zero()

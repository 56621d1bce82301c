"""Columns of UIDs in tables that have rows: filled in batches, each row its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from datetime import date
from decimal import Decimal
from itertools import count

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, migrations, models
from django.test.utils import CaptureQueriesContext

from django_uidgen import checks, generators, parse, uid_floor
from django_uidgen.backfill import NotFillable, backfill
from django_uidgen.core.exceptions import MomentOutOfRange, WorkerIdUnavailable
from django_uidgen.fields import UidField
from django_uidgen.operations import AddUidField
from tests.support.movers import LABEL, model
from tests.support.things import (
    DAY,
    HOUR,
    KEY,
    NAME,
    NOON,
    add,
    add_empty,
    uids_of,
)
from tests.testapp.models import Event, Parcel


def next_decimal(numbers=count(1)):  # noqa: B008 - one for all calls
    return Decimal(next(numbers)) / 4


# The function.


def test_one_statement_for_each_batch(things):
    """And one that reads it, however many rows there are."""
    things.forwards(add_empty())
    seen = []
    with CaptureQueriesContext(connection) as queries:
        done = backfill(
            things.model("Thing"), "uid", batch_size=4, on_batch=seen.append
        )
    assert (done, seen) == (10, [4, 8, 10])
    updates = [q for q in queries if q["sql"].startswith("UPDATE")]
    assert len(updates) == 3
    # Three batches, the end of the pass, and a pass that found none.
    reads = [q["sql"] for q in queries if q["sql"].startswith("SELECT")]
    assert len(reads) == 5
    assert all(sql.endswith("LIMIT 4") for sql in reads)


def test_goes_on_where_it_was(things):
    """Rows that have a UID keep it."""
    things.forwards(add_empty())
    thing = things.model("Thing")
    some = thing.objects.order_by("pk")[4]
    thing.objects.filter(pk=some.pk).update(uid=5)
    assert backfill(thing, "uid", batch_size=2) == 9
    assert thing.objects.get(pk=some.pk).uid == 5
    assert backfill(thing, "uid") == 0


def test_table_that_is_written_to_meanwhile(things):
    """Rows that come, go, or are written by others: each has one UID in the end."""
    things.forwards(add_empty())
    thing = things.model("Thing")
    keys = list(thing.objects.order_by("pk").values_list("pk", flat=True))
    steps = []

    def others(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and not steps:
            steps.append(sql)
            thing.objects.filter(pk=keys[0]).delete()
            thing.objects.filter(pk=keys[1]).update(uid=7)
            thing.objects.create(name="with one")
            thing(name="behind", pk=-5, uid=None).save(force_insert=True)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(others):
        assert backfill(thing, "uid", batch_size=3) == 9
    rows = dict(thing.objects.values_list("pk", "uid"))
    assert len(rows) == 11
    assert rows[keys[1]] == 7
    assert None not in rows.values()
    assert len(set(rows.values())) == 11


def test_rows_that_cannot_be_written(things):
    """As where a trigger undoes it: it ends."""
    things.forwards(add_empty())
    thing = things.model("Thing")

    def undo(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            sql, params = "UPDATE movers_thing SET name = name WHERE 1 = 0", None
        return execute(sql, params, many, context)

    with connection.execute_wrapper(undo):
        assert backfill(thing, "uid", batch_size=3) == 0


@pytest.mark.parametrize(
    "key",
    [
        models.UUIDField(primary_key=True, default=uuid.uuid4),
        models.CharField(primary_key=True, max_length=40, default=uuid.uuid4),
        models.BigAutoField(primary_key=True),
        models.SmallAutoField(primary_key=True),
        models.DecimalField(
            primary_key=True, max_digits=9, decimal_places=2, default=next_decimal
        ),
        UidField(primary_key=True),
    ],
    ids=lambda key: type(key).__name__,
)
def test_every_kind_of_key(movers, key):
    """Not only integers are told apart."""
    movers.forwards(model("Thing", ("id", key), NAME))
    thing = movers.model("Thing")
    thing.objects.bulk_create([thing(name=str(number)) for number in range(5)])
    movers.forwards(add(batch_size=2))
    uids = uids_of(movers)
    assert uids == sorted(set(uids))
    assert len(uids) == 5


def test_keys_that_are_foreign_keys(things):
    """A child of another table, with moments from there."""
    thing = models.OneToOneField(
        f"{LABEL}.Thing", on_delete=models.CASCADE, primary_key=True
    )
    things.forwards(model("Part", ("thing", thing), NAME))
    part = things.model("Part")
    owners = list(things.model("Thing").objects.order_by("pk"))[:3]
    part.objects.bulk_create(part(thing_id=owner.pk, name="x") for owner in owners)
    things.forwards(
        AddUidField("Part", "uid", UidField(), moments_from="thing__created_at")
    )
    moments = [parse(value).minted_at for value in uids_of(things, "Part")]
    assert moments == [owner.created_at for owner in owners]


def test_dates(movers, settings):
    """Midnight, in the project's zone."""
    settings.TIME_ZONE = "Asia/Tokyo"
    made = ("made", models.DateField())
    movers.forwards(model("Thing", KEY, made))
    movers.model("Thing").objects.create(made=date(2026, 3, 2))
    movers.forwards(add(moments_from="made"))
    [value] = uids_of(movers)
    assert parse(value).minted_at == NOON + 3 * HOUR


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (None, "has none"),
        (NOON - 400 * DAY, "before"),
        (NOON + 9999 * DAY, "in the future"),
    ],
)
def test_moments_that_no_uid_can_have(things, moment, said):
    """The error names the rows; earlier batches stay."""
    things.forwards(add_empty())
    thing = things.model("Thing")
    keys = list(thing.objects.order_by("pk").values_list("pk", flat=True))
    thing.objects.filter(pk=keys[5]).update(created_at=moment)
    rows = f"rows {keys[4]} to {keys[7]}, created_at: .*{said}"
    with pytest.raises(MomentOutOfRange, match=rows):
        backfill(thing, "uid", moments_from="created_at", batch_size=4)
    assert uids_of(things).count(None) == 6
    thing.objects.filter(pk=keys[5]).update(created_at=NOON)
    assert backfill(thing, "uid", moments_from="created_at", batch_size=4) == 6


def test_columns_that_cannot_be_filled(things):
    """None of UIDs, or none that waits for one."""
    things.forwards(add())
    thing = things.model("Thing")
    with pytest.raises(NotFillable, match="is NOT NULL"):
        backfill(thing, "uid")
    with pytest.raises(NotFillable, match="not a column of UIDs"):
        backfill(thing, "name")


def test_column_of_a_parent(things):
    """Its rows are found by the parent's key, so it is filled there."""
    child = migrations.CreateModel("Special", [], bases=(f"{LABEL}.thing",))
    things.forwards(add_empty(), child)
    with pytest.raises(NotFillable, match="Fill it there"):
        backfill(things.model("Special"), "uid")


def test_rows_that_the_projects_manager_hides(things, monkeypatch):
    """They need a UID as well."""
    things.forwards(add_empty())
    thing = things.model("Thing")

    class Hiding(models.Manager):
        def get_queryset(self):
            return super().get_queryset().none()

    manager = Hiding()
    manager.model = thing
    monkeypatch.setitem(vars(thing._meta), "base_manager", manager)
    assert backfill(thing, "uid") == 10


def test_moments_that_are_none(things):
    """The column is one of text."""
    things.forwards(add_empty())
    with pytest.raises(NotFillable, match=r"row .* has '0' there, which is not a date"):
        backfill(things.model("Thing"), "uid", moments_from="name")


def test_rows_made_by_the_same_migration(things):
    """They refer to others, which PostgreSQL checks before it alters their table."""
    thing = models.ForeignKey(f"{LABEL}.Thing", on_delete=models.CASCADE)
    things.forwards(model("Part", KEY, ("thing", thing)))

    def make(apps, schema_editor):
        owner = apps.get_model(LABEL, "Thing").objects.first()
        apps.get_model(LABEL, "Part").objects.create(thing=owner)

    added = AddUidField("Part", "uid", UidField(unique=True))
    things.forwards(migrations.RunPython(make, migrations.RunPython.noop), added)
    assert None not in uids_of(things, "Part")


@pytest.mark.skipif(connection.vendor == "mysql", reason="it has no such keys")
def test_keys_of_bytes(movers):
    """Refused on SQLite, where they are no text."""
    key = ("id", models.BinaryField(primary_key=True, max_length=20))
    movers.forwards(model("Thing", key, ("uid", UidField(null=True))))
    thing = movers.model("Thing")
    thing.objects.create(id=b"x", uid=None)
    if connection.vendor == "sqlite":
        with pytest.raises(NotFillable, match="binary keys"):
            backfill(thing, "uid")
    else:
        assert backfill(thing, "uid") == 1


def test_key_of_several_columns(movers):
    """An error at the start, instead of at the first batch."""
    key = ("pk", models.CompositePrimaryKey("a", "b"))
    a, b = ("a", models.IntegerField()), ("b", models.IntegerField())
    movers.forwards(model("Pair", key, a, b, ("uid", UidField(null=True))))
    with pytest.raises(NotFillable, match="composite primary key"):
        backfill(movers.model("Pair"), "uid")


# The command.


@pytest.fixture
def events(transactional_db):
    """A real model, some of whose rows have no UID."""
    Parcel.objects.bulk_create(Parcel(name="x", returned_as=None) for _ in range(5))
    return Parcel.objects.order_by("pk")


def test_command(events, capsys):
    """It fills the column and says how many."""
    call_command("uidgen", "backfill", "testapp.Parcel", "returned_as", "--batch", "2")
    assert "5 rows of testapp.Parcel now have a UID" in capsys.readouterr().out
    uids = list(events.values_list("returned_as", flat=True))
    assert uids == sorted(set(uids))


def test_command_from_a_column(events):
    """Each UID tells the moment of its row."""
    parcel = ["uidgen", "backfill", "testapp.Parcel", "returned_as"]
    with pytest.raises(CommandError, match="Cannot resolve keyword"):
        call_command(*parcel, "--from", "nothing")
    with pytest.raises(CommandError, match=r"posted_at: row .* has none"):
        call_command(*parcel, "--from", "posted_at")
    events.update(posted_at=NOON)
    call_command(*parcel, "--from", "posted_at")
    minted_at = {parse(row.returned_as).minted_at for row in events}
    assert minted_at == {NOON}


def test_command_on_a_terminal(events, monkeypatch, capsys):
    """It counts."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    call_command("uidgen", "backfill", "testapp.Parcel", "returned_as", "--batch", "2")
    assert capsys.readouterr().err == "2 rows\r4 rows\r5 rows\r"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("testapp.Nothing", "uid"), "testapp.Nothing"),
        (("nowhere.Parcel", "uid"), "nowhere"),
        (("Parcel", "uid"), "Parcel"),
        (("testapp.Parcel", "nothing"), "no field named 'nothing'"),
        (("testapp.Parcel", "barcode"), "is NOT NULL"),
        (("testapp.Parcel", "name"), "not a column of UIDs"),
        (("testapp.Parcel", "event"), "not a column of UIDs"),
        (("testapp.Parcel", "returned_as", "--from", "name"), "which is not a date"),
        (("testapp.Parcel", "returned_as", "--batch", "0"), "--batch is '0'"),
    ],
)
@pytest.mark.django_db
def test_command_that_makes_no_sense(arguments, said):
    """One line, and no traceback."""
    Parcel.objects.create(name="x", returned_as=None)
    with pytest.raises(CommandError, match=said):
        call_command("uidgen", "backfill", *arguments)


def test_command_without_the_database(events, monkeypatch):
    """The rows written so far stay, and the message says how to continue."""
    from django.db import OperationalError

    def down(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            raise OperationalError("gone")
        return execute(sql, params, many, context)

    with (
        connection.execute_wrapper(down),
        pytest.raises(CommandError, match=r"gone\. The rows written so far have"),
    ):
        call_command("uidgen", "backfill", "testapp.Parcel", "returned_as")


def test_command_without_worker_ids(events, monkeypatch):
    """As for every other way to mint."""

    def none(count):
        raise WorkerIdUnavailable("No worker id.")

    monkeypatch.setattr(generators["default"], "uids", none)
    with pytest.raises(CommandError, match="No worker id"):
        call_command("uidgen", "backfill", "testapp.Parcel", "returned_as")


# The check.


def warnings_of(monkeypatch, *operations, table="testapp_event", name="0009_more"):
    from django.db.migrations.loader import MigrationLoader

    real = MigrationLoader.build_graph

    def with_one_more(self):
        real(self)
        migration = migrations.Migration(name, "testapp")
        migration.operations = list(operations)
        key = ("testapp", name)
        leaf = self.graph.leaf_nodes("testapp")[0]
        migration.dependencies = [leaf]
        self.graph.add_node(key, migration)
        self.graph.add_dependency(migration, key, leaf)

    monkeypatch.setattr(MigrationLoader, "build_graph", with_one_more)
    return checks.check_added_columns(None, databases=["default"])


@pytest.mark.django_db
def test_migration_that_would_give_one_uid_to_all(monkeypatch):
    """Where the table has more than one row, and it is still to come."""
    adding = migrations.AddField("event", "uid", UidField())
    for number in range(2):
        # None, or one: a UID is enough for it.
        assert warnings_of(monkeypatch, adding) == []
        monkeypatch.undo()
        Event.objects.create(id=uid_floor(NOON) + number, name="x")
    [warning] = warnings_of(monkeypatch, adding)
    assert warning.id == "django_uidgen.W003"
    assert (
        "Migration testapp.0009_more adds 'uid' to table 'testapp_event'" in warning.msg
    )
    assert "AddUidField" in warning.hint
    assert checks.check_added_columns(None) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "operation",
    [
        AddUidField("event", "uid", UidField()),
        migrations.AddField("event", "count", models.IntegerField(default=1)),
        migrations.AlterField("event", "name", models.TextField()),
    ],
)
def test_migrations_that_do_not(monkeypatch, operation):
    """Ours, and those of other fields."""
    for number in range(2):
        Event.objects.create(id=uid_floor(NOON) + number, name="x")
    assert warnings_of(monkeypatch, operation) == []


@pytest.mark.django_db
def test_migration_of_a_table_that_is_to_come(monkeypatch):
    """It has no rows."""
    made = migrations.CreateModel("later", [KEY])
    added = migrations.AddField("later", "uid", UidField())
    assert warnings_of(monkeypatch, made, added) == []


@pytest.mark.django_db
def test_migration_of_a_table_that_is_gone(monkeypatch):
    """What is not there has no rows."""
    added = migrations.AddField("event", "uid", UidField())
    renamed = migrations.AlterModelTable("event", "elsewhere")
    assert warnings_of(monkeypatch, renamed) == []
    assert warnings_of(monkeypatch, added, name="0010_still_more") == []


@pytest.mark.django_db
def test_check_of_one_app(monkeypatch):
    """The migrations of others are not looked at."""
    from django.apps import apps

    for number in range(2):
        Event.objects.create(id=uid_floor(NOON) + number, name="x")
    warnings_of(monkeypatch, migrations.AddField("event", "uid", UidField()))
    for label, expected in (("testapp", 1), ("django_uidgen", 0)):
        configs = [apps.get_app_config(label)]
        found = checks.check_added_columns(configs, databases=["default"])
        assert len(found) == expected


@pytest.mark.django_db
def test_migrations_that_cannot_be_read(monkeypatch):
    """``migrate`` says it; a check does not fail of it."""
    from django.db.migrations.exceptions import NodeNotFoundError
    from django.db.migrations.loader import MigrationLoader

    def broken(self):
        raise NodeNotFoundError("none", ("testapp", "0001"))

    monkeypatch.setattr(MigrationLoader, "build_graph", broken)
    assert checks.check_added_columns(None, databases=["default"]) == []


@pytest.mark.django_db(transaction=True)
def test_command_that_is_killed():
    """By SIGKILL, in its midst: run again it does the rest, and nothing twice."""
    Parcel.objects.bulk_create([Parcel(name="x", returned_as=None) for _ in range(500)])
    filled = Parcel.objects.filter(returned_as__isnull=False)
    arguments = ["testapp.Parcel", "returned_as", "--batch", "10"]
    killed = [sys.executable, "-m", "tests.programs.killed_backfill", "30", *arguments]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    before = dict(filled.values_list("pk", "returned_as"))
    # The last batch may have been committed or not.
    assert len(before) in {290, 300}
    again = [sys.executable, "-m", "django", "uidgen", "backfill", *arguments]
    done = subprocess.run(again, capture_output=True, text=True, check=True)
    assert f"{500 - len(before):,} rows of testapp.Parcel" in done.stdout
    after = dict(Parcel.objects.values_list("pk", "returned_as"))
    assert before.items() <= after.items()
    assert len(set(after.values())) == 500
    assert None not in after.values()

"""Columns of UIDs in tables that have rows: filled in batches, each row its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, migrations, models
from django.db.migrations.writer import MigrationWriter
from django.test.utils import CaptureQueriesContext

from django_uidgen import checks, generators, operations, parse, uid_floor
from django_uidgen.backfill import NotFillable, backfill
from django_uidgen.core.exceptions import MomentOutOfRange, WorkerIdUnavailable
from django_uidgen.fields import UidField
from django_uidgen.operations import AddUidField, BackfillUid
from tests.support.columns import BIGINT, column
from tests.support.movers import LABEL, model
from tests.testapp.models import Event, Parcel

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
KEY = ("id", models.AutoField(primary_key=True))
NAME = ("name", models.CharField(max_length=20))
CREATED = ("created_at", models.DateTimeField(null=True))


@pytest.fixture
def things(movers):
    """A table of ten rows with integer keys, the newest first."""
    movers.forwards(model("Thing", KEY, NAME, CREATED))
    thing = movers.model("Thing")
    thing.objects.bulk_create(
        thing(name=str(number), created_at=NOON - number * HOUR) for number in range(10)
    )
    return movers


def uids_of(movers, name="Thing"):
    """Return the UIDs in the order of the key."""
    rows = movers.model(name).objects.order_by("pk")
    return list(rows.values_list("uid", flat=True))


def next_decimal(numbers=count(1)):  # noqa: B008 - one for all calls
    return Decimal(next(numbers)) / 4


def has_column():
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, "movers_thing")
    return "uid" in [row.name for row in found]


def add(**options):
    field = UidField(unique=True, **options.pop("field", {}))
    return AddUidField("Thing", "uid", field, **options)


def add_empty(**options):
    return AddUidField("Thing", "uid", UidField(null=True), backfill=False, **options)


# The operations.


def test_each_row_gets_its_own(things):
    """In the order of the key, and then the column is what the field says."""
    things.forwards(add(batch_size=3))
    uids = uids_of(things)
    assert len(uids) == 10
    assert all(one < other for one, other in pairwise(uids))
    assert column("movers_thing", "uid") == BIGINT
    thing = things.model("Thing")
    made = thing.objects.create(name="new")
    assert made.uid > uids[-1]
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        thing.objects.create(name="again", uid=made.uid)


def test_moments_of_another_column(things):
    """Each UID tells when its row was made."""
    things.forwards(add(moments_from="created_at", batch_size=4))
    moments = [parse(value).minted_at for value in uids_of(things)]
    assert moments == [NOON - number * HOUR for number in range(10)]


def test_there_and_back(things):
    """The column goes; forwards again, the rows get others."""
    things.forwards(add())
    before = uids_of(things)
    things.backwards()
    assert not has_column()
    things.forwards(add())
    assert not set(before) & set(uids_of(things))


@pytest.mark.parametrize("atomic", [True, False])
def test_killed_at_any_statement(things, atomic, monkeypatch):
    """A migration that is run again goes on: no row is written twice."""
    monkeypatch.setattr(migrations.Migration, "atomic", atomic)

    class Killed(BaseException):
        pass

    kept = {}
    step = done = 0
    while not done:
        step += 1

        def until(execute, sql, params, many, context, left=[step]):  # noqa: B006
            if "django_uidgen" not in sql and not sql.startswith(("SELECT", "PRAGMA")):
                left[0] -= 1
                if not left[0]:
                    raise Killed
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(until):
                things.forwards(add(batch_size=4))
            done = True
        except Killed:
            if not atomic and has_column():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT id, uid FROM movers_thing")
                    now = dict(cursor.fetchall())
                assert all(now[key] == value for key, value in kept.items())
                kept = {key: value for key, value in now.items() if value}
    assert step > 3
    uids = dict(things.model("Thing").objects.values_list("pk", "uid"))
    assert len(set(uids.values())) == 10
    assert kept.items() <= uids.items()
    assert bool(kept) is not atomic


def test_row_that_comes_before_the_table_is_locked(things, monkeypatch):
    """From code that knows nothing of the column: it is filled as well."""
    locked = operations._locked

    def late(schema_editor, model):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO movers_thing (name) VALUES ('late')")
        return locked(schema_editor, model)

    monkeypatch.setattr(operations, "_locked", late)
    monkeypatch.setattr(migrations.Migration, "atomic", False)
    things.forwards(add())
    uids = uids_of(things)
    assert len(set(uids)) == 11
    assert None not in uids


def test_run_again_when_all_was_done(things):
    """Killed between its last statement and the note that it was done."""
    things.forwards(add())
    before = uids_of(things)
    things.applied.pop()
    things.states.pop()
    things.forwards(add())
    assert uids_of(things) == before
    things.backwards()


def test_in_three_steps(things):
    """Added empty, filled, and made NOT NULL, each by itself."""
    things.forwards(add_empty())
    assert uids_of(things) == [None] * 10
    things.forwards(BackfillUid("Thing", "uid", batch_size=3))
    before = uids_of(things)
    assert len(set(before)) == 10
    things.forwards(migrations.AlterField("Thing", "uid", UidField(unique=True)))
    assert uids_of(things) == before
    assert not column("movers_thing", "uid").null
    things.backwards()
    things.backwards()
    assert uids_of(things) == before


def test_backfill_from_a_column(things):
    """As ``AddUidField`` has it."""
    things.forwards(add_empty(), BackfillUid("Thing", "uid", moments_from="created_at"))
    moments = [parse(value).minted_at for value in uids_of(things)]
    assert moments == [NOON - number * HOUR for number in range(10)]


def test_options_of_the_column(things):
    """Name, index and generator are those of the field."""
    field = UidField(null=True, db_index=True, db_column="number", generator="orders")
    things.forwards(AddUidField("Thing", "uid", field))
    assert column("movers_thing", "number").null
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "movers_thing")
    assert [c["index"] for c in found.values() if c["columns"] == ["number"]] == [True]
    assert None not in uids_of(things)
    things.applied.pop()
    things.states.pop()
    things.forwards(AddUidField("Thing", "uid", field))
    things.backwards()


def test_another_database(things, monkeypatch):
    """Where a router keeps the model away, nothing is done."""
    for operation in (AddUidField, BackfillUid):
        monkeypatch.setattr(operation, "allow_migrate_model", lambda *args: False)
    things.forwards(add_empty())
    assert not has_column()
    things.forwards(BackfillUid("Thing", "uid"))
    monkeypatch.undo()
    things.applied.clear()
    del things.states[2:]


@pytest.mark.parametrize(
    "operation",
    [
        AddUidField("Thing", "uid", UidField(unique=True)),
        AddUidField("Thing", "uid", UidField(null=True), backfill=False),
        AddUidField("Thing", "uid", UidField(), moments_from="made", batch_size=5),
        BackfillUid("Thing", "uid"),
        BackfillUid("Thing", "uid", moments_from="made", batch_size=5),
    ],
)
def test_written(operation):
    """As it was, and with what is not usual alone."""
    migration = type("Migration", (migrations.Migration,), {"operations": [operation]})
    text = MigrationWriter(migration("0001_initial", LABEL)).as_string()
    namespace = {}
    exec(text, namespace)
    [read] = namespace["Migration"].operations
    assert type(read) is type(operation)
    assert read.deconstruct()[2].keys() == operation.deconstruct()[2].keys()
    assert "batch_size=2000" not in text
    assert operation.describe()
    assert operation.migration_name_fragment in ("thing_uid", "backfill_thing_uid")


def test_not_merged_with_others():
    """When migrations are squashed, what comes after it comes after the rows."""
    alter = migrations.AlterField("Thing", "uid", UidField(null=True))
    assert add().reduce(alter, LABEL) is False


def test_not_as_sql(things, capsys):
    """Sqlmigrate says that there is more to it."""
    migration = migrations.Migration("0009", LABEL)
    migration.operations = [add()]
    with connection.schema_editor(collect_sql=True, atomic=True) as editor:
        migration.apply(things.states[-1].clone(), editor, collect_sql=True)
    assert "CANNOT BE WRITTEN AS SQL" in "\n".join(editor.collected_sql)


@pytest.mark.parametrize(
    ("field", "options", "said"),
    [
        (models.BigIntegerField(), {}, "adds a UidField"),
        (UidField(primary_key=True), {}, "beside the primary key"),
        (UidField(), {"backfill": False}, "wants null=True"),
    ],
)
def test_fields_that_cannot_be_added(field, options, said):
    """It is said when the migration is read."""
    with pytest.raises(ValueError, match=said):
        AddUidField("Thing", "uid", field, **options)


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
    [(None, "has none"), (NOON - 400 * DAY, "before"), (NOON + 9999 * DAY, "not come")],
)
def test_moments_that_no_uid_can_have(things, moment, said):
    """It is said in which rows; what was written before is kept."""
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
    with pytest.raises(NotFillable, match="takes no NULL"):
        backfill(thing, "uid")
    with pytest.raises(NotFillable, match="no column of UIDs"):
        backfill(thing, "name")


def test_column_of_a_parent(things):
    """Its rows are found by the parent's key, so it is filled there."""
    child = migrations.CreateModel("Special", [], bases=(f"{LABEL}.thing",))
    things.forwards(add_empty(), child)
    with pytest.raises(NotFillable, match="fill it there"):
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
    with pytest.raises(NotFillable, match=r"row .* has '0' there, which is no date"):
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
        with pytest.raises(NotFillable, match="bytes"):
            backfill(thing, "uid")
    else:
        assert backfill(thing, "uid") == 1


def test_key_of_several_columns(movers):
    """It is said, rather than to fail at the first batch."""
    key = ("pk", models.CompositePrimaryKey("a", "b"))
    a, b = ("a", models.IntegerField()), ("b", models.IntegerField())
    movers.forwards(model("Pair", key, a, b, ("uid", UidField(null=True))))
    with pytest.raises(NotFillable, match="several columns"):
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
    assert "5 rows of testapp.Parcel have got a UID" in capsys.readouterr().out
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
        (("testapp.Parcel", "barcode"), "takes no NULL"),
        (("testapp.Parcel", "name"), "no column of UIDs"),
        (("testapp.Parcel", "event"), "no column of UIDs"),
        (("testapp.Parcel", "returned_as", "--from", "name"), "which is no date"),
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
    """What was written is kept, and it is said how to go on."""
    from django.db import OperationalError

    def down(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            raise OperationalError("gone")
        return execute(sql, params, many, context)

    with (
        connection.execute_wrapper(down),
        pytest.raises(CommandError, match=r"gone\. What was written is kept"),
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

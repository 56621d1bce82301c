"""The migration operations that fill a column of UIDs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.db import connection, migrations, models
from django.db.migrations.writer import MigrationWriter

from django_uidgen import operations, parse
from django_uidgen.fields import UidField
from django_uidgen.operations import AddUidField, BackfillUid
from tests.support.columns import BIGINT, column
from tests.support.movers import LABEL
from tests.support.things import (
    HOUR,
    NOON,
    add,
    add_empty,
    uids_of,
)


def has_column():
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, "movers_thing")
    return "uid" in [row.name for row in found]


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
        (UidField(), {"backfill": False}, "needs null=True"),
    ],
)
def test_fields_that_cannot_be_added(field, options, said):
    """The error comes when the migration is loaded."""
    with pytest.raises(ValueError, match=said):
        AddUidField("Thing", "uid", field, **options)

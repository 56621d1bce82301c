"""The check that asks the database whether UIDs fit."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core import checks
from django.core.management import call_command
from django.db import connection

from django_uidgen.checks import check_columns
from tests.testapp.models import Order, OrderLine

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

THROUGH = Order.tags.through
ON_SERVER = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="integers of SQLite have 64 bits"
)


@pytest.fixture
def narrow():
    """Make a column of 32 bits, as AutoField has; widen it again."""
    narrowed = []

    def alter(model, name, kind):
        column = connection.ops.quote_name(model._meta.get_field(name).column)
        table = connection.ops.quote_name(model._meta.db_table)
        verb = {
            "postgresql": f"ALTER COLUMN {column} TYPE {kind}",
            "mysql": f"MODIFY {column} {kind} NOT NULL",
        }[connection.vendor]
        with connection.cursor() as cursor, connection.constraint_checks_disabled():
            cursor.execute(f"ALTER TABLE {table} {verb}")

    def make(model, name):
        narrowed.append((model, name))
        alter(model, name, "integer")

    yield make
    for model, name in narrowed:
        alter(model, name, "bigint")


def test_nothing_to_say_of_this_project():
    """All its columns are wide enough."""
    assert check_columns(None, databases=["default"]) == []


@ON_SERVER
def test_key_of_a_table_between_two_ends(narrow):
    """Django never migrates it."""
    narrow(THROUGH, "id")
    [warning] = check_columns(None, databases=["default"])
    assert warning == checks.Warning(
        "The column 'id' of table 'testapp_order_tags' in database 'default' is too "
        "small for UIDs.",
        hint=(
            "Make it a bigint. Migrations never change the key of the join table of a "
            "ManyToManyField: alter that by hand, or with migrations.RunSQL."
        ),
        obj=THROUGH._meta.pk,
        id="django_uidgen.W002",
    )


@ON_SERVER
def test_only_the_apps_that_are_asked_for(narrow):
    """As with other checks."""
    narrow(THROUGH, "id")
    ours, others = apps.get_app_config("testapp"), apps.get_app_config("auth")
    assert len(check_columns([ours], databases=["default"])) == 1
    assert check_columns([others], databases=["default"]) == []


@ON_SERVER
def test_table_that_is_not_there_yet():
    """Migrate makes it."""
    with connection.schema_editor() as editor:
        editor.delete_model(OrderLine)
    try:
        assert check_columns(None, databases=["default"]) == []
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(OrderLine)


@ON_SERVER
def test_command_says_it(narrow, capsys):
    """Where a database is named."""
    narrow(THROUGH, "id")
    call_command("check", "testapp")
    call_command("check", "testapp", databases=["default"])
    assert "django_uidgen.W002" in capsys.readouterr().err

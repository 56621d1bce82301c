"""UidAutoField as DEFAULT_AUTO_FIELD: of a project, of an app, beside other keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ModelState, ProjectState
from django.test.utils import isolate_apps

from django_uidgen.fields import UidAutoField, UidField
from django_uidgen.models import WorkerNode
from tests.support.columns import BIGINT
from tests.testapp.models import Invoice, Order, Parcel, Tag, Ticket
from tools.databases import RUN

UID = "django_uidgen.fields.UidAutoField"
BIG = "django.db.models.BigAutoField"


# A whole project, outside of a test run.


@pytest.fixture
def project(django_db_blocker, tmp_path):
    """Run the project of the suite on an empty database of its own."""
    run_name = f"{RUN}_whole"
    database = connection.ops.quote_name(f"test_uidgen_{run_name}")

    def run(part):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.programs.whole_project", part],
            env={
                **os.environ,
                "PYTEST_XDIST_WORKER": "",
                "UIDGEN_TEST_RUN": run_name,
                "UIDGEN_TEST_SQLITE_FOLDER": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    if connection.vendor == "sqlite":
        yield run
        return
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {database}")
        cursor.execute(f"CREATE DATABASE {database}")
        yield run
        cursor.execute(f"DROP DATABASE {database}")


def is_own(label):
    """Tell whether a model is of an app that pins no key."""
    return label.split(".")[0] in {"testapp", "live"}


@pytest.mark.parametrize("age", ["new", "old"])
def test_whole_project(project, age):
    """It is migrated and used, new or with rows from before the app was added.

    UIDs for the keys of its own apps, numbers of the database for Django's.
    """
    if age == "old":
        project("start")
    facts = project("use")

    own = {label: key for label, key in facts["keys"].items() if is_own(label)}
    # Models of the suite with another key say so.
    assert own.pop("testapp.Ticket")[0] == "BigAutoField"
    fields = {field for field, *_ in own.values()}
    assert fields == {"UidAutoField", "UidField", "OneToOneField"}
    assert own["testapp.Order_tags"][0] == "UidAutoField"
    assert all(column == list(BIGINT) for _, *column in own.values())

    others = {label: key for label, key in facts["keys"].items() if not is_own(label)}
    assert others.pop("sessions.Session")[0] == "CharField"
    assert all(generated for _, _, generated, *_ in others.values())
    migrations = others.pop("migrations.Migration")
    assert migrations[0] == "BigAutoField"
    if age == "old":  # and nobody had to widen it
        assert migrations[1] in {"integer", "int"}
    assert others.pop("django_uidgen.WorkerNode")[0] == "BigAutoField"
    assert {field for field, *_ in others.values()} == {"AutoField"}

    members = {"new": [[1, 1, 1]], "old": [[1, 1, 1], [2, 2, 2]]}
    assert facts["members"] == members[age]
    assert facts["migrations"]["rows"] == facts["migrations"]["highest"] > 15
    assert facts["uids"] == facts["uids_again"] == [True] * 4
    assert facts["tables_at_zero"] == []


# What the setting reaches, in this process.


def test_own_models_have_uid_keys():
    """With the class itself, and all that Options knows of a key it made."""
    key = Order._meta.pk
    assert type(key) is UidAutoField
    assert (key.name, key.verbose_name, key.auto_created) == ("id", "ID", True)
    assert type(Order.tags.through._meta.pk) is UidAutoField
    assert type(Parcel.seen_at.through._meta.pk) is UidAutoField


def test_models_that_name_a_key_have_that():
    """The setting is for those that name none."""
    assert type(Parcel._meta.pk) is UidField
    assert Invoice._meta.pk.generator == "orders"
    assert type(Ticket._meta.pk) is models.BigAutoField


@pytest.mark.parametrize(
    "model",
    [User, Group, User.groups.through, Group.permissions.through],
    ids=lambda model: model._meta.label,
)
def test_apps_of_django_keep_their_keys(model):
    """They pin them."""
    assert type(model._meta.pk) is models.AutoField


@pytest.mark.django_db
def test_apps_of_django_can_be_used():
    """The tables in between as well, which migrations would key by the setting."""
    user = User.objects.create(username="a")
    user.groups.add(Group.objects.create(name="b"))
    user.groups.add(Group.objects.create(name="c"))
    assert user.groups.count() == 2
    keys = list(User.groups.through.objects.values_list("pk", flat=True))
    assert max(keys) < 2**31


def test_worker_table_has_a_key_of_the_database():
    """Ours would need a UID to mint a UID."""
    assert type(WorkerNode._meta.pk) is models.BigAutoField


def test_table_of_migrations_has_a_key_of_the_database():
    """It is there before the first UID can be minted."""
    key = MigrationRecorder.Migration._meta.pk
    assert type(key) is models.BigAutoField
    assert MigrationRecorder.Migration._meta.auto_field is key
    assert (key.name, key.verbose_name, key.auto_created) == ("id", "ID", True)


@pytest.mark.django_db
def test_no_migration_is_missing():
    """Of any app, Django's own included."""
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


# One app.


def make_models():
    """Make a model with a ManyToManyField, and return both keys."""

    def members(**fields):
        meta = type("Meta", (), {"app_label": "testapp"})
        return {"__module__": __name__, "Meta": meta} | fields

    far = type("Far", (models.Model,), members())
    near = type("Near", (models.Model,), members(far=models.ManyToManyField(far)))
    return type(near._meta.pk), type(near.far.through._meta.pk)


@isolate_apps("tests.testapp.apps.UidKeyedConfig")
def test_app_that_pins_uids(settings, monkeypatch):
    """Where the project has other keys."""
    # Outside of the isolation it is another app.
    monkeypatch.setattr(apps.get_app_config("testapp"), "default_auto_field", BIG)
    settings.DEFAULT_AUTO_FIELD = BIG
    assert make_models() == (UidAutoField, UidAutoField)


@isolate_apps("tests.testapp.apps.NumberKeyedConfig")
def test_app_that_pins_numbers(settings):
    """Where the project has UIDs."""
    assert settings.DEFAULT_AUTO_FIELD == UID
    assert make_models() == (models.AutoField, models.AutoField)


@isolate_apps("tests.testapp")
def test_app_that_pins_nothing():
    """It has the keys of the project."""
    assert make_models() == (UidAutoField, UidAutoField)


class HouseAutoField(UidAutoField):
    """A project's own key, of another generator."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("generator", "orders")
        super().__init__(*args, **kwargs)


@isolate_apps("tests.testapp")
def test_subclass_as_the_key_of_a_project(settings):
    """It is an AutoField to Django, so the setting may name it."""
    settings.DEFAULT_AUTO_FIELD = f"{__name__}.HouseAutoField"
    assert make_models() == (HouseAutoField, HouseAutoField)


@pytest.mark.parametrize(
    ("default", "pinned", "expected"),
    [
        (UID, None, UidAutoField),
        (UID, UID, UidAutoField),
        (UID, f"{__name__}.HouseAutoField", UidAutoField),
        (UID, "django.db.models.AutoField", models.AutoField),
        (UID, BIG, models.BigAutoField),
        # A bigint as well, and Django's own choice.
        (BIG, UID, models.BigAutoField),
    ],
)
def test_key_in_between_that_migrations_make(
    default, pinned, expected, settings, monkeypatch
):
    """The one that the model has, although they know no key pinned by an app."""
    app_config = apps.get_app_config("testapp")
    monkeypatch.setattr(app_config, "default_auto_field", pinned or default)
    settings.DEFAULT_AUTO_FIELD = default
    state = ProjectState()
    for model in (Tag, Order):
        state.add_model(ModelState.from_model(model))
    order = state.apps.get_model("testapp", "Order")
    assert type(order.tags.through._meta.pk) is expected
    # That of the model is written in the migration.
    assert type(order._meta.pk) is UidAutoField


def test_key_in_between_of_an_app_that_is_gone():
    """Nothing is known of it but the setting."""
    state = ProjectState()
    for name, fields in (("Far", []), ("Near", [("far", "gone.Far")])):
        columns = [("id", UidAutoField(primary_key=True))]
        columns += [(field, models.ManyToManyField(to)) for field, to in fields]
        state.add_model(ModelState("gone", name, columns))
    near = state.apps.get_model("gone", "Near")
    assert type(near.far.through._meta.pk) is UidAutoField

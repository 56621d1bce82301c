"""The project of the suite outside of a test run, in a process of its own.

    python -m tests.programs.whole_project start
    python -m tests.programs.whole_project use

The first makes the project as it was before the app was added to it. The second
migrates it, uses it and prints the outcome.

The settings are those in the environment, which name an empty database.
"""

from __future__ import annotations

import json
import sys

import django
from django.apps import apps
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection, models
from django.db.migrations.recorder import MigrationRecorder

# As Django made its table of migrations before it knew DEFAULT_AUTO_FIELD.
OLD_KEYS = {
    "postgresql": "serial NOT NULL PRIMARY KEY",
    "mysql": "integer AUTO_INCREMENT NOT NULL PRIMARY KEY",
    "sqlite": "integer NOT NULL PRIMARY KEY AUTOINCREMENT",
}
MOMENTS = {
    "postgresql": "timestamp with time zone",
    "mysql": "datetime(6)",
    "sqlite": "datetime",
}


def start():
    """Make an old project of Django's own apps, and use it."""
    settings.DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
    settings.ROOT_URLCONF = "tests.urls_without_drf"
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app.startswith("django.contrib.")
    ]
    django.setup()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE django_migrations ("
            f"id {OLD_KEYS[connection.vendor]}, "
            "app varchar(255) NOT NULL, name varchar(255) NOT NULL, "
            f"applied {MOMENTS[connection.vendor]} NOT NULL)"
        )
    migrate()
    add_member("old")


def use():
    """Migrate, make rows, and print what came of it."""
    django.setup()
    migrate()
    facts = {"keys": keys(), "uids": add_rows(), "members": add_member("new")}
    recorder = MigrationRecorder(connection).migration_qs
    facts["migrations"] = recorder.aggregate(
        rows=models.Count("pk"), highest=models.Max("pk")
    )
    migrate("testapp", "zero")
    facts["tables_at_zero"] = [
        name
        for name in connection.introspection.table_names()
        if name.startswith("testapp_")
    ]
    migrate()
    facts["uids_again"] = add_rows()
    sys.stdout.write(json.dumps(facts))


def migrate(*arguments):
    """Run the command, as a person would."""
    command = ["manage.py", "migrate", *arguments, "--verbosity=0", "--no-input"]
    execute_from_command_line(command)


def add_member(name):
    """Make a user in a group, and return the keys of all memberships."""
    user = apps.get_model("auth", "User").objects.create(username=name)
    user.groups.create(name=name)
    user.user_permissions.add(apps.get_model("auth", "Permission").objects.first())
    memberships = type(user).groups.through.objects.order_by("pk")
    return list(memberships.values_list("user_id", "group_id", "pk"))


def add_rows():
    """Make rows with UIDs; return for each of them whether its lease is found."""
    from django_uidgen import parse
    from tests.testapp.models import Event, Order

    order = Order.objects.create(name="a")
    tag = order.tags.create(name="b")
    between = order.tags.through.objects.get()
    uids = [order.pk, tag.pk, between.pk, Event.objects.create(name="c").pk]
    return [parse(uid).worker_node is not None for uid in uids]


def keys():
    """Return the class of the key of each model, and what its column is."""
    from tests.support.columns import of_field

    all_models = apps.get_models(include_auto_created=True)
    with_tables = [
        model
        for model in [*all_models, MigrationRecorder.Migration]
        if model._meta.managed and not model._meta.proxy
    ]
    return {
        model._meta.label: [type(model._meta.pk).__name__, *of_field(model._meta.pk)]
        for model in with_tables
    }


if __name__ == "__main__":
    {"start": start, "use": use}[sys.argv[1]]()

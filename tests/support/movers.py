"""An app whose models are made, changed and dropped by migrations of a test."""

from __future__ import annotations

from django.db import connection, migrations
from django.db.migrations.state import ProjectState

LABEL = "movers"


class Movers:
    """An app that has no models but those of its migrations."""

    def __init__(self, label=LABEL):
        self.label = label
        self.states = [ProjectState()]
        self.applied = []

    def forwards(self, *operations):
        """Apply a migration."""
        migration = migrations.Migration(f"{len(self.applied):04}", self.label)
        migration.operations = list(operations)
        self.apply(migration)

    def apply(self, migration):
        """Apply a migration that was written down."""
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
        return self.states[-1].apps.get_model(self.label, name)

    def tables(self):
        """Return the tables of the app that are there."""
        return {
            name
            for name in connection.introspection.table_names()
            if name.startswith(f"{self.label}_")
        }


def drop(movers):
    """Drop the tables of the app, whatever state they are in."""
    cascade = "CASCADE" if connection.vendor == "postgresql" else ""
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in movers.tables():
            cursor.execute(f"DROP TABLE {table} {cascade}")


def model(name, *fields, **options):
    """Return the operation that makes a model."""
    return migrations.CreateModel(name, list(fields), options=options)

"""Bootstrap leases: minting in a data migration before the worker table exists.

An app that is earlier in the plan of ``migrate`` may create rows. No process can have a
lease then, so the first worker id is used, and the migration that creates the worker
table enters the lease there. (The first migration of this app cannot be forced before
those of other apps: that would break projects that add this app later.)
"""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.dispatch import Signal

from django_uidgen.core import fork

#: Sent by the migration that has created the worker table, in its transaction, with
#: ``database``, an alias, and ``nodes``, a queryset of the table's rows.
table_made = Signal()

#: By database, the process in which ``migrate`` runs: a child that it forks must not
#: use the same worker id. ``migrate`` writes one key at a time, and claims of any
#: thread read it.
_migrating: dict[str, fork.ForkGuard] = {}


def begin(*, using: str, **kwargs: Any) -> None:
    """Record that ``migrate`` has begun. A receiver of pre_migrate."""
    _migrating[using] = fork.this_process()


def end(*, using: str, **kwargs: Any) -> None:
    """Record that ``migrate`` has ended. A receiver of post_migrate."""
    _migrating.pop(using, None)


def table_is_to_come(database: str) -> bool:
    """Return whether ``migrate`` runs in this process, before it creates the table."""
    from django_uidgen.models import WorkerNode

    if _migrating.get(database) is not fork.this_process():
        return False
    return not WorkerNode.objects.using(database).table_exists()


def enter_leases(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Enter the bootstrap leases, at the end of migration 0001.

    Migrations name this function, so its path is public for ever. The registry of
    generators receives ``table_made``.
    """
    database = schema_editor.connection.alias
    manager = apps.get_model("django_uidgen", "WorkerNode")._default_manager
    table_made.send(sender=None, database=database, nodes=manager.using(database))

"""Minting in a data migration that runs before the worker table exists.

An app that comes earlier in the plan of ``migrate`` may create rows. Nobody can hold a
worker id then, so the first one is used, and the migration that makes the worker table
enters the lease there. (Our first migration cannot be forced before other apps': that
would break projects that add this app later.)
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from django.apps.registry import Apps
from django.db import connections, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

#: The databases that ``migrate`` works on, and the process that runs it: a child that
#: it forks must not use the same worker id.
_migrating: dict[str, int] = {}


def begin(*, using: str, **kwargs: Any) -> None:
    """Note that ``migrate`` has begun. A receiver of pre_migrate."""
    _migrating[using] = os.getpid()


def end(*, using: str, **kwargs: Any) -> None:
    """Note that ``migrate`` is done. A receiver of post_migrate."""
    _migrating.pop(using, None)


def table_is_to_come(database: str) -> bool:
    """Tell whether ``migrate`` runs in this process and has not made the table yet."""
    from django_uidgen.models import WorkerNode

    if _migrating.get(database) != os.getpid():
        return False
    return (
        WorkerNode._meta.db_table
        not in connections[database].introspection.table_names()
    )


def enter_leases(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Enter the leases that were made without a table. The end of migration 0001."""
    from django_uidgen.registry import generators

    database = schema_editor.connection.alias
    nodes = apps.get_model("django_uidgen", "WorkerNode")._default_manager.using(
        database
    )
    for generator in generators.built():
        assigner: Any = generator.assigner
        enter = getattr(assigner, "enter_bootstrap_lease", None)
        lease = generator.lease
        if enter is None or lease is None or lease.key is not None:
            continue
        if assigner.database == database:
            entered = enter(lease, generator.next_tick, nodes)
            # Not before the commit: a rollback takes the row away, not the lease.
            transaction.on_commit(
                partial(generator.enter_lease, entered), using=database
            )

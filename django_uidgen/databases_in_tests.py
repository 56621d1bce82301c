"""Whether other test runs may use the database of this one.

A database whose worker table ``migrate`` has made in this test run is its own. That is
known in this process and in those that it forks. A database that was there before may
be used by another run at the same time: one that is kept (``--keepdb``,
``--reuse-db``), or one that the project chose for its tests. An in-memory database is
used by one process alone.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal

from django_uidgen.core import process
from django_uidgen.databases import origin_of
from django_uidgen.dialects import dialect_of

#: Sent after the answer of ``may_be_shared()`` may have changed.
changed = Signal()

#: By alias, whether the first ``migrate`` of this test run made the worker table. The
#: thread that runs it writes one key at a time.
_made: dict[str, bool] = {}

#: By alias, whether this test run has connected to the database. Any thread that
#: connects writes one key.
_connected: dict[str, bool] = {}


def begin_migrate(*, using: str, **kwargs: Any) -> None:
    """Record whether the worker table is there already. A receiver of pre_migrate."""
    from django_uidgen.models import WorkerNode

    if using not in _made and process.in_test_run():
        _made[using] = not WorkerNode.objects.using(using).table_exists()
        changed.send(sender=None)


def connected(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Record a database that this test run uses. A receiver of connection_created."""
    if connection.alias not in _connected and process.in_test_run():
        _connected[connection.alias] = True
        changed.send(sender=None)


def may_be_shared(database: str) -> bool:
    """Return whether other test runs may use ``database``, an alias, at the same time.

    Return False as long as this run has not connected to it.
    """
    if _is_in_memory(database):
        return False
    if database in _made:
        return not _made[database]
    origin = origin_of(connections[database])
    return database in _connected and not any(
        made and origin_of(connections[alias]) == origin
        for alias, made in _made.copy().items()
    )


def _is_in_memory(database: str) -> bool:
    connection: Any = connections[database]
    return dialect_of(connection).single_writer and bool(
        connection.creation.is_in_memory_db(connection.settings_dict["NAME"])
    )

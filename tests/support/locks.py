"""A worker table that somebody else has locked."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from django.db import connection, connections

from django_uidgen.models import WorkerNode

LOCK, UNLOCK = {
    "sqlite": ("BEGIN EXCLUSIVE", "ROLLBACK"),
    "postgresql": ("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", "ROLLBACK"),
    "mysql": ("LOCK TABLES {} WRITE", "UNLOCK TABLES"),
}[connection.vendor]


@contextmanager
def locked_worker_table():
    """Lock the worker table in another connection; yield the event that ends it."""
    locked, go_on = threading.Event(), threading.Event()

    def hold():
        try:
            with connection.cursor() as cursor:
                cursor.execute(LOCK.format(WorkerNode._meta.db_table))
                locked.set()
                go_on.wait(60)
                cursor.execute(UNLOCK)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(30)
        yield go_on
    finally:
        go_on.set()
        holder.join()

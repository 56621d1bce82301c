"""Provisional leases: claimed in the caller's transaction, on SQLite."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from django.db import connections

from django_uidgen.core.lease import Provisional


class ProvisionalClaim(Provisional):
    """The caller's transaction on SQLite in which a lease was claimed.

    The claim stands as long as its row exists and its marker is in the connection's
    queue of callbacks for the commit. Django removes the marker when the transaction,
    or its ``atomic()`` block, is rolled back. It does not do so for savepoints that a
    caller made by hand, so the row is checked too.
    """

    def __init__(self, database: str) -> None:
        self._connection = connections[database]
        self._row: tuple[str, list[Any]]
        self._callback: Callable[[], None]

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, after the transaction was committed."""
        self._callback = callback

    def watch(self, table: str, row: dict[str, Any]) -> None:
        """Queue the marker. ``row``: columns that distinguish the row of the claim."""
        connection = self._connection
        quote = connection.ops.quote_name
        conditions = " AND ".join(f"{quote(column)} = ?" for column in row)
        statement = f"SELECT 1 FROM {quote(table)} WHERE {conditions}"  # noqa: S608
        self._row = statement, list(row.values())
        # connection.on_commit() raises with autocommit off, but even then a rollback
        # empties the queue. A commit then goes unnoticed, and the lease lapses.
        marker: Any = (set(connection.savepoint_ids), self._committed, True)
        connection.run_on_commit.append(marker)

    def _committed(self) -> None:
        if self._row_is_there():
            self._callback()

    def stands(self) -> bool:
        """Return whether the claim is part of a transaction that is still open."""
        connection = self._connection
        is_queued = any(
            entry[1] == self._committed for entry in connection.run_on_commit
        )
        return is_queued and self._row_is_there()

    def _row_is_there(self) -> bool:
        # With the driver's cursor: code that watches Django's cursor may mint, but the
        # lock of the generator is held now. No other connection can block this query.
        with closing(self._connection.connection.cursor()) as cursor:
            return bool(cursor.execute(*self._row).fetchall())

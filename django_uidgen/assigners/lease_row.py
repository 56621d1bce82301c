"""The row of one lease in the worker table."""

from __future__ import annotations

import logging
import os
from typing import Any

from django.db import Error, connections, transaction

from django_uidgen import databases, node_info
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.core.lease import Lease
from django_uidgen.models import WorkerNodeQuerySet

logger = logging.getLogger("django_uidgen")

#: The consequence if leases with which processes still mint are not in the table.
_AFTER_A_RESTORE = (
    "Then UIDs may repeat until each process was stopped, or could not reach the "
    "database for the length of a lease."
)


class LeaseRow:
    """The row among ``nodes`` of ``lease``, a lease of the generator ``alias``."""

    def __init__(self, nodes: WorkerNodeQuerySet, alias: str, lease: Lease) -> None:
        self._alias = alias
        self._lease = lease
        # After a restore of an older copy, another lease may have the same key.
        self._rows = nodes.for_generator(alias).filter(
            pk=lease.key,
            worker_id=lease.worker_id,
            process_id=os.getpid(),
            launched_at=node_info.launched_at(),
        )

    def columns(self) -> dict[str, Any]:
        """Return columns that distinguish the row from all others, for raw SQL.

        The key is not enough: SQLite reuses the key of a row that was rolled back.
        """
        return {
            "id": self._lease.key,
            "generator": self._alias,
            "worker_id": self._lease.worker_id,
            "reserved_from": self._lease.reserved_from,
            "process_id": os.getpid(),
        }

    def _is_here(self) -> bool:
        """Return whether the row is in the database that is behind the alias now.

        In another one, its key may be that of another row.
        """
        here = databases.origin_of(connections[self._rows.db])
        return bool(self._lease.origin == here)

    def exists(self) -> bool:
        """Return whether the row is in the table."""
        return self._rows.found_by_a_write()

    def renew(self, until: int, *, has_lapsed: bool = False) -> None:
        """Extend the lease to tick ``until``. Raise ``LeaseLost`` if it is lost.

        If it ``has_lapsed`` and another process has locked its row, it counts as lost:
        that process may have been stopped in the midst of a takeover.
        """
        lease = self._lease
        if not self._is_here():
            raise self._lost(
                f"it is in another database than the one now behind {self._rows.db!r}"
            )
        unchanged = self._rows.filter(reserved_until__gte=lease.reserved_until)
        try:
            with transaction.atomic(using=self._rows.db):
                if not unchanged.renew(lease.key, until):
                    self._renew_changed(until)
        except Error as error:
            if has_lapsed and databases.lost_to_a_lock(self._rows.db, error):
                raise self._lost("another process has locked its row") from error
            raise

    def _renew_changed(self, until: int) -> None:
        """Renew a row that has changed meanwhile, or raise ``LeaseLost``.

        The row explains why the update changed nothing. It may be a stale copy, from a
        replica that lags behind, so the lease is longer only if the copy proves it.
        """
        lease = self._lease
        # Proxies that send reads to replicas send locking reads to the primary.
        row = self._rows.select_for_update().first()
        if row is None:
            logger.warning(
                "The row of worker id %s of generator %r is missing. Was the worker "
                "table truncated, or an older copy of the database restored? %s",
                lease.worker_id,
                self._alias,
                _AFTER_A_RESTORE,
            )
            raise self._lost("its row is missing")
        if row.reserved_until < lease.reserved_until and not row.sealed:
            logger.error(
                "The lease of worker id %s of generator %r ends earlier in the worker "
                "table than before. Was an older copy of the database restored? %s",
                lease.worker_id,
                self._alias,
                _AFTER_A_RESTORE,
            )
            # If the lease were dropped here, a successor could repeat its last ticks.
            if self._rows.renew(lease.key, until):
                return
        if row.sealed:
            raise self._lost("a successor took it")
        if row.reserved_until < until:
            raise self._lost(
                "an update did not find its row, although a read shows it unchanged. "
                "Does a proxy send reads to a replica?"
            )
        # The lease is longer already: the answer to an earlier renewal was lost. If the
        # row was sealed since, its end is no earlier.

    def _lost(self, reason: str) -> LeaseLost:
        return LeaseLost(
            f"The lease of worker id {self._lease.worker_id} of generator "
            f"{self._alias!r} is lost: {reason}."
        )

    def release(self, until: int) -> None:
        """Release the lease: it ends at tick ``until``, and its worker id is free."""
        if self._is_here():
            self._rows.release(self._lease.key, until)

    def seal(self) -> None:
        """Seal the lease: its worker id is never leased again."""
        self._rows.update(sealed=True)

"""Leases in a ``migrate`` that has not made the worker table yet. See ``bootstrap``."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from django_uidgen import bootstrap
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.core.lease import Lease


class BootstrapLeases:
    """Leases without a key, and so without a row, of one generator."""

    def __init__(self, config: GeneratorConfig) -> None:
        self._config = config
        layout = config.layout
        self._lease_ticks = max(layout.ticks(config.assigner_options.lease), 1)
        self._max_lead = layout.ticks(config.generator_options.max_lead or 0.0)

    def claim(self, worker_id: int, now: int) -> Lease:
        """Return a lease of ``worker_id``, which no other process can hold."""
        # After all UIDs that an earlier migrate may have minted, with its lead.
        start = now + self._max_lead + 1
        return self._lease(worker_id, start, start + self._lease_ticks)

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with a later end.

        Raise ``LeaseLost`` if the worker table has been made.
        """
        if bootstrap.table_is_to_come(self._config.database):
            until = now + self._lease_ticks
            return self._lease(lease.worker_id, lease.reserved_from, until)
        raise LeaseLost(
            f"The bootstrap lease of worker id {lease.worker_id} of generator "
            f"{self._config.alias!r} has ended."
        )

    def _lease(self, worker_id: int, start: int, until: int) -> Lease:
        return Lease(
            worker_id=worker_id,
            reserved_from=start,
            reserved_until=until,
            renew_from=until - self._lease_ticks // 2,
        )

    def enter(
        self, lease: Lease, next_tick: int, nodes: QuerySet[Any], values: dict[str, Any]
    ) -> Any:
        """Insert the row of ``lease`` into ``nodes`` and return it.

        ``values``: the columns that do not depend on the lease. Return None if the
        worker id is taken.
        """
        config = self._config
        if nodes.filter(generator=config.alias, worker_id=lease.worker_id).exists():
            return None
        until = max(next_tick + self._lease_ticks, lease.reserved_until)
        return nodes.create(
            worker_id=lease.worker_id,
            term=1,
            reserved_from=lease.reserved_from,
            reserved_until=min(until, config.layout.max_tick + 1),
            **values,
        )

"""Backdated leases in the worker table. See ``core.backdated``.

Each is one INSERT of a row that is sealed from the start. Its term is derived from its
block and its slot, so the unique constraint of the table allows one lease of each slot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from django_uidgen.assigners.claim_checks import check_layout, did_not_last
from django_uidgen.assigners.retries import (
    system_random,
    unless_locked,
    until_won,
)
from django_uidgen.conf import GeneratorConfig, WorkerIds
from django_uidgen.core.backdated import Blocks
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.core.lease import BackdatedLease
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet, backdated_term

#: The number of worker ids in one query.
_AT_ONCE = 16


def no_ids_reserved(alias: str) -> WorkerIdsExhausted:
    """Return the error for a generator without reserved worker ids."""
    return WorkerIdsExhausted(
        f"Generator {alias!r} has no worker ids reserved for backdated UIDs. Set "
        f"BACKDATED_WORKER_IDS to some that no process has used."
    )


class BackdatedSlots:
    """The slots of a generator's reserved worker ids, free or leased.

    ``values``: the columns of a new row that do not depend on the slot.
    """

    def __init__(
        self, config: GeneratorConfig, nodes: WorkerNodeQuerySet, values: dict[str, Any]
    ) -> None:
        self._config = config
        self._blocks = Blocks(config.layout)
        self._nodes = nodes
        self._values = values

    def claim(self, block: int) -> BackdatedLease:
        """Lease a slot of ``block``. Raise ``WorkerIdUnavailable`` if that fails."""
        check_layout(self._config, self._nodes)
        return until_won(partial(self._attempt, block), alias=self._config.alias)

    def confirm(self, lease: BackdatedLease) -> None:
        """Raise ``WorkerIdUnavailable`` if the row of a claimed lease is not there."""
        rows = self._nodes.filter(**self.columns(lease))
        if not rows.found_by_a_write():
            raise did_not_last(self._config, lease.worker_id)

    def _attempt(self, block: int) -> BackdatedLease | None:
        """Try once to lease a slot of ``block``.

        Return None if another process was faster. Raise ``WorkerIdsExhausted`` if all
        slots are leased.
        """
        reserved = self._config.backdated_worker_ids
        if reserved is None:
            raise no_ids_reserved(self._config.alias)
        free = self._free(reserved, block)
        if not free:
            raise self._exhausted(reserved, block)
        lease = system_random.choice(free)
        insert = partial(self._insert, lease)
        inserted = unless_locked(insert, database=self._nodes.db)
        return lease if inserted else None

    def columns(self, lease: BackdatedLease) -> dict[str, Any]:
        """Return columns that distinguish the row of ``lease``, for raw SQL."""
        return {
            "generator": self._config.alias,
            "worker_id": lease.worker_id,
            "term": self._term(lease.block, lease.slot),
            "process_id": os.getpid(),
        }

    def _free(self, reserved: WorkerIds, block: int) -> list[BackdatedLease]:
        """Return the free slots of some worker ids; none if all are leased."""
        for worker_ids in _some_at_a_time(range(reserved.first, reserved.last + 1)):
            free = self._free_of(worker_ids, block)
            if free:
                return free
        return []

    def _free_of(self, worker_ids: list[int], block: int) -> list[BackdatedLease]:
        slots = range(self._blocks.slots)
        terms = {slot: self._term(block, slot) for slot in slots}
        mine = self._nodes.for_generator(self._config.alias).filter(
            worker_id__in=worker_ids
        )
        in_block = mine.filter(term__range=(terms[0], terms[slots[-1]]))
        taken = set(in_block.values_list("worker_id", "term"))
        # A worker id that a process has leased can no longer be reserved.
        leased = mine.filter(term=1, reserved_until__gt=0)
        lost = set(leased.values_list("worker_id", flat=True))
        return [
            BackdatedLease(worker_id=worker_id, block=block, slot=slot)
            for worker_id in worker_ids
            for slot in slots
            if worker_id not in lost and (worker_id, terms[slot]) not in taken
        ]

    def _insert(self, lease: BackdatedLease) -> bool:
        """Insert the row of ``lease``. Return False if another process was faster."""
        values = {"worker_id": lease.worker_id, **self._values}
        if not self._nodes.reserve(**values):
            return False
        reserved_from, reserved_until = self._blocks.ends(lease.block)
        row = self._nodes.start_term(
            term=self._term(lease.block, lease.slot),
            reserved_from=reserved_from,
            reserved_until=reserved_until,
            # Never extended, and never taken over.
            sealed=True,
            kind=WorkerNode.Kind.BACKDATED,
            **values,
        )
        return row is not None

    def _term(self, block: int, slot: int) -> int:
        return backdated_term(self._blocks, block, slot)

    def _exhausted(self, reserved: WorkerIds, block: int) -> WorkerIdsExhausted:
        first, _ = self._blocks.ends(block)
        day = self._config.layout.moment(first).date().isoformat()
        return WorkerIdsExhausted(
            f"Generator {self._config.alias!r} has leased all backdated UIDs of "
            f"{day}: the reserved worker ids {reserved.first} to {reserved.last}, "
            f"{self._blocks.slots} slots each, except those that a process has minted "
            f"with. Add some that no process has used to BACKDATED_WORKER_IDS."
        )


def _some_at_a_time(worker_ids: range) -> Iterator[list[int]]:
    """Yield ``worker_ids`` in random order, a few at a time."""
    shuffled = system_random.sample(worker_ids, len(worker_ids))
    for start in range(0, len(shuffled), _AT_ONCE):
        yield shuffled[start : start + _AT_ONCE]

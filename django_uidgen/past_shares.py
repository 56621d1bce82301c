"""Leases for past moments, in the worker table. See ``core.backdating``.

Each is one INSERT of a row that is sealed from the start. Its term follows from its
block and its share, so the unique constraint of the table lets it be leased once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import SystemRandom
from typing import Any

from django_uidgen.conf import GeneratorConfig, WorkerIds
from django_uidgen.core.backdating import Blocks, PastLease
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.models import WorkerNodeQuerySet, past_term

#: How many worker ids are looked at in one query.
_AT_ONCE = 16

# Forked children share the state of the module-level functions of ``random``.
_random = SystemRandom()


def no_ids_kept(alias: str) -> WorkerIdsExhausted:
    """Return the error of a generator that keeps no worker ids for past moments."""
    return WorkerIdsExhausted(
        f"Generator {alias!r} keeps no worker ids for past moments. Name some that no "
        f"process has used: BACKDATED_WORKER_IDS."
    )


class PastShares:
    """The shares that a generator may lease, and those that are leased already.

    ``values``: the columns of a new row that do not depend on the share.
    """

    def __init__(
        self, config: GeneratorConfig, nodes: WorkerNodeQuerySet, values: dict[str, Any]
    ) -> None:
        self._config = config
        self._blocks = Blocks(config.layout)
        self._nodes = nodes
        self._values = values

    def attempt(self, block: int) -> PastLease | None:
        """Try once to lease a share of ``block``.

        Return None where others were faster, and raise ``WorkerIdsExhausted`` where
        all are leased.
        """
        kept = self._config.backdated_worker_ids
        if kept is None:
            raise no_ids_kept(self._config.alias)
        free = self._free(kept, block)
        if not free:
            raise self._exhausted(kept, block)
        lease = _random.choice(free)
        return lease if self._insert(lease) else None

    def row(self, lease: PastLease) -> dict[str, Any]:
        """Return what tells the row of ``lease`` from all others."""
        return {
            "generator": self._config.alias,
            "worker_id": lease.worker_id,
            "term": self._term(lease.block, lease.share),
            "process_id": os.getpid(),
        }

    def _free(self, kept: WorkerIds, block: int) -> list[PastLease]:
        """Return shares that nobody has leased, of some worker ids."""
        for worker_ids in _some_at_a_time(range(kept.first, kept.last + 1)):
            free = self._free_of(worker_ids, block)
            if free:
                return free
        return []

    def _free_of(self, worker_ids: list[int], block: int) -> list[PastLease]:
        shares = range(self._blocks.shares)
        terms = {share: self._term(block, share) for share in shares}
        mine = self._nodes.for_generator(self._config.alias).filter(
            worker_id__in=worker_ids
        )
        in_block = mine.filter(term__range=(terms[0], terms[shares[-1]]))
        taken = set(in_block.values_list("worker_id", "term"))
        # What a process has leased cannot be kept any more.
        leased = mine.filter(term=1, reserved_until__gt=0)
        lost = set(leased.values_list("worker_id", flat=True))
        return [
            PastLease(worker_id=worker_id, block=block, share=share)
            for worker_id in worker_ids
            for share in shares
            if worker_id not in lost and (worker_id, terms[share]) not in taken
        ]

    def _insert(self, lease: PastLease) -> bool:
        """Insert the row of ``lease``; False where another process was faster."""
        values = {"worker_id": lease.worker_id, **self._values}
        if not self._nodes.kept_for_the_past(**values):
            return False
        reserved_from, reserved_until = self._blocks.ends(lease.block)
        row = self._nodes.start_term(
            term=self._term(lease.block, lease.share),
            reserved_from=reserved_from,
            reserved_until=reserved_until,
            # Never extended, and never taken over.
            sealed=True,
            **values,
        )
        return row is not None

    def _term(self, block: int, share: int) -> int:
        return past_term(self._blocks, block, share)

    def _exhausted(self, kept: WorkerIds, block: int) -> WorkerIdsExhausted:
        first, _ = self._blocks.ends(block)
        day = self._config.layout.moment(first).date().isoformat()
        return WorkerIdsExhausted(
            f"Generator {self._config.alias!r} has leased all that it keeps for {day}: "
            f"the worker ids {kept.first} to {kept.last}, each {self._blocks.shares} "
            f"times, but for those that a process has minted with. Name more that no "
            f"process has used: BACKDATED_WORKER_IDS."
        )


def _some_at_a_time(worker_ids: range) -> Iterator[list[int]]:
    """Give ``worker_ids`` in random order, a few at a time."""
    shuffled = _random.sample(worker_ids, len(worker_ids))
    for start in range(0, len(shuffled), _AT_ONCE):
        yield shuffled[start : start + _AT_ONCE]

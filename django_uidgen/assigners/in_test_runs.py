"""Worker ids in test runs of Django and pytest-django, without a database."""

from __future__ import annotations

from itertools import count
from typing import ClassVar

from django_uidgen.assigners.backdated import no_ids_reserved
from django_uidgen.assigners.retries import system_random
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core import fork
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.backdated import Blocks
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.core.lease import BackdatedLease, Lease


class InTestRunClock(SystemClock):
    """A clock that tests may freeze before the epoch of the layout."""

    def tick(self) -> int:
        """Return the present tick; 0 before the epoch."""
        return max(super().tick(), 0)


class InTestRunAssigner(WorkerIdAssigner):
    """Lease a fixed worker id, for tests that create models without a database.

    If a changed setting replaces a generator that is still in use, the two may mint the
    same UIDs: releases write ``_ends`` one key at a time, and no lock is held from a
    claim to the release.
    """

    #: By alias, layout and worker id, the end of the last lease in this process: a
    #: generator that replaces another must not mint in the same ticks.
    _ends: ClassVar[dict[tuple[str, str, int], int]] = {}
    #: By alias, layout, block and worker id, the number of slots leased.
    _slots_leased: ClassVar[dict[tuple[str, str, int, int], count[int]]] = {}

    def __init__(self, config: GeneratorConfig) -> None:
        self._alias = config.alias
        self._layout = config.layout.fingerprint
        first, last = config.worker_ids
        worker_id = config.test_worker_id
        self._worker_id = first if worker_id is None else worker_id
        #: The worker ids above, or those below if there are none above.
        self._others = range(self._worker_id + 1, last + 1) or range(
            first, self._worker_id
        )
        self._end = config.layout.max_tick + 1
        self._process = fork.this_process()
        reserved = config.backdated_worker_ids
        self._reserved = reserved and range(reserved.first, reserved.last + 1)
        self._slots = Blocks(config.layout).slots

    def claim(self, now: int) -> Lease:
        """Lease the worker id of test runs, or a random one in a forked child."""
        worker_id = self._worker_id
        if fork.this_process() is not self._process and len(self._others) > 0:
            worker_id = system_random.choice(self._others)
        return Lease(
            worker_id=worker_id,
            reserved_from=max(now, self._ends.get(self._key(worker_id), 0)),
            reserved_until=self._end,
            renew_from=self._end,
        )

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease``: it lasts to the end of the layout."""
        return lease

    def release(self, lease: Lease, next_tick: int) -> None:
        """Record ``next_tick`` as the end of the lease."""
        self._ends[self._key(lease.worker_id)] = next_tick

    def claim_backdated(self, block: int) -> BackdatedLease:
        """Lease a slot of ``block`` that no test of this process has leased."""
        if self._reserved is None:
            raise no_ids_reserved(self._alias)
        if fork.this_process() is not self._process:
            slot = system_random.randrange(self._slots)
            return BackdatedLease(system_random.choice(self._reserved), block, slot)
        for worker_id in self._reserved:
            key = self._alias, self._layout, block, worker_id
            slot = next(self._slots_leased.setdefault(key, count()))
            if slot < self._slots:
                return BackdatedLease(worker_id, block, slot)
        raise WorkerIdsExhausted(f"All slots of block {block} were leased.")

    def _key(self, worker_id: int) -> tuple[str, str, int]:
        return self._alias, self._layout, worker_id

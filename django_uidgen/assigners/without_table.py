"""One configured worker id, without a row in the worker table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from django_uidgen.assigners.configured_id import configured_worker_id
from django_uidgen.assigners.leased import LeasedWorkerIdAssigner
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core import fork
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.core.lease import BackdatedLease, Lease


class FixedWithoutTableAssigner(WorkerIdAssigner):
    """Mint with the one worker id of this process, without the worker table.

    Uniqueness rests on the clock and on the operator. Within this process and its
    children, no two generators mint with one worker id at a time. Backdated slots are
    still leased from the worker table.
    """

    #: By alias, layout and worker id: the process that mints with it, and the tick from
    #: which on nothing was minted. The first claim enters the process, by
    #: ``setdefault``; a release writes one end without the lock.
    _holders: ClassVar[dict[tuple[str, str, int], fork.ForkGuard]] = {}
    _ends: ClassVar[dict[tuple[str, str, int], int]] = {}
    #: Held while ``_ends`` is read and written. Two generators of one alias compete
    #: after a change of a setting.
    _ends_lock = fork.ProcessLock()

    def __init__(
        self, config: GeneratorConfig, *, worker_id: Callable[[], int] | None = None
    ) -> None:
        self.alias = config.alias
        self.layout = config.layout
        #: Return the worker id configured for this process.
        self.worker_id = worker_id or partial(configured_worker_id, config)
        #: How far a lease begins ahead of the clock, in ticks.
        self.max_lead = config.layout.ticks(config.generator_options.max_lead or 0.0)
        self._end = config.layout.max_tick + 1
        self._table = LeasedWorkerIdAssigner(config)
        self.worker_id()

    def claim(self, now: int) -> Lease:
        """Return a lease from after tick ``now + max_lead`` to the layout's end.

        Raise ``WorkerIdUnavailable`` if the worker id is in use, in this process or the
        one that forked it.
        """
        worker_id = self.worker_id()
        key = self._key(worker_id)
        process = fork.this_process()
        holder = self._holders.setdefault(key, process)
        if holder is not process:
            raise WorkerIdUnavailable(
                f"Worker id {worker_id} of generator {self.alias!r} belongs to process "
                f"{holder.process_id}, which forked this one, and without a worker "
                f"table there is no other. Mint nothing before the fork, or set "
                f"WORKER_TABLE to True."
            )
        with self._ends_lock.held():
            minted_until = self._ends.get(key, 0)
            self._ends[key] = self._end
        if minted_until == self._end:  # in use, so this would be a second lease
            raise WorkerIdUnavailable(
                f"The clock was stepped back, and generator {self.alias!r} needs a "
                f"second worker id to mint at the new time, but has only {worker_id}, "
                f"without a worker table. Wait until the clock shows the old time "
                f"again, or restart this process then."
            )
        return Lease(
            worker_id=worker_id,
            # After all UIDs that an earlier process may have minted, with its lead.
            reserved_from=max(now + self.max_lead + 1, minted_until),
            reserved_until=self._end,
            renew_from=self._end,
        )

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease``: it lasts to the end of the layout."""
        return lease

    def release(self, lease: Lease, next_tick: int) -> None:
        """Record ``next_tick`` as the end of the lease."""
        self._ends[self._key(lease.worker_id)] = next_tick

    def _key(self, worker_id: int) -> tuple[str, str, int]:
        return self.alias, self.layout.fingerprint, worker_id

    def claim_backdated(self, block: int) -> BackdatedLease:
        """Lease a slot of ``block`` from the worker table."""
        return self._table.claim_backdated(block)

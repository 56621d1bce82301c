"""An assigner whose leases are in memory, by the rules of the worker table."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import LeaseLost, WorkerIdUnavailable
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease


@dataclass
class Row:
    worker_id: int
    reserved_from: int
    reserved_until: int
    sealed: bool = False
    released: bool = False


@dataclass
class MemoryAssigner(WorkerIdAssigner):
    layout: BitLayout
    lease_ticks: int = 10_000
    worker_ids: list[int] = field(default_factory=lambda: [1, 2, 3])
    rows: list[Row] = field(default_factory=list)
    down: bool = False
    provisional: object = None
    single_writer: bool = False
    claims: int = 0
    renewals: int = 0

    def claim(self, now: int) -> Lease:
        self._check()
        self.claims += 1
        last = {row.worker_id: row for row in self.rows}
        for worker_id in self.worker_ids:
            row = last.get(worker_id)
            if row is None or row.reserved_until <= now:
                start = max(now, row.reserved_until if row else 0)
                if row:
                    row.sealed = True
                return self._lease(
                    Row(worker_id, start, min(start + self.lease_ticks, self.end))
                )
        raise WorkerIdUnavailable("No worker id is free.")

    def _lease(self, row: Row) -> Lease:
        self.rows.append(row)
        return Lease(
            worker_id=row.worker_id,
            reserved_from=row.reserved_from,
            reserved_until=row.reserved_until,
            renew_from=row.reserved_until - self.lease_ticks // 2,
            key=row,
            provisional=self.provisional,
        )

    def renew(self, lease: Lease, now: int) -> Lease:
        self._check()
        self.renewals += 1
        row = lease.key
        if row.sealed:
            raise LeaseLost("Sealed.")
        row.reserved_until = max(
            row.reserved_until, min(now + self.lease_ticks, self.end)
        )
        return Lease(
            worker_id=row.worker_id,
            reserved_from=row.reserved_from,
            reserved_until=row.reserved_until,
            renew_from=row.reserved_until - self.lease_ticks // 2,
            key=row,
        )

    def release(self, lease: Lease, next_tick: int) -> None:
        self._check()
        if not lease.key.sealed:
            lease.key.reserved_until = next_tick
            lease.key.released = True

    def must_be_provisional(self) -> bool:
        return self.provisional is not None

    @property
    def end(self) -> int:
        return self.layout.max_tick + 1

    def _check(self) -> None:
        if self.down:
            raise WorkerIdUnavailable("The database is down.")

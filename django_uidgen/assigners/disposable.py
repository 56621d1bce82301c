"""Worker ids that are used once: Baidu's scheme."""

from __future__ import annotations

from django_uidgen.assigners.table import TableAssigner
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.core.lease import Lease
from django_uidgen.models import WorkerNode


class DisposableWorkerIdAssigner(TableAssigner):
    """Lease a new worker id at every launch, to the end of the layout.

    No worker id is used again. Baidu's scheme, for wide worker fields: 22 bits suffice
    for four million launches.
    """

    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to lease an unused worker id from tick ``start`` on."""
        used = self.nodes.for_generator(self.alias).filter(
            worker_id__range=(self.first, self.last)
        )
        reserved = set(used.reserved(self.alias).values_list("worker_id", flat=True))
        highest = (
            used.exclude(worker_id__in=reserved)
            .order_by("-worker_id")
            .values_list("worker_id", flat=True)
            .first()
        )
        worker_id = self.first if highest is None else highest + 1
        while worker_id in reserved:
            worker_id += 1
        if worker_id > self.last:
            raise WorkerIdsExhausted(
                f"Generator {self.alias!r} has used each of its worker ids, "
                f"{self.first} to {self.last}, once. Set a LAYOUT with more "
                f"worker_bits, or use LeasedWorkerIdAssigner, which reuses worker ids."
            )
        return self.start_term(worker_id, start, self.end)

    def release(self, lease: Lease, next_tick: int) -> None:
        """Release ``lease`` and seal its row: the worker id is never used again."""
        super().release(lease, next_tick)
        self.steps.run(lambda: self._row_of(lease).seal())

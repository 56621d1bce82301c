"""One configured worker id, leased from the worker table."""

from __future__ import annotations

from typing import Any

from django_uidgen import node_info
from django_uidgen.assigners.configured_id import configured_worker_id
from django_uidgen.assigners.table import TableAssigner
from django_uidgen.assigners.without_table import FixedWithoutTableAssigner
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.models import WorkerNode


class FixedWorkerIdAssigner(TableAssigner):
    """Lease the one worker id of this process: see ``configured_worker_id``.

    A second process with the same number cannot lease it. If the option
    ``WORKER_TABLE`` is False, ``FixedWithoutTableAssigner`` is used instead.
    """

    @classmethod
    def from_config(cls, config: Any) -> WorkerIdAssigner:
        """Return this assigner, or the one without a table."""
        assigner = cls(config)
        if config.assigner_options.worker_table:
            return assigner
        # A subclass may know another source of the worker id.
        return FixedWithoutTableAssigner(config, worker_id=assigner.worker_id)

    def worker_id(self) -> int:
        """Return the worker id configured for this process."""
        return configured_worker_id(self.config)

    def bootstrap_worker_id(self) -> int:
        """Return the worker id configured for this process."""
        return self.worker_id()

    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to lease the worker id from tick ``start`` on."""
        worker_id = self.worker_id()
        last = self.nodes.unsealed(self.alias).filter(worker_id=worker_id).first()
        if last is None:
            self._check_that_it_is_not_reserved(worker_id)
            until = min(start + self.lease_ticks, self.end)
            return self.start_term(worker_id, start, until)
        limit = start + (self.max_lead if last.released_at else 0)
        if last.reserved_until <= limit:
            return self.take_over(last, start)
        raise self._leased_to(last)

    def _leased_to(self, last: WorkerNode) -> WorkerIdUnavailable:
        until = self.layout.moment(last.reserved_until).isoformat()
        who = node_info.describe()
        if (last.process_id, last.host_name) == (who["process_id"], who["host_name"]):
            return WorkerIdUnavailable(
                f"The clock was stepped back, and generator {self.alias!r} needs a "
                f"second worker id to mint at the new time, but has only "
                f"{last.worker_id}. The lease of that ends at {until}."
            )
        return WorkerIdUnavailable(
            f"Worker id {last.worker_id} of generator {self.alias!r} is leased to "
            f"process {last.process_id} on {last.host_name!r} until {until}. Configure "
            f"a different worker id for each process. After a crash, wait for that "
            f"moment, or set a shorter LEASE (now {self.options.lease} s)."
        )

    def _check_that_it_is_not_reserved(self, worker_id: int) -> None:
        if self.nodes.reserved(self.alias).filter(worker_id=worker_id).exists():
            raise WorkerIdUnavailable(
                f"Worker id {worker_id} of generator {self.alias!r} was reserved for "
                f"backdated UIDs by an earlier setting, so no process can lease it. "
                f"Configure another worker id for this process."
            )

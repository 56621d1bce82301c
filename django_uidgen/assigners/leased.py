"""Worker ids leased for some minutes at a time: the default assigner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from django.db.models import Exists, F, Min, OuterRef

from django_uidgen.assigners.retries import system_random
from django_uidgen.assigners.table import TableAssigner
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet

#: The number of candidates of one kind in a round.
_CANDIDATES = 16

#: Up to this many worker ids, unused ones are found from a list of all used ones.
_LISTED = 4096


class LeasedWorkerIdAssigner(TableAssigner):
    """Lease a worker id for ``LEASE`` seconds at a time, and reuse it later.

    Prefer worker ids that were released, then unused ones, then those whose lease
    lapsed, the oldest first. So a process that only paused can renew its lease while
    other worker ids are free.
    """

    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to lease a worker id from tick ``start`` on."""
        tried = False
        for try_candidate in self._candidates(start):
            tried = True
            node = try_candidate()
            if node is not None:
                return node
        if tried:
            return None
        raise self._exhausted(start)

    def _candidates(self, start: int) -> Iterator[Callable[[], WorkerNode | None]]:
        mine = self.nodes.unsealed(self.alias).filter(
            worker_id__range=(self.first, self.last)
        )
        released = mine.filter(
            released_at__isnull=False, reserved_until__lte=start + self.max_lead
        )
        for node in self._some(released):
            yield partial(self.take_over, node, start)
        until = min(start + self.lease_ticks, self.end)
        for worker_id in self._unused(mine):
            yield partial(self.start_term, worker_id, start, until)
        for node in self._some(mine.filter(reserved_until__lte=start)):
            yield partial(self.take_over, node, start)
        for worker_id in self._gaps(mine):
            yield partial(self.start_term, worker_id, start, until)

    @staticmethod
    def _some(nodes: WorkerNodeQuerySet) -> list[WorkerNode]:
        """Return some rows, those whose lease ended first, in random order."""
        found = list(nodes.order_by("reserved_until")[:_CANDIDATES])
        system_random.shuffle(found)
        return found

    def _unused(self, mine: WorkerNodeQuerySet) -> list[int]:
        """Return some unused worker ids, in random order.

        The first of all comes last: a migration may mint with it before the table
        exists.
        """
        ids = range(self.first, self.last + 1)
        if len(ids) > _LISTED:
            ids_or_sample = system_random.sample(ids, 4 * _CANDIDATES)
            mine = mine.filter(worker_id__in=ids_or_sample)
        else:
            ids_or_sample = list(ids)
        used = set(mine.values_list("worker_id", flat=True))
        unused = [worker_id for worker_id in ids_or_sample if worker_id not in used]
        some = system_random.sample(unused, min(len(unused), _CANDIDATES))
        return sorted(some, key=lambda worker_id: worker_id == self.first)

    def _gaps(self, mine: WorkerNodeQuerySet) -> list[int]:
        """Return unused worker ids next to used ones, if a sample may miss them."""
        if self.last - self.first < _LISTED:
            return []
        follower = self.nodes.unsealed(self.alias).filter(
            worker_id=OuterRef("worker_id") + 1
        )
        before_gaps = mine.filter(~Exists(follower), worker_id__lt=self.last)
        gaps = before_gaps.annotate(gap=F("worker_id") + 1)
        found = list(gaps.values_list("gap", flat=True)[:_CANDIDATES])
        if not mine.filter(worker_id=self.first).exists():
            found.append(self.first)
        return found

    def _exhausted(self, start: int) -> WorkerIdsExhausted:
        live = self.nodes.reserved_beyond(self.alias, start).filter(
            worker_id__range=(self.first, self.last)
        )
        first_end = live.aggregate(end=Min("reserved_until"))["end"]
        ends = (
            f" The first ends at {self.layout.moment(first_end).isoformat()}."
            if first_end is not None and first_end < self.end
            else ""
        )
        return WorkerIdsExhausted(
            f"Generator {self.alias!r} has {self.last - self.first + 1} worker ids "
            f"({self.first} to {self.last}), and {live.count()} leases are live.{ends} "
            f"Set a LAYOUT with more worker_bits or wider WORKER_IDS for more worker "
            f"ids, or a shorter LEASE (now {self.options.lease} s) to free them sooner."
        )

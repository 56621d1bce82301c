"""Worker ids leased for some minutes at a time: the default assigner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from django.db.models import Count, Exists, F, Min, OuterRef

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
        rows = mine.values_list("worker_id").union(
            self._reserved().values_list("worker_id")
        )
        used = {worker_id for (worker_id,) in rows}
        unused = [worker_id for worker_id in ids_or_sample if worker_id not in used]
        some = system_random.sample(unused, min(len(unused), _CANDIDATES))
        return sorted(some, key=lambda worker_id: worker_id == self.first)

    def _reserved(self) -> WorkerNodeQuerySet:
        """Return the rows that reserve some of these worker ids."""
        return self.nodes.reserved(self.alias).filter(
            worker_id__range=(self.first, self.last)
        )

    def _gaps(self, mine: WorkerNodeQuerySet) -> list[int]:
        """Return unused worker ids next to used ones, if a sample may miss them."""
        if self.last - self.first < _LISTED:
            return []
        rows = self.nodes.for_generator(self.alias)
        follower = rows.filter(worker_id=OuterRef("worker_id") + 1)
        after_leased, after_reserved = (
            used.filter(
                ~Exists(follower.filter(sealed=False)),
                # That of a worker id that no process can lease is sealed.
                ~Exists(follower.filter(term=1)),
                worker_id__lt=self.last,
            ).values_list(F("worker_id") + 1)
            for used in (mine, self._reserved())
        )
        found = [gap for (gap,) in after_leased.union(after_reserved)[:_CANDIDATES]]
        if not rows.filter(worker_id=self.first).exists():
            found.append(self.first)
        return found

    def _exhausted(self, start: int) -> WorkerIdsExhausted:
        live = self.nodes.reserved_beyond(self.alias, start).filter(
            worker_id__range=(self.first, self.last)
        )
        found = live.aggregate(count=Count("pk"), end=Min("reserved_until"))
        first_end, reserved = found["end"], self._reserved().count()
        ends = (
            f" The first ends at {self.layout.moment(first_end).isoformat()}."
            if first_end is not None and first_end < self.end
            else ""
        )
        never = (
            f" No process can lease {reserved} of these worker ids: an import reserved "
            f"them for backdated UIDs, under an earlier setting."
            if reserved
            else ""
        )
        return WorkerIdsExhausted(
            f"Generator {self.alias!r} has {self.last - self.first + 1} worker ids "
            f"({self.first} to {self.last}), and {found['count']} leases are live."
            f"{ends}{never} Set a LAYOUT with more worker_bits or wider WORKER_IDS for "
            f"more worker ids, or a shorter LEASE (now {self.options.lease} s) to free "
            f"them sooner."
        )

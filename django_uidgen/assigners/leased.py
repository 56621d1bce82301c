"""Worker ids leased for some minutes at a time: the default assigner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from django.db.models import Count, Exists, F, Min, OuterRef

from django_uidgen.assigners.retries import system_random
from django_uidgen.assigners.table import TableAssigner
from django_uidgen.core.exceptions import WorkerIdsExhausted
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet

#: The number of candidates of one kind in a round.
_CANDIDATES = 16

#: The number of worker ids in the sample with which a round begins.
_SAMPLE = 64

#: Up to this many worker ids, all are listed if none in the sample is free.
_LISTED = 4096

#: The columns that show whether a worker id is free, and that ``take_over()`` needs.
_COLUMNS = "worker_id", "term", "reserved_until", "sealed", "released_at"


class LeasedWorkerIdAssigner(TableAssigner):
    """Lease a worker id for ``LEASE`` seconds at a time, and reuse it later.

    Draw one of all worker ids that are unused or were released. Only if there are none,
    take those whose lease lapsed, the oldest first. So a process that only paused can
    renew its lease while other worker ids are free.

    The draw is random: claims from two copies of the table, such as one on a replica
    that was promoted without the last claims, rarely meet. If there are more than
    ``_LISTED`` worker ids, those released first come before the draw: otherwise every
    launch would leave a worker id behind.
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
        ids = range(self.first, self.last + 1)
        sample = system_random.sample(ids, min(len(ids), _SAMPLE))
        mine = self.nodes.unsealed(self.alias).filter(
            worker_id__range=(self.first, self.last)
        )
        if len(ids) > _LISTED:
            released = mine.filter(
                released_at__isnull=False, reserved_until__lte=start + self.max_lead
            )
            yield from self._first_ended(released, start)
        yield from self._free(sample, self._rows_of(sample), start)
        if len(sample) < len(ids) <= _LISTED:
            rows = mine.only(*_COLUMNS).union(
                self._reserved().only(*_COLUMNS), all=True
            )
            yield from self._free(ids, rows, start)
        yield from self._first_ended(mine.filter(reserved_until__lte=start), start)
        if len(ids) > _LISTED:
            for worker_id in self._gaps(mine):
                yield self._start(worker_id, start)

    def _start(self, worker_id: int, start: int) -> Callable[[], WorkerNode | None]:
        until = min(start + self.lease_ticks, self.end)
        return partial(self.start_term, worker_id, start, until)

    def _first_ended(
        self, nodes: WorkerNodeQuerySet, start: int
    ) -> Iterator[Callable[[], WorkerNode | None]]:
        """Yield takeovers of those whose lease ended first, in random order."""
        found = list(nodes.order_by("reserved_until")[:_CANDIDATES])
        system_random.shuffle(found)
        for node in found:
            yield partial(self.take_over, node, start)

    def _free(
        self, worker_ids: Sequence[int], rows: Iterable[WorkerNode], start: int
    ) -> Iterator[Callable[[], WorkerNode | None]]:
        """Yield claims of some free ones of ``worker_ids``, in random order.

        ``rows``: the last leases of these worker ids, and rows of those that no process
        can lease. The first worker id of all comes last: a migration may mint with it
        before the table exists.
        """
        rows = list(rows)
        used = {row.worker_id for row in rows}
        limit = start + self.max_lead
        released = {
            row.worker_id: row
            for row in rows
            if row.released_at and row.reserved_until <= limit and not row.sealed
        }
        free = [
            worker_id
            for worker_id in worker_ids
            if worker_id not in used or worker_id in released
        ]
        some = system_random.sample(free, min(len(free), _CANDIDATES))
        for worker_id in sorted(some, key=lambda worker_id: worker_id == self.first):
            if worker_id in released:
                yield partial(self.take_over, released[worker_id], start)
            else:
                yield self._start(worker_id, start)

    def _rows_of(self, worker_ids: Sequence[int]) -> Iterable[WorkerNode]:
        """Return the last leases of ``worker_ids``, and all of term 1.

        A worker id that is reserved for backdated UIDs, or was a disposable one, has
        only a row of term 1, which is sealed. Two indexes find the rows without the
        history.
        """
        unsealed = self.nodes.unsealed(self.alias).filter(worker_id__in=worker_ids)
        firsts = self.nodes.for_generator(self.alias).filter(
            worker_id__in=worker_ids, term=1
        )
        return unsealed.only(*_COLUMNS).union(firsts.only(*_COLUMNS), all=True)

    def _reserved(self) -> WorkerNodeQuerySet:
        """Return the rows that reserve some of these worker ids."""
        return self.nodes.reserved(self.alias).filter(
            worker_id__range=(self.first, self.last)
        )

    def _gaps(self, mine: WorkerNodeQuerySet) -> list[int]:
        """Return unused worker ids next to used ones: a sample may miss them."""
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

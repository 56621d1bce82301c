"""Where worker ids come from: leases in the worker table, by default."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from random import SystemRandom
from typing import Any, ClassVar, TypeVar

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    models,
)
from django.db.models import Exists, F, Min, OuterRef

from django_uidgen import bootstrap, clock_skew, databases, node_info
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core import fork
from django_uidgen.core.backdating import Blocks, PastLease
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import (
    LayoutChanged,
    LeaseLost,
    WorkerIdsExhausted,
    WorkerIdUnavailable,
)
from django_uidgen.core.lease import Lease
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet
from django_uidgen.past_shares import PastShares, no_ids_kept

logger = logging.getLogger("django_uidgen")

T = TypeVar("T")

#: What to do where leases are not in the table that processes still mint with.
_AFTER_A_RESTORE = (
    "Then UIDs may repeat until each process was stopped, or could not reach the "
    "database for the length of a lease."
)

# Forked children share the state of the module-level functions of ``random``.
_random = SystemRandom()

#: How many rounds a claim tries while others are faster, and the longest pause in s.
_ROUNDS = 40
_LONGEST_PAUSE = 0.05

#: Seconds after which work that was given up, and still runs, is taken for lost.
_LOST_AFTER = 60.0

#: How many candidates of one kind are looked at in a round.
_CANDIDATES = 16

#: Up to this many worker ids, the unused ones are found by listing the used ones.
_LISTED = 4096


def _pause(round_: int) -> None:
    """Let others go first, the longer the more often they were faster."""
    time.sleep(_random.uniform(0, min(0.001 * 2**round_, _LONGEST_PAUSE)))


def _after_conflicts(work: Callable[[], T]) -> T:
    """Run ``work`` again where the database undid it for the sake of others.

    With REPEATABLE READ or SERIALIZABLE, PostgreSQL does so instead of telling that no
    row was changed. Each step is one transaction, so nothing of it is left.
    """
    for round_ in range(_ROUNDS):
        try:
            return work()
        except OperationalError as error:
            if not databases.is_conflict(error):
                raise
            _pause(round_)
    return work()


class TableAssigner:
    """What the assigners that use the worker table have in common.

    Every error of the database is raised as ``WorkerIdUnavailable``.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        self.config = config
        self.alias = config.alias
        self.layout = config.layout
        self.database = config.database
        self.first, self.last = config.worker_ids
        #: Work that was given up, if it still runs, and whether that was a claim.
        self._late: tuple[databases.Flight[Any] | None, bool] = None, False
        #: The age at which such work is taken for lost, in seconds.
        self._lost_after = _LOST_AFTER
        self.options = config.assigner_options
        #: How many seconds a caller waits for the database.
        self.max_wait = config.generator_options.max_wait
        #: Length of a lease in ticks.
        self.lease_ticks = max(config.layout.ticks(self.options.lease), 1)
        #: How far ahead of the clock a lease may begin, in ticks.
        self.max_lead = config.layout.ticks(config.generator_options.max_lead or 0.0)

    # The protocol of an assigner.

    def claim(self, now: int) -> Lease:
        """Lease a worker id from tick ``now`` on."""
        if self.must_be_provisional():
            provisional = databases.ProvisionalClaim(self.database)
            lease: Lease = self._translated(partial(self._claim, now, provisional))
            if lease.provisional is provisional:
                provisional.watch(WorkerNode._meta.db_table, self._row(lease))
            return lease
        claimed: Lease = self._run(partial(self._claim, now), claim_at=now)
        return claimed

    def claim_past(self, block: int) -> PastLease:
        """Lease a share of ``block``, which is past, with a worker id kept for that."""
        # Not as claim(): where processes do without the table, this does not.
        if not databases.must_join(self.database):
            claimed: PastLease = self._run(partial(self._claim_past, block))
            return claimed
        provisional = databases.ProvisionalClaim(self.database)
        # The write lock first, as for every claim here.
        self._translated(self._take_write_lock)
        lease = self._translated(partial(self._claim_past, block))
        row = PastShares(self.config, self.nodes, {}).row(lease)
        provisional.watch(WorkerNode._meta.db_table, row)
        return lease._replace(provisional=provisional)

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with a later end."""
        renew = self._renew_bootstrap if lease.key is None else self._renew
        renewed: Lease = self._run(partial(renew, lease, now))
        return renewed

    def release(self, lease: Lease, next_tick: int) -> None:
        """Give ``lease`` back, ended at ``next_tick``."""
        until = min(max(next_tick, lease.reserved_from), lease.reserved_until)
        if lease.key is not None:
            self._run(lambda: self._row_of(lease).release(lease.key, until))

    def must_be_provisional(self) -> bool:
        """Tell whether a claim by this caller has to join its transaction."""
        return databases.must_join(self.database)

    @property
    def single_writer(self) -> bool:
        """Whether a renewal beside the callers could get in their way."""
        return connections[self.database].vendor == "sqlite"

    # For subclasses.

    @property
    def nodes(self) -> WorkerNodeQuerySet:
        """The worker table, on this generator's database."""
        return WorkerNode.objects.using(self.database)

    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to lease a worker id from tick ``start`` on.

        Return None where others were faster, and raise ``WorkerIdUnavailable`` where
        another try would not help.
        """
        raise NotImplementedError  # pragma: no cover - every subclass has its own

    def lease_values(self) -> dict[str, Any]:
        """Return the columns of a new row that do not depend on the worker id."""
        return {
            "generator": self.alias,
            "layout": self.layout.fingerprint,
            **node_info.describe(),
        }

    def start_term(self, worker_id: int, start: int, until: int) -> WorkerNode | None:
        """Insert the first lease of ``worker_id``; None where another was faster."""
        return self.nodes.start_term(
            worker_id=worker_id,
            reserved_from=start,
            reserved_until=until,
            **self.lease_values(),
        )

    def take_over(self, node: WorkerNode, start: int) -> WorkerNode | None:
        """Seal ``node`` and insert its successor; None where another was faster."""
        return self.nodes.take_over(
            node,
            start=start,
            lease=self.lease_ticks,
            end=self.end,
            **self.lease_values(),
        )

    @property
    def end(self) -> int:
        """The end of a lease without an end: the tick after the layout's last."""
        return self.layout.max_tick + 1

    # The steps.

    def _run(self, work: Callable[[], Any], *, claim_at: int | None = None) -> Any:
        patiently = partial(_after_conflicts, work)
        return self._translated(partial(self._run_once, patiently, claim_at=claim_at))

    def _run_once(self, work: Callable[[], Any], *, claim_at: int | None) -> Any:
        """Run ``work``, but not beside work that was given up and still runs.

        A database that hangs would collect a thread for each caller, and all their
        claims would be carried out when it is back. A claim that was carried out late
        is used by the next one, at the tick ``claim_at``.
        """
        late = self._late_claim()
        if claim_at is not None and late is not None:
            if late.reserved_from <= claim_at + self.max_lead:
                return late
            # The clock was stepped back meanwhile: nobody could mint with it for long.
            with suppress(WorkerIdUnavailable):
                self.release(late, late.reserved_from)
        try:
            return databases.run(self.database, work, timeout=self.max_wait)
        except databases.StillRunning as error:
            self._late = error.flight, claim_at is not None
            raise

    def _late_claim(self) -> Any:
        """Wait for work that was given up; return what it claimed, if it was a claim.

        But not for ever: its connection may have died without a word.
        """
        late, was_claim = self._late
        result = None
        if late is not None and late.is_here:
            if late.is_running and late.age > self._lost_after:
                # Each that is lost may still claim when the database is back.
                self._lost_after *= 2
            else:
                result = late.late_result(self.max_wait)
                self._lost_after = _LOST_AFTER
        self._late = None, False
        return result if was_claim else None

    def _translated(self, work: Callable[[], T]) -> T:
        """Run ``work``, with the database's errors raised as ours."""
        try:
            return work()
        except databases.StillRunning as error:
            raise WorkerIdUnavailable(
                f"Database {self.database!r} gave generator {self.alias!r} {error}"
            ) from error
        except (DatabaseError, InterfaceError) as error:
            raise WorkerIdUnavailable(
                f"Generator {self.alias!r} got no worker id from database "
                f"{self.database!r}: {str(error).strip()} - Is the database up and "
                f"writable, and has 'migrate django_uidgen' been run there?"
            ) from error

    def _claim(
        self, now: int, provisional: databases.ProvisionalClaim | None = None
    ) -> Lease:
        self._check_clock()
        if bootstrap.table_is_to_come(self.database):
            # Behind what a migrate before this one may have minted, ahead of the clock.
            start = now + self.max_lead + 1
            return self._bootstrap_lease(start, start + self.lease_ticks)
        if provisional is not None:
            self._take_write_lock()
        self._check_layout()
        for round_ in range(_ROUNDS):
            node = self.attempt(now)
            if node is not None:
                return self._lease(node, provisional)
            _pause(round_)
        raise self._too_many_claims()

    def _too_many_claims(self) -> WorkerIdUnavailable:
        return WorkerIdUnavailable(
            f"Generator {self.alias!r} got no worker id in {_ROUNDS} tries: too many "
            f"processes claim at once. Try again."
        )

    def _take_write_lock(self) -> None:
        """Wait for the lock of SQLite's one writer, in the caller's transaction.

        It waits for nobody once a transaction has read: two that then write would wait
        for each other.
        """
        self.nodes.filter(pk=0).update(sealed=True)

    def _claim_past(self, block: int) -> PastLease:
        self._check_layout()
        shares = PastShares(self.config, self.nodes, self.lease_values())
        for round_ in range(_ROUNDS):
            lease = shares.attempt(block)
            if lease is not None:
                return lease
            _pause(round_)
        raise self._too_many_claims()

    def _check_clock(self) -> None:
        """Refuse a lease at a time that the database server finds wrong."""
        max_skew = self.options.max_clock_skew
        clock_skew.check(self.database, alias=self.alias, max_skew=max_skew)

    def _check_layout(self) -> None:
        """Refuse to mint with a layout that could repeat the UIDs of another."""
        # Any row will do: no two of an alias differ. This one is found by an index.
        rows = self.nodes.for_generator(self.alias)
        node = rows.order_by("sealed", "worker_id").first()
        if node is not None and node.layout != self.layout.fingerprint:
            raise LayoutChanged(
                f"Generator {self.alias!r} has the layout {self.layout.fingerprint!r}, "
                f"but UIDs were minted with {node.layout!r}, and the two may repeat "
                f"each other's. Give the new layout an alias of its own."
            )

    def _lease(
        self, node: WorkerNode, provisional: databases.ProvisionalClaim | None = None
    ) -> Lease:
        return Lease(
            worker_id=node.worker_id,
            reserved_from=node.reserved_from,
            reserved_until=node.reserved_until,
            renew_from=self._renew_from(node.reserved_until),
            key=node.pk,
            provisional=provisional,
            # It may have waited for a writer that was rolled back in the end.
            begins_after_claim=self.single_writer,
        )

    def _row(self, lease: Lease) -> dict[str, Any]:
        """Return what tells the row of ``lease`` from all others.

        SQLite gives the number of a row that was rolled back to another one.
        """
        return {
            "id": lease.key,
            "generator": self.alias,
            "worker_id": lease.worker_id,
            "reserved_from": lease.reserved_from,
            "process_id": os.getpid(),
        }

    def _renew_from(self, until: int) -> int:
        """Return the tick from which on a lease that ends at ``until`` is renewed."""
        return until if until >= self.end else until - self.lease_ticks // 2

    def _renew(self, lease: Lease, now: int) -> Lease:
        until = min(now + self.lease_ticks, self.end)
        if until <= lease.reserved_until:
            return lease
        if now >= lease.reserved_until:
            # It lapsed, or the clock jumped: as good as a claim.
            self._check_clock()
        row = self._row_of(lease).filter(reserved_until__gte=lease.reserved_until)
        if not row.renew(lease.key, until):
            self._renew_changed_row(lease, until)
        return Lease(
            worker_id=lease.worker_id,
            reserved_from=lease.reserved_from,
            reserved_until=until,
            renew_from=self._renew_from(until),
            key=lease.key,
        )

    def _renew_changed_row(self, lease: Lease, until: int) -> None:
        """Renew ``lease``, whose row is not as it was left, or raise ``LeaseLost``."""
        mine = self._row_of(lease)
        row = mine.first()
        if row is None:
            logger.warning(
                "The row of worker id %s of generator %r is gone. Was the worker table "
                "emptied, or an older copy of the database put in its place? %s",
                lease.worker_id,
                self.alias,
                _AFTER_A_RESTORE,
            )
            raise self._lost(lease, "its row is gone")
        if row.reserved_until < lease.reserved_until and not row.sealed:
            logger.error(
                "The lease of worker id %s of generator %r has gone back in the worker "
                "table, as if an older copy of the database were in its place. %s",
                lease.worker_id,
                self.alias,
                _AFTER_A_RESTORE,
            )
            # A lease given up here would end before what was minted with it.
            mine.renew(lease.key, until)
            row.refresh_from_db()
        if row.sealed:
            raise self._lost(lease, "a successor took it")
        # Else the row reaches further already: an earlier answer was lost.

    def _row_of(self, lease: Lease) -> WorkerNodeQuerySet:
        """Keep the row of ``lease``, if it is there.

        In an older copy of the database its key is given to another lease again.
        """
        return self.nodes.for_generator(self.alias).filter(
            pk=lease.key,
            worker_id=lease.worker_id,
            process_id=os.getpid(),
            launched_at=node_info.launched_at(),
        )

    def _lost(self, lease: Lease, reason: str) -> LeaseLost:
        return LeaseLost(
            f"The lease of worker id {lease.worker_id} of generator {self.alias!r} is "
            f"lost: {reason}."
        )

    # The lease of a data migration that runs before the worker table exists.

    def bootstrap_worker_id(self) -> int:
        """Return the worker id to mint with before the table exists."""
        return self.first

    def _bootstrap_lease(self, start: int, until: int) -> Lease:
        return Lease(
            worker_id=self.bootstrap_worker_id(),
            reserved_from=start,
            reserved_until=until,
            renew_from=until - self.lease_ticks // 2,
        )

    def _renew_bootstrap(self, lease: Lease, now: int) -> Lease:
        until = now + self.lease_ticks
        if bootstrap.table_is_to_come(self.database):
            return self._bootstrap_lease(lease.reserved_from, until)
        raise LeaseLost(
            f"The lease of worker id {lease.worker_id} of generator {self.alias!r}, "
            f"made without a table, has ended."
        )

    def enter_bootstrap_lease(
        self, lease: Lease, next_tick: int, nodes: models.QuerySet[Any]
    ) -> Lease | None:
        """Insert the row of ``lease`` into ``nodes``; return the lease with its key.

        Called by the migration that makes the worker table, in its transaction. Return
        None where the worker id is taken: where the table was seen by others before
        that transaction ended (MySQL).
        """
        if nodes.filter(generator=self.alias, worker_id=lease.worker_id).exists():
            return None
        until = min(max(next_tick + self.lease_ticks, lease.reserved_until), self.end)
        node = nodes.create(
            worker_id=lease.worker_id,
            term=1,
            reserved_from=lease.reserved_from,
            reserved_until=until,
            **self.lease_values(),
        )
        return self._lease(node)


class LeasedWorkerIdAssigner(TableAssigner):
    """Lease a worker id for ``LEASE`` seconds at a time, and use it again later.

    Preferred are worker ids that a clean exit gave back, then those never used, then
    those whose lease lapsed, the longest ago first: so a process that only paused
    keeps its id while others are to be had.
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
        """Return the rows whose lease ended first, in random order."""
        found = list(nodes.order_by("reserved_until")[:_CANDIDATES])
        _random.shuffle(found)
        return found

    def _unused(self, mine: WorkerNodeQuerySet) -> list[int]:
        """Return some worker ids that were never used, in random order.

        The first of all comes last: a migration may hold it before the table exists.
        """
        ids = range(self.first, self.last + 1)
        if len(ids) > _LISTED:
            ids_or_sample = _random.sample(ids, 4 * _CANDIDATES)
            mine = mine.filter(worker_id__in=ids_or_sample)
        else:
            ids_or_sample = list(ids)
        used = set(mine.values_list("worker_id", flat=True))
        unused = [worker_id for worker_id in ids_or_sample if worker_id not in used]
        some = _random.sample(unused, min(len(unused), _CANDIDATES))
        return sorted(some, key=lambda worker_id: worker_id == self.first)

    def _gaps(self, mine: WorkerNodeQuerySet) -> list[int]:
        """Return unused worker ids next to used ones, where a sample found none."""
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
        live = self.nodes.live(self.alias, start).filter(
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
            f"A LAYOUT with more worker_bits or wider WORKER_IDS gives more, a shorter "
            f"LEASE (now {self.options.lease} s) gives them back sooner."
        )


class DisposableWorkerIdAssigner(TableAssigner):
    """Take a new worker id at every launch, never used again, with no end to the lease.

    Baidu's scheme, for wide worker fields: with 22 bits, four million launches.
    """

    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to take a worker id from tick ``start`` on."""
        used = self.nodes.for_generator(self.alias).filter(
            worker_id__range=(self.first, self.last)
        )
        kept = set(used.kept(self.alias).values_list("worker_id", flat=True))
        highest = (
            used.exclude(worker_id__in=kept)
            .order_by("-worker_id")
            .values_list("worker_id", flat=True)
            .first()
        )
        worker_id = self.first if highest is None else highest + 1
        while worker_id in kept:
            worker_id += 1
        if worker_id > self.last:
            raise WorkerIdsExhausted(
                f"Generator {self.alias!r} has used each of its worker ids, "
                f"{self.first} to {self.last}, once. A LAYOUT with more worker_bits "
                f"gives more; LeasedWorkerIdAssigner uses them again."
            )
        return self.start_term(worker_id, start, self.end)

    def release(self, lease: Lease, next_tick: int) -> None:
        """Seal the row: the worker id is never used again."""
        super().release(lease, next_tick)
        self._run(lambda: self._row_of(lease).update(sealed=True))


class FixedWorkerIdAssigner(TableAssigner):
    """Use the one worker id that this process was given.

    It is the option ``WORKER_ID``, or the value of the environment variable that
    ``WORKER_ID_ENV`` names, or the ordinal at the end of the host name, as the pods of
    a StatefulSet have. It is leased from the table, so that a second process with the
    same number is refused, unless ``WORKER_TABLE`` is False: then nothing but the
    clock and the care of the operator keeps UIDs from being repeated.
    """

    #: Without a table, for each alias, layout and worker id: the process that mints
    #: with it, and the tick from which on nothing was minted.
    _holders: ClassVar[dict[tuple[str, str, int], int]] = {}
    _ends: ClassVar[dict[tuple[str, str, int], int]] = {}
    #: Of two generators of one alias, one is the first: a setting was replaced.
    _ends_lock = fork.ProcessLock()

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        if not self.options.worker_table:
            self.worker_id()

    def worker_id(self) -> int:
        """Return the worker id that this process was given."""
        if self.options.worker_id is not None:
            return self.options.worker_id
        name = self.options.worker_id_env
        if name is not None:
            source, text = f"environment variable {name!r}", os.environ.get(name, "")
        else:
            host = node_info.host_name()
            source = f"ordinal at the end of the host name {host!r}"
            ordinal = re.search(r"-(\d{1,10})$", host)
            text = ordinal[1] if ordinal else ""
        if re.fullmatch(r"\d{1,10}", text, re.ASCII):
            number = int(text)
            if self.first <= number <= self.last:
                return number
        raise WorkerIdUnavailable(
            f"Generator {self.alias!r} takes its worker id from the {source}, which "
            f"gives {text!r}; it must be a number from {self.first} to {self.last}."
        )

    def claim(self, now: int) -> Lease:
        """Lease the worker id of this process from tick ``now`` on."""
        if self.options.worker_table:
            return super().claim(now)
        return self._claim_without_table(now)

    def _claim_without_table(self, now: int) -> Lease:
        worker_id = self.worker_id()
        key = self._key(worker_id)
        holder = self._holders.setdefault(key, os.getpid())
        if holder != os.getpid():
            raise WorkerIdUnavailable(
                f"Worker id {worker_id} of generator {self.alias!r} belongs to process "
                f"{holder}, which forked this one, and without a table no other can be "
                f"had. Mint nothing before the fork, or set WORKER_TABLE to True."
            )
        with self._ends_lock:
            minted_until = self._ends.get(key, 0)
            self._ends[key] = self.end
        if minted_until == self.end:  # held, so this is for another lease
            raise WorkerIdUnavailable(
                f"The clock was stepped back, and without a table generator "
                f"{self.alias!r} has no other worker id than {worker_id} to mint with "
                f"at the new time. Wait until the clock is where it was, or restart "
                f"this process then."
            )
        return Lease(
            worker_id=worker_id,
            # Behind what a process before this one may have minted ahead of the clock.
            reserved_from=max(now + self.max_lead + 1, minted_until),
            reserved_until=self.end,
            renew_from=self.end,
        )

    def release(self, lease: Lease, next_tick: int) -> None:
        """Give ``lease`` back, ended at ``next_tick``."""
        super().release(lease, next_tick)
        if not self.options.worker_table:
            self._ends[self._key(lease.worker_id)] = next_tick

    def _key(self, worker_id: int) -> tuple[str, str, int]:
        return self.alias, self.layout.fingerprint, worker_id

    def bootstrap_worker_id(self) -> int:
        """Return the worker id of this process."""
        return self.worker_id()

    def enter_bootstrap_lease(
        self, lease: Lease, next_tick: int, nodes: models.QuerySet[Any]
    ) -> Lease | None:
        """Insert the row of ``lease``; without a table return it as it is."""
        if not self.options.worker_table:
            return lease
        return super().enter_bootstrap_lease(lease, next_tick, nodes)

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with a later end; without a table it has none."""
        return super().renew(lease, now) if self.options.worker_table else lease

    def must_be_provisional(self) -> bool:
        """Tell whether a claim by this caller has to join its transaction."""
        return self.options.worker_table and super().must_be_provisional()

    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to lease the worker id from tick ``start`` on."""
        worker_id = self.worker_id()
        last = self.nodes.unsealed(self.alias).filter(worker_id=worker_id).first()
        if last is None:
            self._check_that_it_is_not_kept(worker_id)
            until = min(start + self.lease_ticks, self.end)
            return self.start_term(worker_id, start, until)
        limit = start + (self.max_lead if last.released_at else 0)
        if last.reserved_until <= limit:
            return self.take_over(last, start)
        who = node_info.describe()
        if (last.process_id, last.host_name) == (who["process_id"], who["host_name"]):
            raise WorkerIdUnavailable(
                f"The clock was stepped back, and generator {self.alias!r} has no "
                f"other worker id than {worker_id} to mint with at the new time. Its "
                f"lease ends at {self.layout.moment(last.reserved_until).isoformat()}."
            )
        raise WorkerIdUnavailable(
            f"Worker id {worker_id} of generator {self.alias!r} is leased to process "
            f"{last.process_id} on {last.host_name!r} until "
            f"{self.layout.moment(last.reserved_until).isoformat()}. Give each process "
            f"a number of its own; after a crash wait for that moment, or set a "
            f"shorter LEASE (now {self.options.lease} s)."
        )

    def _check_that_it_is_not_kept(self, worker_id: int) -> None:
        if self.nodes.kept(self.alias).filter(worker_id=worker_id).exists():
            raise WorkerIdUnavailable(
                f"Worker id {worker_id} of generator {self.alias!r} is kept for past "
                f"moments, by an earlier setting, so no process can have it. Give this "
                f"process another."
            )


class TestRunClock(SystemClock):
    """A clock for tests, which may set the time to before the layout's epoch."""

    #: Not a test case, whatever its name says to pytest.
    __test__ = False

    def tick(self) -> int:
        """Return the present tick, or the first one where that is before the epoch."""
        return max(super().tick(), 0)


class TestRunAssigner:
    """A fixed worker id and no database, for tests that build models without one."""

    #: Not a test case, whatever its name says to pytest.
    __test__ = False

    #: The end of the last lease of each alias, layout and worker id in this process: a
    #: changed setting makes another generator, which must not mint its ticks again.
    _ends: ClassVar[dict[tuple[str, str, int], int]] = {}
    #: For each alias, layout, block and worker id: how many shares were leased.
    _past: ClassVar[dict[tuple[str, str, int, int], count[int]]] = {}

    def __init__(self, config: GeneratorConfig, worker_id: int) -> None:
        self._alias = config.alias
        self._layout = config.layout.fingerprint
        self._worker_id = worker_id
        first, last = config.worker_ids
        #: Those above, or those below where there are none above.
        self._others = range(worker_id + 1, last + 1) or range(first, worker_id)
        self._end = config.layout.max_tick + 1
        self._process_id = os.getpid()
        kept = config.backdated_worker_ids
        self._kept = kept and range(kept.first, kept.last + 1)
        self._shares = Blocks(config.layout).shares

    def claim(self, now: int) -> Lease:
        """Return the worker id of test runs; a forked child takes a random one."""
        worker_id = self._worker_id
        if os.getpid() != self._process_id and len(self._others) > 0:
            worker_id = _random.choice(self._others)
        return Lease(
            worker_id=worker_id,
            reserved_from=max(now, self._ends.get(self._key(worker_id), 0)),
            reserved_until=self._end,
            renew_from=self._end,
        )

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease``: it has no end."""
        return lease

    def release(self, lease: Lease, next_tick: int) -> None:
        """Note up to where UIDs were minted."""
        self._ends[self._key(lease.worker_id)] = next_tick

    def claim_past(self, block: int) -> PastLease:
        """Return a share of ``block`` that no test of this process has had."""
        if self._kept is None:
            raise no_ids_kept(self._alias)
        if os.getpid() != self._process_id:
            share = _random.randrange(self._shares)
            return PastLease(_random.choice(self._kept), block, share)
        for worker_id in self._kept:
            key = self._alias, self._layout, block, worker_id
            share = next(self._past.setdefault(key, count()))
            if share < self._shares:
                return PastLease(worker_id, block, share)
        raise WorkerIdsExhausted(f"All shares of block {block} were leased.")

    def _key(self, worker_id: int) -> tuple[str, str, int]:
        return self._alias, self._layout, worker_id

    def must_be_provisional(self) -> bool:
        """Return False: nothing is claimed in a database."""
        return False

    single_writer = False

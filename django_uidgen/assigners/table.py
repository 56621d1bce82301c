"""The base class of the assigners that use the worker table."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from django_uidgen import bootstrap, databases, node_info
from django_uidgen.assigners.backdated import BackdatedSlots
from django_uidgen.assigners.bootstrap_leases import BootstrapLeases
from django_uidgen.assigners.claim_checks import (
    check_clock,
    check_layout,
    did_not_last,
    take_write_lock,
)
from django_uidgen.assigners.lease_row import LeaseRow
from django_uidgen.assigners.provisional import ProvisionalClaim
from django_uidgen.assigners.retries import unless_locked, until_won
from django_uidgen.assigners.steps import StepRunner
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.core.lease import BackdatedLease, Lease
from django_uidgen.dialects import dialect_of
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet


class TableAssigner(WorkerIdAssigner):
    """Claim, renew and release leases in the worker table.

    A subclass chooses the worker id, in ``attempt()``. ``StepRunner`` runs each step;
    every error of the database is raised as ``WorkerIdUnavailable``. Attributes are set
    once; threads share only the rows and ``steps.late_work``.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        self.config = config
        self.alias = config.alias
        self.layout = config.layout
        self.database = config.database
        self.first, self.last = config.worker_ids
        self.options = config.assigner_options
        #: The length of a lease, in ticks.
        self.lease_ticks = max(config.layout.ticks(self.options.lease), 1)
        #: How far a lease may begin ahead of the clock, in ticks.
        self.max_lead = config.layout.ticks(config.generator_options.max_lead or 0.0)
        #: The end of the longest lease: the tick after the layout's last.
        self.end = config.layout.max_tick + 1
        self._bootstrap = BootstrapLeases(config)
        self.steps = StepRunner(
            config.database,
            alias=config.alias,
            max_wait=config.generator_options.max_wait,
        )

    # For subclasses.

    @abstractmethod
    def attempt(self, start: int) -> WorkerNode | None:
        """Try once to lease a worker id from tick ``start`` on.

        Return None if other processes were faster. Raise ``WorkerIdUnavailable`` if
        another try would not help.
        """
        raise NotImplementedError  # pragma: no cover - every subclass overrides it

    @property
    def nodes(self) -> WorkerNodeQuerySet:
        """The worker table in the database of this generator."""
        return WorkerNode.objects.using(self.database)

    def start_term(self, worker_id: int, start: int, until: int) -> WorkerNode | None:
        """Insert the first lease of ``worker_id``.

        The lease covers the ticks from ``start`` to before ``until``. Return None if it
        exists, or another process is inserting it.
        """
        insert = partial(
            self.nodes.start_term,
            worker_id=worker_id,
            reserved_from=start,
            reserved_until=until,
            **self.lease_values(),
        )
        return unless_locked(insert, database=self.database)

    def take_over(self, node: WorkerNode, start: int) -> WorkerNode | None:
        """Seal ``node`` and insert its successor.

        Return None if it has changed, or another process is changing it.
        """
        change = partial(
            self.nodes.take_over,
            node,
            start=start,
            lease=self.lease_ticks,
            end=self.end,
            **self.lease_values(),
        )
        return unless_locked(change, database=self.database)

    def lease_values(self) -> dict[str, Any]:
        """Return the columns of a new row that do not depend on the worker id."""
        return {
            "generator": self.alias,
            "layout": self.layout.fingerprint,
            **node_info.describe(),
        }

    # Claim.

    @property
    def single_writer(self) -> bool:  # type: ignore[override]
        """Whether the database allows one writer at a time: SQLite."""
        return dialect_of(connections[self.database]).single_writer

    def must_be_provisional(self) -> bool:
        """Return whether a claim by this thread must join the thread's transaction."""
        return databases.must_join(self.database)

    def claim(self, now: int) -> Lease:
        """Lease a worker id from tick ``now`` on."""
        if self.must_be_provisional():
            return self._claim_provisionally(now)
        late = self.steps.late_claim()
        if late is not None:
            if late.reserved_from <= now + self.max_lead:
                return late
            # The clock was stepped back meanwhile: this lease begins far in the future.
            with suppress(WorkerIdUnavailable):
                self.release(late, late.reserved_from)
        return self.steps.run(
            partial(self._claim, now), confirm=self._confirm, is_claim=True
        )

    def _confirm(self, lease: Lease) -> None:
        """Raise ``WorkerIdUnavailable`` if the row of a claimed lease is not there."""
        # A bootstrap lease has no row.
        if lease.key is not None and not self._row_of(lease).exists():
            raise did_not_last(self.config, lease.worker_id)

    def _claim_provisionally(self, now: int) -> Lease:
        claim = ProvisionalClaim(self.database)
        lease = self.steps.run_in_transaction(partial(self._claim, now, joins=True))
        if lease.key is None:
            return lease  # a bootstrap lease has no row that could be rolled back
        claim.watch(WorkerNode._meta.db_table, self._row_of(lease).columns())
        return lease._replace(provisional=claim)

    def _claim(self, now: int, *, joins: bool = False) -> Lease:
        """Claim, as one step. ``joins``: in the caller's transaction, on SQLite."""
        check_clock(self.config)
        if bootstrap.table_is_to_come(self.database):
            return self._bootstrap.claim(self.bootstrap_worker_id(), now)
        if joins:
            take_write_lock(self.nodes)
        check_layout(self.config, self.nodes)
        return self._lease(until_won(partial(self.attempt, now), alias=self.alias))

    def claim_backdated(self, block: int) -> BackdatedLease:
        """Lease a slot of ``block``, with a reserved worker id."""
        slots = BackdatedSlots(self.config, self.nodes, self.lease_values())
        step = partial(slots.claim, block)
        if not databases.must_join(self.database):
            return self.steps.run(step, confirm=slots.confirm)
        claim = ProvisionalClaim(self.database)
        # Acquire the write lock first, as for every claim in a transaction.
        self.steps.run_in_transaction(partial(take_write_lock, self.nodes))
        lease = self.steps.run_in_transaction(step)
        claim.watch(WorkerNode._meta.db_table, slots.columns(lease))
        return lease._replace(provisional=claim)

    def _lease(self, node: WorkerNode) -> Lease:
        return Lease(
            worker_id=node.worker_id,
            reserved_from=node.reserved_from,
            reserved_until=node.reserved_until,
            renew_from=self._renew_from(node.reserved_until),
            key=node.pk,
            # The claim may have waited for a writer that was rolled back in the end.
            begins_after_claim=self.single_writer,
            origin=databases.origin_of(connections[self.database]),
        )

    # Renew and release.

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with a later end."""
        renew = self._bootstrap.renew if lease.key is None else self._renew
        return self.steps.run(partial(renew, lease, now))

    def _renew(self, lease: Lease, now: int) -> Lease:
        until = min(now + self.lease_ticks, self.end)
        if until <= lease.reserved_until:
            return lease
        if now >= lease.reserved_until:
            # The lease lapsed, or the clock was stepped forward: check as for a claim.
            check_clock(self.config)
        self._row_of(lease).renew(until, has_lapsed=now >= lease.reserved_until)
        return Lease(
            worker_id=lease.worker_id,
            reserved_from=lease.reserved_from,
            reserved_until=until,
            renew_from=self._renew_from(until),
            key=lease.key,
            origin=lease.origin,
        )

    def _renew_from(self, until: int) -> int:
        """Return the tick from which to renew a lease that ends at ``until``."""
        return until if until >= self.end else until - self.lease_ticks // 2

    def release(self, lease: Lease, next_tick: int) -> None:
        """Release ``lease``: it ends at ``next_tick``."""
        until = min(max(next_tick, lease.reserved_from), lease.reserved_until)
        if lease.key is not None:
            self.steps.run(lambda: self._row_of(lease).release(until))

    def _row_of(self, lease: Lease) -> LeaseRow:
        return LeaseRow(self.nodes, self.alias, lease)

    # Before the worker table exists: see ``bootstrap``.

    def bootstrap_worker_id(self) -> int:
        """Return the worker id for bootstrap leases."""
        return self.first

    def enter_bootstrap_lease(
        self, lease: Lease, next_tick: int, *, database: str, nodes: QuerySet[Any]
    ) -> Lease | None:
        """Insert the row of ``lease`` into ``nodes``. Return the lease with its key.

        Return None if the worker id is taken: on MySQL, other processes see the table
        before the transaction of the migration ends.
        """
        if database != self.database or lease.key is not None:
            return lease
        node = self._bootstrap.enter(lease, next_tick, nodes, self.lease_values())
        return None if node is None else self._lease(node)

"""The one contract between a generator and the source of its worker ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from django_uidgen.core.exceptions import LeaseLost, WorkerIdUnavailable
from django_uidgen.core.lease import BackdatedLease, Lease


class WorkerIdAssigner(ABC):
    """A source of worker ids. Subclasses must implement ``claim()``.

    An assigner makes a lease durable before it returns it. A generator may mint in
    every tick of its lease, and in no other. For one worker id the ticks of any two
    leases are disjoint; the uniqueness of UIDs rests on that alone.

    Any thread may call any method. A generator claims and renews under a lock, so it
    makes one of these calls at a time, except for provisional claims. Every method may
    raise ``WorkerIdUnavailable``.

    ``docs/assigners.md`` has all of it on one page, and a worked example.
    """

    #: Whether the store allows one writer at a time (SQLite): a renewal in another
    #: thread could then block the callers.
    single_writer: bool = False

    @classmethod
    def from_config(cls, config: Any) -> WorkerIdAssigner:
        """Return the assigner for a ``conf.GeneratorConfig``."""
        return cls(config)  # type: ignore[call-arg]

    @abstractmethod
    def claim(self, now: int) -> Lease:
        """Lease a worker id from tick ``now`` on.

        Raise ``WorkerIdUnavailable`` if none is free.
        """

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with an end later than tick ``now``.

        Raise ``LeaseLost``, as by default, if the lease can never be extended again:
        the generator then claims another one. Raise ``WorkerIdUnavailable`` if it is
        not known yet whether the lease was extended.
        """
        raise LeaseLost(f"{type(self).__name__} does not renew leases.")

    def release(self, lease: Lease, next_tick: int) -> None:  # noqa: B027
        """Release ``lease`` at a clean exit. By default do nothing: it lapses.

        Nothing was minted from tick ``next_tick`` on, which may lie before the lease
        begins: then nothing was minted with it at all.
        """

    def must_be_provisional(self) -> bool:
        """Return whether a claim by this thread must join the thread's transaction."""
        return False

    def claim_backdated(self, block: int) -> BackdatedLease:
        """Lease a slot of ``block``, a block of past ticks.

        By default raise ``WorkerIdUnavailable``.
        """
        raise WorkerIdUnavailable(
            f"{type(self).__name__} leases no backdated UIDs: it does not implement "
            f"claim_backdated()."
        )

    def enter_bootstrap_lease(
        self, lease: Lease, next_tick: int, *, database: str, nodes: Any
    ) -> Lease | None:
        """Enter ``lease`` into the worker table that ``migrate`` has just created.

        ``database`` is the alias of the table's database, ``nodes`` a queryset of its
        rows. Nothing was minted from ``next_tick`` on. Return the lease to mint with
        from now on: None if its worker id is taken, or ``lease`` itself, as by default,
        if this assigner does not use that table. Called in the migration's transaction.
        """
        return lease

"""The leases of one generation: obtain, confirm, renew early, step back, release.

The keeper never calls the assigner, and so the database, under the lock of the
generation. It claims and renews under ``LeaseKeeper._lock``, except provisionally:
other threads that need a lease wait for that, about ``max_wait`` seconds at most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.bounded_lock import BoundedLock
from django_uidgen.core.deferred_log import deferred
from django_uidgen.core.exceptions import LeaseLost, UidError
from django_uidgen.core.generation import Generation
from django_uidgen.core.lease import Lease
from django_uidgen.core.process import threads_run

logger = logging.getLogger("django_uidgen")

#: Seconds that a fork or an exit waits for each thread of a generation.
STOP_TIMEOUT = 1.0


class LeaseKeeper:
    """Obtain leases from an assigner for one generation."""

    def __init__(self, generation: Generation, assigner: WorkerIdAssigner) -> None:
        self.generation = generation
        self._assigner = assigner
        alias = generation.alias
        #: The thread that claims or renews holds this lock.
        self._lock = BoundedLock(
            f"that claims a worker id for generator {alias!r}",
            max_wait=generation.options.max_wait,
            give_up=generation.guard.disarm,
            hint="Is the database slow?",
        )
        #: No early renewal before this tick, after one that failed. Written under
        #: ``_lock``. A stale value costs or saves one attempt.
        self._retry_from = 0
        #: The thread that renews. A fork waits for it, so this must be the only one:
        #: ``_starting`` is held while it starts. No thread waits for ``_starting``.
        self.renewal: threading.Thread | None = None
        self._starting = threading.Lock()

    # Obtain.

    def obtain(self) -> None:
        """Renew the lease of this process, or claim one.

        Raise ``MaxWaitExceeded`` if another thread holds the lock for too long.
        """
        generation = self.generation
        if self._assigner.must_be_provisional():
            # Without the lock: its holder may wait for this transaction to end.
            self._claim_provisionally()
            return
        with self._work():
            with generation.lock:
                now = generation.now()
                if generation.usable_lease(now) is not None:
                    return  # another thread was first
                lease, tick = generation.lease, max(now, generation.sequence.tick)
            new = self._renewed(lease, tick) if lease is not None else None
            if new is None:
                new = self._claim(now)
                with generation.lock:
                    # The lease begins here. If the clock is stepped back before the
                    # first mint, this lets the keeper notice; else callers would wait.
                    generation.highest_now = max(generation.highest_now, now)
            self._replace(lease, new)

    @contextmanager
    def _work(self) -> Iterator[None]:
        """Hold the lock, for work in the database. Log only after that."""
        with deferred(), self._lock:
            self._lock.begin_work()
            yield

    def _renewed(self, lease: Lease, now: int) -> Lease | None:
        """Return ``lease`` with an end after tick ``now``, or None if it is lost."""
        try:
            return self._assigner.renew(lease, now)
        except LeaseLost as lost:
            logger.info("%s", lost)
            return None

    def _claim(self, now: int) -> Lease:
        lease = self._assigner.claim(now)
        if lease.begins_after_claim:
            begin = max(lease.reserved_from, self.generation.clock.tick() + 1)
            lease = lease._replace(reserved_from=begin)
        if lease.provisional is not None:
            # Not under the lock of the generation, which ``_confirm`` takes.
            lease.provisional.on_commit(partial(self._confirm, lease))
        return lease

    def _claim_provisionally(self) -> None:
        lease = self._claim(self.generation.now())
        with self.generation.lock:
            self._install(lease)

    def _install(self, lease: Lease) -> None:
        """Mint with ``lease`` from now on. Called under the lock of the generation."""
        if lease.provisional is None:
            self.generation.lease = lease
        else:
            self.generation.provisional_lease = lease

    def _replace(self, old: Lease | None, new: Lease | None) -> None:
        """Mint with ``new`` instead of ``old``, if that is still the lease."""
        self.exchange(new, is_old=lambda lease: lease is old)

    def exchange(
        self, new: Lease | None, *, is_old: Callable[[Lease | None], bool]
    ) -> None:
        """Mint with ``new`` if ``is_old`` accepts the lease, else release ``new``."""
        generation = self.generation
        with generation.lock:
            is_wanted = bool(generation.guard) and is_old(generation.lease)
            if is_wanted:
                generation.lease = new
            next_tick = generation.sequence.next_tick
        if not is_wanted and new is not None:
            # Closed meanwhile. The row was released, but this renewal extended it.
            self.release(new, next_tick)

    # Confirm.

    def _confirm(self, lease: Lease) -> None:
        """Make a provisional lease an ordinary one: its transaction was committed."""
        generation = self.generation
        with generation.lock:
            if generation.provisional_lease is not lease or not generation.guard:
                return  # the clock was stepped back, or the generator closed
            generation.provisional_lease = None
            held = generation.lease
            if held is None or held.reserved_until < lease.reserved_until:
                generation.lease = lease._replace(provisional=None)

    # Renew early.

    def renew_if_due(self) -> None:
        """Renew in a thread, from the tick ``renew_from`` of the lease on.

        If threads do not run, renew in the caller.
        """
        if not self._is_due() or self._assigner.must_be_provisional():
            return
        if not threads_run():
            self.renew_early()
        elif self._starting.acquire(blocking=False):
            try:
                self._start_renewal()
            finally:
                self._starting.release()

    def renew_beside_writers_if_due(self) -> None:
        """Do ``renew_if_due()``, unless a renewal could block the callers' writes."""
        if not self._assigner.single_writer:
            self.renew_if_due()

    def _is_due(self) -> bool:
        generation = self.generation
        lease = generation.lease
        return lease is not None and generation.sequence.tick >= max(
            lease.renew_from, self._retry_from
        )

    def _start_renewal(self) -> None:
        """Start the thread that renews, unless it is running."""
        if self.renewal is not None and self.renewal.is_alive():
            return
        renewal = threading.Thread(
            target=self.renew_early,
            name=f"django_uidgen-renew-{self.generation.alias}",
            daemon=True,
        )
        # RuntimeError: the interpreter is shutting down.
        with suppress(RuntimeError):
            renewal.start()
            self.renewal = renewal

    def renew_early(self) -> None:
        """Renew, and only log a failure: the lease has not ended yet."""
        if not self._lock.acquire(timeout=0):
            return  # another thread claims or renews
        with deferred():
            try:
                self._lock.begin_work()
                self._renew_before_the_end()
            except UidError as error:
                alias = self.generation.alias
                logger.debug("No renewal for generator %r: %s", alias, error)
            finally:
                self._lock.release()

    def _renew_before_the_end(self) -> None:
        generation = self.generation
        lease = generation.lease
        if lease is None or not self._is_due():
            return
        layout = generation.layout
        now = max(generation.now(), generation.sequence.tick)
        try:
            new = self._renewed(lease, now)
        except UidError as error:
            left = lease.reserved_until - now
            self._retry_from = now + max(left // 8, layout.ticks(1.0), 1)
            logger.warning(
                "Could not renew worker id %s of generator %r: %s Minting continues "
                "until %s.",
                lease.worker_id,
                generation.alias,
                error,
                layout.moment(lease.reserved_until).isoformat(),
            )
            return
        self._replace(lease, new)

    # Step back.

    def leave_the_future(self) -> None:
        """Claim a lease at the new time, and mint from there: order breaks once."""
        generation = self.generation
        with self._work():
            now = generation.now()
            if not generation.stepped_back(now):
                return  # another thread was first
            new = self._claim(now)
            with generation.lock:
                old, next_tick = generation.lease, generation.sequence.next_tick
                ticks = generation.highest_now - now
                # Drop the old leases first: if a signal interrupts this after the
                # position has moved back, they would repeat their UIDs.
                generation.drop_leases()
                generation.sequence.restart(new)
                self._install(new)
                generation.highest_now = now
        logger.warning(
            "The clock was stepped back by %.3f s. Generator %r continues with worker "
            "id %s; its next UIDs are lower than its last ones.",
            ticks * generation.layout.tick_ms / 1000,
            generation.alias,
            new.worker_id,
        )
        if old is not None and not new.provisional:
            self.release(old, next_tick)

    # Release.

    def release(self, lease: Lease, next_tick: int) -> None:
        """Release ``lease``, and only log a failure: then it lapses."""
        try:
            self._assigner.release(lease, next_tick)
        except UidError as error:
            logger.info("Could not release worker id %s: %s", lease.worker_id, error)

    def abandon(self) -> None:
        """Release the lease of a generation that this process gave up.

        Not in a transaction on SQLite, which this would wait for: there it lapses.
        """
        if self._assigner.must_be_provisional():
            return
        lease, next_tick = self.generation.abandon()
        if lease is not None:
            self.release(lease, next_tick)

    def join(self) -> None:
        """Wait for the thread that renews, ``STOP_TIMEOUT`` seconds at most."""
        renewal = self.renewal
        if renewal is not None and renewal is not threading.current_thread():
            renewal.join(STOP_TIMEOUT)

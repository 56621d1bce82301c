"""One life of a generator in one process, and what its lock protects.

A generation ends when its generator is closed, in every forked child, and when a thread
was interrupted while it held a lock. The next mint begins another one.

All writes happen under ``Generation.lock``, which is held for microseconds and never
during database work, with one exception: a thread that mints with a provisional lease
looks up its row on the connection of its own transaction (SQLite, without a wait).
These reads happen without the lock:

- ``guard``, by every mint: one byte, which is read atomically. A stale value leads to a
  stock that is empty, or is being emptied under the lock. Its lease is released up to
  the last tick minted, no further. ``mint()`` checks again under the lock.
- ``lease`` and ``sequence.tick``, to decide whether a renewal is due. A ``Lease`` is
  immutable and a reference is stored atomically, so a stale value only delays the
  renewal.
- ``highest_now``, to decide whether another thread was first to step back. A stale
  value costs one more turn: ``mint()`` checks again under the lock.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from enum import Enum, auto
from typing import NamedTuple, Protocol

from django_uidgen.core import fork
from django_uidgen.core.bounded_lock import BoundedLock
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import (
    ClockBeforeEpoch,
    MaxWaitExceeded,
    TimeBitsExhausted,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease
from django_uidgen.core.options import GeneratorOptions
from django_uidgen.core.sequence import Sequence


class Obstacle(Enum):
    """The reason why the next UID cannot be minted yet."""

    #: No lease covers the next tick.
    LEASE = auto()
    #: The position leads the clock by ``max_lead``.
    WAIT = auto()
    #: The clock was stepped back by more than ``max_lead``.
    STEPPED_BACK = auto()
    #: The generation is over.
    CLOSED = auto()


class Minted(NamedTuple):
    """The result of one attempt to mint.

    ``runs``: the UIDs, in ascending order. ``obstacle``: why some are missing; None if
    none are. ``wait_until``: with ``WAIT``, the tick to wait for.
    """

    runs: list[range]
    obstacle: Obstacle | None = None
    wait_until: int = 0


class MintedAhead(Protocol):
    """The stock of a generation."""

    def clear(self) -> None:
        """Discard everything. Called under the lock of the generation."""


class Generation:
    """The position, the lease and the lock of a generator in one process.

    ``sequence``: the position to start from. ``highest_now``: the highest known tick of
    the clock.
    """

    #: The UIDs minted ahead. The stock sets this itself.
    stock: MintedAhead

    def __init__(
        self,
        layout: BitLayout,
        clock: SystemClock,
        sequence: Sequence,
        *,
        alias: str,
        options: GeneratorOptions,
        highest_now: int = -1,
    ) -> None:
        self.layout = layout
        self.clock = clock
        self.sequence = sequence
        self.alias = alias
        self.options = options
        max_lead = options.max_lead
        #: In ticks; None for no bound.
        self.max_lead = None if max_lead is None else layout.ticks(max_lead)
        #: The process in which it lives.
        self.process = fork.this_process()
        self.guard = fork.ForkGuard()
        self.lock = BoundedLock(
            f"that mints with generator {alias!r}",
            max_wait=options.max_wait,
            give_up=self.guard.disarm,
        )
        self.lease: Lease | None = None
        #: The provisional lease of each thread. Replaced as a whole, under the lock.
        self._local = threading.local()
        #: The highest tick of the clock at which UIDs were minted or a lease began.
        self.highest_now = highest_now

    # Any thread may call these.

    def now(self) -> int:
        """Return the present tick.

        Raise ``ClockBeforeEpoch`` or ``TimeBitsExhausted`` if it is outside the layout.
        """
        now = self.clock.tick()
        if now < 0:
            raise ClockBeforeEpoch(
                f"The clock of this machine is before {self.layout.epoch.isoformat()}, "
                f"the epoch of generator {self.alias!r}. Set the clock, or set an "
                f"earlier EPOCH if the generator has minted nothing yet."
            )
        if now > self.layout.max_tick:
            raise self._time_bits_exhausted()
        return now

    def _time_bits_exhausted(self) -> TimeBitsExhausted:
        return TimeBitsExhausted(
            f"The layout of generator {self.alias!r} ends at "
            f"{self.layout.ends_at.isoformat()}: {self.layout.time_bits} time bits "
            f"hold no later tick. Add an alias with more time bits and use that."
        )

    def stepped_back(self, now: int) -> bool:
        """Return whether the clock was stepped back by more than ``max_lead``."""
        return self.max_lead is not None and now < self.highest_now - self.max_lead

    def wait(self, tick: int) -> None:
        """Wait until the clock shows ``tick``.

        Raise ``MaxWaitExceeded``, without waiting, if ``tick`` is more than
        ``max_wait`` seconds away.
        """
        seconds = self.clock.seconds_until(tick)
        if seconds > self.options.max_wait:
            raise MaxWaitExceeded(
                f"Generator {self.alias!r} could mint in {seconds:.3f} s, but "
                f"MAX_WAIT is {self.options.max_wait} s. Use a layout with more "
                f"sequence bits or shorter ticks, or raise MAX_LEAD or MAX_WAIT."
            )
        if seconds > 0:
            self.clock.sleep(seconds)

    # Call these under the lock.

    def mint(self, count: int, *, nearby: bool = False) -> Minted:
        """Mint up to ``count`` UIDs, without waiting.

        ``nearby``: lead the clock by one tick at most. Raise ``ClockBeforeEpoch`` or
        ``TimeBitsExhausted`` if the clock or the position is outside the layout.
        """
        if not count or not self.guard:
            return Minted([], Obstacle.CLOSED if count else None)
        now = self.now()
        if self.stepped_back(now):
            return Minted([], Obstacle.STEPPED_BACK)
        if self.sequence.tick > self.layout.max_tick:
            raise self._time_bits_exhausted()
        lease = self.usable_lease(now)
        if lease is None:
            return Minted([], Obstacle.LEASE)
        # If these UIDs are rolled back, they must lie in the past of any later claim.
        max_lead = 0 if lease.provisional else self.max_lead
        if nearby:
            max_lead = 1 if max_lead is None else min(max_lead, 1)
        return self._allocate(count, lease, now, max_lead)

    def _allocate(
        self, count: int, lease: Lease, now: int, max_lead: int | None
    ) -> Minted:
        self.highest_now = max(self.highest_now, now)
        runs = self.sequence.allocate(count, lease, now=now, max_lead=max_lead)
        if sum(map(len, runs)) == count:
            return Minted(runs)
        if max_lead is None or self.sequence.tick >= lease.reserved_until:
            return Minted(runs, Obstacle.LEASE)
        return Minted(runs, Obstacle.WAIT, self.sequence.tick - max_lead)

    def usable_lease(self, now: int) -> Lease | None:
        """Return the lease to mint with at tick ``now``, or None.

        The lease of the process comes first, then this thread's provisional lease.
        """
        tick = max(now, self.sequence.tick)
        lease = self.lease
        if lease is not None and tick < lease.reserved_until:
            return lease
        mine = self.provisional_lease
        if mine is not None and not (mine.provisional and mine.provisional.stands()):
            mine = self.provisional_lease = None
        return mine if mine is not None and tick < mine.reserved_until else None

    @property
    def provisional_lease(self) -> Lease | None:
        """The lease claimed in this thread's transaction, which may be rolled back.

        UIDs minted with it must not be stocked: another thread could take them.
        """
        lease: Lease | None = getattr(self._local, "lease", None)
        return lease

    @provisional_lease.setter
    def provisional_lease(self, lease: Lease | None) -> None:
        self._local.lease = lease

    def drop_leases(self) -> None:
        """Drop the leases of all threads, and discard the stock."""
        self.lease = None
        self._local = threading.local()
        self.stock.clear()

    # What ends it.

    def abandon(self) -> tuple[Lease | None, int]:
        """Drop the leases, after the guard was disarmed.

        Return the lease, and a tick in which nothing was or will be minted with it. The
        lock may be left held for ever by a thread that was interrupted, or be held by
        one that is slow. That reads the clock before it looks at the lease: so without
        the lease, it can mint no later tick than ``max_lead`` after now.
        """
        if self.lock.acquire(timeout=0):
            lease, next_tick = self.lease, self.sequence.next_tick
            self.drop_leases()
            self.lock.release()
            return lease, next_tick
        lease, self.lease = self.lease, None
        if self.max_lead is None:
            return None, 0  # no bound: the lease lapses
        return lease, max(self.clock.tick(), self.highest_now) + self.max_lead + 1

    def end(self) -> tuple[Lease | None, int]:
        """End the generation. Return its lease, and the first tick not minted."""
        # If an interrupted thread left the lock held, this waiter ends the generation
        # too, and the lease lapses.
        with suppress(MaxWaitExceeded), self.lock:
            self.guard.disarm()
            lease = self.lease
            self.drop_leases()
            return lease, self.sequence.next_tick
        return None, 0

"""The generator classes that callers use. Their parts are in the modules beside.

``generation`` mints, ``stocks`` stores UIDs minted ahead, ``lease_keeper`` obtains
leases, ``backdated`` mints backdated UIDs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain

from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.backdated import BackdatedMint
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import MaxWaitExceeded, MomentOutOfRange
from django_uidgen.core.generation import Generation, Minted, Obstacle
from django_uidgen.core.generations import Generations
from django_uidgen.core.hot_path import Refill, fast_uid
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease
from django_uidgen.core.lease_keeper import LeaseKeeper
from django_uidgen.core.options import GeneratorOptions
from django_uidgen.core.process import threads_run
from django_uidgen.core.sequence import Sequence
from django_uidgen.core.stocks import NoStock, PaddedStock, Stock, TickStock

__all__ = [
    "CachedUidGenerator",
    "DefaultUidGenerator",
    "GeneratorOptions",
    "UidGenerator",
]


def refuse_naive(moment: datetime) -> datetime:
    """Return an aware ``moment``. Raise ``MomentOutOfRange`` for a naive one."""
    if moment.utcoffset() is None:
        raise MomentOutOfRange(f"{moment!r} has no time zone.")
    return moment


class UidGenerator:
    """Mint UIDs of one layout with the worker ids of one assigner.

    One object serves all threads of a process, and every process forked from it. In one
    process each UID is larger than the one before it, unless the clock is stepped back
    by more than ``max_lead``.

    ``uid()`` returns one UID, ``uids(count)`` a list, ``allocate(count)`` runs.
    ``aware`` returns a moment with a time zone, for ``at()``; by default naive moments
    are invalid.

    ``layout``, ``assigner``, ``alias``, ``options`` and ``clock`` are set once, before
    another thread can see the object.

    This class has no stock: it mints each UID when it is requested.
    """

    #: Return one UID. Raise ``UidError`` if none can be minted.
    uid: Callable[[], int]

    def __init__(
        self,
        layout: BitLayout,
        assigner: WorkerIdAssigner,
        *,
        alias: str = "default",
        options: GeneratorOptions | None = None,
        clock: SystemClock | None = None,
        aware: Callable[[datetime], datetime] = refuse_naive,
    ) -> None:
        self.layout = layout
        self.assigner = assigner
        self.alias = alias
        self.options = options or GeneratorOptions()
        self.clock = clock or SystemClock(layout)
        self._generations = Generations(self._begin, close=self.close)
        self._backdated = BackdatedMint(
            layout,
            assigner,
            self._generation.max_lead,
            alias=alias,
            max_wait=self.options.max_wait,
            aware=aware,
        )
        self.uid = fast_uid(self.refill)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name} {self.alias!r} {self.layout.fingerprint}>"

    def new_stock(self, keeper: LeaseKeeper) -> Stock:
        """Return the stock of a new generation. For subclasses."""
        return NoStock(keeper)

    # UIDs.

    def uids(self, count: int) -> list[int]:
        """Return ``count`` UIDs in ascending order.

        Raise ``UidError`` if some cannot be minted. The others are then lost.
        """
        uids: list[int] = []
        for part in self._collect(count, from_stock=True):
            # Faster than to chain the parts: a range is copied at once.
            uids.extend(part)
        return uids

    def allocate(self, count: int) -> list[range]:
        """Return ``count`` UIDs as runs, in ascending order."""
        parts = self._collect(count, from_stock=False)
        return [part for part in parts if isinstance(part, range)]

    async def auid(self) -> int:
        """Return one UID without blocking the event loop."""
        return (await self.auids(1))[0]

    async def auids(self, count: int) -> list[int]:
        """Return ``count`` UIDs without blocking the event loop.

        Use a thread only to wait for the database or the clock.
        """
        _check_count(count)
        stock = self._own_stock()
        with stock.generation.lock:
            uids = stock.take(count)
            minted = stock.generation.mint(count - len(uids))
        uids.extend(chain.from_iterable(minted.runs))
        if len(uids) < count:
            uids += await asyncio.to_thread(self.uids, count - len(uids))
        stock.keeper.renew_if_due()
        return uids

    def at(self, moment: datetime) -> int:
        """Return one backdated UID, whose time is ``moment``. See ``uids_at()``."""
        return self.uids_at([moment])[0]

    def uids_at(self, moments: Iterable[datetime]) -> list[int]:
        """Return one backdated UID for each of ``moments``, in their order.

        For imports, and for rows that existed before. These UIDs are as unique as all
        others: they are minted with reserved worker ids. If a moment has no UID left,
        its next UIDs are up to ``MAX_LEAD`` seconds later.

        Raise ``MomentOutOfRange`` for a moment before the epoch or more than
        ``MAX_LEAD`` in the future, and ``UidError`` if a UID cannot be minted.
        """
        return self._backdated.mint(moments, now=self._generation.now())

    # The lease.

    @property
    def lease(self) -> Lease | None:
        """The lease of this process, None before the first mint."""
        generation = self._generation
        return generation.lease if generation.guard else None

    @property
    def next_tick(self) -> int:
        """The first tick of which this process has minted nothing."""
        return self._generation.sequence.next_tick

    def replace_bootstrap_lease(self, entered: Lease | None) -> None:
        """Mint with ``entered`` instead of the bootstrap lease; None drops that lease.

        ``entered`` covers all ticks minted with the bootstrap lease. A thread may have
        renewed that meanwhile, so it is recognized by its missing key.
        """
        self._own_stock().keeper.exchange(
            entered, is_old=lambda lease: lease is not None and lease.key is None
        )

    def assign(self) -> None:
        """Claim a lease now, if there is none, so that the first mint need not."""
        stock = self._own_stock()
        generation = stock.generation
        with generation.lock:
            usable = generation.usable_lease(generation.now())
        if usable is None:
            stock.keeper.obtain()

    def close(self) -> None:
        """Release the lease, as at a clean exit. A later mint claims another."""
        stock = self._generations.last
        if not stock.generation.guard:
            return
        lease, next_tick = stock.generation.end()
        stock.stop()
        if lease is not None:
            stock.keeper.release(lease, next_tick)

    def forget_leases(self) -> None:
        """Mint with no lease or slot of before. The next mint claims another.

        For a database that is not the one that granted them.
        """
        self._generations.last.generation.guard.disarm()
        self._backdated.forget_slots()

    # The slow path.

    def refill(self) -> Refill:
        """Return one UID, the guard's ``alive``, and the shelf with the next UIDs."""
        patience = _Patience(self.options.max_wait, self.alias)
        while True:
            stock = self._own_stock()
            with stock.generation.lock:
                minted, shelf = stock.first(), stock.shelf
            if minted.runs:
                stock.refilled()
                return minted.runs[0].start, stock.generation.guard.alive, shelf
            patience.check(minted.obstacle)
            _overcome(minted, stock)

    def _collect(self, count: int, *, from_stock: bool) -> list[range | list[int]]:
        """Return ``count`` UIDs in ascending parts: from the stock, then minted.

        Without ``from_stock``, discard the stock, and return runs only.
        """
        _check_count(count)
        patience = _Patience(self.options.max_wait, self.alias)
        stock = self._own_stock()
        parts: list[range | list[int]] = []
        missing = count
        while missing:
            taken: list[int] = []
            generation = stock.generation
            with generation.lock:
                if from_stock:
                    taken = stock.take(missing)
                else:
                    stock.clear()
                minted = generation.mint(missing - len(taken))
            if taken:
                parts.append(taken)
            parts += minted.runs
            if minted.obstacle is None:
                break
            missing -= len(taken) + sum(map(len, minted.runs))
            patience.renew() if taken or minted.runs else patience.check(
                minted.obstacle
            )
            _overcome(minted, stock)
            stock = self._own_stock()
        stock.keeper.renew_if_due()
        return parts

    # Generations.

    def _own_stock(self) -> Stock:
        """Return the stock of this process. Begin a generation if the last is over."""
        return self._generations.own()

    @property
    def _generation(self) -> Generation:
        """The last generation, which may be over."""
        return self._generations.last.generation

    def _begin(self, after: Generation | None) -> Stock:
        """Return the stock of a generation that mints larger UIDs than ``after``."""
        generation = Generation(
            self.layout,
            self.clock,
            Sequence(
                self.layout,
                tick=-1 if after is None else after.sequence.tick,
                # Random: else all short processes would mint the same low bits.
                sequence=secrets.randbelow(self.layout.sequence_size),
            ),
            alias=self.alias,
            options=self.options,
            highest_now=-1 if after is None else after.highest_now,
        )
        return self.new_stock(LeaseKeeper(generation, self.assigner))


class DefaultUidGenerator(UidGenerator):
    """Read the clock at every mint: exact time, and no thread.

    A caller that is not the first in its tick mints more UIDs of that tick for later
    callers. They are handed out only while the clock shows that tick. So a busy process
    takes the slow path a few times a tick, and a quiet one wastes no UID.
    """

    def new_stock(self, keeper: LeaseKeeper) -> Stock:
        """Return the stock of a tick."""
        return TickStock(keeper)


class CachedUidGenerator(UidGenerator):
    """Pop UIDs that were minted ahead, without reading the clock.

    The stock follows the demand, and a thread pads it: see ``PaddedStock``. If threads
    do not run (uWSGI before 2.0.27 without ``enable-threads``), there is no stock, and
    every mint reads the clock.

    After Baidu's CachedUidGenerator, without its drift from true time.
    """

    def new_stock(self, keeper: LeaseKeeper) -> Stock:
        """Return a padded stock, or ``NoStock`` if threads do not run."""
        return PaddedStock(keeper) if threads_run() else NoStock(keeper)


class _Patience:
    """The time limit on fruitless attempts of a caller: ``max_wait`` seconds."""

    def __init__(self, max_wait: float, alias: str) -> None:
        self._max_wait = max_wait
        self._alias = alias
        self._since: float | None = None

    def renew(self) -> None:
        """Restart the time limit: the caller received UIDs."""
        self._since = None

    def check(self, obstacle: Obstacle | None) -> None:
        """Raise ``MaxWaitExceeded`` if the time limit has passed.

        ``obstacle``: what prevents the next UID.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since > self._max_wait:
            reason = (
                "Each lease ended before it could be used: LEASE is shorter than a "
                "claim takes. Set a longer LEASE, or make the database faster."
                if obstacle is Obstacle.LEASE
                else "Does the clock of this machine stand still?"
            )
            raise MaxWaitExceeded(
                f"Generator {self._alias!r} minted nothing for MAX_WAIT = "
                f"{self._max_wait} s. {reason}"
            )


def _overcome(minted: Minted, stock: Stock) -> None:
    """Overcome the obstacle to the next UID. Called without the lock."""
    match minted.obstacle:
        case Obstacle.LEASE:
            stock.keeper.obtain()
        case Obstacle.WAIT:
            stock.generation.wait(minted.wait_until)
        case Obstacle.STEPPED_BACK:
            stock.keeper.leave_the_future()
        case _:
            pass  # CLOSED: the next try begins another generation.


def _check_count(count: int) -> None:
    if type(count) is not int:
        raise TypeError(f"count is {count!r}; it must be an int.")
    if count < 0:
        raise ValueError(f"count is {count!r}; it must be 0 or more.")

"""Stocks of UIDs minted ahead: none, of one tick, or padded by a thread.

Every generation has one stock, which mints from it. The stock is empty for ever before
the next generation begins.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import suppress

from django_uidgen.core import fork
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.generation import Minted
from django_uidgen.core.hot_path import EMPTY, Shelf
from django_uidgen.core.lease_keeper import STOP_TIMEOUT, LeaseKeeper
from django_uidgen.core.padding_executor import BufferPaddingExecutor
from django_uidgen.core.shelves import RingBuffer, TickShelf

logger = logging.getLogger("django_uidgen")


class Stock(fork.ForkAware, ABC):
    """The stock of one generation.

    Call ``first``, ``take`` and ``clear`` under the lock of the generation, and all
    other methods without it.
    """

    def __init__(self, keeper: LeaseKeeper) -> None:
        self.keeper = keeper
        self.generation = keeper.generation
        self.generation.stock = self
        fork.hooks.add(self)

    @property
    @abstractmethod
    def shelf(self) -> Shelf:
        """The shelf that ``uid()`` pops until it is empty."""

    @abstractmethod
    def first(self) -> Minted:
        """Return one UID as a run, or the obstacle. Fill an empty shelf."""

    @abstractmethod
    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs from the stock, in ascending order."""

    @abstractmethod
    def clear(self) -> None:
        """Discard everything."""

    def refilled(self) -> None:
        """Start background work that is due. Called after each mint by ``refill()``."""
        self.keeper.renew_if_due()

    def stop(self) -> None:
        """Stop all threads. The next mint may start them again."""
        self.keeper.join()

    def abandon(self) -> None:
        """Stop what is left of a generation that this process gave up."""
        self.keeper.abandon()

    # Forks. The hooks hold a stock as long as one of its threads does.

    def before_fork(self) -> None:
        """Stop the threads. Discard the stock: no thread would watch its lag."""
        generation = self.generation
        if not generation.guard:
            return
        # With a timeout: a signal handler that forks may have interrupted the holder.
        if generation.lock.acquire(timeout=STOP_TIMEOUT):
            self.clear()
            generation.lock.release()
        self.stop()

    def after_fork_in_child(self) -> None:
        """End the generation: it belongs to the parent."""
        self.generation.guard.disarm()


class NoStock(Stock):
    """Mint each UID when it is requested."""

    shelf = EMPTY

    def first(self) -> Minted:
        """Mint one UID."""
        return self.generation.mint(1)

    def take(self, count: int) -> list[int]:
        """Return nothing."""
        return []

    def clear(self) -> None:
        """Discard nothing."""


class TickStock(Stock):
    """Stock UIDs of the present tick, for later callers in that tick.

    The reference to the shelf, and ``chunk``, are read and written under the lock of
    the generation. A caller that still pops an old shelf is safe: every shelf checks
    the clock itself.
    """

    #: The largest number of UIDs that a caller mints for others.
    LARGEST_CHUNK = 511

    def __init__(self, keeper: LeaseKeeper) -> None:
        super().__init__(keeper)
        self._shelf = TickShelf(self.generation.clock, -1)
        #: The number of UIDs that the last caller minted for others.
        self.chunk = 0

    @property
    def shelf(self) -> TickShelf:
        """The UIDs of one tick. Each tick has another shelf."""
        return self._shelf

    def first(self) -> Minted:
        """Take one UID, or mint one, and more of the present tick for others."""
        uids = self._shelf.take(1)
        if uids:
            return Minted([range(uids[0], uids[0] + 1)])
        minted = self.generation.mint(1)
        if minted.runs:
            self._stock_up()
        return minted

    def _stock_up(self) -> None:
        """Mint more UIDs of the present tick, if the shelf is of this or the last one.

        Mint twice as many as before in the same tick, half as many in the next.
        """
        clock = self.generation.clock
        now, before = clock.tick(), self._shelf.tick
        if self.generation.provisional_lease is not None:
            self.chunk = 0
        elif before == now:
            self.chunk = min(2 * self.chunk + 1, self.LARGEST_CHUNK)
        else:
            self.chunk = self.chunk // 2 if before == now - 1 else 0
        self._shelf = TickShelf(clock, now)
        # The next mint raises the error again.
        with suppress(UidError):
            self._shelf.fill(self.generation.mint(self.chunk, nearby=True).runs)

    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs of the present tick."""
        return self._shelf.take(count)

    def clear(self) -> None:
        """Discard everything."""
        self._shelf.clear()


class PaddedStock(Stock):
    """Stock UIDs that lag by up to ``max_age``, padded by a thread.

    The thread pads the buffer to twice the consumption of the last round, up to
    ``sequence size << boost_power`` UIDs. If nothing is minted for two rounds, it
    discards the stock and sleeps until the next mint. A caller that finds the buffer
    empty fills it.

    Callers and the thread read and write ``chunk`` and the counts of the last round
    under the lock of the generation.
    """

    #: The smallest and the largest number of UIDs that a caller fills in. Odd: a quiet
    #: process hands out only the first UID of each chunk, and their low bits must vary.
    SMALLEST_CHUNK = 15
    LARGEST_CHUNK = 8191

    #: The longest time between two rounds of the thread, in seconds.
    LONGEST_INTERVAL = 0.25

    def __init__(self, keeper: LeaseKeeper) -> None:
        super().__init__(keeper)
        generation, options = self.generation, self.generation.options
        size = generation.layout.sequence_size
        self.buffer = RingBuffer(size << options.boost_power)
        #: The number of UIDs that the next caller fills into an empty buffer.
        self.chunk = self.SMALLEST_CHUNK
        self._consumed_before = 0
        self._idle_rounds = 0
        self._interval = self.LONGEST_INTERVAL
        if options.max_age is not None:
            self._interval = min(self._interval, options.max_age / 4)
        self.executor = BufferPaddingExecutor(
            self.pad,
            interval=self._interval,
            name=f"django_uidgen-padding-{generation.alias}",
        )

    @property
    def shelf(self) -> Shelf:
        """The buffer."""
        return self.buffer.shelf

    def first(self) -> Minted:
        """Take one UID from the buffer. If it is empty, first fill in a chunk."""
        uids, minted = self.buffer.take(1), Minted([])
        if not uids:
            if not self._may_stock():
                return self.generation.mint(1)
            minted = self.generation.mint(min(self.chunk, self.buffer.capacity))
            if minted.runs:
                self.chunk = min(2 * self.chunk + 1, self.LARGEST_CHUNK)
            self.buffer.fill(minted.runs)
            uids = self.buffer.take(1)
        return minted._replace(runs=[range(uid, uid + 1) for uid in uids])

    def refilled(self) -> None:
        """Wake the thread, and renew the lease if that is due."""
        try:
            self.executor.wake()
        except RuntimeError:  # the interpreter is shutting down
            with self.generation.lock:
                self.buffer.clear()
        super().refilled()

    def _may_stock(self) -> bool:
        """Return whether UIDs minted now may stay in the buffer for two rounds."""
        generation = self.generation
        if generation.provisional_lease is not None:
            return False
        max_age = generation.options.max_age
        if max_age is None:
            return True
        tick = max(generation.sequence.tick, generation.clock.tick())
        return generation.clock.seconds_until(tick) + max_age >= 2 * self._interval

    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs that are not too old."""
        if not self.buffer:
            return []
        self._discard_old()
        return self.buffer.take(count)

    def clear(self) -> None:
        """Discard everything."""
        self.buffer.clear()

    def stop(self) -> None:
        """Stop all threads. The next mint may start them again."""
        super().stop()
        self.executor.stop(STOP_TIMEOUT)

    def abandon(self) -> None:
        """Stop the thread, and release the lease."""
        self.executor.end()
        super().abandon()

    # The padding thread.

    def pad(self) -> bool:
        """Do one round. Return False if the process is idle."""
        generation = self.generation
        try:
            self.keeper.renew_beside_writers_if_due()
            with generation.lock:
                if generation.guard:
                    return self._pad_buffer()
            self.executor.end()
            return False
        except UidError as error:
            # The next mint raises the error again.
            logger.debug("Padding of generator %r stopped: %s", generation.alias, error)
        # Without the lock: the error may be a failure to acquire it.
        self.buffer.clear()
        return False

    def _pad_buffer(self) -> bool:
        buffer, padding_factor = self.buffer, self.generation.options.padding_factor
        consumed = buffer.consumed - self._consumed_before
        self._consumed_before = buffer.consumed
        self._idle_rounds = 0 if consumed else self._idle_rounds + 1
        if self._idle_rounds >= 2:
            self._idle_rounds = 0
            self.chunk = self.SMALLEST_CHUNK
            buffer.clear()
            return False
        self._discard_old()
        wanted = min(buffer.capacity, 2 * consumed)
        if len(buffer) * 100 < wanted * padding_factor and self._may_stock():
            buffer.fill(self.generation.mint(wanted - len(buffer)).runs)
        return True

    def _discard_old(self) -> None:
        """Discard UIDs that may become too old before the next round.

        If the clock was stepped back by more than ``max_lead``, discard everything.
        """
        generation = self.generation
        if generation.stepped_back(generation.clock.tick()):
            self.buffer.clear()
        max_age = generation.options.max_age
        if max_age is not None:
            oldest = generation.clock.tick_in(2 * self._interval - max_age) + 1
            self.buffer.discard_below(oldest << generation.layout.time_shift)

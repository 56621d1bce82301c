"""The generators: where layout, clock, lease and position come together."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeAlias, cast

from django_uidgen.core import fork
from django_uidgen.core.backdating import Past
from django_uidgen.core.bounded_lock import BoundedLock
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import (
    ClockBeforeEpoch,
    LeaseLost,
    MaxWaitExceeded,
    MomentOutOfRange,
    TimeBitsExhausted,
    UidError,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease, WorkerIdAssigner
from django_uidgen.core.ring_buffer import (
    BufferPaddingExecutor,
    RingBuffer,
    Stock,
    TickStock,
)
from django_uidgen.core.sequence import Sequence

logger = logging.getLogger("django_uidgen")

#: Seconds that a fork waits for a thread of ours to end.
_STOP_TIMEOUT = 1.0

#: Seconds after which a claim that has not ended is taken for interrupted.
_LOST_AFTER = 60.0

#: A stock that is never filled.
EMPTY: Stock = deque[int]()

#: What a slow path hands back: a UID, what is true as long as the next ones may be had
#: in this process, and where.
Refill: TypeAlias = tuple[int, object, Stock]


class GeneratorOptions(NamedTuple):
    """The bounds that a generator keeps.

    ``max_lead``: seconds that a UID's tick may be ahead of the clock, None for no
    bound. ``max_age``: seconds that it may be behind, None for no bound. ``max_wait``:
    seconds that a caller waits for its next UID. ``boost_power``: the buffer holds
    ``sequence size << boost_power`` UIDs at most. ``padding_factor``: percent of the
    stock below which the buffer is topped up.
    """

    max_lead: float | None = 1.0
    max_age: float | None = 1.0
    max_wait: float = 5.0
    boost_power: int = 3
    padding_factor: int = 50


def threads_run() -> bool:
    """Tell whether a thread runs while no request does.

    uWSGI before 2.0.27, without ``enable-threads`` (or ``threads``), runs no Python
    thread but the one that serves a request.
    """
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is None or bool(getattr(uwsgi, "has_threads", False))


def fast_uid(refill: Callable[[], Refill]) -> Callable[[], int]:
    """Return the hot path: a guard byte and one pop, all else behind ``refill``.

    The byte is 0 in a forked child and after a generator was closed. Every generation
    of a generator has a byte and a stock of its own, and the last stock is empty for
    good before there is a new byte. So it does not matter whether a thread sees a byte
    and a stock that belong together.
    """
    alive: object = False
    stock: Stock = EMPTY

    def uid() -> int:
        """Return one UID."""
        if alive:
            try:
                # Looked up each time: CPython calls a method faster than a bound one.
                return stock.popleft()
            except IndexError:
                pass
        return slow()

    def slow() -> int:
        nonlocal alive, stock
        value, new_alive, new_stock = refill()
        stock = new_stock
        alive = new_alive
        return value

    return uid


class _Patience:
    """Tell a caller that got nothing for ``max_wait`` seconds."""

    def __init__(self, max_wait: float, alias: str) -> None:
        self._max_wait = max_wait
        self._alias = alias
        self._since: float | None = None

    def renew(self) -> None:
        """Begin anew: the caller got UIDs."""
        self._since = None

    def check(self) -> None:
        """Raise ``MaxWaitExceeded`` for a caller whose patience has ended."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since > self._max_wait:
            raise MaxWaitExceeded(
                f"Generator {self._alias!r} minted nothing for MAX_WAIT = "
                f"{self._max_wait} s. Does the clock of this machine stand still?"
            )


class _State:
    """What a generator has in one process. A child gets one of its own."""

    def __init__(self, sequence: Sequence, alias: str, max_wait: float) -> None:
        self.guard = fork.ForkGuard()
        #: Held around sequence and buffer, for microseconds, never over database work.
        self.lock = BoundedLock(
            f"that mints with generator {alias!r}. Was it interrupted?",
            max_wait=max_wait,
            lost_after=0,
            give_up=self.guard.disarm,
        )
        #: Held by the one thread that claims or renews.
        self.lease_lock = BoundedLock(
            f"that claims a worker id for generator {alias!r}. Is the database slow?",
            max_wait=max_wait,
            lost_after=_LOST_AFTER,
            give_up=self.guard.disarm,
        )
        self.sequence = sequence
        self.lease: Lease | None = None
        #: The provisional lease of each thread.
        self.local = threading.local()
        #: The highest tick of the clock at which UIDs were minted or a lease began.
        self.highest_now = -1
        #: No early renewal before this tick, after one that failed.
        self.retry_from = 0
        #: The thread that renews. A fork waits for it, so none may be forgotten: who
        #: starts one holds the lock. Nobody waits for that.
        self.renewal: threading.Thread | None = None
        self.renewal_starts = threading.Lock()


class UidGenerator(fork.ForkAware):
    """Mint UIDs of one layout with the worker ids of one assigner.

    One object serves all threads of a process, and every process forked from it.

    ``uid()`` returns one UID, ``uids(count)`` a list, ``allocate(count)`` runs.
    In one process each UID is larger than the one before it.
    """

    #: Return one UID. Raise ``UidError`` where a promise could not be kept.
    uid: Callable[[], int]

    def __init__(
        self,
        layout: BitLayout,
        assigner: WorkerIdAssigner,
        *,
        alias: str = "default",
        options: GeneratorOptions | None = None,
        clock: SystemClock | None = None,
    ) -> None:
        self.layout = layout
        self.assigner = assigner
        self.alias = alias
        self.options = options or GeneratorOptions()
        self.clock = clock or SystemClock(layout)
        max_lead = self.options.max_lead
        self._max_lead = None if max_lead is None else layout.ticks(max_lead)
        self._past = Past(
            layout, assigner, self._max_lead, max_wait=self.options.max_wait
        )
        #: The process that has been told to give the lease back at its exit.
        self._closed_at_exit_in = 0
        self._rebirth_lock = fork.ProcessLock()
        self._state = self._new_state(
            # A random start, so that short processes do not all mint the same low bits.
            Sequence(layout, sequence=secrets.randbelow(layout.sequence_size))
        )
        self.uid = fast_uid(self.refill)
        self._close_at_exit()
        fork.hooks.add(self)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name} {self.alias!r} {self.layout.fingerprint}>"

    # The public face.

    def uids(self, count: int) -> list[int]:
        """Return ``count`` UIDs in ascending order.

        Raise ``UidError`` where a promise could not be kept; then the UIDs minted up
        to there are lost.
        """
        uids: list[int] = []
        for part in self._collect(count, self._take_stock):
            uids.extend(part)
        return uids

    def allocate(self, count: int) -> list[range]:
        """Return ``count`` UIDs as runs, in ascending order."""
        return cast("list[range]", self._collect(count, self._drop_stock))

    async def auid(self) -> int:
        """Return one UID without blocking the event loop."""
        return (await self.auids(1))[0]

    async def auids(self, count: int) -> list[int]:
        """Return ``count`` UIDs without blocking the event loop.

        A thread is used only where the database or the clock has to be waited for.
        """
        _check_count(count)
        state = self._own_state()
        with state.lock:
            uids = self._take_stock(state, count)
            runs, _ = self._mint(state, count - len(uids))
        uids.extend(chain.from_iterable(runs))
        if len(uids) < count:
            uids += await asyncio.to_thread(self.uids, count - len(uids))
        self._renew_if_due(state)
        return uids

    def at(self, moment: datetime) -> int:
        """Return one UID that was minted at ``moment``, as far as it tells.

        See ``uids_at()``.
        """
        return self.uids_at([moment])[0]

    def uids_at(self, moments: Iterable[datetime]) -> list[int]:
        """Return one UID for each of ``moments``, which are past, in their order.

        For imports, and for rows that were there before. They are as unique as all
        others: they are minted with worker ids that are kept for that. Where more are
        asked for than one moment holds, the next ones are up to ``MAX_LEAD`` later.

        Raise ``MomentOutOfRange`` for a moment before the epoch, or one that the clock
        has not reached, and ``UidError`` where a promise could not be kept.
        """
        latest = min(self._now() + (self._max_lead or 0), self.layout.max_tick)
        return self._past.mint(self._past_tick(moment, latest) for moment in moments)

    def _past_tick(self, moment: datetime, latest: int) -> int:
        moment = self.aware(moment)
        tick = self.layout.tick_at(moment)
        if tick < 0:
            raise MomentOutOfRange(
                f"{moment.isoformat()} is before {self.layout.epoch.isoformat()}, the "
                f"epoch of generator {self.alias!r}. An earlier EPOCH can be set for a "
                f"generator that has minted nothing yet."
            )
        if tick > latest:
            raise MomentOutOfRange(
                f"{moment.isoformat()} has not come yet. UIDs of generator "
                f"{self.alias!r} tell when a row was made."
            )
        return tick

    @staticmethod
    def aware(moment: datetime) -> datetime:
        """Return ``moment`` with a time zone: here, refuse one that has none.

        Raise ``MomentOutOfRange``. Replaced where there is a zone to take it in.
        """
        if moment.utcoffset() is None:
            raise MomentOutOfRange(f"{moment!r} has no time zone.")
        return moment

    @property
    def lease(self) -> Lease | None:
        """The lease of this process, None before the first mint."""
        return self._state.lease if self._state.guard else None

    @property
    def next_tick(self) -> int:
        """The first tick of which this process has minted nothing."""
        return self._state.sequence.next_tick

    def enter_lease(self, entered: Lease | None) -> None:
        """Mint with ``entered`` in place of the lease that had no key.

        ``entered`` covers what was minted with that; None drops it. A thread may have
        renewed it meanwhile, so it is known by its lack of a key.
        """
        self._exchange(
            self._own_state(),
            entered,
            is_old=lambda lease: lease is not None and lease.key is None,
        )

    def assign(self) -> None:
        """Claim a worker id now, unless one is leased, so that no mint has to."""
        state = self._own_state()
        with state.lock:
            usable = self._usable_lease(state, self._now())
        if usable is None:
            self._obtain_lease(state)

    def close(self) -> None:
        """Give the lease back, at a clean exit. A later mint claims another."""
        state = self._state
        if not state.guard:
            return
        lease, next_tick = None, 0
        # Where the lock was left held, its waiter gives the state up; the lease lapses.
        with suppress(MaxWaitExceeded), state.lock:
            state.guard.disarm()
            lease, state.lease = state.lease, None
            next_tick = state.sequence.next_tick
            self._drop_stock(state, 0)
        self._stop_threads(state)
        if lease is not None:
            self._release(lease, next_tick)

    # Minting.

    def refill(self) -> Refill:
        """Return one UID, the guard's byte, and the stock that gives the next ones."""
        patience = _Patience(self.options.max_wait, self.alias)
        while True:
            state = self._own_state()
            with state.lock:
                uids, stock, remedy = self._fill_in_line(state)
            if uids:
                self._refilled(state)
                return uids[0], state.guard.alive, stock
            patience.check()
            (remedy or _go_on)()

    def _fill_in_line(
        self, state: _State
    ) -> tuple[list[int], Stock, Callable[[], None] | None]:
        """Return up to one UID, the stock, and what would give a UID if there is none.

        Called under the lock; the remedy is called without it.
        """
        runs, remedy = self._mint(state, 1)
        return [run.start for run in runs], EMPTY, remedy

    def _refilled(self, state: _State) -> None:
        """Do what is to be done now and then while UIDs are minted."""
        self._renew_if_due(state)

    def _collect(
        self, count: int, stock: Callable[[_State, int], list[int]]
    ) -> list[range | list[int]]:
        """Return ``count`` UIDs in ascending parts: from the stock, then minted."""
        _check_count(count)
        patience = _Patience(self.options.max_wait, self.alias)
        state = self._own_state()
        parts: list[range | list[int]] = []
        missing = count
        while missing:
            with state.lock:
                taken = stock(state, missing)
                if taken:
                    parts.append(taken)
                    missing -= len(taken)
                runs, remedy = self._mint(state, missing)
            parts += runs
            missing -= sum(map(len, runs))
            if remedy is not None:
                patience.renew() if taken or runs else patience.check()
                remedy()
                state = self._own_state()
        self._renew_if_due(state)
        return parts

    def _mint(
        self, state: _State, count: int, *, nearby: bool = False
    ) -> tuple[list[range], Callable[[], None] | None]:
        """Mint what can be had at once, and say what would give the rest.

        ``nearby``: no further ahead of the clock than the next tick. Called under the
        lock; the remedy is called without it.
        """
        if not count or not state.guard:
            # Closed meanwhile? The caller goes on with the next state.
            return [], _go_on if count else None
        now = self._now()
        if self._stepped_back(state, now):
            return [], partial(self._leave_the_future, state)
        if state.sequence.tick > self.layout.max_tick:
            raise self._time_bits_exhausted()
        lease = self._usable_lease(state, now)
        if lease is None:
            return [], partial(self._obtain_lease, state)
        state.highest_now = max(state.highest_now, now)
        # What is rolled back must lie in the past when another process claims.
        max_lead = 0 if lease.provisional else self._max_lead
        if nearby:
            max_lead = 1 if max_lead is None else min(max_lead, 1)
        runs = state.sequence.allocate(count, lease, now=now, max_lead=max_lead)
        if sum(map(len, runs)) == count:
            return runs, None
        if state.sequence.tick >= lease.reserved_until:
            return runs, partial(self._obtain_lease, state)
        return runs, partial(self._wait, state.sequence.tick - cast(int, max_lead))

    def _now(self) -> int:
        """Return the present tick, if the layout can hold it."""
        now = self.clock.tick()
        if now < 0:
            raise ClockBeforeEpoch(
                f"The clock of this machine is before {self.layout.epoch.isoformat()}, "
                f"the epoch of generator {self.alias!r}. Set the clock, or an earlier "
                f"EPOCH for a generator that has minted nothing yet."
            )
        if now > self.layout.max_tick:
            raise self._time_bits_exhausted()
        return now

    def _time_bits_exhausted(self) -> TimeBitsExhausted:
        return TimeBitsExhausted(
            f"The layout of generator {self.alias!r} ends at "
            f"{self.layout.ends_at.isoformat()}: {self.layout.time_bits} time bits "
            f"hold no later tick. Use a new alias with more time bits."
        )

    def _usable_lease(self, state: _State, now: int) -> Lease | None:
        """Return the lease to mint with at ``now``: the process's, or the thread's."""
        tick = max(now, state.sequence.tick)
        lease = state.lease
        if lease is not None and tick < lease.reserved_until:
            return lease
        mine: Lease | None = getattr(state.local, "lease", None)
        if mine is not None and not mine.provisional.stands():
            mine = state.local.lease = None
        return mine if mine is not None and tick < mine.reserved_until else None

    def _wait(self, tick: int) -> None:
        """Wait until the clock shows ``tick``."""
        seconds = self.clock.seconds_until(tick)
        if seconds > self.options.max_wait:
            raise MaxWaitExceeded(
                f"Generator {self.alias!r} could mint in {seconds:.3f} s, but "
                f"MAX_WAIT is {self.options.max_wait} s. Use a layout with more "
                f"sequence bits or shorter ticks, or raise MAX_LEAD or MAX_WAIT."
            )
        if seconds > 0:
            self.clock.sleep(seconds)

    # The stock of UIDs minted ahead: none here.

    def _take_stock(self, state: _State, count: int) -> list[int]:
        """Return up to ``count`` UIDs of the stock. Called under the lock."""
        return []

    def _drop_stock(self, state: _State, count: int) -> list[int]:
        """Throw the stock away, and return none of it. Called under the lock."""
        return []

    # The lease.

    def _obtain_lease(self, state: _State) -> None:
        """Renew the lease of this process, or claim one."""
        if self.assigner.must_be_provisional():
            # Without the lock: its holder may be waiting for this very transaction.
            self._claim_provisionally(state)
            return
        with state.lease_lock:
            with state.lock:
                now = self._now()
                if self._usable_lease(state, now) is not None:
                    return  # another thread was first
                lease, tick = state.lease, max(now, state.sequence.tick)
            new = self._renewed(lease, tick) if lease is not None else None
            if new is None:
                new = self._claim(now)
                with state.lock:
                    # The lease begins here. Were the clock stepped back before the
                    # first mint, callers would wait for this time to come again.
                    state.highest_now = max(state.highest_now, now)
            self._replace(state, lease, new)

    def _renewed(self, lease: Lease, now: int) -> Lease | None:
        """Return ``lease`` with a later end, or None where it is lost."""
        try:
            return self.assigner.renew(lease, now)
        except LeaseLost as lost:
            logger.info("%s", lost)
            return None

    def _claim(self, now: int) -> Lease:
        lease = self.assigner.claim(now)
        if lease.begins_after_claim:
            begin = max(lease.reserved_from, self.clock.tick() + 1)
            lease = lease._replace(reserved_from=begin)
        return lease

    def _claim_provisionally(self, state: _State) -> None:
        lease = self._claim(self._now())
        with state.lock:
            self._install(state, lease)

    def _install(self, state: _State, lease: Lease) -> None:
        """Mint with ``lease`` from now on. Called under the lock."""
        if lease.provisional is None:
            state.lease = lease
        else:
            lease.provisional.on_commit = partial(self._confirm, state, lease)
            state.local.lease = lease

    def _replace(self, state: _State, old: Lease | None, new: Lease | None) -> None:
        """Mint with ``new`` in place of ``old``, if that is still the lease."""
        self._exchange(state, new, is_old=lambda lease: lease is old)

    def _exchange(
        self,
        state: _State,
        new: Lease | None,
        *,
        is_old: Callable[[Lease | None], bool],
    ) -> None:
        """Mint with ``new``, or give it back where the lease is not the old one."""
        with state.lock:
            is_wanted = bool(state.guard) and is_old(state.lease)
            if is_wanted:
                state.lease = new
            next_tick = state.sequence.next_tick
        if not is_wanted and new is not None:
            # Closed meanwhile. Its row was given back before, but is longer by now.
            self._release(new, next_tick)

    def _confirm(self, state: _State, lease: Lease) -> None:
        """Make a provisional lease an ordinary one: its transaction was committed."""
        with state.lock:
            if getattr(state.local, "lease", None) is not lease or not state.guard:
                return  # the clock was stepped back, or the generator closed
            state.local.lease = None
            if state.lease is None or state.lease.reserved_until < lease.reserved_until:
                state.lease = lease._replace(provisional=None)

    def _renew_if_due(self, state: _State) -> None:
        """Renew early, beside the callers, once half of the lease is over."""
        if not self._renewal_is_due(state) or self.assigner.must_be_provisional():
            return
        if not threads_run():
            self._renew_early(state)
        elif state.renewal_starts.acquire(blocking=False):
            try:
                self._start_renewal(state)
            finally:
                state.renewal_starts.release()

    def _start_renewal(self, state: _State) -> None:
        """Renew in a thread, unless one does."""
        if state.renewal is not None and state.renewal.is_alive():
            return
        renewal = threading.Thread(
            target=partial(self._renew_early, state),
            name=f"django_uidgen-renew-{self.alias}",
            daemon=True,
        )
        # RuntimeError: the interpreter is shutting down.
        with suppress(RuntimeError):
            renewal.start()
            state.renewal = renewal

    def _renewal_is_due(self, state: _State) -> bool:
        lease = state.lease
        return lease is not None and state.sequence.tick >= max(
            lease.renew_from, state.retry_from
        )

    def _renew_early(self, state: _State) -> None:
        """Renew, and only log a failure: the lease has not ended yet."""
        if not state.lease_lock.acquire(timeout=0):
            return  # another thread claims or renews
        try:
            lease = state.lease
            if lease is None or not self._renewal_is_due(state):
                return
            now = max(self._now(), state.sequence.tick)
            try:
                new = self._renewed(lease, now)
            except UidError as error:
                left = lease.reserved_until - now
                state.retry_from = now + max(left // 8, self.layout.ticks(1.0), 1)
                logger.warning(
                    "Could not renew worker id %s of generator %r: %s Minting goes on "
                    "until %s.",
                    lease.worker_id,
                    self.alias,
                    error,
                    self.layout.moment(lease.reserved_until).isoformat(),
                )
                return
            self._replace(state, lease, new)
        except UidError as error:
            logger.debug("No renewal for generator %r: %s", self.alias, error)
        finally:
            state.lease_lock.release()

    def _release(self, lease: Lease, next_tick: int) -> None:
        try:
            self.assigner.release(lease, next_tick)
        except UidError as error:
            logger.info("Could not release worker id %s: %s", lease.worker_id, error)

    # A clock that was stepped back.

    def _stepped_back(self, state: _State, now: int) -> bool:
        return self._max_lead is not None and now < state.highest_now - self._max_lead

    def _leave_the_future(self, state: _State) -> None:
        """Claim a lease at the new time, and mint from there: order breaks once."""
        with state.lease_lock:
            now = self._now()
            if not self._stepped_back(state, now):
                return  # another thread was first
            new = self._claim(now)
            with state.lock:
                old, next_tick = state.lease, state.sequence.next_tick
                seconds = (state.highest_now - now) * self.layout.tick_ms / 1000
                # The old leases go first: with one of them, the position that moves
                # back would repeat UIDs, should a signal interrupt this.
                state.lease = None
                state.local = threading.local()
                self._drop_stock(state, 0)
                state.sequence.restart(new)
                self._install(state, new)
                state.highest_now = now
        logger.warning(
            "The clock was stepped back by %.3f s. Generator %r goes on with worker id "
            "%s; its next UIDs are lower than its last ones.",
            seconds,
            self.alias,
            new.worker_id,
        )
        if old is not None and not new.provisional:
            self._release(old, next_tick)

    # Forks.

    def _new_state(self, sequence: Sequence) -> _State:
        return _State(sequence, self.alias, self.options.max_wait)

    def _own_state(self) -> _State:
        """Return the state of this process."""
        state = self._state
        return state if state.guard else self._rebirth(state)

    def _rebirth(self, stale: _State) -> _State:
        """Make a state of this process's own: no lock, lease or UID of the parent's."""
        with self._rebirth_lock:
            if self._state is stale:
                # Nobody may pop what was the parent's: see fast_uid().
                self._drop_stock(stale, 0)
                # On from the parent's position: later UIDs are larger here too.
                position = stale.sequence
                self._state = self._new_state(
                    Sequence(
                        self.layout,
                        tick=position.tick,
                        sequence=secrets.randbelow(self.layout.sequence_size),
                    )
                )
                self._state.highest_now = stale.highest_now
                self._close_at_exit()
            return self._state

    def _close_at_exit(self) -> None:
        """Give the lease back also in a child of multiprocessing.

        Those that were forked leave by ``os._exit()``, past the hooks of ``atexit``.
        """
        processes = sys.modules.get("multiprocessing.process")
        if processes is None or processes.parent_process() is None:
            return
        if self._closed_at_exit_in != os.getpid():
            self._closed_at_exit_in = os.getpid()
            util = sys.modules["multiprocessing.util"]
            util.Finalize(None, self.close, exitpriority=0)

    def before_fork(self) -> None:
        """Stop threads, and what was minted ahead: nobody would watch its age."""
        state = self._state
        if not state.guard:
            return
        # Not for ever: a signal handler that forks may have interrupted the holder.
        if state.lock.acquire(timeout=_STOP_TIMEOUT):
            self._drop_stock(state, 0)
            state.lock.release()
        self._stop_threads(state)

    def after_fork_in_child(self) -> None:
        """Forget what belongs to the parent."""
        self._state.guard.disarm()

    def _stop_threads(self, state: _State) -> None:
        renewal = state.renewal
        if renewal is not None and renewal is not threading.current_thread():
            renewal.join(_STOP_TIMEOUT)


class _ExactState(_State):
    stock: TickStock
    #: How many UIDs the last caller in the tick of the stock minted beside its own.
    chunk = 0


class DefaultUidGenerator(UidGenerator):
    """Read the clock at every mint: exact time, and no thread.

    A caller that is not the first one in its tick mints some more UIDs of that tick,
    for those to come. They are handed out only while the clock shows that tick. So a
    busy process takes the slow path a few times a tick, and a quiet one wastes no UID.
    """

    #: UIDs that a caller mints for others at the most.
    LARGEST_CHUNK = 511

    _state: _ExactState

    def _new_state(self, sequence: Sequence) -> _ExactState:
        state = _ExactState(sequence, self.alias, self.options.max_wait)
        state.stock = TickStock(self.clock, -1)
        return state

    def _fill_in_line(
        self, state: _State
    ) -> tuple[list[int], Stock, Callable[[], None] | None]:
        exact = cast(_ExactState, state)
        uids, remedy = exact.stock.take(1), None
        if not uids:
            runs, remedy = self._mint(state, 1)
            uids = [run.start for run in runs]
            if uids:
                self._stock_up(exact)
        return uids, exact.stock, remedy

    def _stock_up(self, state: _ExactState) -> None:
        """Mint more UIDs of the present tick, if callers asked for some just before."""
        now = self.clock.tick()
        if _is_provisional(state):
            state.chunk = 0
        elif state.stock.tick == now:
            state.chunk = min(2 * state.chunk + 1, self.LARGEST_CHUNK)
        else:
            state.chunk = state.chunk // 2 if state.stock.tick == now - 1 else 0
        state.stock = TickStock(self.clock, now)
        # The next mint meets the same obstacle and tells its caller.
        with suppress(UidError):
            runs, _ = self._mint(state, state.chunk, nearby=True)
            state.stock.fill(runs)

    def _take_stock(self, state: _State, count: int) -> list[int]:
        return cast(_ExactState, state).stock.take(count)

    def _drop_stock(self, state: _State, count: int) -> list[int]:
        cast(_ExactState, state).stock.clear()
        return []


class _CachedState(_State):
    executor: BufferPaddingExecutor

    def __init__(
        self, sequence: Sequence, alias: str, options: GeneratorOptions, size: int
    ) -> None:
        super().__init__(sequence, alias, options.max_wait)
        self.buffer = RingBuffer(size << options.boost_power)
        #: How many UIDs the next caller that finds the buffer empty fills in.
        self.chunk = CachedUidGenerator.SMALLEST_CHUNK
        self.consumed_before = 0
        self.idle_rounds = 0


class CachedUidGenerator(UidGenerator):
    """Keep UIDs in stock, minted ahead: one pop for each, without reading the clock.

    The stock follows the demand: what was consumed in the last round is padded twice
    over, up to ``sequence size << boost_power``. UIDs that would grow older than
    ``max_age`` are thrown away. A process that mints nothing for two rounds throws the
    stock away, and its padding thread sleeps until the next mint.

    An empty buffer is filled by the caller, in line. Where threads do not run (uWSGI
    before 2.0.27 without ``enable-threads``) there is no buffer, and every mint reads
    the clock.

    After Baidu's CachedUidGenerator, without its drift from true time.
    """

    #: UIDs that a caller fills in at the first empty buffer, and at the most. Odd, so
    #: that the first UIDs of chunks, all that a quiet process mints, end in all ways.
    SMALLEST_CHUNK = 15
    LARGEST_CHUNK = 8191

    #: Seconds between rounds of the padding thread where no age is kept.
    LONGEST_INTERVAL = 0.25

    _state: _CachedState

    def __init__(
        self,
        layout: BitLayout,
        assigner: WorkerIdAssigner,
        *,
        alias: str = "default",
        options: GeneratorOptions | None = None,
        clock: SystemClock | None = None,
    ) -> None:
        options = options or GeneratorOptions()
        max_age = options.max_age
        self._interval = (
            self.LONGEST_INTERVAL
            if max_age is None
            else min(self.LONGEST_INTERVAL, max_age / 4)
        )
        super().__init__(layout, assigner, alias=alias, options=options, clock=clock)

    def _new_state(self, sequence: Sequence) -> _CachedState:
        size = self.layout.sequence_size
        state = _CachedState(sequence, self.alias, self.options, size)
        state.executor = BufferPaddingExecutor(
            partial(self._pad, state),
            interval=self._interval,
            name=f"django_uidgen-padding-{self.alias}",
        )
        return state

    def refill(self) -> Refill:
        """Return one UID, the guard's byte, and the stock that gives the next ones."""
        if threads_run():
            return super().refill()
        return self.allocate(1)[0].start, False, EMPTY

    def _fill_in_line(
        self, state: _State
    ) -> tuple[list[int], Stock, Callable[[], None] | None]:
        """Take one UID of the buffer, filled by a chunk if it is empty."""
        cached = cast(_CachedState, state)
        buffer = cached.buffer
        uids, remedy = buffer.take(1), None
        if not uids:
            if not self._may_stock(cached):
                return super()._fill_in_line(state)
            runs, remedy = self._mint(state, min(cached.chunk, buffer.capacity))
            if runs:
                cached.chunk = min(2 * cached.chunk + 1, self.LARGEST_CHUNK)
            buffer.fill(runs)
            uids = buffer.take(1)
        return uids, buffer.stock, remedy

    def _refilled(self, state: _State) -> None:
        cached = cast(_CachedState, state)
        try:
            cached.executor.wake()
        except RuntimeError:  # the interpreter is shutting down
            with state.lock:
                cached.buffer.clear()
        super()._refilled(state)

    def _may_stock(self, state: _CachedState) -> bool:
        """Tell whether UIDs minted now may lie in the buffer for a while."""
        if _is_provisional(state):
            return False
        max_age = self.options.max_age
        if max_age is None:
            return True
        tick = max(state.sequence.tick, self.clock.tick())
        return self.clock.seconds_until(tick) + max_age >= 2 * self._interval

    def _take_stock(self, state: _State, count: int) -> list[int]:
        cached = cast(_CachedState, state)
        if not cached.buffer:
            return []
        self._discard_old(cached)
        return cached.buffer.take(count)

    def _drop_stock(self, state: _State, count: int) -> list[int]:
        cast(_CachedState, state).buffer.clear()
        return []

    def _stop_threads(self, state: _State) -> None:
        super()._stop_threads(state)
        cast(_CachedState, state).executor.stop(_STOP_TIMEOUT)

    # The padding thread.

    def _pad(self, state: _CachedState) -> bool:
        """Do one round. Return False when the process is idle."""
        try:
            if not getattr(self.assigner, "single_writer", False):
                self._renew_if_due(state)
            with state.lock:
                return bool(state.guard) and self._pad_buffer(state)
        except UidError as error:
            # The next mint meets the same obstacle and tells its caller.
            logger.debug("Padding of generator %r stopped: %s", self.alias, error)
        # Without the lock, which may be what could not be had.
        state.buffer.clear()
        return False

    def _pad_buffer(self, state: _CachedState) -> bool:
        buffer = state.buffer
        consumed = buffer.consumed - state.consumed_before
        state.consumed_before = buffer.consumed
        state.idle_rounds = 0 if consumed else state.idle_rounds + 1
        if state.idle_rounds >= 2:
            state.idle_rounds = 0
            state.chunk = self.SMALLEST_CHUNK
            buffer.clear()
            return False
        self._discard_old(state)
        wanted = min(buffer.capacity, 2 * consumed)
        if len(buffer) * 100 < wanted * self.options.padding_factor and self._may_stock(
            state
        ):
            runs, _ = self._mint(state, wanted - len(buffer))
            buffer.fill(runs)
        return True

    def _discard_old(self, state: _CachedState) -> None:
        """Throw away what could grow too old before the next round.

        And all of a future that the clock was stepped back from.
        """
        if self._stepped_back(state, self.clock.tick()):
            state.buffer.clear()
        max_age = self.options.max_age
        if max_age is not None:
            oldest = self.clock.tick_in(2 * self._interval - max_age) + 1
            state.buffer.discard_below(oldest << self.layout.time_shift)


def _is_provisional(state: _State) -> bool:
    """Tell whether this thread mints in a transaction that may be rolled back.

    What it puts in stock would be another thread's then.
    """
    return getattr(state.local, "lease", None) is not None


def _go_on() -> None:
    """Do nothing: another try is all that is needed."""


def _check_count(count: int) -> None:
    if type(count) is not int:
        raise TypeError(f"count is {count!r}; it must be an int.")
    if count < 0:
        raise ValueError(f"count is {count!r}; it must be 0 or more.")

"""Backdated UIDs: for imports, and for rows that existed before.

A lease covers one worker id from now on, and no past tick. Backdated UIDs have reserved
worker ids, which are used for nothing else. For each of them, time is divided into
blocks of about a day, and the sequence of every tick into slots. A process leases one
slot of one block: the right to mint that part of the sequence in all ticks of the
block, for ever. A slot is never released or leased again, so its position needs no
storage but the memory of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property, partial

from django_uidgen.core import fork
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.bounded_lock import BoundedLock
from django_uidgen.core.exceptions import MomentOutOfRange
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import BackdatedLease

_DAY_MS = 86_400_000

#: Slots of a sequence, if it has at least as many numbers.
_SLOTS = 64

#: The largest number of blocks in a layout. The numbers of their slots fit 31 bits.
_MAX_BLOCKS = 1 << 24

#: Ticks whose positions are remembered. Beyond that all slots are discarded.
_MAX_TICKS = 1 << 18


class Blocks:
    """The division of a layout's ticks into blocks, and of its sequence into slots.

    It depends on the layout alone: processes that divided it in different ways could
    mint the same UIDs. Threads that use it at once may compute ``ticks`` twice, with
    equal results.
    """

    def __init__(self, layout: BitLayout) -> None:
        self.layout = layout

    @cached_property
    def ticks(self) -> int:
        """The length of a block in ticks: a day, or more in a layout of many days."""
        fewest = -(-(self.layout.max_tick + 1) // _MAX_BLOCKS)
        return max(_DAY_MS // self.layout.tick_ms, fewest, 1)

    @property
    def slots(self) -> int:
        """The number of slots in a sequence."""
        return min(_SLOTS, self.layout.sequence_size)

    @property
    def slot_size(self) -> int:
        """The number of UIDs that a slot has in one tick."""
        return self.layout.sequence_size // self.slots

    def block_of(self, tick: int) -> int:
        """Return the number of the block that contains ``tick``."""
        return tick // self.ticks

    def ends(self, block: int) -> tuple[int, int]:
        """Return the first tick of a block, and the tick after its last."""
        first = block * self.ticks
        return first, min(first + self.ticks, self.layout.max_tick + 1)

    def number(self, block: int, slot: int) -> int:
        """Return the number of a slot, unique over all blocks."""
        return block * self.slots + slot


class _Slot:
    """A backdated lease, and its position in each tick.

    Call ``mint`` and ``ticks`` under the lock of the generation.
    """

    def __init__(self, lease: BackdatedLease, blocks: Blocks) -> None:
        self.lease = lease
        self._layout = blocks.layout
        self._size = blocks.slot_size
        self._first = lease.slot * blocks.slot_size
        self._end = blocks.ends(lease.block)[1]
        #: By tick, the number of UIDs minted.
        self._minted: dict[int, int] = {}
        #: By exhausted tick, a later tick to continue from.
        self._next: dict[int, int] = {}

    @property
    def ticks(self) -> int:
        """The number of ticks whose position is remembered."""
        return len(self._minted)

    def mint(self, asked: int, max_lead: int | None) -> int | None:
        """Return a UID of the tick ``asked``, or of the next tick that has one left.

        Return None if that tick is more than ``max_lead`` ticks later, or past the end
        of the block.
        """
        end = self._end if max_lead is None else min(asked + max_lead + 1, self._end)
        tick = asked
        while tick < end:
            minted = self._minted.get(tick, 0)
            if minted < self._size:
                self._minted[tick] = minted + 1
                if tick != asked:
                    self._next[asked] = tick
                sequence = self._first + minted
                return self._layout.compose(tick, self.lease.worker_id, sequence)
            tick = self._next.get(tick, tick + 1)
        return None


class _Generation:
    """The slots of one process. A forked child begins another generation.

    ``slots`` and their contents are read and written under ``lock``. A provisional slot
    belongs to one thread.
    """

    def __init__(self, max_wait: float) -> None:
        self.guard = fork.ForkGuard()
        self.lock = BoundedLock(
            "that mints backdated UIDs",
            max_wait=max_wait,
            give_up=self.guard.disarm,
        )
        self.slots: dict[int, _Slot] = {}
        self._local = threading.local()

    @property
    def provisional_slots(self) -> dict[int, _Slot]:
        """The slots claimed in this thread's transaction, by block."""
        slots: dict[int, _Slot] = vars(self._local).setdefault("slots", {})
        return slots


class BackdatedMint:
    """Mint backdated UIDs. One object serves all threads and forked processes.

    ``max_lead``: how many ticks a UID may be later than its moment; None for no bound.
    ``aware`` returns a moment with a time zone.

    ``_generation`` is written under ``_rebirth_lock`` and read without it: the guard of
    a generation that is over is false. No lock is held while a slot is claimed, so two
    threads may claim one each; the rest of one of them is left unused.
    """

    def __init__(
        self,
        layout: BitLayout,
        assigner: WorkerIdAssigner,
        max_lead: int | None,
        *,
        alias: str,
        max_wait: float,
        aware: Callable[[datetime], datetime],
    ) -> None:
        self._layout = layout
        self._blocks = Blocks(layout)
        self._assigner = assigner
        self._max_lead = max_lead
        self._alias = alias
        self._max_wait = max_wait
        self._aware = aware
        self._rebirth_lock = fork.ProcessLock()
        self._generation: _Generation | None = None

    def mint(self, moments: Iterable[datetime], *, now: int) -> list[int]:
        """Return one UID for each of ``moments``, in their order.

        ``now`` is the present tick. UIDs of equal moments ascend within one slot. Raise
        ``MomentOutOfRange`` for a moment before the epoch, or more than ``max_lead``
        ticks after ``now``.
        """
        latest = min(now + (self._max_lead or 0), self._layout.max_tick)
        generation = self._own_generation()
        with generation.lock:
            if sum(slot.ticks for slot in generation.slots.values()) > _MAX_TICKS:
                generation.slots = {}
        self._drop_rolled_back(generation)
        return [self._mint_one(self._tick(moment, latest)) for moment in moments]

    def forget_slots(self) -> None:
        """Mint with no slot of before."""
        if self._generation is not None:
            self._generation.guard.disarm()

    def _tick(self, moment: datetime, latest: int) -> int:
        moment = self._aware(moment)
        tick = self._layout.tick_at(moment)
        if tick < 0:
            raise MomentOutOfRange(
                f"{moment.isoformat()} is before {self._layout.epoch.isoformat()}, the "
                f"epoch of generator {self._alias!r}. Set an earlier EPOCH if the "
                f"generator has minted nothing yet."
            )
        if tick > latest:
            raise MomentOutOfRange(
                f"{moment.isoformat()} is in the future. A UID of generator "
                f"{self._alias!r} contains the time when a row was created."
            )
        return tick

    def _mint_one(self, tick: int) -> int:
        block = self._blocks.block_of(tick)
        while True:
            # For each UID: whoever iterates over the moments may have forked.
            generation = self._own_generation()
            with generation.lock:
                mine = generation.provisional_slots.get(block)
                slot = mine or generation.slots.get(block)
                uid = None if slot is None else slot.mint(tick, self._max_lead)
            if uid is not None:
                return uid
            # Without the lock: the database may wait for another thread's transaction.
            lease = self._assigner.claim_backdated(block)
            self._add(generation, _Slot(lease, self._blocks))

    def _add(self, generation: _Generation, slot: _Slot) -> None:
        lease = slot.lease
        if lease.provisional is None:
            with generation.lock:
                generation.slots[lease.block] = slot
        else:
            lease.provisional.on_commit(partial(self._confirm, generation, slot))
            generation.provisional_slots[lease.block] = slot

    def _confirm(self, generation: _Generation, slot: _Slot) -> None:
        """Make a provisional slot an ordinary one: its transaction was committed."""
        mine = generation.provisional_slots
        if mine.get(slot.lease.block) is not slot:
            return  # rolled back to a savepoint, and perhaps leased again since then
        del mine[slot.lease.block]
        with generation.lock:
            generation.slots.setdefault(slot.lease.block, slot)

    @staticmethod
    def _drop_rolled_back(generation: _Generation) -> None:
        mine = generation.provisional_slots
        for block, slot in list(mine.items()):
            provisional = slot.lease.provisional
            if provisional is None or not provisional.stands():
                del mine[block]

    def _own_generation(self) -> _Generation:
        """Return the generation of this process, a new one in a child."""
        generation = self._generation
        if generation is None or not generation.guard:
            with self._rebirth_lock.held():
                generation = self._generation
                if generation is None or not generation.guard:
                    generation = self._generation = _Generation(self._max_wait)
        return generation

"""UIDs for moments that are past: for imports, and for rows that were there before.

A lease is for one worker id and all ticks from now on, so it has none to give for
yesterday. Some worker ids are kept for that, which no process mints with otherwise.
For each of them the time is divided into blocks of about a day, and the sequence of
every tick into shares. A process leases one share of one block: the right to mint that
part of the sequence in all ticks of that day, for ever. It is never given back or
leased again, so no position needs to be kept but in the memory of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any, NamedTuple

from django_uidgen.core import fork
from django_uidgen.core.bounded_lock import BoundedLock
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.core.layout import BitLayout

_DAY_MS = 86_400_000

#: Into how many shares the sequence of a tick is divided, if it is long enough.
_SHARES = 64

#: Blocks that a layout has at most, so that the numbers of their shares fit 31 bits.
_MAX_BLOCKS = 1 << 24

#: Ticks whose positions are kept. With more the shares are left, and others leased.
_MAX_TICKS = 1 << 18


class Blocks:
    """How the ticks of a layout are divided into blocks, and sequences into shares.

    It depends on nothing but the layout: processes that divide in different ways could
    mint the same UIDs.
    """

    def __init__(self, layout: BitLayout) -> None:
        self.layout = layout

    @cached_property
    def ticks(self) -> int:
        """The length of a block in ticks: a day, or more where a layout lasts long."""
        fewest = -(-(self.layout.max_tick + 1) // _MAX_BLOCKS)
        return max(_DAY_MS // self.layout.tick_ms, fewest, 1)

    @property
    def shares(self) -> int:
        """How many shares a sequence is divided into."""
        return min(_SHARES, self.layout.sequence_size)

    @property
    def share_size(self) -> int:
        """How many UIDs of a tick belong to a share."""
        return self.layout.sequence_size // self.shares

    def block_of(self, tick: int) -> int:
        """Return the number of the block that ``tick`` is in."""
        return tick // self.ticks

    def ends(self, block: int) -> tuple[int, int]:
        """Return the first tick of a block, and the tick after its last."""
        first = block * self.ticks
        return first, min(first + self.ticks, self.layout.max_tick + 1)

    def number(self, block: int, share: int) -> int:
        """Return the number of a share, of which no two blocks have the same."""
        return block * self.shares + share


class PastLease(NamedTuple):
    """The sole right to mint a share of the sequence in all ticks of a block, for ever.

    ``share`` is the number of the share in its block. A ``provisional`` one was leased
    in the caller's own transaction, and ends when that is rolled back.
    """

    worker_id: int
    block: int
    share: int
    provisional: Any = None


class _Share:
    """A lease, and what was minted with it."""

    def __init__(self, lease: PastLease, blocks: Blocks) -> None:
        self.lease = lease
        self._layout = blocks.layout
        self._size = blocks.share_size
        self._first = lease.share * blocks.share_size
        self._end = blocks.ends(lease.block)[1]
        #: How many UIDs of each tick were minted.
        self._minted: dict[int, int] = {}
        #: For a tick with none left, a later one to go on with.
        self._next: dict[int, int] = {}

    @property
    def ticks(self) -> int:
        """How many ticks are remembered."""
        return len(self._minted)

    def mint(self, asked: int, max_lead: int | None) -> int | None:
        """Return a UID of the tick ``asked``, or of the next one that has any left.

        None where that would be more than ``max_lead`` ticks later, or past the block.
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


class _State:
    """What is known in one process. A child gets one of its own."""

    def __init__(self, max_wait: float) -> None:
        self.guard = fork.ForkGuard()
        self.lock = BoundedLock(
            "that mints backdated UIDs. Was it interrupted?",
            max_wait=max_wait,
            lost_after=0,
            give_up=self.guard.disarm,
        )
        self.shares: dict[int, _Share] = {}
        #: The provisional shares of each thread.
        self.local = threading.local()


class Past:
    """Mint UIDs for past ticks. One object serves all threads and forked processes.

    ``assigner.claim_past(block)`` leases a share of a block, as a ``PastLease``.
    ``max_lead``: ticks that a UID may be later than was asked for, None for no bound.
    """

    def __init__(
        self,
        layout: BitLayout,
        assigner: object,
        max_lead: int | None,
        *,
        max_wait: float,
    ) -> None:
        self._blocks = Blocks(layout)
        self._assigner = assigner
        self._max_lead = max_lead
        self._max_wait = max_wait
        self._rebirth_lock = fork.ProcessLock()
        self._state: _State | None = None

    def mint(self, ticks: Iterable[int]) -> list[int]:
        """Return one UID for each of ``ticks``, in their order.

        Of equal ticks, the later one has the higher UID, as long as one share lasts.
        """
        state = self._own_state()
        with state.lock:
            if sum(share.ticks for share in state.shares.values()) > _MAX_TICKS:
                state.shares = {}
        self._drop_rolled_back(state)
        return [self._mint_one(state, tick) for tick in ticks]

    def _mint_one(self, state: _State, tick: int) -> int:
        block = self._blocks.block_of(tick)
        while True:
            with state.lock:
                share = self._provisional(state).get(block) or state.shares.get(block)
                uid = None if share is None else share.mint(tick, self._max_lead)
            if uid is not None:
                return uid
            # Without the lock: the database may have to wait for another thread's work.
            self._add(state, _Share(self._claim(block), self._blocks))

    def _claim(self, block: int) -> PastLease:
        claim = getattr(self._assigner, "claim_past", None)
        if claim is None:
            raise WorkerIdUnavailable(
                f"{type(self._assigner).__name__} leases nothing for the past: it has "
                f"no method claim_past()."
            )
        lease: PastLease = claim(block)
        return lease

    def _add(self, state: _State, share: _Share) -> None:
        lease = share.lease
        if lease.provisional is None:
            with state.lock:
                state.shares[lease.block] = share
        else:
            lease.provisional.on_commit = partial(self._confirm, state, share)
            self._provisional(state)[lease.block] = share

    def _confirm(self, state: _State, share: _Share) -> None:
        """Mint on with a provisional share, whose transaction was committed."""
        mine = self._provisional(state)
        if mine.get(share.lease.block) is not share:
            return  # rolled back to a savepoint, and perhaps leased again since
        del mine[share.lease.block]
        with state.lock:
            state.shares.setdefault(share.lease.block, share)

    @staticmethod
    def _provisional(state: _State) -> dict[int, _Share]:
        shares: dict[int, _Share] = vars(state.local).setdefault("shares", {})
        return shares

    def _drop_rolled_back(self, state: _State) -> None:
        mine = self._provisional(state)
        for block, share in list(mine.items()):
            if not share.lease.provisional.stands():
                del mine[block]

    def _own_state(self) -> _State:
        """Return the state of this process, a new one in a child."""
        state = self._state
        if state is None or not state.guard:
            with self._rebirth_lock:
                state = self._state
                if state is None or not state.guard:
                    state = self._state = _State(self._max_wait)
        return state

"""The position from which UIDs are minted: the one place where UIDs are born."""

from __future__ import annotations

from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease


class Sequence:
    """The position ``(tick, sequence)`` of one process. It only grows.

    When the clock has moved on, the tick jumps to it and the sequence goes on,
    wrapping into the next tick, instead of back to 0: with a reset, the UIDs of a
    quiet process would all end in zero bits, and ``uid % n`` would pick one shard.

    Not thread-safe: the generator holds its lock around every call.
    """

    def __init__(self, layout: BitLayout, *, tick: int = -1, sequence: int = 0) -> None:
        self._layout = layout
        self._size = layout.sequence_size
        self._time_shift = layout.time_shift
        self._worker_shift = layout.worker_shift
        self._worker_id: int | None = None
        self._tick = tick
        self._sequence = sequence

    @property
    def tick(self) -> int:
        """The tick of the next UID; every later tick is unminted too."""
        return self._tick

    @property
    def next_tick(self) -> int:
        """The first tick of which nothing was minted."""
        return self._tick + 1

    def allocate(
        self, count: int, lease: Lease, *, now: int, max_lead: int | None
    ) -> list[range]:
        """Mint up to ``count`` UIDs and return them as runs, in ascending order.

        ``now`` is the present tick; ``max_lead`` is how many ticks the position may be
        ahead of it, None for no bound. Fewer than ``count`` UIDs, or none, are
        returned where that bound or the end of the lease is reached.
        """
        self._enter(lease)
        self._tick = max(self._tick, now)
        end = lease.reserved_until
        if max_lead is not None:
            end = min(end, now + max_lead + 1)
        base = lease.worker_id << self._worker_shift
        runs = []
        while count > 0 and self._tick < end:
            taken = min(count, self._size - self._sequence)
            first = self._tick << self._time_shift | base | self._sequence
            runs.append(range(first, first + taken))
            count -= taken
            self._sequence += taken
            if self._sequence == self._size:
                self._sequence = 0
                self._tick += 1
        return runs

    def _enter(self, lease: Lease) -> None:
        """Move the position into ``lease``, past all that was minted before."""
        if lease.worker_id != self._worker_id:
            # In one tick a lower worker id would give lower UIDs than those before.
            self._worker_id = lease.worker_id
            self._tick += 1
        self._tick = max(self._tick, lease.reserved_from)

    def restart(self, lease: Lease) -> None:
        """Move the position to the start of ``lease``, back too.

        For a clock that was stepped back, and only with a lease of which nothing was
        minted yet.
        """
        self._worker_id = lease.worker_id
        self._tick = lease.reserved_from

"""The position from which all UIDs, except backdated ones, are minted."""

from __future__ import annotations

from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease


class Sequence:
    """The position ``(tick, sequence)`` of one process. Only ``restart()`` lowers it.

    When the clock has moved on, the tick jumps to it, and the sequence continues and
    wraps into the next tick. If it restarted at 0, the UIDs of a quiet process would
    all end in zero bits, and ``uid % n`` would select one shard.

    Not thread-safe: call every method under the lock of the generation. An exception
    that a signal handler raises during a call may lose UIDs, but repeats none: the
    position is one int, ``tick << sequence_bits | sequence``, and moves by one store.
    """

    def __init__(self, layout: BitLayout, *, tick: int = -1, sequence: int = 0) -> None:
        self._bits = layout.sequence_bits
        self._size = layout.sequence_size
        self._time_shift = layout.time_shift
        self._worker_id: int | None = None
        self._position = self._at(tick, sequence)

    def _at(self, tick: int, sequence: int) -> int:
        return (tick << self._bits) + sequence

    @property
    def tick(self) -> int:
        """The tick of the next UID. Nothing was minted in any later tick."""
        return self._position >> self._bits

    @property
    def next_tick(self) -> int:
        """The first tick in which nothing was minted."""
        return self.tick + 1

    def allocate(
        self, count: int, lease: Lease, *, now: int, max_lead: int | None
    ) -> list[range]:
        """Mint up to ``count`` UIDs and return them as runs, in ascending order.

        ``now`` is the present tick; the position may lead it by ``max_lead`` ticks,
        None for no bound. Return fewer UIDs, or none, at that bound and at the end of
        the lease.
        """
        position = self._start(lease, now)
        end = lease.reserved_until
        if max_lead is not None:
            end = min(end, now + max_lead + 1)
        count = min(count, (end << self._bits) - position)
        worker = lease.worker_id << self._bits
        runs = []
        while count > 0:
            sequence = position & self._size - 1
            taken = min(count, self._size - sequence)
            first = position >> self._bits << self._time_shift | worker | sequence
            runs.append(range(first, first + taken))
            count -= taken
            position += taken
        self._position = position
        self._worker_id = lease.worker_id
        return runs

    def _start(self, lease: Lease, now: int) -> int:
        """Return the next position, in the lease and after all UIDs minted."""
        tick = self.tick
        if lease.worker_id != self._worker_id:
            # In the same tick, a lower worker id would mint lower UIDs than before.
            tick += 1
        sequence = self._position & self._size - 1
        return self._at(max(tick, lease.reserved_from, now), sequence)

    def restart(self, lease: Lease) -> None:
        """Move the position to the start of ``lease``, even back.

        For a clock that was stepped back, and only with a lease with which nothing was
        minted yet.
        """
        self._worker_id = lease.worker_id
        self._position = self._at(lease.reserved_from, self._position & self._size - 1)

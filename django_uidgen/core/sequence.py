"""The position from which UIDs are minted: the one place where UIDs are born."""

from __future__ import annotations

from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease


class Sequence:
    """The position ``(tick, sequence)`` of one process. It only grows.

    When the clock has moved on, the tick jumps to it and the sequence goes on,
    wrapping into the next tick, instead of back to 0: with a reset, the UIDs of a
    quiet process would all end in zero bits, and ``uid % n`` would pick one shard.

    Not thread-safe: the generator holds its lock around every call. An exception that
    a signal raises in the middle of a call loses UIDs, but repeats none: the position
    is one int, ``tick << sequence_bits | sequence``, and moves in one step.
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
        """The tick of the next UID; every later tick is unminted too."""
        return self._position >> self._bits

    @property
    def next_tick(self) -> int:
        """The first tick of which nothing was minted."""
        return self.tick + 1

    def allocate(
        self, count: int, lease: Lease, *, now: int, max_lead: int | None
    ) -> list[range]:
        """Mint up to ``count`` UIDs and return them as runs, in ascending order.

        ``now`` is the present tick; ``max_lead`` is how many ticks the position may be
        ahead of it, None for no bound. Fewer than ``count`` UIDs, or none, are
        returned where that bound or the end of the lease is reached.
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
        """Return where to mint from: past all that was minted, in the lease and now."""
        tick = self.tick
        if lease.worker_id != self._worker_id:
            # In one tick a lower worker id would give lower UIDs than those before.
            tick += 1
        sequence = self._position & self._size - 1
        return self._at(max(tick, lease.reserved_from, now), sequence)

    def restart(self, lease: Lease) -> None:
        """Move the position to the start of ``lease``, back too.

        For a clock that was stepped back, and only with a lease of which nothing was
        minted yet.
        """
        self._worker_id = lease.worker_id
        self._position = self._at(lease.reserved_from, self._position & self._size - 1)

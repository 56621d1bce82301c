"""Shelves for UIDs minted ahead: of one tick, or of any tick.

Both are a ``collections.deque``, whose appends and pops are documented as thread-safe:
fills and clears happen under the lock of the generation, any thread pops without it,
and each UID is popped by one thread. Two reads beside consumers are not documented as
thread-safe: the length of a deque and its first item. CPython's free-threaded builds
read the length atomically and lock the deque for the item. Both values may be stale
immediately; they only decide how much is padded or discarded.

After Baidu's RingBuffer, which is an array with cursors and a flag for each cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from django_uidgen.core.clock import SystemClock
from django_uidgen.core.hot_path import Shelf


class TickShelf:
    """UIDs of one tick, handed out only while the clock shows that tick.

    Any thread may call ``popleft`` at any time. Call every other method under the lock
    of the generation. The bounds of the tick are immutable, so a thread with a
    reference to a shelf never sees the bounds of another.
    """

    __slots__ = ("_begin_ns", "_end_ns", "_time_ns", "_uids", "tick")

    def __init__(self, clock: SystemClock, tick: int) -> None:
        self.tick = tick
        self._begin_ns, self._end_ns = clock.bounds_ns(tick)
        self._time_ns = clock.time_ns
        self._uids: deque[int] = deque()

    def popleft(self) -> int:
        """Return the lowest UID. Raise ``IndexError`` if empty, or in another tick."""
        if self._begin_ns <= self._time_ns() < self._end_ns:
            return self._uids.popleft()
        raise IndexError

    def fill(self, runs: Iterable[range]) -> None:
        """Append ``runs`` of this tick, which must be larger than all UIDs here."""
        for run in runs:
            self._uids.extend(run)

    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs. Outside the tick, discard all."""
        if not self._uids:
            return []
        taken = _take(self, count)
        if len(taken) < count:
            self.clear()
        return taken

    def clear(self) -> None:
        """Discard everything."""
        _empty(self._uids)


class RingBuffer:
    """At most ``capacity`` UIDs in ascending order.

    Any thread may call ``shelf.popleft`` at any time; it raises ``IndexError`` if the
    buffer is empty. Call every other method under the lock of the generation. Only
    ``clear`` also runs without it, if the lock cannot be acquired: then the counts may
    be off, which affects only how much is padded.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._uids: deque[int] = deque()
        self.shelf: Shelf = self._uids
        self._filled = 0
        self._discarded = 0

    def __len__(self) -> int:
        return len(self._uids)

    @property
    def consumed(self) -> int:
        """The number of UIDs that consumers have taken so far."""
        return self._filled - self._discarded - len(self._uids)

    def fill(self, runs: Iterable[range]) -> None:
        """Append ``runs``, which must be larger than all UIDs here."""
        for run in runs:
            self._filled += len(run)
            self._uids.extend(run)

    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs, the lowest first."""
        return _take(self._uids, count)

    def discard_below(self, uid: int) -> None:
        """Discard all UIDs lower than ``uid``.

        If a consumer takes a UID between the read and the pop, one more is discarded,
        which is harmless.
        """
        try:
            while self._uids[0] < uid:
                self._uids.popleft()
                self._discarded += 1
        except IndexError:
            pass

    def clear(self) -> None:
        """Discard everything."""
        self._discarded += _empty(self._uids)


def _take(shelf: Shelf, count: int) -> list[int]:
    """Pop up to ``count`` UIDs of ``shelf``."""
    taken: list[int] = []
    try:
        while len(taken) < count:
            taken.append(shelf.popleft())
    except IndexError:
        pass
    return taken


def _empty(uids: deque[int]) -> int:
    """Discard ``uids`` one by one, beside consumers. Return their number."""
    count = 0
    try:
        while True:
            uids.popleft()
            count += 1
    except IndexError:
        return count

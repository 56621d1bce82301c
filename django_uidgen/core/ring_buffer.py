"""UIDs minted ahead, and the thread that keeps them in stock.

After Baidu's RingBuffer and BufferPaddingExecutor. Where theirs is an array with
cursors and a flag per slot, this one is a ``collections.deque``: its appends and pops
are documented as thread-safe. What else is asked of it beside consumers, its length and
its first UID, may be out of date at once, and decides only how much is padded or thrown
away.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from django_uidgen.core.clock import SystemClock

logger = logging.getLogger("django_uidgen")


class Stock(Protocol):
    """UIDs that any thread may take at any time, without a lock."""

    def popleft(self) -> int:
        """Return the lowest UID. Raise ``IndexError`` where none may be handed out."""


class TickStock:
    """UIDs of one tick, handed out only while the clock shows that tick.

    ``popleft`` may be called by any thread at any time. Every other method is called
    under the generator's lock.
    """

    __slots__ = ("_begin_ns", "_end_ns", "_time_ns", "_uids", "tick")

    def __init__(self, clock: SystemClock, tick: int) -> None:
        self.tick = tick
        self._begin_ns, self._end_ns = clock.bounds_ns(tick)
        self._time_ns = clock.time_ns
        self._uids: deque[int] = deque()

    def popleft(self) -> int:
        """Return the lowest UID. Raise ``IndexError`` with none, or in another tick."""
        if self._begin_ns <= self._time_ns() < self._end_ns:
            return self._uids.popleft()
        raise IndexError

    def fill(self, runs: Iterable[range]) -> None:
        """Append ``runs`` of this tick, larger than all that is here."""
        for run in runs:
            self._uids.extend(run)

    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs. What may not be handed out is thrown away."""
        if not self._uids:
            return []
        taken = _take(self, count)
        if len(taken) < count:
            self.clear()
        return taken

    def clear(self) -> None:
        """Throw away everything."""
        _empty(self._uids)


class RingBuffer:
    """At most ``capacity`` UIDs in ascending order.

    ``stock.popleft`` may be called by any thread at any time and raises ``IndexError``
    when the buffer is empty. Every other method is called under the generator's lock.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._uids: deque[int] = deque()
        self.stock: Stock = self._uids
        self._filled = 0
        self._discarded = 0

    def __len__(self) -> int:
        return len(self._uids)

    @property
    def consumed(self) -> int:
        """How many UIDs consumers have taken out so far."""
        return self._filled - self._discarded - len(self._uids)

    def fill(self, runs: Iterable[range]) -> None:
        """Append ``runs``, which must be larger than all that is in the buffer."""
        for run in runs:
            self._filled += len(run)
            self._uids.extend(run)

    def take(self, count: int) -> list[int]:
        """Return up to ``count`` UIDs, the lowest first."""
        return _take(self._uids, count)

    def discard_below(self, uid: int) -> None:
        """Throw away what is lower than ``uid``.

        A consumer may take a UID between the look and the throw; then one more is
        thrown away, which harms nothing.
        """
        try:
            while self._uids[0] < uid:
                self._uids.popleft()
                self._discarded += 1
        except IndexError:
            pass

    def clear(self) -> None:
        """Throw away everything."""
        self._discarded += _empty(self._uids)


def _take(stock: Stock, count: int) -> list[int]:
    """Return up to ``count`` UIDs of ``stock``."""
    taken: list[int] = []
    try:
        while len(taken) < count:
            taken.append(stock.popleft())
    except IndexError:
        pass
    return taken


def _empty(uids: deque[int]) -> int:
    """Throw away all of ``uids``, beside consumers, and return how many that was."""
    count = 0
    try:
        while True:
            uids.popleft()
            count += 1
    except IndexError:
        return count


class BufferPaddingExecutor:
    """One daemon thread that does ``work`` while there is some, and parks otherwise.

    ``work`` is called every ``interval`` seconds, or sooner after a ``wake``, until it
    returns False: then the thread sleeps without a timeout until the next ``wake``.
    """

    #: Seconds between two rounds at the least, however often consumers call.
    SHORTEST_PAUSE = 0.02

    def __init__(self, work: Callable[[], bool], *, interval: float, name: str) -> None:
        self._work = work
        self._interval = interval
        self._name = name
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def running(self) -> bool:
        """Tell whether the thread has been started, not stopped, and lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def wake(self) -> None:
        """Have ``work`` called soon; start the thread if need be."""
        if not self._wanted.is_set():
            self._wanted.set()
        if not self.running:
            self._start()

    def _start(self) -> None:
        # A signal handler that mints may have interrupted the one that starts it.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.running:
                return
            # An event of its own, so that a thread told to stop stays told.
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=self._name, daemon=True
            )
            self._thread.start()
        finally:
            self._lock.release()

    def stop(self, timeout: float) -> None:
        """End the thread and wait for that up to ``timeout`` seconds.

        The next ``wake`` starts another.
        """
        # A signal handler that forks may have interrupted the one that starts it.
        held = self._lock.acquire(timeout=timeout)
        thread, self._thread = self._thread, None
        self._stopping.set()
        self._wanted.set()
        if held:
            self._lock.release()
        if thread is not None and thread is not threading.current_thread():
            # RuntimeError: it has not been started.
            with suppress(RuntimeError):
                thread.join(timeout)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._wanted.wait()
            while not stopping.is_set():
                self._wanted.clear()
                try:
                    goes_on = self._work()
                except Exception:
                    logger.exception(
                        "The thread %r failed; it tries again.", self._name
                    )
                    goes_on = False
                if not goes_on:
                    break
                stopping.wait(self.SHORTEST_PAUSE)
                self._wanted.wait(self._interval)

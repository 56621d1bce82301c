"""UIDs minted ahead, and the thread that keeps them in stock.

After Baidu's RingBuffer and BufferPaddingExecutor. Where theirs is an array with
cursors and a flag per slot, this one is a ``collections.deque``: its ``popleft`` is
one thread-safe step in C.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

logger = logging.getLogger("django_uidgen")


class RingBuffer:
    """At most ``capacity`` UIDs in ascending order.

    ``pop`` may be called by any thread at any time and raises ``IndexError`` when the
    buffer is empty. Every other method is called under the generator's lock.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._uids: deque[int] = deque()
        self.pop: Callable[[], int] = self._uids.popleft
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
        taken: list[int] = []
        pop = self.pop
        try:
            while len(taken) < count:
                taken.append(pop())
        except IndexError:
            pass
        return taken

    def discard_below(self, uid: int) -> None:
        """Throw away what is lower than ``uid``.

        A consumer may take a UID between the look and the throw; then one more is
        thrown away, which harms nothing.
        """
        try:
            while self._uids[0] < uid:
                self.pop()
                self._discarded += 1
        except IndexError:
            pass

    def clear(self) -> None:
        """Throw away everything."""
        self._discarded += len(self._uids)
        self._uids.clear()


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
        with self._lock:
            if self.running:
                return
            # An event of its own, so that a thread told to stop stays told.
            self._stopping = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=self._name, daemon=True
            )
            thread.start()
            self._thread = thread

    def stop(self, timeout: float) -> None:
        """End the thread and wait for that up to ``timeout`` seconds.

        The next ``wake`` starts another.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopping.set()
            self._wanted.set()
        if thread is not None and thread is not threading.current_thread():
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

"""A lock with a limit on every wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django_uidgen.core.exceptions import MaxWaitExceeded, NestedMint

#: Extra seconds that a thread waits for the holder, after ``max_wait``.
_MOMENT = 1.0

#: Seconds after which work under the lock counts as interrupted.
_LONGEST_WORK = 60.0


class BoundedLock:
    """A lock for ``with``: raises ``MaxWaitExceeded`` after about ``max_wait`` seconds.

    Threads hold it for microseconds. One that needs longer, for work in the database,
    calls ``begin_work()`` first. ``purpose`` and ``hint`` end the message of the error.

    An exception raised by a signal handler may leave the lock held for ever. So a
    waiter whose time is over calls ``give_up``, unless the holder is at work, and the
    next mint does without the lock.

    A thread that holds the lock may be asked to mint once more: by a signal handler, a
    finalizer or a log handler. It raises ``NestedMint`` at once, and gives up likewise.

    The holder writes ``_holder`` and ``_works_since``, by single stores, and others
    read them. A stale value makes them give up a generation early: the process goes on
    with another lease, and nothing repeats.
    """

    def __init__(
        self,
        purpose: str,
        *,
        max_wait: float,
        give_up: Callable[[], None],
        hint: str = "Was it interrupted?",
    ) -> None:
        self._lock = threading.Lock()
        #: The thread that holds the lock; 0 if there is none.
        self._holder = 0
        self._works_since: float | None = None
        self._purpose = purpose
        self._hint = hint
        self._max_wait = max_wait
        self._give_up = give_up

    def acquire(self, timeout: float) -> bool:
        """Wait for the lock up to ``timeout`` seconds. Return whether it is held."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._holder = threading.get_ident()
        return True

    def begin_work(self) -> None:
        """Announce that this thread, which holds the lock, needs longer."""
        self._works_since = time.monotonic()

    def release(self) -> None:
        """Release the lock."""
        self._works_since = None
        self._holder = 0
        self._lock.release()

    def __enter__(self) -> None:
        # The usual case: the lock is free, and needs no timeout.
        if self._lock.acquire(blocking=False):
            self._holder = threading.get_ident()
            return
        if self._holder == threading.get_ident():
            self._give_up_unless_at_work()
            raise NestedMint(
                f"This thread would wait for itself: it is the one {self._purpose}. A "
                f"signal handler or a finalizer was to mint in the midst of that, or "
                f"an exception of one left the lock held. Try again."
            )
        # After a suspension all waits time out at once. The holder then needs a moment
        # to continue.
        if not self.acquire(self._max_wait) and not self.acquire(
            min(self._max_wait, _MOMENT)
        ):
            self._give_up_unless_at_work()
            raise MaxWaitExceeded(
                f"Waited MAX_WAIT = {self._max_wait} s for a thread {self._purpose}. "
                f"{self._hint}"
            )

    def _give_up_unless_at_work(self) -> None:
        since = self._works_since
        if since is None or time.monotonic() - since > _LONGEST_WORK:
            self._give_up()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

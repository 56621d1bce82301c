"""A lock with a limit on every wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django_uidgen.core.exceptions import MaxWaitExceeded

#: Extra seconds that a thread waits for the holder, after ``max_wait``.
_MOMENT = 1.0


class BoundedLock:
    """A lock for ``with``: raises ``MaxWaitExceeded`` after about ``max_wait`` seconds.

    A thread that mints in a signal handler or a finalizer may itself hold the lock: the
    error replaces a deadlock. An exception raised by a signal handler may leave the
    lock held for ever. So a waiter calls ``give_up`` if the lock has been held for more
    than ``lost_after`` seconds, and the next mint does without it. ``purpose`` ends the
    message.

    The holder writes ``_held_since``, by a single store, and waiters whose time is over
    read it. A stale value makes them give up a generation early: the process goes on
    with another lease, and nothing repeats.
    """

    def __init__(
        self,
        purpose: str,
        *,
        max_wait: float,
        lost_after: float,
        give_up: Callable[[], None],
    ) -> None:
        self._lock = threading.Lock()
        self._held_since = 0.0
        self._purpose = purpose
        self._max_wait = max_wait
        self._lost_after = lost_after
        self._give_up = give_up
        self.release = self._lock.release

    def acquire(self, timeout: float) -> bool:
        """Wait for the lock up to ``timeout`` seconds. Return whether it is held."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._held_since = time.monotonic()
        return True

    def __enter__(self) -> None:
        # The usual case: the lock is free, and needs no timeout.
        if self._lock.acquire(blocking=False):
            self._held_since = time.monotonic()
            return
        # After a suspension all waits time out at once. The holder then needs a moment
        # to continue.
        if not self.acquire(self._max_wait) and not self.acquire(
            min(self._max_wait, _MOMENT)
        ):
            if time.monotonic() - self._held_since > self._lost_after:
                self._give_up()
            raise MaxWaitExceeded(
                f"Waited MAX_WAIT = {self._max_wait} s for a thread {self._purpose}"
            )

    def __exit__(self, *exc_info: object) -> None:
        self.release()

"""A lock that is not waited for without end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django_uidgen.core.exceptions import MaxWaitExceeded

#: Seconds that a thread waits on for another, when its time is over.
_MOMENT = 1.0


class BoundedLock:
    """A lock for ``with`` that is not waited for longer than ``max_wait`` seconds.

    A thread that mints in a signal handler or a finalizer may itself be the holder: it
    is told, instead of hanging for ever. An exception that a signal raises may leave
    the lock held for good: after ``lost_after`` seconds ``give_up`` is called, so that
    the next mint does without it.
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
        """Wait for the lock up to ``timeout`` seconds; tell whether it was had."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._held_since = time.monotonic()
        return True

    def __enter__(self) -> None:
        # Mostly it is free, and had at once without a timeout.
        if self._lock.acquire(blocking=False):
            self._held_since = time.monotonic()
            return
        # After a suspension the time is over for all who waited, at once. The holder
        # needs a moment then, to go on.
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

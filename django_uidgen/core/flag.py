"""A flag that threads wait for."""

from __future__ import annotations

import threading
from contextlib import suppress


class Flag:
    """A flag that is set once or many times, and that threads wait for.

    It takes the place of ``threading.Event``, whose methods hold a lock in Python code:
    an exception of a signal handler may leave that lock held, and then the next
    ``set()`` or ``wait()`` would have no end. Here each step is one call into the
    interpreter, which no signal handler can interrupt halfway.

    Any thread calls any method. ``is_set`` is the state; the gate only wakes waiters.
    """

    def __init__(self) -> None:
        self.is_set = False
        #: Locked while the flag is not set.
        self._gate = threading.Lock()
        self._gate.acquire()

    def set(self) -> None:
        """Set the flag, and wake those who wait."""
        self.is_set = True
        self._open()

    def _open(self) -> None:
        if self._gate.locked():
            # RuntimeError: another thread was first.
            with suppress(RuntimeError):
                self._gate.release()

    def clear(self) -> None:
        """Reset the flag. A ``set()`` at the same time is not lost."""
        self.is_set = False
        self._gate.acquire(blocking=False)

    def wait(self, timeout: float = -1) -> bool:
        """Wait for the flag up to ``timeout`` seconds, -1 for no limit.

        Return whether it is set.
        """
        if not self.is_set and self._gate.acquire(timeout=timeout):
            self._open()  # for the others who wait
        return self.is_set

"""A thread that works in rounds, and parks when there is no work.

After Baidu's BufferPaddingExecutor.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from django_uidgen.core.flag import Flag

logger = logging.getLogger("django_uidgen")


class BufferPaddingExecutor:
    """One daemon thread that calls ``work`` while there is some, and parks otherwise.

    It calls ``work`` every ``interval`` seconds, or sooner after a ``wake``, until that
    returns False. Then it sleeps without a timeout until the next ``wake``.

    ``_thread`` and ``_stopping`` are written under ``_lock`` and read without it. A
    ``wake`` may reach a thread that is about to end; the next one starts another. Any
    thread sets ``_wanted``; this one clears it before the work, never after, so no
    ``wake`` is lost.
    """

    #: The shortest time between two rounds in seconds, however often consumers wake it.
    SHORTEST_PAUSE = 0.02

    def __init__(self, work: Callable[[], bool], *, interval: float, name: str) -> None:
        self._work = work
        self._interval = interval
        self._name = name
        self._lock = threading.Lock()
        self._wanted = Flag()
        self._thread: threading.Thread | None = None
        self._stopping = Flag()

    @property
    def running(self) -> bool:
        """Whether the thread was started, was not stopped, and is alive."""
        thread = self._thread
        is_alive = thread is not None and thread.is_alive()
        return is_alive and not self._stopping.is_set

    def wake(self) -> None:
        """Call ``work`` soon. Start the thread if it does not run.

        Raise ``RuntimeError`` if the interpreter refuses a thread.
        """
        self._wanted.set()
        if not self.running:
            self._start()

    def _start(self) -> None:
        # A signal handler that mints may have interrupted the holder.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.running:
                return
            # Each thread has its own flag, so a stopped thread never continues.
            self._stopping = Flag()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=self._name, daemon=True
            )
            self._thread.start()
        finally:
            self._lock.release()

    def stop(self, timeout: float) -> None:
        """Stop the thread, and wait for its end up to ``timeout`` seconds.

        The next ``wake`` starts another.
        """
        # With a timeout: a signal handler that forks may have interrupted the holder.
        held = self._lock.acquire(timeout=timeout)
        thread, self._thread = self._thread, None
        self.end()
        if held:
            self._lock.release()
        if thread is not None and thread is not threading.current_thread():
            # RuntimeError: the thread was not started yet.
            with suppress(RuntimeError):
                thread.join(timeout)

    def end(self) -> None:
        """Let the thread end, without waiting for it."""
        self._stopping.set()
        self._wanted.set()

    def _run(self, stopping: Flag) -> None:
        while not stopping.is_set:
            self._wanted.wait()
            while not stopping.is_set:
                self._wanted.clear()
                try:
                    goes_on = self._work()
                except Exception:
                    logger.exception(
                        "The thread %r failed; it will try again.", self._name
                    )
                    goes_on = False
                if not goes_on:
                    break
                stopping.wait(self.SHORTEST_PAUSE)
                self._wanted.wait(self._interval)

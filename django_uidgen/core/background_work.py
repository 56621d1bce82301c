"""Work in a background thread, with a time limit on waiting for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from django_uidgen.core import fork
from django_uidgen.core.flag import Flag

T = TypeVar("T")


class StillRunning(TimeoutError):
    """Work did not end in time. ``work`` can be waited for again."""

    def __init__(self, work: BackgroundWork[Any], timeout: float) -> None:
        super().__init__(f"no answer within MAX_WAIT = {timeout} s.")
        self.work = work


class BackgroundWork(Generic[T]):
    """Work that runs in a daemon thread.

    The thread writes the result or the error; waiters read it only after the end.
    """

    def __init__(self, work: Callable[[], T], *, name: str) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._process = fork.this_process()
        self._began = time.monotonic()
        self._ended = Flag()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. Raise ``RuntimeError`` if the interpreter refuses one."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._errors.append(error)
        finally:
            self._ended.set()

    @property
    def is_here(self) -> bool:
        """Whether the thread belongs to this process and not to its parent."""
        return self._process is fork.this_process()

    @property
    def is_running(self) -> bool:
        """Whether the work has not ended."""
        return not self._ended.is_set

    @property
    def age(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began

    def result(self, timeout: float) -> T:
        """Return what the work returned, or raise what it raised.

        Raise ``StillRunning`` after ``timeout`` seconds.
        """
        self._wait(timeout)
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def late_result(self, timeout: float) -> T | None:
        """Return the result of late work to the first caller, and None to others.

        Return None if the work failed. The result may be a lease: a second thread could
        release the lease with which the first mints. Raise ``StillRunning`` after
        ``timeout`` seconds.
        """
        self._wait(timeout)
        try:
            return self._results.pop()
        except IndexError:
            return None

    def _wait(self, timeout: float) -> None:
        if not self._ended.wait(timeout):
            raise StillRunning(self, timeout)
        # A fork must not meet the thread in its last steps. RuntimeError: after a fork
        # in C, CPython may not know the thread.
        with suppress(RuntimeError):
            self._thread.join(timeout)

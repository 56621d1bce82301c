"""Which generation of a generator lives in this process: after a fork, after a close.

A generation ends when its generator is closed, in every forked child, and when a thread
that waits for a lock gives it up. Nothing happens then until the next mint. That begins
another generation, with a lock, a lease and a stock of its own, at the position where
the last one was: so UIDs are larger in a child, too, than all of its parent's before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from django_uidgen.core import fork
from django_uidgen.core.generation import Generation
from django_uidgen.core.process import is_child_of_multiprocessing
from django_uidgen.core.stocks import Stock


class Generations:
    """The generations of one generator, one after the other.

    ``begin`` returns the stock of a new generation, which mints larger UIDs than the
    one it is given. ``close`` releases the lease of the generator.
    """

    def __init__(
        self,
        begin: Callable[[Generation | None], Stock],
        *,
        close: Callable[[], None],
    ) -> None:
        self._begin = begin
        self._close = close
        self._lock = fork.ProcessLock()
        #: The process that releases its lease at its exit. Written under ``_lock``.
        self._closed_at_exit_in: fork.ForkGuard | None = None
        #: The stock of the last generation, which may be over. Written under ``_lock``;
        #: read without it, since a generation that is over says so itself.
        self.last = begin(None)
        self._close_at_exit()

    def own(self) -> Stock:
        """Return the stock of this process. Begin a generation if the last is over."""
        stock = self.last
        return stock if stock.generation.guard else self._next(stock)

    def _next(self, stale: Stock) -> Stock:
        """Begin a generation, without any lock, lease or UID of the last one."""
        with self._lock.held():
            was_first = self.last is stale
            if was_first:
                # No thread may pop UIDs of the parent: see fast_uid().
                stale.clear()
                self.last = self._begin(stale.generation)
                self._close_at_exit()
            stock = self.last
        if was_first and stale.generation.process is fork.this_process():
            stale.abandon()
        return stock

    def _close_at_exit(self) -> None:
        """Release the lease also at the exit of a child of multiprocessing.

        A forked child exits by ``os._exit()``, which runs no hooks of ``atexit``.
        """
        process = fork.this_process()
        if is_child_of_multiprocessing() and self._closed_at_exit_in is not process:
            self._closed_at_exit_in = process
            util = sys.modules["multiprocessing.util"]
            util.Finalize(None, self._close, exitpriority=0)

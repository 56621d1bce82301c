"""How one step of the lease protocol reaches the database.

A step is a function that does its work in one transaction on ``connections[database]``.
``StepRunner.run()`` runs it like this:

1. It waits for late work, so that no two steps run side by side.
2. ``databases.run()`` chooses the connection: the caller's on SQLite, or else a new one
   in a thread, for which the caller waits up to ``max_wait`` seconds.
3. ``after_conflicts()`` repeats the step if a conflict rolled it back.
4. What a claim returned is confirmed in another transaction.
5. A step that does not end in time becomes late work.
6. Every error of the database is raised as ``WorkerIdUnavailable``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from django.db import Error

from django_uidgen import databases
from django_uidgen.assigners.late_work import LateWork
from django_uidgen.assigners.retries import after_conflicts
from django_uidgen.core.background_work import StillRunning
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.core.lease import Lease

T = TypeVar("T")


class StepRunner:
    """Run the steps of one assigner, one at a time.

    ``max_wait``: seconds that a caller waits for the database.
    """

    def __init__(self, database: str, *, alias: str, max_wait: float) -> None:
        self._database = database
        self._alias = alias
        self._max_wait = max_wait
        self.late_work = LateWork(max_wait=max_wait)

    def run(
        self,
        step: Callable[[], T],
        *,
        confirm: Callable[[T], None] | None = None,
        is_claim: bool = False,
    ) -> T:
        """Return the result of ``step``, which no transaction of the caller can undo.

        Before a claim, call ``late_claim()``. ``confirm`` takes the result in a
        transaction of its own, after the step was committed, and raises
        ``WorkerIdUnavailable`` if nothing remains of the step. Raise
        ``WorkerIdUnavailable`` if the step fails or does not end in time.
        """
        with self._errors_translated():
            if not is_claim:  # which has waited, and used what a late claim returned
                self.late_work.finish()
            work = partial(self._step_and_confirm, step, confirm)
            try:
                return databases.run(self._database, work, timeout=self._max_wait)
            except StillRunning as error:
                self.late_work.note(error.work, is_claim=is_claim)
                raise

    def _step_and_confirm(
        self, step: Callable[[], T], confirm: Callable[[T], None] | None
    ) -> T:
        repeated = partial(after_conflicts, database=self._database)
        result = repeated(step)
        if confirm is not None:
            databases.roll_back(self._database)
            repeated(partial(confirm, result))
        return result

    def run_in_transaction(self, step: Callable[[], T]) -> T:
        """Return the result of ``step``, run in the caller's transaction on SQLite."""
        with (
            self._errors_translated(),
            databases.locks_awaited(self._database, self._max_wait),
        ):
            return step()

    def late_claim(self) -> Lease | None:
        """Return the lease of a claim that is late work, or None."""
        with self._errors_translated():
            return self.late_work.finish()

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except StillRunning as error:
            raise WorkerIdUnavailable(
                f"Generator {self._alias!r} waited for database {self._database!r}: "
                f"{error}"
            ) from error
        except Error as error:
            raise WorkerIdUnavailable(
                f"Generator {self._alias!r} received no worker id from database "
                f"{self._database!r}: {str(error).strip()} - Is the database up and "
                f"writable, and has 'migrate django_uidgen' been run there?"
            ) from error

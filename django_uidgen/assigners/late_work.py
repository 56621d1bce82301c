"""Late work: its caller stopped waiting for it, and it may still run."""

from __future__ import annotations

from typing import Any

from django_uidgen.core.background_work import BackgroundWork
from django_uidgen.core.lease import Lease

#: Seconds after which late work counts as lost: its connection may have died silently.
_LOST_AFTER = 60.0


class LateWork:
    """The late work of one assigner: one step at most.

    Without this limit a database that hangs would collect a thread for each caller, and
    would execute all their claims when it recovers. Every thread that claims, renews or
    releases writes this by single stores. Work that is overwritten in a race is
    forgotten, and its lease lapses.
    """

    def __init__(self, *, max_wait: float) -> None:
        self._max_wait = max_wait
        self._lost_after = _LOST_AFTER
        #: The work, and whether it is a claim.
        self._noted: tuple[BackgroundWork[Any] | None, bool] = None, False

    def note(self, work: BackgroundWork[Any], *, is_claim: bool) -> None:
        """Remember ``work``, for which the next step must wait."""
        self._noted = work, is_claim

    def finish(self) -> Lease | None:
        """Wait for the late work. Return its lease if it was a claim.

        Raise ``StillRunning`` after ``max_wait`` seconds. Work of a certain age counts
        as lost, and is not waited for.
        """
        work, is_claim = self._noted
        result = None
        if work is not None and work.is_here:
            if work.is_running and work.age > self._lost_after:
                # Lost work may still claim a lease when the database recovers.
                self._lost_after *= 2
            else:
                result = work.late_result(self._max_wait)
                self._lost_after = _LOST_AFTER
        self._noted = None, False
        return result if is_claim else None

"""Leases: the sole right to mint UIDs, present or backdated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple


class Provisional(ABC):
    """The caller's transaction in which a provisional lease was claimed.

    The thread of that transaction calls every method.
    """

    @abstractmethod
    def stands(self) -> bool:
        """Return whether the claim is part of a transaction that is still open."""

    @abstractmethod
    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, after the transaction was committed."""


class Lease(NamedTuple):
    """The sole right to mint with ``worker_id`` in ``[reserved_from, reserved_until)``.

    ``reserved_from``, ``reserved_until`` and ``renew_from`` are ticks; from
    ``renew_from`` on the lease should be renewed. ``key`` identifies the lease to its
    assigner; a bootstrap lease has none. A ``provisional`` lease was claimed in the
    caller's transaction and ends if that is rolled back. ``begins_after_claim``: the
    lease begins after the tick at which the claim returned, which may be long after the
    tick at which it was requested. Assigners set it if a claim may be rolled back.
    ``origin``: where the row of the lease is, for assigners.
    """

    worker_id: int
    reserved_from: int
    reserved_until: int
    renew_from: int
    key: Any = None
    provisional: Provisional | None = None
    begins_after_claim: bool = False
    origin: Any = None


class BackdatedLease(NamedTuple):
    """The sole right to mint in one slot of a block of past ticks, for ever.

    ``core.backdated.Blocks`` defines the numbers ``block`` and ``slot``. A
    ``provisional`` lease was claimed in the caller's transaction and ends if that is
    rolled back.
    """

    worker_id: int
    block: int
    slot: int
    provisional: Provisional | None = None

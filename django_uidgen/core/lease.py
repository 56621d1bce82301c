"""The sole right to mint with one worker id for a range of ticks."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Provisional(Protocol):
    """The transaction of a caller that a lease was claimed in."""

    def stands(self) -> bool:
        """Tell whether the claim is still to be committed, seen from this thread."""

    def on_commit(self) -> None:
        """Be told that the transaction was committed. Set by the generator."""


class Lease(NamedTuple):
    """The sole right to mint with ``worker_id`` in ``[reserved_from, reserved_until)``.

    ``reserved_from``, ``reserved_until`` and ``renew_from`` are ticks; from
    ``renew_from`` on the lease should be renewed. ``key`` is what the assigner knows
    the lease by. A ``provisional`` lease was claimed in the caller's own transaction
    and ends when that is rolled back. Where claims may be rolled back, each
    ``begins_after_claim``: behind the tick at which it was had, which may be long after
    that at which it was asked for.
    """

    worker_id: int
    reserved_from: int
    reserved_until: int
    renew_from: int
    key: Any = None
    provisional: Any = None
    begins_after_claim: bool = False


class WorkerIdAssigner(Protocol):
    """Where worker ids come from.

    What it returns, it must have made durable before: a generator mints every tick of
    a lease it was handed, and never one outside.
    """

    @property
    def single_writer(self) -> bool:
        """Whether a renewal beside the callers could get in their way."""

    def claim(self, now: int) -> Lease:
        """Lease a worker id from tick ``now`` on.

        Raise ``WorkerIdUnavailable`` where none can be had.
        """

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with a later end.

        Raise ``LeaseLost`` where it can never be extended again, and
        ``WorkerIdUnavailable`` where that cannot be found out now.
        """

    def release(self, lease: Lease, next_tick: int) -> None:
        """Give ``lease`` back; no tick from ``next_tick`` on was minted."""

    def must_be_provisional(self) -> bool:
        """Tell whether a claim by this caller has to join its transaction."""

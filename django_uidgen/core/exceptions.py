"""The errors of this package, under one base class."""

from __future__ import annotations


class UidError(Exception):
    """Base class of every error of this package."""


class LayoutError(UidError, ValueError):
    """The widths, the tick or the epoch of a bit layout are invalid."""


class InvalidUid(UidError, ValueError):
    """A value is not a UID, which is a positive integer of at most 63 bits."""


class UidTooLarge(InvalidUid):
    """A number has more than 63 bits, too many for a column of UIDs."""


class ClockBeforeEpoch(UidError):
    """The clock shows a time before the layout's epoch."""


class MomentOutOfRange(UidError, ValueError):
    """No UID can be minted for a moment: it is before the epoch or in the future."""


class TimeBitsExhausted(UidError):
    """The clock is past the last tick of the layout."""


class MaxWaitExceeded(UidError):
    """A caller would wait longer than ``MAX_WAIT`` seconds for its UIDs."""


class NestedMint(MaxWaitExceeded):
    """A thread would wait for itself: its signal handler or finalizer was to mint."""


class WorkerIdUnavailable(UidError):
    """No worker id could be leased, so nothing can be minted."""


class WorkerIdsExhausted(WorkerIdUnavailable):
    """Every worker id is leased to a process that may still mint with it."""


class ClockSkewTooLarge(WorkerIdUnavailable):
    """The clocks of this host and of the database server differ too much."""


class LayoutChanged(WorkerIdUnavailable):
    """The worker table holds leases of another layout under the same alias."""


class LeaseLost(UidError):
    """A lease can never be extended again: a successor has taken its worker id.

    An assigner raises this from ``renew``; the generator answers by claiming another
    lease, so callers do not see it.
    """

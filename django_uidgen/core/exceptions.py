"""Everything that can go wrong, under one base class."""

from __future__ import annotations


class UidError(Exception):
    """Base class of every error of this package."""


class LayoutError(UidError, ValueError):
    """A bit layout whose widths, tick or epoch cannot be."""


class InvalidUid(UidError, ValueError):
    """A value that is not a UID: not a whole number, or not one of 1 to 63 bits."""


class ClockBeforeEpoch(UidError):
    """The clock shows a time before the layout's epoch."""


class MomentOutOfRange(UidError, ValueError):
    """A moment that no UID can have: before the epoch, or one that has not come."""


class TimeBitsExhausted(UidError):
    """The clock has passed the last tick that the layout can hold."""


class MaxWaitExceeded(UidError):
    """A caller would have to wait longer than ``MAX_WAIT`` seconds for its UIDs."""


class WorkerIdUnavailable(UidError):
    """No worker id could be leased, so nothing can be minted."""


class WorkerIdsExhausted(WorkerIdUnavailable):
    """Every worker id is leased to a process that may still mint with it."""


class ClockSkewTooLarge(WorkerIdUnavailable):
    """The clock of this host is too far from that of the database server."""


class LayoutChanged(WorkerIdUnavailable):
    """The worker table holds leases of another layout under the same alias."""


class LeaseLost(UidError):
    """A lease can never be extended again: a successor has taken its worker id.

    An assigner raises this from ``renew``; the generator answers by claiming another
    lease, so callers do not see it.
    """

"""Generators with leases that no database knows of: what is timed is the minting."""

from __future__ import annotations

from itertools import count

from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.generators import (
    CachedUidGenerator,
    DefaultUidGenerator,
    GeneratorOptions,
    UidGenerator,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease

DEFAULT = BitLayout.preset("snowflake")
BAIDU = BitLayout.preset("baidu")

#: As in Baidu's own run: UIDs may run as far ahead of the clock as the demand asks.
UNBOUNDED = GeneratorOptions(max_lead=None, max_age=None)


class EndlessAssigner(WorkerIdAssigner):
    """Worker ids that are given once, with no end to the lease."""

    def __init__(self, layout: BitLayout) -> None:
        self._end = layout.max_tick + 1
        self._worker_ids = count()

    def claim(self, now: int) -> Lease:
        """Return the next worker id."""
        return Lease(next(self._worker_ids), now, self._end, self._end)


def cached(
    layout: BitLayout = DEFAULT, options: GeneratorOptions | None = None
) -> CachedUidGenerator:
    """Return the generator that is the default, with default options."""
    return CachedUidGenerator(layout, EndlessAssigner(layout), options=options)


def exact(layout: BitLayout = DEFAULT) -> DefaultUidGenerator:
    """Return the generator that looks at the clock at each mint."""
    return DefaultUidGenerator(layout, EndlessAssigner(layout))


def lead(generator: UidGenerator, uid: int) -> float:
    """Return how many seconds the end of a UID's tick is ahead of the clock."""
    tick = generator.layout.decompose(uid).tick
    return generator.clock.seconds_until(tick)

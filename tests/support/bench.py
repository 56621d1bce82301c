"""A generator whose clock and leases a test holds in its hands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_uidgen.core.clock import FakeClock
from django_uidgen.core.generators import (
    CachedUidGenerator,
    DefaultUidGenerator,
    GeneratorOptions,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.stocks import PaddedStock
from tests.support.memory import MemoryAssigner

LAYOUT = BitLayout(41, 4, 6)  # 64 UIDs a millisecond
NOW = datetime(2026, 11, 23, tzinfo=UTC)

both = pytest.mark.parametrize("kind", [DefaultUidGenerator, CachedUidGenerator])


class Bench:
    """A generator with its clock and its assigner."""

    def __init__(self, kind, layout=LAYOUT, *, lease_ticks=600_000, **options):
        self.layout = layout
        self.clock = FakeClock(layout, NOW)
        self.assigner = MemoryAssigner(layout, lease_ticks)
        self.generator = kind(
            layout,
            self.assigner,
            alias="bench",
            options=GeneratorOptions(**options),
            clock=self.clock,
        )
        if isinstance(self.stock, PaddedStock):
            # Rounds are done by hand: the thread's would not keep to the fake clock.
            self.stock.executor.wake = lambda: None

    @property
    def stock(self):
        """The stock of this process."""
        return self.generator._own_stock()

    @property
    def generation(self):
        """The generation of this process."""
        return self.stock.generation

    @property
    def keeper(self):
        """The keeper of this process's leases."""
        return self.stock.keeper

    def pad(self):
        """Do a round of the padding thread, and return whether it goes on."""
        return not isinstance(self.stock, PaddedStock) or self.stock.pad()

    def lead(self, uid):
        """Return how many seconds the UID's tick is ahead of the clock."""
        return self.clock.seconds_until(self.layout.decompose(uid).tick)

"""Clocks of generators that are there already."""

from __future__ import annotations

from django_uidgen.core.clock import FakeClock


def stop_clock(generator, moment):
    """Let a generator mint by a clock that stands at ``moment`` until it is moved."""
    clock = FakeClock(generator.layout, moment)
    generator.clock = generator._own_stock().generation.clock = clock

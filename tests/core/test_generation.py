"""Minting within the bounds of time, on a clock that moves on command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from django_uidgen.core.exceptions import (
    ClockBeforeEpoch,
    MaxWaitExceeded,
    TimeBitsExhausted,
)
from django_uidgen.core.generation import Minted, Obstacle
from django_uidgen.core.layout import BitLayout
from tests.core.test_lease_keeper import Claim
from tests.support.bench import NOW, both


@both
@pytest.mark.parametrize("max_lead", [0.0, 0.005, 1.0])
def test_never_ahead_of_the_clock_by_more_than_max_lead(bench, kind, max_lead):
    """At the limit the caller waits for the clock."""
    one = bench(kind, max_lead=max_lead)
    start = one.clock.time_ns()
    for _ in range(2000):
        assert one.lead(one.generator.uid()) <= max_lead
    for uid in one.generator.uids(100_000)[-64:]:
        assert one.lead(uid) <= max_lead
    assert one.clock.time_ns() - start >= (102_000 / 64 / 1000 - max_lead - 0.1) * 1e9


@both
def test_no_bound_on_the_lead(bench, kind):
    """With MAX_LEAD None nobody waits."""
    one = bench(kind, max_lead=None)
    start = one.clock.time_ns()
    one.generator.uids(1_000_000)
    one.generator.uid()
    assert one.clock.time_ns() == start


@both
def test_caller_that_would_wait_too_long_is_told(bench, kind):
    """MAX_WAIT is named, and so is what would help."""
    one = bench(kind, BitLayout(31, 4, 2, tick_ms=10_000), max_wait=2.0)
    with pytest.raises(MaxWaitExceeded, match=r"'bench' could mint in 10\.000 s"):
        one.generator.uids(100)
    one.clock.step(20)
    assert one.generator.uids(1)


@both
def test_clock_before_the_epoch(bench, kind):
    """Never a negative UID."""
    one = bench(kind)
    one.clock.step(-365 * 86400)
    with pytest.raises(ClockBeforeEpoch, match=r"before 2026-01-01T00:00:00\+00:00"):
        one.generator.uid()
    one.clock.step(365 * 86400)
    assert one.generator.uid() > 0


@both
def test_time_bits_used_up(bench, kind):
    """Never a wrapped UID."""
    layout = BitLayout(20, 4, 6, epoch=NOW - timedelta(milliseconds=(1 << 20) - 2))
    one = bench(kind, layout)
    uids = [one.generator.uid() for _ in range(40)]
    assert max(uids) < 1 << layout.total_bits
    with pytest.raises(TimeBitsExhausted, match="20 time bits hold no later tick"):
        one.generator.uids(1000)
    one.clock.step(1)
    with pytest.raises(TimeBitsExhausted):
        one.generator.uids(1)


# What it does after its end, whoever still calls it.


@both
def test_generation_that_is_over_mints_nothing(bench, kind):
    """Its thread may have looked at the guard before that was disarmed."""
    one = bench(kind)
    one.generator.uid()
    generation = one.generation
    generation.guard.disarm()
    with generation.lock:
        assert generation.mint(1) == Minted([], Obstacle.CLOSED)


@both
def test_leases_of_all_threads_are_dropped(bench, kind):
    """A provisional lease, too, may reach into a future that the clock has left."""
    one = bench(kind)
    one.assigner.provisional = Claim()
    one.generator.uid()
    generation = one.generation
    assert generation.provisional_lease is not None
    with ThreadPoolExecutor(1) as thread, generation.lock:
        thread.submit(generation.drop_leases).result(60)
    assert generation.provisional_lease is None


@both
def test_commit_after_the_end_confirms_nothing(bench, kind):
    """The next generation must not find a lease in the last one."""
    one = bench(kind)
    one.assigner.provisional = claim = Claim()
    one.generator.uid()
    generation = one.generation
    generation.guard.disarm()
    claim.commit()
    assert generation.lease is None

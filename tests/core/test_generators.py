"""The generators, on a clock that moves on command and leases in memory."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections import deque
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import (
    ClockBeforeEpoch,
    MaxWaitExceeded,
    TimeBitsExhausted,
    WorkerIdUnavailable,
)
from django_uidgen.core.fork import ForkGuard
from django_uidgen.core.generators import (
    CachedUidGenerator,
    DefaultUidGenerator,
    GeneratorOptions,
    UidGenerator,
    fast_uid,
    threads_run,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.sequence import Sequence
from tests.support.bench import LAYOUT, NOW, both
from tests.support.memory import MemoryAssigner


@both
def test_uids_are_unique_and_ordered(bench, kind):
    """Through uid(), uids() and allocate() in any mixture."""
    generator = bench(kind).generator
    minted = []
    for count in (1, 5, 700, 3):
        minted.append(generator.uid())
        minted += generator.uids(count)
        for run in generator.allocate(count):
            minted += run
        minted += [generator.uid() for _ in range(count)]
    assert all(one < other for one, other in pairwise(minted))


@both
def test_one_lease_serves_until_it_is_half_over(bench, kind):
    """No database on the hot path."""
    one = bench(kind)
    for _ in range(1000):
        one.generator.uid()
        one.clock.step(0.2)
    assert (one.assigner.claims, one.assigner.renewals) == (1, 0)


@both
@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_uids_returns_as_many_as_asked(bench, kind, count):
    """A list of that many, and runs of that many."""
    generator = bench(kind).generator
    assert len(generator.uids(count)) == count
    assert sum(map(len, generator.allocate(count))) == count


@both
@pytest.mark.parametrize(
    ("count", "error"),
    [(-1, ValueError), (1.0, TypeError), ("3", TypeError), (True, TypeError)],
)
def test_impossible_count(bench, kind, count, error):
    """The message names the value."""
    generator = bench(kind).generator
    for call in (generator.uids, generator.allocate):
        with pytest.raises(error, match=f"count is {count!r}"):
            call(count)
    with pytest.raises(error, match=f"count is {count!r}"):
        asyncio.run(generator.auids(count))


@both
def test_low_bits_are_spread(bench, kind):
    """A quiet process does not mint UIDs that all end alike."""
    one = bench(kind)
    endings = set()
    for _ in range(64):
        endings.add(one.generator.uid() % 64)
        for _round in range(3):
            one.pad()
            one.clock.step(1)
    assert len(endings) == 64


# The bounds of time.


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


# The lease.


@both
def test_lease_is_renewed_from_half_its_length_on(bench, kind):
    """Beside the callers, by a thread that is waited for here."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uid()
    one.clock.step(5.1)
    one.generator.uids(100)
    one.generator._own_state().renewal.join()
    assert one.assigner.renewals == 1
    assert one.generator.lease.reserved_until >= one.clock.tick() + 9_990


@both
def test_lapsed_lease_is_renewed_by_the_next_mint(bench, kind):
    """If nobody took the worker id meanwhile."""
    one = bench(kind, lease_ticks=10_000)
    first = one.layout.decompose(one.generator.uids(1)[0])
    one.clock.step(60)
    second = one.layout.decompose(one.generator.uids(1)[0])
    assert second.worker_id == first.worker_id
    assert (one.assigner.claims, one.assigner.renewals) == (1, 1)


@both
def test_lost_lease_is_answered_by_another(bench, kind):
    """When a successor took the worker id while this process slept."""
    one = bench(kind, lease_ticks=10_000)
    first = one.generator.uids(1)[0]
    one.clock.step(60)
    other = one.assigner.claim(one.clock.tick())
    second = one.generator.uids(1)[0]
    assert second > first
    assert one.layout.decompose(second).worker_id != other.worker_id


@both
def test_outage_shorter_than_the_lease_is_not_felt(bench, kind, caplog):
    """Minting goes on to the end of the lease, and a warning says until when."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.assigner.down = True
    one.clock.step(6)
    with caplog.at_level(logging.WARNING):
        one.generator.uids(1)
        one.generator._own_state().renewal.join()
    assert "Could not renew worker id 1 of generator 'bench'" in caplog.text
    one.clock.step(3)
    one.generator.uids(1)
    one.assigner.down = False
    one.clock.step(3)
    one.generator.uids(1)
    assert one.assigner.claims == 1


@both
def test_outage_longer_than_the_lease_is_loud_and_ends_by_itself(bench, kind):
    """Minting fails with the database's error, and works when that is back."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.assigner.down = True
    one.clock.step(11)
    for _ in range(2):
        with pytest.raises(WorkerIdUnavailable, match="The database is down"):
            one.generator.uid()
            one.generator.uids(100_000)
    one.assigner.down = False
    assert one.generator.uids(1)


@both
def test_failed_renewal_is_not_repeated_at_once(bench, kind, caplog):
    """A database that is down is not asked again by every mint."""
    one = bench(kind, lease_ticks=80_000)
    one.generator.uids(1)
    one.assigner.down = True
    one.clock.step(41)
    for _ in range(20):
        one.generator.uids(1)
        if one.generator._own_state().renewal:
            one.generator._own_state().renewal.join()
    assert caplog.text.count("Could not renew") == 1


@both
def test_renewal_that_finds_the_lease_lost(bench, kind):
    """The next mint claims another at once."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.assigner.rows[0].sealed = True
    one.clock.step(6)
    one.generator.uids(1)
    one.generator._own_state().renewal.join()
    assert one.generator.lease is None
    one.generator.uids(1)
    assert one.assigner.claims == 2


@both
def test_close_gives_the_lease_back(bench, kind):
    """From the tick after the last one on; a later mint claims again."""
    one = bench(kind)
    last = one.layout.decompose(one.generator.uids(10)[-1])
    one.generator.close()
    row = one.assigner.rows[0]
    assert row.released
    assert last.tick < row.reserved_until <= last.tick + 2
    assert one.generator.lease is None
    one.generator.close()
    later = one.layout.decompose(one.generator.uid())
    assert later.tick > last.tick
    assert one.assigner.claims == 2


@both
def test_close_survives_an_outage(bench, kind):
    """The lease lapses instead."""
    one = bench(kind)
    one.generator.uid()
    one.assigner.down = True
    one.generator.close()
    assert not one.assigner.rows[0].released


@both
def test_assign_claims_before_the_first_mint(bench, kind):
    """And only once."""
    one = bench(kind)
    assert one.generator.lease is None
    one.generator.assign()
    one.generator.assign()
    assert one.generator.lease.worker_id == 1
    one.generator.uid()
    assert one.assigner.claims == 1


@both
def test_batch_that_needs_more_than_the_lease(bench, kind):
    """It is renewed in the midst."""
    one = bench(kind, lease_ticks=2500)
    assert len(set(one.generator.uids(300_000))) == 300_000
    assert one.assigner.claims == 1
    assert one.assigner.renewals >= 1


@both
def test_renewal_where_no_thread_can_be_started(bench, kind, monkeypatch):
    """The interpreter is shutting down; the lease will do."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.clock.step(6)

    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert one.generator.uids(100)
    assert one.assigner.renewals == 0


@both
def test_one_renewal_at_a_time_is_started(bench, kind, monkeypatch):
    """Also by a thread that comes while another starts one: a fork waits for one."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.clock.step(6)
    one.generator.allocate(1)
    state = one.generator._own_state()
    state.renewal.join()
    one.clock.step(6)
    state.sequence.allocate(1, state.lease, now=one.clock.tick(), max_lead=0)
    started, start = [], threading.Thread.start

    def start_and_meet(thread):
        started.append(thread)
        if len(started) == 1:
            one.generator._renew_if_due(state)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_and_meet)
    one.generator._renew_if_due(state)
    assert started == [state.renewal]
    state.renewal.join()
    assert one.assigner.renewals == 2


@both
def test_early_renewal_gives_way(bench, kind, caplog):
    """To another that is under way, and to a clock that is no use."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    state = one.generator._own_state()
    one.generator._renew_early(state)  # not due
    one.clock.step(6)
    one.generator.allocate(100)
    state.renewal.join()
    one.clock.step(6)
    state.sequence.allocate(1, state.lease, now=one.clock.tick(), max_lead=0)
    with state.lease_lock:
        one.generator._renew_early(state)
    assert one.assigner.renewals == 1
    one.clock.step(-365 * 86400)
    with caplog.at_level(logging.DEBUG):
        one.generator._renew_early(state)
    assert "No renewal for generator 'bench'" in caplog.text
    one.clock.step(365 * 86400)


@both
def test_step_back_that_another_thread_has_answered(bench, kind):
    """Nothing is claimed."""
    one = bench(kind)
    one.generator.uids(1)
    one.generator._leave_the_future(one.generator._own_state())
    assert one.assigner.claims == 1


def test_stock_where_no_thread_can_be_started(bench):
    """Nobody would watch its age."""
    one = bench(CachedUidGenerator)
    state = one.generator._own_state()

    def refuse():
        raise RuntimeError("can't create new thread at interpreter shutdown")

    state.executor.wake = refuse
    assert one.generator.uid()
    assert len(state.buffer) == 0


# The clock stepped back.


@both
@pytest.mark.parametrize("seconds", [0.001, 0.3, 1.0])
def test_small_step_back_changes_nothing(bench, kind, seconds):
    """Up to MAX_LEAD the order holds, and no lease is claimed."""
    one = bench(kind)
    before = one.generator.uids(10)
    one.clock.step(-seconds)
    after = one.generator.uids(10)
    assert after[0] > before[-1]
    assert one.assigner.claims == 1


@both
@pytest.mark.parametrize("seconds", [1.1, 3600, 86400])
def test_large_step_back_claims_a_lease_at_the_new_time(bench, kind, seconds, caplog):
    """Service goes on at once, unique, and a warning says that order breaks."""
    one = bench(kind)
    start = one.clock.time_ns()
    before = [one.generator.uid(), *one.generator.uids(10)]
    one.clock.step(-seconds)
    one.pad()
    after = [one.generator.uid(), *one.generator.uids(10)]
    assert not set(before) & set(after)
    assert after[0] < before[0]
    assert abs(one.lead(after[0])) <= 1.0
    assert one.clock.time_ns() - start == pytest.approx(-seconds * 1e9, abs=1e6)
    assert f"stepped back by {seconds:.3f} s. Generator 'bench' goes on" in caplog.text
    first, second = one.assigner.rows
    assert first.released
    assert first.reserved_until > one.layout.decompose(before[-1]).tick
    assert second.reserved_from <= one.clock.tick()


@both
def test_uids_never_come_from_a_future_that_was_left(bench, kind):
    """A batch looks at the clock before it takes from the stock."""
    one = bench(kind)
    one.generator.uid()
    one.clock.step(-100)
    assert abs(one.lead(one.generator.uids(1)[0])) <= 1.0


@both
def test_step_back_forth_and_back_again(bench, kind):
    """Nothing repeats."""
    one = bench(kind)
    minted = []
    for seconds in (0, -100, 100, -50, 200, -10, 5):
        one.clock.step(seconds)
        minted += one.generator.uids(100)
        minted.append(one.generator.uid())
    assert len(set(minted)) == len(minted)


@both
def test_interrupted_step_back_repeats_nothing(bench, kind, monkeypatch):
    """A signal may raise at any line; here, when the position has moved back."""
    one = bench(kind)
    minted = one.generator.uids(5000)
    one.clock.step(-100)
    restart = Sequence.restart

    def interrupted(self, lease):
        restart(self, lease)
        raise KeyboardInterrupt

    monkeypatch.setattr(Sequence, "restart", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.generator.uids(1)
    monkeypatch.undo()
    for _ in range(100):
        minted += one.generator.uids(5000)
        one.clock.step(1.1)
    assert len(set(minted)) == len(minted)


# Closed while others mint.


def covered(assigner, uid):
    """Tell whether some row of the table covers ``uid``."""
    parts = LAYOUT.decompose(uid)
    return any(
        row.worker_id == parts.worker_id
        and row.reserved_from <= parts.tick < row.reserved_until
        for row in assigner.rows
    )


@both
@pytest.mark.parametrize("early", [False, True])
def test_close_while_a_renewal_is_under_way(bench, kind, early):
    """The renewed row is given back, and nothing is minted with it."""
    one = bench(kind, lease_ticks=10_000)
    minted = one.generator.uids(1)
    one.clock.step(6 if early else 11)
    renew = one.assigner.renew

    def closing(lease, now):
        one.assigner.renew = renew
        new = renew(lease, now)
        one.generator.close()
        return new

    one.assigner.renew = closing
    if early:
        one.generator._renew_early(one.generator._own_state())
    for _ in range(20):
        minted += one.generator.uids(5000)
        minted.append(one.generator.uid())
        one.clock.step(1)
    assert len(set(minted)) == len(minted)
    assert all(covered(one.assigner, uid) for uid in minted)
    assert one.assigner.rows[0].released


@both
def test_close_while_a_worker_id_is_claimed(bench, kind):
    """The caller claims another, since its generator was closed; that is closed too."""
    one = bench(kind)
    claim = one.assigner.claim

    def closing(now):
        one.assigner.claim = claim
        lease = claim(now)
        one.generator.close()
        return lease

    one.assigner.claim = closing
    assert covered(one.assigner, one.generator.uid())
    assert [row.released for row in one.assigner.rows[:1]] == [True]


@both
def test_close_while_others_mint(kind):
    """Again and again; nothing repeats, and all is covered by the table."""
    layout = BitLayout.preset("snowflake")
    assigner = MemoryAssigner(layout, worker_ids=list(range(1000)))
    generator = kind(layout, assigner, clock=SystemClock(layout))
    minted = [[] for _ in range(4)]
    stop = threading.Event()

    def mint(into):
        while not stop.is_set():
            into.append(generator.uid())
            into.extend(generator.uids(50))

    workers = [threading.Thread(target=mint, args=(into,)) for into in minted]
    for worker in workers:
        worker.start()
    for _ in range(30):
        claims = assigner.claims
        generator.close()
        while assigner.claims == claims:
            pass
    stop.set()
    for worker in workers:
        worker.join()
    generator.close()
    assert len({uid for into in minted for uid in into}) == sum(map(len, minted))


# Exceptions that signals raise.


@both
def test_interruptions_at_any_line(kind):
    """Nothing repeats, and after the last one minting works.

    In a process of its own, without the coverage tool: that has locks too, which an
    exception that a signal raises leaves held.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE")
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.interruptions", kind.__name__],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@both
def test_claim_that_was_interrupted_is_given_up(bench, kind, monkeypatch):
    """After a while, and the next mint does without its lock."""
    one = bench(kind, max_wait=0.05)
    assert one.generator._own_state().lease_lock.acquire(0)
    with pytest.raises(MaxWaitExceeded):
        one.generator.uid()
    with pytest.raises(MaxWaitExceeded):
        one.generator.uid()
    monkeypatch.setattr(one.generator._own_state().lease_lock, "_lost_after", 0)
    with pytest.raises(MaxWaitExceeded):
        one.generator.uid()
    assert one.generator.uid()


@both
def test_clock_that_stands_still(bench, kind):
    """A caller does not wait for it for ever."""
    one = bench(kind, max_wait=0.05)
    one.clock.sleep = lambda seconds: None
    with pytest.raises(MaxWaitExceeded, match="clock of this machine stand still"):
        one.generator.uids(1_000_000)
    with pytest.raises(MaxWaitExceeded, match="clock of this machine stand still"):
        one.generator.uid()


# Threads.


@both
@pytest.mark.parametrize("threads", [4, 16])
def test_threads_share_a_generator(kind, threads):
    """No UID twice, and in each thread every one larger than the one before."""
    layout = BitLayout.preset("snowflake")
    generator = kind(layout, MemoryAssigner(layout), clock=SystemClock(layout))
    minted = [[] for _ in range(threads)]
    ready = threading.Barrier(threads)

    def mint(into):
        ready.wait()
        for n in range(600):
            into.append(generator.uid())
            if n % 50 == 0:
                into.extend(generator.uids(20))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=mint, args=(into,)) for into in minted]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
        generator.close()
    assert all(one < other for into in minted for one, other in pairwise(into))
    assert len({uid for into in minted for uid in into}) == sum(map(len, minted))


@both
def test_threads_claim_one_lease(kind):
    """The others wait for the one that claims."""
    layout = BitLayout.preset("snowflake")
    assigner = MemoryAssigner(layout)
    generator = kind(layout, assigner)
    workers = [threading.Thread(target=generator.uid) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    generator.close()
    assert assigner.claims == 1


@both
def test_thread_that_waits_too_long_for_a_claim(bench, kind):
    """It is told, instead of hanging."""
    one = bench(kind, max_wait=0.05)
    message = r"MAX_WAIT = 0\.05 s .* claims"
    with (
        one.generator._own_state().lease_lock,
        pytest.raises(MaxWaitExceeded, match=message),
    ):
        one.generator.uid()
    assert one.generator.uid()


@both
def test_mint_that_interrupts_a_mint(bench, kind):
    """A signal handler may, in the thread that holds the lock. It is told."""
    one = bench(kind, max_wait=0.05)
    one.generator.uids(1)
    one.generator.allocate(1)  # leaves no stock
    message = "that mints with generator 'bench'"
    with (
        one.generator._own_state().lock,
        pytest.raises(MaxWaitExceeded, match=message),
    ):
        one.generator.uid()
    assert one.generator.uid()


# Async.


@both
def test_auid(bench, kind):
    """UIDs on an event loop, ordered with those of the other calls."""
    generator = bench(kind).generator

    async def main():
        return [
            await generator.auid(),
            generator.uid(),
            *(await generator.auids(300)),
            await generator.auid(),
        ]

    minted = asyncio.run(main())
    assert len(minted) == 303
    assert all(one < other for one, other in pairwise(minted))


@both
def test_many_tasks(bench, kind):
    """A thousand at once."""
    generator = bench(kind).generator

    async def main():
        return await asyncio.gather(*(generator.auid() for _ in range(1000)))

    assert len(set(asyncio.run(main()))) == 1000


@both
def test_auids_waits_beside_the_loop(bench, kind):
    """More than can be had at once."""
    generator = bench(kind, max_lead=0.0).generator
    assert len(set(asyncio.run(generator.auids(1000)))) == 1000


# Provisional leases.


class Claim:
    """A caller's transaction."""

    def __init__(self):
        self.open = True

    def stands(self):
        return self.open

    def on_commit(self):
        raise AssertionError("replaced by the generator")


@both
def test_provisional_lease_mints_no_tick_of_the_future(bench, kind):
    """What is rolled back must lie in the past when another process claims."""
    one = bench(kind)
    one.assigner.provisional = Claim()
    for uid in [*one.generator.uids(1000), one.generator.uid()]:
        assert one.lead(uid) <= 0
    assert one.generator.lease is None


@both
def test_rolled_back_claim_is_dropped(bench, kind):
    """The next mint claims anew. Nothing is left in stock, however many there were."""
    one = bench(kind)
    one.assigner.provisional = Claim()
    before = max(one.generator.uid() for _ in range(5))
    one.assigner.provisional.open = False
    one.assigner.provisional = Claim()
    assert one.generator.uid() > before
    assert one.assigner.claims == 2


@both
def test_committed_claim_becomes_an_ordinary_lease(bench, kind):
    """Nothing is claimed again."""
    one = bench(kind)
    claim = one.assigner.provisional = Claim()
    before = one.generator.uid()
    lease = one.generator._own_state().local.lease
    one.assigner.provisional, claim.open = None, False
    claim.on_commit()
    assert one.generator.lease.worker_id == lease.worker_id
    assert one.generator.uid() > before
    assert one.assigner.claims == 1


@both
def test_committed_claim_does_not_replace_a_longer_lease(bench, kind):
    """Another thread may have claimed meanwhile."""
    one = bench(kind)
    claim = one.assigner.provisional = Claim()
    one.generator.uid()
    one.assigner.provisional = None
    other = threading.Thread(target=one.generator.uid)
    one.clock.step(5)
    other.start()
    other.join()
    held = one.generator.lease
    claim.on_commit()
    assert one.generator.lease is held


@both
def test_provisional_lease_is_one_threads_own(bench, kind):
    """Another thread claims for itself."""
    one = bench(kind)
    one.assigner.provisional = Claim()
    one.generator.uid()
    others = []
    other = threading.Thread(target=lambda: others.append(one.generator.uid()))
    other.start()
    other.join()
    assert one.assigner.claims == 2
    assert len(others) == 1


@both
def test_provisional_lease_does_not_wait_for_a_thread_that_claims(bench, kind):
    """That thread may be waiting for this very transaction."""
    one = bench(kind, max_wait=0.05)
    one.assigner.provisional = Claim()
    with one.generator._own_state().lease_lock:
        assert one.generator.uid()


@both
def test_step_back_in_a_transaction(bench, kind):
    """The lease at the new time is provisional too."""
    one = bench(kind)
    before = one.generator.uid()
    one.assigner.provisional = Claim()
    one.clock.step(-100)
    one.pad()
    after = one.generator.uid()
    assert after < before
    assert one.generator.lease is None


@both
def test_claim_of_a_future_that_was_left_is_not_confirmed(bench, kind):
    """The clock was stepped back inside of the transaction."""
    one = bench(kind)
    first = one.assigner.provisional = Claim()
    minted = one.generator.uids(5000)
    one.clock.step(-5)
    second = one.assigner.provisional = Claim()
    minted += one.generator.uids(100)
    first.open = second.open = False
    one.assigner.provisional = None
    for claim in (first, second):
        claim.on_commit()
    assert one.generator.lease.reserved_from <= one.clock.tick()
    for _ in range(10):
        minted += one.generator.uids(5000)
        one.clock.step(1)
    assert len(set(minted)) == len(minted)


@both
def test_stock_after_a_claim_was_committed(bench, kind):
    """The thread is back on the hot path."""
    one = bench(kind)
    claim = one.assigner.provisional = Claim()
    one.generator.uid()
    claim.open = False
    claim.on_commit()
    state = one.generator._own_state()
    assert state.local.lease is None


@both
def test_claim_that_took_long_begins_behind_it(bench, kind):
    """Where it may have waited for a writer that was rolled back."""
    one = bench(kind)
    claim = one.assigner.claim

    def slow(now):
        one.clock.step(3)
        return claim(now)._replace(begins_after_claim=True)

    one.assigner.claim = slow
    before = one.clock.tick()
    assert LAYOUT.decompose(one.generator.uid()).tick > before + 3000


@both
def test_lease_is_not_renewed_inside_a_transaction(bench, kind):
    """An early renewal can wait."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.assigner.provisional = Claim()
    one.clock.step(6)
    one.generator.uids(100)
    assert one.generator._own_state().renewal is None
    assert one.assigner.renewals == 0


# The stock of a tick of the default generator.


@pytest.fixture
def _from_zero(monkeypatch):
    """Let the sequence begin at 0, not at random."""
    monkeypatch.setattr("secrets.randbelow", lambda size: 0)


from_zero = pytest.mark.usefixtures("_from_zero")


@from_zero
def test_callers_in_one_tick_share_a_slow_path(bench, monkeypatch):
    """The first mints for itself, those to come for more and more others."""
    one = bench(DefaultUidGenerator, BitLayout(41, 4, 12))
    refills, refill = [], one.generator._fill_in_line

    def counted(state):
        refills.append(len(minted))
        return refill(state)

    minted = []
    monkeypatch.setattr(one.generator, "_fill_in_line", counted)
    minted.extend(one.generator.uid() for _ in range(2000))
    assert minted == sorted(set(minted))
    # The very first has no lease yet.
    assert refills == [0, 0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1535]


@from_zero
def test_time_is_exact(bench):
    """What is in stock is of the present tick, or is not handed out."""
    one = bench(DefaultUidGenerator, BitLayout(41, 4, 12))
    for _ in range(20):
        for _ in range(10):
            assert one.lead(one.generator.uid()) == 0
        assert one.generator._own_state().stock._uids
        one.clock.step(0.001)


@from_zero
def test_chunk_follows_the_demand(bench):
    """It is halved in the next tick, and forgotten after a pause."""
    one = bench(DefaultUidGenerator)
    for _ in range(16):
        one.generator.uid()
    state = one.generator._own_state()
    assert state.chunk == 15
    for chunk in (7, 3, 1, 0):
        one.clock.step(0.001)
        one.generator.uid()
        assert state.chunk == len(state.stock._uids) == chunk
    for _ in range(16):
        one.generator.uid()
    one.clock.step(0.002)
    one.generator.uid()
    assert state.chunk == len(state.stock._uids) == 0


@from_zero
def test_full_tick_leads_into_the_next(bench):
    """As ever; the stock goes no further ahead than that."""
    one = bench(DefaultUidGenerator)
    leads = [round(one.lead(one.generator.uid()) * 1000) for _ in range(150)]
    assert leads == sorted(leads)
    assert set(leads) == {0, 1, 2}
    assert not one.generator._own_state().stock._uids


@pytest.mark.parametrize("way", ["uid", "uids", "allocate"])
def test_step_back_to_the_tick_of_a_stock(bench, way):
    """What was left of it is lower than what was minted meanwhile."""
    one = bench(DefaultUidGenerator)
    minted = [one.generator.uid() for _ in range(10)]
    one.clock.step(0.5)
    minted += {
        "uid": lambda: [one.generator.uid()],
        "uids": lambda: one.generator.uids(1),
        "allocate": lambda: list(one.generator.allocate(1)[0]),
    }[way]()
    one.clock.step(-0.5)
    minted += [one.generator.uid() for _ in range(10)]
    assert minted == sorted(set(minted))


@from_zero
def test_lists_begin_with_the_stock_of_the_tick(bench):
    """Nothing is wasted, and the order holds."""
    one = bench(DefaultUidGenerator, BitLayout(41, 4, 12))
    minted = [one.generator.uid() for _ in range(10)]
    minted += one.generator.uids(2)
    minted += one.generator.uids(100)
    minted += [one.generator.uid()]
    assert minted == [*range(minted[0], minted[0] + 113)]


def test_stock_of_a_tick_ends_with_the_generator(bench):
    """And with its lease: what was given back is minted no more."""
    one = bench(DefaultUidGenerator)
    for _ in range(10):
        one.generator.uid()
    state = one.generator._own_state()
    assert state.stock._uids
    released = one.generator.lease.key
    one.generator.close()
    assert not state.stock._uids
    tick = one.layout.decompose(one.generator.uid()).tick
    assert tick >= released.reserved_until


@from_zero
def test_no_stock_where_the_layout_ends(bench):
    """What the last tick holds is handed out; the next caller is told."""
    one = bench(DefaultUidGenerator)
    last = one.layout.moment(one.layout.max_tick)
    one.clock.step((last - NOW).total_seconds())
    uids = [one.generator.uid() for _ in range(64)]
    assert one.layout.decompose(uids[-1]).tick == one.layout.max_tick
    with pytest.raises(TimeBitsExhausted):
        one.generator.uid()


# The stock of the cached generator.


def test_stock_is_ahead_of_the_caller(bench):
    """One refill serves many."""
    one = bench(CachedUidGenerator)
    one.generator.uid()
    state = one.generator._own_state()
    assert len(state.buffer) == CachedUidGenerator.SMALLEST_CHUNK - 1
    for chunk in (31, 63, 127, 255, 511, 1023, 2047, 4095, 8191, 8191):
        state.buffer.clear()
        one.generator.uid()
        assert len(state.buffer) == min(chunk, state.buffer.capacity) - 1


def test_stock_follows_the_demand(bench):
    """What was consumed in a round is padded twice over, up to the capacity."""
    one = bench(CachedUidGenerator, boost_power=2)
    state = one.generator._own_state()
    for consumed in (10, 40, 100, 3000):
        for _ in range(consumed):
            one.generator.uid()
        assert one.generator._pad(state)
        assert len(state.buffer) <= state.buffer.capacity == 256
        assert len(state.buffer) >= min(256, consumed) // 2


def test_idle_process_keeps_nothing(bench):
    """After two rounds without a mint the stock is gone and the thread parks."""
    one = bench(CachedUidGenerator)
    state = one.generator._own_state()
    one.generator.uid()
    assert one.generator._pad(state)
    assert one.generator._pad(state)
    assert not one.generator._pad(state)
    assert len(state.buffer) == 0


def test_old_uids_are_thrown_away(bench):
    """Before they are MAX_AGE behind the clock."""
    one = bench(CachedUidGenerator)
    state = one.generator._own_state()
    for _ in range(40):
        one.generator.uid()
        one.clock.step(0.25)
        one.generator._pad(state)
        assert all(one.lead(uid) > -1.0 + 0.25 for uid in state.buffer._uids)


def test_no_age_is_kept_when_none_is_asked(bench):
    """With MAX_AGE None the stock stays."""
    one = bench(CachedUidGenerator, max_age=None)
    state = one.generator._own_state()
    one.generator.uid()
    one.clock.step(100)
    one.generator._pad(state)
    assert len(state.buffer) > 0


def test_coarse_ticks_are_not_stocked_when_they_would_grow_old(bench):
    """A UID of a tick of one second may be one second old when it is minted."""
    one = bench(CachedUidGenerator, BitLayout(31, 4, 12, tick_ms=1000))
    one.clock.step(0.8)
    state = one.generator._own_state()
    one.generator.uid()
    assert len(state.buffer) == 0
    one.clock.step(0.3)
    one.generator.uid()
    assert len(state.buffer) > 0


def test_stock_of_a_future_is_thrown_away(bench):
    """After a step back the padding thread clears it; the next mint claims."""
    one = bench(CachedUidGenerator)
    state = one.generator._own_state()
    one.generator.uid()
    one.clock.step(-100)
    one.generator._pad(state)
    assert len(state.buffer) == 0
    assert abs(one.lead(one.generator.uid())) <= 1


def test_padding_survives_what_goes_wrong(bench, caplog):
    """It clears the stock and parks; the caller meets the error."""
    one = bench(CachedUidGenerator)
    state = one.generator._own_state()
    one.generator.uid()
    one.clock.step(-365 * 86400)
    with caplog.at_level(logging.DEBUG):
        assert not one.generator._pad(state)
    assert "Padding of generator 'bench' stopped" in caplog.text
    assert len(state.buffer) == 0


def test_padding_thread_renews_the_lease(bench):
    """From half of its length on."""
    one = bench(CachedUidGenerator, lease_ticks=10_000)
    state = one.generator._own_state()
    one.generator.uid()
    one.clock.step(6)
    state.buffer.clear()
    one.generator.uid()
    one.generator._pad(state)
    assert one.assigner.renewals == 1


def test_nothing_is_padded_for_a_closed_generator(bench):
    """Its state is over."""
    one = bench(CachedUidGenerator)
    one.generator.uid()
    state = one.generator._own_state()
    one.generator.close()
    assert not one.generator._pad(state)


def test_real_padding_thread_parks_when_idle():
    """And is woken by the next mint."""
    layout = BitLayout.preset("snowflake")
    options = GeneratorOptions(max_age=0.02)
    generator = CachedUidGenerator(layout, MemoryAssigner(layout), options=options)
    state = generator._own_state()
    parked = threading.Event()
    pad = state.executor._work

    def watched():
        goes_on = pad()
        if not goes_on:
            parked.set()
        return goes_on

    state.executor._work = watched
    for _ in range(2):
        parked.clear()
        generator.uid()
        assert parked.wait(10)
        assert len(state.buffer) == 0
    assert state.executor.running
    generator.close()
    assert not state.executor.running


# Where threads do not run.


@pytest.mark.parametrize(
    ("has_threads", "expected"),
    [({"has_threads": 1}, True), ({"has_threads": 0}, False), ({}, False)],
)
def test_threads_under_uwsgi(monkeypatch, has_threads, expected):
    """It tells itself: before 2.0.27 they ran if an option asked for them."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(**has_threads))
    assert threads_run() is expected


def test_threads_run_elsewhere():
    """Without uWSGI they do."""
    assert threads_run()


def test_no_stock_and_no_thread_without_threads(bench, monkeypatch):
    """Every mint reads the clock, and renews in line."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=0))
    one = bench(CachedUidGenerator, lease_ticks=10_000)
    before = threading.active_count()
    uids = []
    for _ in range(40):
        uids.append(one.generator.uid())
        assert -0.001 <= one.lead(uids[-1]) <= 0.002
        one.clock.step(0.2)
    assert threading.active_count() == before
    assert one.assigner.renewals == 1
    assert len(one.generator._own_state().buffer) == 0


# The hot path.


def test_hot_path_pops_while_the_page_is_live():
    """A wiped page and an empty stock lead to the slow path."""
    stock, refills = deque([2, 3]), []
    guard = ForkGuard()

    def refill():
        refills.append(len(stock))
        return 100 + len(refills), guard.alive, stock

    uid = fast_uid(refill)
    assert [uid(), uid(), uid()] == [101, 2, 3]
    assert uid() == 102
    stock.append(4)
    guard.disarm()
    assert uid() == 103
    assert list(stock) == [4]


def test_generator_without_a_stock(bench):
    """What subclasses start from: each UID is minted when it is asked for."""
    one = bench(UidGenerator)
    minted = [one.generator.uid() for _ in range(3)]
    minted += one.generator.uids(3)
    minted += one.generator.allocate(1)[0]
    assert minted == sorted(set(minted))
    assert one.generator.next_tick > one.layout.decompose(minted[-1]).tick
    one.generator.close()
    assert one.generator.lease is None


def test_close_at_the_end_of_a_child_is_asked_for_once(bench, monkeypatch):
    """Of multiprocessing, however often a state is given up there."""
    asked = []
    monkeypatch.setattr("multiprocessing.process.parent_process", object)
    monkeypatch.setattr(
        "multiprocessing.util.Finalize", lambda *a, **k: asked.append(a)
    )
    one = bench(DefaultUidGenerator)
    for _ in range(3):
        one.generator.uid()
        one.generator._own_state().guard.disarm()
    assert asked == [(None, one.generator.close)]


def test_repr_names_alias_and_layout(bench):
    """For messages and shells."""
    assert repr(bench(DefaultUidGenerator).generator) == (
        "<DefaultUidGenerator 'bench' 41/4/6 1ms 2026-01-01T00:00:00.000+00:00>"
    )

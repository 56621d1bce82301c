"""Leases are obtained, renewed, confirmed and released. The clock is a fake."""

from __future__ import annotations

import logging
import threading

import pytest

from django_uidgen.core import bounded_lock
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.clock import FakeClock, SystemClock
from django_uidgen.core.exceptions import (
    MaxWaitExceeded,
    NestedMint,
    WorkerIdUnavailable,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease, Provisional
from django_uidgen.core.sequence import Sequence
from tests.support.bench import LAYOUT, NOW, both
from tests.support.holders import held_by_a_thread
from tests.support.memory import MemoryAssigner

# The lease.


@both
def test_lease_is_renewed_from_half_its_length_on(bench, kind):
    """Beside the callers, by a thread that is waited for here."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uid()
    one.clock.step(5.1)
    one.generator.uids(100)
    one.keeper.renewal.join()
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
        one.keeper.renewal.join()
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
        if one.keeper.renewal:
            one.keeper.renewal.join()
    assert caplog.text.count("Could not renew") == 1


@both
def test_renewal_that_finds_the_lease_lost(bench, kind):
    """The next mint claims another at once."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.assigner.rows[0].sealed = True
    one.clock.step(6)
    one.generator.uids(1)
    one.keeper.renewal.join()
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
def test_close_while_the_lock_is_held(bench, kind):
    """By a thread that was interrupted, say: the lease lapses instead."""
    one = bench(kind, max_wait=0.05)
    one.generator.uid()
    with one.generation.lock:
        one.generator.close()
    assert not one.assigner.rows[0].released
    assert one.generator.uid()
    assert one.assigner.claims == 2


class OnlyClaims(WorkerIdAssigner):
    """The least that an assigner can be."""

    claims = 0

    def claim(self, now):
        self.claims += 1
        return Lease(self.claims, now, now + 1000, renew_from=now + 500, key=1)


@both
def test_assigner_that_renews_nothing(kind):
    """The next mint claims another lease."""
    assigner, clock = OnlyClaims(), FakeClock(LAYOUT, NOW)
    generator = kind(LAYOUT, assigner, clock=clock)
    minted = []
    for _ in range(3):
        minted += generator.uids(2)
        clock.step(1.5)
    generator.close()
    workers = [LAYOUT.decompose(uid).worker_id for uid in minted]
    assert workers == [1, 1, 2, 2, 3, 3]


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


def go_on_to_now(one):
    """Mint one UID, past the keeper, so that a renewal is due but not begun."""
    generation, now = one.generation, one.clock.tick()
    generation.sequence.allocate(1, generation.lease, now=now, max_lead=0)


@both
def test_one_renewal_at_a_time_is_started(bench, kind, monkeypatch):
    """Also by a thread that comes while another starts one: a fork waits for one."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    one.clock.step(6)
    one.generator.allocate(1)
    stock = one.stock
    stock.keeper.renewal.join()
    one.clock.step(6)
    go_on_to_now(one)
    started, start = [], threading.Thread.start

    def start_and_meet(thread):
        started.append(thread)
        if len(started) == 1:
            stock.keeper.renew_if_due()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_and_meet)
    stock.keeper.renew_if_due()
    assert started == [stock.keeper.renewal]
    stock.keeper.renewal.join()
    assert one.assigner.renewals == 2


@both
def test_early_renewal_gives_way(bench, kind, caplog):
    """To another that is under way, and to a clock that is no use."""
    one = bench(kind, lease_ticks=10_000)
    one.generator.uids(1)
    stock = one.stock
    stock.keeper.renew_early()  # not due
    one.clock.step(6)
    one.generator.allocate(100)
    stock.keeper.renewal.join()
    one.clock.step(6)
    go_on_to_now(one)
    with stock.keeper._lock:
        stock.keeper.renew_early()
    assert one.assigner.renewals == 1
    one.clock.step(-365 * 86400)
    with caplog.at_level(logging.DEBUG):
        stock.keeper.renew_early()
    assert "No renewal for generator 'bench'" in caplog.text
    one.clock.step(365 * 86400)


@both
def test_step_back_that_another_thread_has_answered(bench, kind):
    """Nothing is claimed."""
    one = bench(kind)
    one.generator.uids(1)
    one.keeper.leave_the_future()
    assert one.assigner.claims == 1


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
    assert (
        f"stepped back by {seconds:.3f} s. Generator 'bench' continues" in caplog.text
    )
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
    """The renewed row is released, and nothing is minted with it."""
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
        one.keeper.renew_early()
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


@both
def test_claim_that_was_interrupted_is_given_up(bench, kind, monkeypatch):
    """After a while, and the next mint does without its lock."""
    one = bench(kind, max_wait=0.05)
    with held_by_a_thread(one.keeper._work):
        for _ in range(2):
            with pytest.raises(MaxWaitExceeded):
                one.generator.uid()
        monkeypatch.setattr(bounded_lock, "_LONGEST_WORK", 0)
        with pytest.raises(MaxWaitExceeded):
            one.generator.uid()
        assert one.generator.uid()


@both
def test_claim_that_was_interrupted_before_it_began(bench, kind):
    """Nobody waits for it twice: the exception came between the lock and the work."""
    one = bench(kind, max_wait=0.05)
    with held_by_a_thread(lambda: one.keeper._lock):
        with pytest.raises(MaxWaitExceeded):
            one.generator.uid()
        assert one.generator.uid()


@both
def test_lease_of_a_generation_that_was_given_up(bench, kind):
    """It ends after all that a slow thread may still mint with it."""
    one = bench(kind, max_wait=0.05, max_lead=0.5)
    one.generator.uid()
    [row] = one.assigner.rows
    with held_by_a_thread(lambda: one.generation.lock):
        with pytest.raises(MaxWaitExceeded):
            one.generator.allocate(1)
        assert one.generator.uid()
    assert row.released
    assert row.reserved_until == one.clock.tick() + 501


@both
def test_lease_without_a_bound_that_was_given_up(bench, kind):
    """Nobody knows how far a slow thread may mint: the lease lapses."""
    one = bench(kind, max_wait=0.05, max_lead=None)
    one.generator.uid()
    with held_by_a_thread(lambda: one.generation.lock):
        with pytest.raises(MaxWaitExceeded):
            one.generator.allocate(1)
        assert one.generator.uid()
    assert [row.released for row in one.assigner.rows] == [False, False]


@both
def test_lease_that_was_given_up_inside_a_transaction(bench, kind, monkeypatch):
    """On SQLite a release would wait for that transaction: the lease lapses."""
    one = bench(kind)
    one.generator.uid()
    one.generation.guard.disarm()
    monkeypatch.setattr(one.assigner, "must_be_provisional", lambda: True)
    one.generator.uid()
    assert one.assigner.rows[0].released is False


@both
def test_slow_thread_of_a_generation_that_was_given_up(bench, kind, monkeypatch):
    """It was past the look at the guard, and finds no lease: it mints with another."""
    one = bench(kind, max_wait=0.05)
    one.generator.uid()
    generation, now = one.generation, one.generation.now
    minted = []

    def slow():
        monkeypatch.undo()
        with pytest.raises(NestedMint):
            one.generator.allocate(1)
        minted.extend(one.generator.allocate(1))
        one.clock.step(5)
        return now()

    monkeypatch.setattr(generation, "now", slow)
    minted += one.generator.allocate(1)
    worker_ids = {one.layout.decompose(run.start).worker_id for run in minted}
    assert len(minted) == 2
    assert minted[0].stop <= minted[1].start
    assert worker_ids == {one.generator.lease.worker_id}


@both
def test_claim_that_its_own_thread_was_interrupted_in(bench, kind):
    """That thread need not wait for itself, and goes on, too."""
    one = bench(kind, max_wait=60)
    assert one.keeper._lock.acquire(0)
    with pytest.raises(NestedMint, match="that claims a worker id"):
        one.generator.uid()
    assert one.generator.uid()


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
    """It raises, instead of hanging."""
    one = bench(kind, max_wait=0.05)
    message = r"MAX_WAIT = 0\.05 s .* claims"
    with (
        held_by_a_thread(one.keeper._work),
        pytest.raises(MaxWaitExceeded, match=message),
    ):
        one.generator.uid()
    assert one.generator.uid()
    assert one.generation.guard


# Provisional leases.


class Claim(Provisional):
    """A caller's transaction."""

    def __init__(self):
        self.open = True
        self.commit = None

    def stands(self):
        return self.open

    def on_commit(self, callback):
        self.commit = callback


@both
def test_provisional_lease_mints_no_tick_of_the_future(bench, kind):
    """UIDs that are rolled back must lie in the past of any later claim."""
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
    lease = one.generation.provisional_lease
    one.assigner.provisional, claim.open = None, False
    claim.commit()
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
    claim.commit()
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
    with one.keeper._lock:
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
        claim.commit()
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
    claim.commit()
    stock = one.stock
    assert stock.generation.provisional_lease is None


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
    assert one.keeper.renewal is None
    assert one.assigner.renewals == 0

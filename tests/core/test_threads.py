"""Many threads on one generator: nothing repeats, and the order is as promised.

The order over threads: a UID whose mint began after another's was handed out is larger.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from itertools import pairwise

import pytest

from django_uidgen.core import fork
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.core.generators import CachedUidGenerator, GeneratorOptions
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.shelves import RingBuffer
from django_uidgen.core.stocks import PaddedStock
from tests.support.bench import both
from tests.support.memory import MemoryAssigner

#: Sixteen UIDs a millisecond: ticks, and with them leases, pass fast.
LAYOUT = BitLayout(41, 10, 4)

#: Calls of all threads together.
CALLS = 12_000


@pytest.fixture(autouse=True)
def _switching():
    """Let threads take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Fickle(MemoryAssigner):
    """Leases of a few ticks, of which every third cannot be renewed."""

    lost = 0

    def renew(self, lease, now):
        if self.renewals % 3 == 2:
            self.renewals += 1
            self.lost += 1
            lease.key.sealed = True
            raise LeaseLost("Another has taken it.")
        return super().renew(lease, now)


@pytest.fixture
def generator(kind, monkeypatch):
    """Return a generator whose stock and whose leases are soon used up."""
    monkeypatch.setattr(PaddedStock, "SMALLEST_CHUNK", 3)
    monkeypatch.setattr(PaddedStock, "LARGEST_CHUNK", 3)
    assigner = Fickle(LAYOUT, lease_ticks=40, worker_ids=list(range(1024)))
    options = GeneratorOptions(max_lead=0.2, boost_power=0, max_wait=60)
    generator = kind(LAYOUT, assigner, options=options, clock=SystemClock(LAYOUT))
    yield generator
    generator.close()


def call(generator, dice):
    """Mint in one of the ways there are, mostly the fast one."""
    number = dice.randrange(10)
    if number < 7:
        return [generator.uid()]
    if number < 9:
        return generator.uids(number - 4)
    return [uid for run in generator.allocate(4) for uid in run]


def in_threads(work, count):
    """Do ``work`` in so many threads at once, and return their results."""
    results, barrier = [], threading.Barrier(count)

    def target(seed):
        barrier.wait()
        results.append(work(random.Random(seed)))

    threads = [threading.Thread(target=target, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


@both
@pytest.mark.parametrize("threads", [1, 4, 16, 64])
def test_unique_and_in_order(generator, threads):
    """With the buffer nearly empty, renewals, and leases that are lost."""

    def work(dice):
        calls = []
        for _ in range(CALLS // threads):
            begin = time.monotonic_ns()
            uids = call(generator, dice)
            calls.append((begin, time.monotonic_ns(), uids))
        return calls

    parts = in_threads(work, threads)
    for calls in parts:
        mine = [uid for _, _, uids in calls for uid in uids]
        assert all(one < other for one, other in pairwise(mine))
    calls = [call for calls in parts for call in calls]
    minted = [uid for _, _, uids in calls for uid in uids]
    assert len(set(minted)) == len(minted)
    assert_in_order_over_threads(calls)
    assert generator.assigner.renewals > 3
    assert generator.assigner.lost > 0


def assert_in_order_over_threads(calls):
    """See that whoever began after another had ended has larger UIDs."""
    ended = sorted((end, max(uids)) for _, end, uids in calls)
    highest, at = 0, 0
    for begin, _, uids in sorted(calls):
        while ended[at][0] < begin:
            highest = max(highest, ended[at][1])
            at += 1
        assert min(uids) > highest


@both
def test_in_order_in_lock_step(generator):
    """Each thread mints when the one before it has, in all ways."""
    threads, rounds = 8, 150
    turns = [threading.Semaphore(0) for _ in range(threads)]
    minted, numbers = [], iter(range(threads))

    def work(dice):
        number = next(numbers)
        for _ in range(rounds):
            turns[number].acquire()
            minted.extend(call(generator, dice))
            turns[(number + 1) % threads].release()

    turns[0].release()
    in_threads(work, threads)
    assert all(one < other for one, other in pairwise(minted))


@both
def test_closed_again_and_again(generator):
    """A generation that is over hands out nothing more, whoever still pops there."""
    stop = threading.Event()

    def work(dice):
        minted = []
        while not stop.is_set():
            begin = time.monotonic_ns()
            uids = call(generator, dice)
            minted.append((begin, time.monotonic_ns(), uids))
        return minted

    def close():
        give_up = time.monotonic() + 120
        for _ in range(100):
            claims = generator.assigner.claims
            generator.close()
            while generator.assigner.claims == claims and time.monotonic() < give_up:
                time.sleep(0)
        stop.set()

    closing = threading.Thread(target=close)
    closing.start()
    calls = [call for part in in_threads(work, 4) for call in part]
    closing.join()
    assert generator.assigner.claims >= 100
    minted = [uid for _, _, uids in calls for uid in uids]
    assert len(set(minted)) == len(minted)
    assert_in_order_over_threads(calls)


def test_stock_under_many_consumers():
    """Each UID comes out once, in order, while others fill, clear and look."""
    buffer, stop, filled = RingBuffer(64), threading.Event(), []

    def fill():
        first = 1
        while not stop.is_set():
            filled.append(range(first, first + 50))
            buffer.fill(filled[-1:])
            first += 60
            buffer.discard_below(first - 75)
            assert buffer.consumed >= 0
            if first % 7 == 0:
                buffer.clear()

    def consume(dice):
        popped = []
        while len(popped) < 1000:
            popped += buffer.take(1)
        return popped

    filling = threading.Thread(target=fill)
    filling.start()
    parts = in_threads(consume, 8)
    stop.set()
    filling.join()
    popped = [uid for part in parts for uid in part]
    assert len(set(popped)) == len(popped)
    assert set(popped) <= {uid for run in filled for uid in run}
    assert all(one < other for part in parts for one, other in pairwise(part))


def test_pop_of_a_generation_that_is_over():
    """It gives nothing, so that it matters to nobody which page it comes with."""
    generator = CachedUidGenerator(LAYOUT, MemoryAssigner(LAYOUT))
    generator.uid()
    stock = generator._own_stock()
    assert len(stock.buffer) > 0
    # As in a child, which has a copy of all this, and no thread that would clear it.
    stock.executor.stop(10)
    stock.generation.guard.disarm()
    generator.uid()
    assert generator._own_stock() is not stock
    with pytest.raises(IndexError):
        stock.shelf.popleft()
    generator.close()


def test_hooks_while_generators_come_and_go():
    """A fork tells each of them, whatever other threads do meanwhile."""
    told, stop = set(), threading.Event()
    hooks = fork._ForkHooks()

    class Member(fork.ForkAware):
        def after_fork_in_parent(self):
            told.add(self)

    members = {Member() for _ in range(300)}
    for member in members:
        hooks.add(member)

    def come_and_go():
        while not stop.is_set():
            hooks.add(Member())

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            told.clear()
            hooks.before()
            hooks.in_parent()
            assert members <= told
    finally:
        stop.set()
        for thread in threads:
            thread.join()

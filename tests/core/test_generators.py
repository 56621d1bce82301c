"""The generators as callers see them, with leases in memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from itertools import pairwise

import pytest

from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import (
    MaxWaitExceeded,
    NestedMint,
)
from django_uidgen.core.generators import (
    CachedUidGenerator,
    DefaultUidGenerator,
    UidGenerator,
)
from django_uidgen.core.layout import BitLayout
from tests.support.bench import both
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
def test_clock_that_stands_still(bench, kind):
    """A caller does not wait for it for ever."""
    one = bench(kind, max_wait=0.05)
    one.clock.sleep = lambda seconds: None
    with pytest.raises(MaxWaitExceeded, match="clock of this machine stand still"):
        one.generator.uids(1_000_000)
    with pytest.raises(MaxWaitExceeded, match="clock of this machine stand still"):
        one.generator.uid()


@both
def test_leases_that_end_before_they_can_be_used(bench, kind, monkeypatch):
    """A claim and a renewal take longer than a lease: not the clock is to blame."""
    one = bench(kind, lease_ticks=2000, max_wait=0.05)

    def slowly(step):
        def took_three_seconds(*args):
            lease = step(*args)
            one.clock.step(3)
            return lease

        return took_three_seconds

    for name in ("claim", "renew"):
        monkeypatch.setattr(one.assigner, name, slowly(getattr(one.assigner, name)))
    for mint in (one.generator.uid, lambda: one.generator.uids(3)):
        with pytest.raises(MaxWaitExceeded) as caught:
            mint()
        assert str(caught.value) == (
            "Generator 'bench' minted nothing for MAX_WAIT = 0.05 s. Each lease ended "
            "before it could be used: LEASE is shorter than a claim takes. Set a "
            "longer LEASE, or make the database faster."
        )
    monkeypatch.undo()
    assert one.generator.uid()


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
def test_mint_that_interrupts_a_mint(bench, kind):
    """A signal handler may, in the thread that holds the lock. It raises at once."""
    one = bench(kind, max_wait=60)
    one.generator.uids(1)
    one.generator.allocate(1)  # leaves no stock
    message = "that mints with generator 'bench'"
    with (
        one.generation.lock,
        pytest.raises(NestedMint, match=message),
    ):
        one.generator.uid()
    assert one.generator.uid()


def threads_of(generator):
    """Return how many threads pad for a generator, parked or not."""
    names = [thread.name for thread in threading.enumerate()]
    return names.count(f"django_uidgen-padding-{generator.alias}")


def test_mint_that_interrupts_a_mint_again_and_again():
    """What was given up leaves no thread and no lease behind."""
    layout = BitLayout.preset("snowflake")
    assigner = MemoryAssigner(layout, worker_ids=list(range(9)))
    generator = CachedUidGenerator(layout, assigner, alias="nested")
    for _ in range(5):
        generator.uid()
        stock = generator._own_stock()
        thread = stock.executor._thread
        with stock.generation.lock, pytest.raises(NestedMint):
            generator.allocate(1)
        generator.uid()
        thread.join(60)
        assert not thread.is_alive()
    assert threads_of(generator) == 1
    assert [row.released for row in assigner.rows] == [True] * 5 + [False]
    generator.close()


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
    """Of multiprocessing, however often a generation ends there."""
    asked = []
    monkeypatch.setattr("multiprocessing.process.parent_process", object)
    monkeypatch.setattr(
        "multiprocessing.util.Finalize", lambda *a, **k: asked.append(a)
    )
    one = bench(DefaultUidGenerator)
    for _ in range(3):
        one.generator.uid()
        one.generation.guard.disarm()
    assert asked == [(None, one.generator.close)]


def test_repr_names_alias_and_layout(bench):
    """For messages and shells."""
    assert repr(bench(DefaultUidGenerator).generator) == (
        "<DefaultUidGenerator 'bench' 41/4/6 1ms 2026-01-01T00:00:00.000+00:00>"
    )

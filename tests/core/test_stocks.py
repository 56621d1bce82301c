"""What is minted ahead, on a clock that moves on command."""

from __future__ import annotations

import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from django_uidgen.core.exceptions import (
    TimeBitsExhausted,
)
from django_uidgen.core.generators import (
    CachedUidGenerator,
    DefaultUidGenerator,
    GeneratorOptions,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.stocks import NoStock, PaddedStock
from tests.support.bench import NOW
from tests.support.memory import MemoryAssigner

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
    refills, refill = [], one.stock.first

    def counted():
        refills.append(len(minted))
        return refill()

    minted = []
    monkeypatch.setattr(one.stock, "first", counted)
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
        assert one.stock.shelf._uids
        one.clock.step(0.001)


@from_zero
def test_chunk_follows_the_demand(bench):
    """It is halved in the next tick, and forgotten after a pause."""
    one = bench(DefaultUidGenerator)
    for _ in range(16):
        one.generator.uid()
    stock = one.stock
    assert stock.chunk == 15
    for chunk in (7, 3, 1, 0):
        one.clock.step(0.001)
        one.generator.uid()
        assert stock.chunk == len(stock.shelf._uids) == chunk
    for _ in range(16):
        one.generator.uid()
    one.clock.step(0.002)
    one.generator.uid()
    assert stock.chunk == len(stock.shelf._uids) == 0


@from_zero
def test_full_tick_leads_into_the_next(bench):
    """As ever; the stock goes no further ahead than that."""
    one = bench(DefaultUidGenerator)
    leads = [round(one.lead(one.generator.uid()) * 1000) for _ in range(150)]
    assert leads == sorted(leads)
    assert set(leads) == {0, 1, 2}
    assert not one.stock.shelf._uids


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
    """And with its lease: nothing is minted after the release."""
    one = bench(DefaultUidGenerator)
    for _ in range(10):
        one.generator.uid()
    stock = one.stock
    assert stock.shelf._uids
    released = one.generator.lease.key
    one.generator.close()
    assert not stock.shelf._uids
    tick = one.layout.decompose(one.generator.uid()).tick
    assert tick >= released.reserved_until


@from_zero
def test_no_stock_where_the_layout_ends(bench):
    """What the last tick holds is handed out; the next caller raises."""
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
    stock = one.stock
    assert len(stock.buffer) == PaddedStock.SMALLEST_CHUNK - 1
    for chunk in (31, 63, 127, 255, 511, 1023, 2047, 4095, 8191, 8191):
        stock.buffer.clear()
        one.generator.uid()
        assert len(stock.buffer) == min(chunk, stock.buffer.capacity) - 1


def test_stock_follows_the_demand(bench):
    """What was consumed in a round is padded twice over, up to the capacity."""
    one = bench(CachedUidGenerator, boost_power=2)
    stock = one.stock
    for consumed in (10, 40, 100, 3000):
        for _ in range(consumed):
            one.generator.uid()
        assert stock.pad()
        assert len(stock.buffer) <= stock.buffer.capacity == 256
        assert len(stock.buffer) >= min(256, consumed) // 2


def test_idle_process_keeps_nothing(bench):
    """After two rounds without a mint the stock is gone and the thread parks."""
    one = bench(CachedUidGenerator)
    stock = one.stock
    one.generator.uid()
    assert stock.pad()
    assert stock.pad()
    assert not stock.pad()
    assert len(stock.buffer) == 0


def test_old_uids_are_thrown_away(bench):
    """Before they are MAX_AGE behind the clock."""
    one = bench(CachedUidGenerator)
    stock = one.stock
    for _ in range(40):
        one.generator.uid()
        one.clock.step(0.25)
        stock.pad()
        assert all(one.lead(uid) > -1.0 + 0.25 for uid in stock.buffer._uids)


def test_no_age_is_kept_when_none_is_asked(bench):
    """With MAX_AGE None the stock stays."""
    one = bench(CachedUidGenerator, max_age=None)
    stock = one.stock
    one.generator.uid()
    one.clock.step(100)
    stock.pad()
    assert len(stock.buffer) > 0


def test_coarse_ticks_are_not_stocked_when_they_would_grow_old(bench):
    """A UID of a tick of one second may be one second old when it is minted."""
    one = bench(CachedUidGenerator, BitLayout(31, 4, 12, tick_ms=1000))
    one.clock.step(0.8)
    stock = one.stock
    one.generator.uid()
    assert len(stock.buffer) == 0
    one.clock.step(0.3)
    one.generator.uid()
    assert len(stock.buffer) > 0


def test_stock_of_a_future_is_thrown_away(bench):
    """After a step back the padding thread clears it; the next mint claims."""
    one = bench(CachedUidGenerator)
    stock = one.stock
    one.generator.uid()
    one.clock.step(-100)
    stock.pad()
    assert len(stock.buffer) == 0
    assert abs(one.lead(one.generator.uid())) <= 1


def test_padding_survives_what_goes_wrong(bench, caplog):
    """It clears the stock and parks; the caller meets the error."""
    one = bench(CachedUidGenerator)
    stock = one.stock
    one.generator.uid()
    one.clock.step(-365 * 86400)
    with caplog.at_level(logging.DEBUG):
        assert not stock.pad()
    assert "Padding of generator 'bench' stopped" in caplog.text
    assert len(stock.buffer) == 0


def test_padding_thread_renews_the_lease(bench):
    """From half of its length on."""
    one = bench(CachedUidGenerator, lease_ticks=10_000)
    stock = one.stock
    one.generator.uid()
    one.clock.step(6)
    stock.buffer.clear()
    one.generator.uid()
    stock.pad()
    assert one.assigner.renewals == 1


def test_nothing_is_padded_for_a_closed_generator(bench):
    """Its generation is over."""
    one = bench(CachedUidGenerator)
    one.generator.uid()
    stock = one.stock
    one.generator.close()
    assert not stock.pad()


def test_real_padding_thread_parks_when_idle():
    """And is woken by the next mint."""
    layout = BitLayout.preset("snowflake")
    options = GeneratorOptions(max_age=0.02)
    generator = CachedUidGenerator(layout, MemoryAssigner(layout), options=options)
    stock = generator._own_stock()
    parked = threading.Event()
    pad = stock.executor._work

    def watched():
        goes_on = pad()
        if not goes_on:
            parked.set()
        return goes_on

    stock.executor._work = watched
    for _ in range(2):
        parked.clear()
        generator.uid()
        assert parked.wait(10)
        assert len(stock.buffer) == 0
    assert stock.executor.running
    generator.close()
    assert not stock.executor.running


def test_stock_where_no_thread_can_be_started(bench):
    """Nobody would watch its age."""
    one = bench(CachedUidGenerator)
    stock = one.stock

    def refuse():
        raise RuntimeError("can't create new thread at interpreter shutdown")

    stock.executor.wake = refuse
    assert one.generator.uid()
    assert len(stock.buffer) == 0


# Where threads do not run.


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
    assert isinstance(one.stock, NoStock)


def test_thread_of_a_generation_that_was_given_up(bench):
    """It is ended, for it may be parked for ever."""
    stock = bench(CachedUidGenerator).stock
    stock.abandon()
    assert stock.executor._stopping.is_set


def test_thread_that_pads_for_a_generation_that_is_over(bench):
    """It ends by itself: whoever was late may have started it again."""
    stock = bench(CachedUidGenerator).stock
    stock.generation.guard.disarm()
    assert stock.pad() is False
    assert stock.executor._stopping.is_set

"""The shelves: of one tick, and of any tick."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_uidgen.core.clock import FakeClock
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.shelves import RingBuffer, TickShelf

LAYOUT = BitLayout(31, 10, 12, tick_ms=1000)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def buffer():
    """Return a buffer with ten UIDs in two runs."""
    buffer = RingBuffer(100)
    buffer.fill([range(10, 15), range(20, 25)])
    return buffer


def test_first_in_first_out(buffer):
    """UIDs come out in the order of their runs."""
    assert [buffer.shelf.popleft() for _ in range(10)] == [
        *range(10, 15),
        *range(20, 25),
    ]
    with pytest.raises(IndexError):
        buffer.shelf.popleft()


def test_take(buffer):
    """As many as there are."""
    assert buffer.take(3) == [10, 11, 12]
    assert buffer.take(0) == []
    assert buffer.take(100) == [13, 14, *range(20, 25)]
    assert buffer.take(1) == []


@pytest.mark.parametrize(("uid", "left"), [(0, 10), (12, 8), (17, 5), (99, 0)])
def test_discard_below(buffer, uid, left):
    """Only what is lower goes."""
    buffer.discard_below(uid)
    assert len(buffer) == left


def test_consumed_counts_what_consumers_took(buffer):
    """And not what was thrown away."""
    buffer.shelf.popleft()
    buffer.take(2)
    buffer.discard_below(15)
    buffer.shelf.popleft()
    buffer.clear()
    assert buffer.consumed == 4
    assert len(buffer) == 0


@pytest.fixture
def clock():
    """Return a clock at the begin of a tick of a second."""
    return FakeClock(LAYOUT, NOW)


@pytest.fixture
def stock(clock):
    """Return five UIDs of the present tick."""
    stock = TickShelf(clock, clock.tick())
    stock.fill([range(10, 13), range(20, 22)])
    return stock


def test_stock_of_a_tick_lasts_as_long_as_the_tick(clock, stock):
    """To the nanosecond, and again after a step back."""
    assert stock.popleft() == 10
    clock.step(0.999_999_999)
    assert stock.popleft() == 11
    clock.step(1e-9)
    with pytest.raises(IndexError):
        stock.popleft()
    clock.step(-1e-9)
    assert stock.popleft() == 12
    clock.step(-1.0)
    with pytest.raises(IndexError):
        stock.popleft()


def test_stock_of_a_tick_is_taken_in_order(stock):
    """As many as there are."""
    assert stock.take(2) == [10, 11]
    assert stock.take(4) == [12, 20, 21]
    assert stock.take(1) == []


def test_stock_of_another_tick_is_thrown_away(clock, stock):
    """It must not come back when the clock does: others were minted meanwhile."""
    clock.step(1.0)
    assert stock.take(1) == []
    clock.step(-1.0)
    assert stock.take(1) == []

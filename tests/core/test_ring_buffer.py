"""The stock, and the thread that keeps it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from django_uidgen.core.clock import FakeClock
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.ring_buffer import (
    BufferPaddingExecutor,
    RingBuffer,
    TickStock,
)

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
    assert [buffer.stock.popleft() for _ in range(10)] == [
        *range(10, 15),
        *range(20, 25),
    ]
    with pytest.raises(IndexError):
        buffer.stock.popleft()


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
    buffer.stock.popleft()
    buffer.take(2)
    buffer.discard_below(15)
    buffer.stock.popleft()
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
    stock = TickStock(clock, clock.tick())
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


class Rounds:
    """Work for an executor, that says when it was done."""

    def __init__(self, goes_on):
        self.goes_on = goes_on
        self.done = threading.Semaphore(0)
        self.threads = set()

    def __call__(self):
        self.threads.add(threading.current_thread())
        self.done.release()
        return self.goes_on


@pytest.fixture
def start():
    """Make an executor that is stopped at the end."""
    executors = []

    def make(work, interval=0.01):
        executors.append(BufferPaddingExecutor(work, interval=interval, name="padding"))
        return executors[-1]

    yield make
    for executor in executors:
        executor.stop(5)


def test_no_thread_before_the_first_wake(start):
    """A process that mints nothing has no thread."""
    assert not start(Rounds(True)).running


def test_works_in_rounds_until_there_is_nothing_to_do(start):
    """Without further wakes."""
    work = Rounds(True)
    start(work).wake()
    for _ in range(5):
        assert work.done.acquire(timeout=10)
    work.goes_on = False


def test_parks_until_the_next_wake(start):
    """One round for each wake when there is nothing to do, in one thread."""
    work = Rounds(False)
    executor = start(work)
    for _ in range(3):
        executor.wake()
        assert work.done.acquire(timeout=10)
    assert not work.done.acquire(timeout=0.2)
    assert len(work.threads) == 1


def test_stop_and_wake_again(start):
    """A fork stops the thread; the next mint starts another."""
    work = Rounds(True)
    executor = start(work)
    executor.wake()
    assert work.done.acquire(timeout=10)
    executor.stop(10)
    assert not executor.running
    assert not any(thread.is_alive() for thread in work.threads)
    while work.done.acquire(blocking=False):
        pass
    executor.wake()
    assert work.done.acquire(timeout=10)
    assert len(work.threads) == 2


def test_stop_while_parked(start):
    """A thread that sleeps without a timeout is reached too."""
    work = Rounds(False)
    executor = start(work)
    executor.wake()
    assert work.done.acquire(timeout=10)
    executor.stop(10)
    assert not any(thread.is_alive() for thread in work.threads)


def test_stop_from_the_thread_itself(start):
    """It does not wait for itself."""
    stopped = threading.Event()

    def work():
        executor.stop(10)
        stopped.set()
        return True

    executor = start(work)
    executor.wake()
    assert stopped.wait(5)


def test_work_that_fails_is_tried_again(start, caplog):
    """At the next wake, by the same thread."""
    done = threading.Semaphore(0)

    def work():
        done.release()
        raise ZeroDivisionError

    executor = start(work)
    for _ in range(3):
        executor.wake()
        assert done.acquire(timeout=10)
    executor.stop(10)
    assert "The thread 'padding' failed" in caplog.text


def test_stop_without_a_thread(start):
    """Nothing happens."""
    start(Rounds(True)).stop(1)


@pytest.mark.parametrize("interrupt", ["wake", "stop"])
def test_signal_handler_in_the_midst_of_a_start(start, monkeypatch, interrupt):
    """It mints, or forks: it is the thread that it would wait for."""
    executor, begun = start(Rounds(False)), []
    begin = threading.Thread.start

    def interrupted(thread):
        if thread.name == "padding" and not begun:
            begun.append(thread)
            if interrupt == "wake":
                executor.wake()
            else:
                executor.stop(0.01)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    # In a thread of its own, since it would not end if this went wrong.
    waking = threading.Thread(target=executor.wake, daemon=True)
    waking.start()
    waking.join(10)
    assert not waking.is_alive()
    begun[0].join(0 if interrupt == "wake" else 10)
    executor.stop(10)
    begun[0].join(10)
    assert not begun[0].is_alive()


def test_many_wakes_at_once_start_one_thread(start):
    """Whoever comes first."""
    work = Rounds(True)
    executor = start(work)
    wakers = [threading.Thread(target=executor.wake) for _ in range(16)]
    for waker in wakers:
        waker.start()
    for waker in wakers:
        waker.join()
    # One that had not seen it yet.
    executor._start()
    for _ in range(3):
        assert work.done.acquire(timeout=10)
    assert len(work.threads) == 1

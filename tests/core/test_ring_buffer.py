"""The stock, and the thread that keeps it."""

from __future__ import annotations

import threading

import pytest

from django_uidgen.core.ring_buffer import BufferPaddingExecutor, RingBuffer


@pytest.fixture
def buffer():
    """Return a buffer with ten UIDs in two runs."""
    buffer = RingBuffer(100)
    buffer.fill([range(10, 15), range(20, 25)])
    return buffer


def test_first_in_first_out(buffer):
    """UIDs come out in the order of their runs."""
    assert [buffer.pop() for _ in range(10)] == [*range(10, 15), *range(20, 25)]
    with pytest.raises(IndexError):
        buffer.pop()


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
    buffer.pop()
    buffer.take(2)
    buffer.discard_below(15)
    buffer.pop()
    buffer.clear()
    assert buffer.consumed == 4
    assert len(buffer) == 0


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


def test_many_wakes_at_once_start_one_thread(start):
    """Whoever comes first."""
    work = Rounds(True)
    executor = start(work)
    wakers = [threading.Thread(target=executor.wake) for _ in range(16)]
    for waker in wakers:
        waker.start()
    for waker in wakers:
        waker.join()
    for _ in range(3):
        assert work.done.acquire(timeout=10)
    assert len(work.threads) == 1

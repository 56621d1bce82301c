"""The thread that works in rounds."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from django_uidgen.core.layout import BitLayout
from django_uidgen.core.padding_executor import BufferPaddingExecutor

LAYOUT = BitLayout(31, 10, 12, tick_ms=1000)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


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

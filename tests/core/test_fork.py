"""Forks, with hooks and without: a child never uses what was its parent's."""

from __future__ import annotations

import ctypes
import gc
import json
import multiprocessing
import os
import select
import signal
import sys
import threading
import traceback
import types
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from django_uidgen.core import fork
from django_uidgen.core.exceptions import MaxWaitExceeded
from django_uidgen.core.fork import (
    ForkAware,
    ForkGuard,
    ProcessLock,
    hooks,
    this_process,
)
from django_uidgen.core.generators import CachedUidGenerator, DefaultUidGenerator
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.stocks import PaddedStock
from tests.support.holders import held_by_a_thread
from tests.support.memory import MemoryAssigner

LAYOUT = BitLayout.preset("snowflake")

both = pytest.mark.parametrize("kind", [DefaultUidGenerator, CachedUidGenerator])


class ByProcess(MemoryAssigner):
    """A worker id for each process: memory is no table that processes could share."""

    def __init__(self, layout):
        super().__init__(layout)
        self._processes = multiprocessing.Value("i", 0)
        self._worker_ids = {}

    def claim(self, now):
        pid = os.getpid()
        if pid not in self._worker_ids:
            with self._processes.get_lock():
                self._processes.value += 1
                self._worker_ids[pid] = self._processes.value
        self.worker_ids = [self._worker_ids[pid]]
        return super().claim(now)


def in_child(work, *, fork=os.fork):
    """Fork, do ``work`` in the child, and return its result as JSON gives it."""
    read, write = os.pipe()
    pid = fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(20)
            os.write(write, json.dumps(work()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        if not select.select([answer], [], [], 60)[0]:
            os.kill(pid, signal.SIGKILL)  # it hangs, perhaps before its alarm was set
        text = answer.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(text)


def c_fork():
    """Fork as uWSGI's master does: in C, with no hook of Python's.

    It has no thread that waits for the GIL, for which the child would wait in turn.
    """
    for member in fork.hooks.members():
        if isinstance(member, PaddedStock):
            member.executor.stop(10)
    return ctypes.PyDLL(None).fork()


forks = pytest.mark.parametrize("fork", [os.fork, c_fork])


@pytest.fixture
def generator(kind):
    """Return a generator that has minted, with stock."""
    generator = kind(LAYOUT, ByProcess(LAYOUT))
    generator.uid()
    yield generator
    generator.close()


@both
@forks
def test_child_mints_with_its_own_lease(generator, fork):
    """No UID twice, and no worker id of the parent's."""
    before = [generator.uid() for _ in range(20)]
    stock = generator._own_stock()
    if isinstance(stock, PaddedStock):
        assert len(stock.buffer) > 0

    def mint():
        uids = [generator.uid() for _ in range(3000)] + generator.uids(3000)
        return [uids, generator.lease.worker_id]

    uids, worker_id = in_child(mint, fork=fork)
    after = [generator.uid() for _ in range(3000)]
    assert len({*before, *uids, *after}) == 6020 + 3000
    assert worker_id != generator.lease.worker_id
    assert min(uids) > max(before)


@both
@forks
def test_grandchild(generator, fork):
    """The page of a child is wiped in its children too."""

    def mint():
        mine = [generator.uid() for _ in range(100)]
        return mine + in_child(lambda: [generator.uid() for _ in range(100)], fork=fork)

    uids = in_child(mint, fork=fork) + [generator.uid() for _ in range(100)]
    assert len(set(uids)) == 300


@both
@forks
def test_child_of_a_parent_whose_locks_are_held(generator, fork):
    """Another thread of the parent may be minting or claiming at that moment."""
    keeper = generator._own_stock().keeper
    held = threading.Event()
    release = threading.Event()

    def hold():
        with keeper._lock:
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        uid = in_child(generator.uid, fork=without_warning(fork))
    finally:
        release.set()
        holder.join()
    assert uid != generator.uid()


@forks
def test_lock_of_a_process_is_free_in_a_child(fork):
    """Also where a thread of the parent holds it, and no hook runs."""
    lock = ProcessLock()

    def take():
        with lock.held(), lock.held():
            return "taken"

    with held_by_a_thread(lock.held):
        assert in_child(take, fork=without_warning(fork)) == "taken"
    assert take() == "taken"


def test_lock_of_a_process_is_held_by_one_thread():
    """In one process it is a lock."""
    lock = ProcessLock()
    order = []

    def wait():
        with lock.held():
            order.append("second")

    with held_by_a_thread(lock.held):
        waiter = threading.Thread(target=wait)
        waiter.start()
        order.append("first")
    waiter.join()
    assert order == ["first", "second"]


def test_first_use_of_a_lock_by_two_threads():
    """They get the same one: each made one, and one was first."""
    lock = ProcessLock()
    both_look = threading.Barrier(2)

    class Locks(dict):
        def get(self, key):
            found = super().get(key)
            both_look.wait(30)
            return found

    lock._locks = Locks()
    entered = [threading.Event(), threading.Event()]
    together = []

    def enter(one, other):
        with lock.held():
            entered[one].set()
            # Nothing to wait for where all is well: the other thread cannot enter.
            together.append(not entered[other].is_set() and entered[other].wait(0.2))

    threads = [threading.Thread(target=enter, args=pair) for pair in [(0, 1), (1, 0)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [False, False]


class TimeLimit(Exception):
    """Raised by a signal handler, at whatever line."""


def interrupted_at_the_end_of(function, work):
    """Do ``work``, and raise ``TimeLimit`` where ``function`` would return."""

    def trace(frame, event, argument):
        if event == "return":
            raise TimeLimit
        return trace

    def trace_calls(frame, event, argument):
        return trace if frame.f_code is function.__code__ else None

    before = sys.gettrace()
    sys.settrace(trace_calls)
    try:
        with pytest.raises(TimeLimit):
            work()
    finally:
        sys.settrace(before)


def test_lock_that_an_exception_left_held(monkeypatch):
    """A second thread waits for a while, and the next call does without that lock."""
    monkeypatch.setattr(fork, "_LONGEST_WAIT", 0.05)
    lock = ProcessLock()

    def hold():
        with lock.held():
            pass

    interrupted_at_the_end_of(ProcessLock.acquire, hold)
    with ThreadPoolExecutor(1) as thread:
        with pytest.raises(MaxWaitExceeded, match="Was it interrupted"):
            thread.submit(hold).result(60)
        thread.submit(hold).result(60)
    hold()


def have_process_id(monkeypatch, number):
    """Have the module ``fork`` see this process id, here and in children."""
    fake = types.SimpleNamespace(getpid=lambda: number)
    monkeypatch.setattr("django_uidgen.core.fork.os", fake)


@forks
def test_child_with_the_process_id_of_an_ancestor(monkeypatch, fork):
    """Numbers come round: a grandchild may have that of a process that is dead."""
    lock = ProcessLock()
    have_process_id(monkeypatch, 4711)
    parent = this_process()

    def take():
        with lock.held():
            return this_process() is parent

    with held_by_a_thread(lock.held):
        assert in_child(take, fork=without_warning(fork)) is False


def test_child_with_the_process_id_of_its_parent_without_a_page(monkeypatch):
    """There the hook of a fork by Python helps."""
    monkeypatch.setattr(fork, "_wiped_on_fork", lambda: None)
    monkeypatch.setattr(fork, "_guard", ForkGuard())
    have_process_id(monkeypatch, fork._guard.process_id)
    parent = this_process()
    assert in_child(lambda: this_process() is parent) is False
    assert this_process() is parent


def test_what_others_need_is_stopped_last():
    """Threads that are ended before a fork may need what is closed before it."""
    order = []

    class Member(ForkAware):
        def __init__(self, *, stops_last):
            self.stops_last = stops_last

        def before_fork(self):
            order.append(self.stops_last)

    members = [Member(stops_last=number % 2 == 0) for number in range(20)]
    for member in members:
        hooks.add(member)
    in_child(lambda: None)
    assert order == [False] * 10 + [True] * 10


def without_warning(fork):
    """Return ``fork`` for a test that has threads of its own, of which Python warns."""

    def quiet():
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            return fork()

    return quiet


@both
def test_fork_in_a_thread(generator):
    """The child's only thread is not the main one of its parent."""
    uids = []

    def forking():
        fork = without_warning(os.fork)
        uids.extend(in_child(lambda: [generator.uid() for _ in range(50)], fork=fork))

    thread = threading.Thread(target=forking)
    thread.start()
    thread.join()
    uids += [generator.uid() for _ in range(50)]
    assert len(set(uids)) == 100


def test_no_thread_of_ours_is_there_when_python_forks():
    """Python warns of forks with threads, and warnings are errors here."""
    generator = CachedUidGenerator(LAYOUT, ByProcess(LAYOUT))
    generator.uid()
    assert generator._own_stock().executor.running
    in_child(generator.uid)
    assert not generator._own_stock().executor.running
    generator.uid()
    assert generator._own_stock().executor.running
    generator.close()


def test_thread_of_a_generator_that_was_dropped():
    """It is stopped as well, though nobody closed the generator."""
    generator = CachedUidGenerator(LAYOUT, ByProcess(LAYOUT))
    generator.uid()
    thread = generator._own_stock().executor._thread
    assert thread.is_alive()
    del generator
    gc.collect()
    in_child(lambda: 0)
    assert not thread.is_alive()


def test_stock_is_not_left_unwatched_over_a_fork():
    """The thread that throws old UIDs away was stopped."""
    generator = CachedUidGenerator(LAYOUT, ByProcess(LAYOUT))
    generator.uid()
    in_child(lambda: 0)
    assert len(generator._own_stock().buffer) == 0
    generator.close()


def test_fork_does_not_wait_for_ever_for_the_lock(monkeypatch):
    """A signal handler that forks may have interrupted its holder."""
    monkeypatch.setattr("django_uidgen.core.stocks.STOP_TIMEOUT", 0.01)
    generator = CachedUidGenerator(LAYOUT, ByProcess(LAYOUT))
    with generator._own_stock().generation.lock:
        uid = in_child(generator.uid)
    assert uid != generator.uid()
    generator.close()


def test_close_in_a_child_leaves_the_parents_lease():
    """The child must not release it."""
    generator = DefaultUidGenerator(LAYOUT, ByProcess(LAYOUT))
    generator.uid()

    def close():
        generator.close()
        return generator.assigner.rows[0].released

    assert in_child(close) is False
    generator.close()


@pytest.mark.parametrize("page", ["wiped by the kernel", "plain"])
def test_guard_holds_in_its_own_process_only(monkeypatch, page):
    """With the kernel's help or with the process id."""
    if page == "plain":
        monkeypatch.setattr(fork, "_wiped_on_fork", lambda: None)
    guard = ForkGuard()
    assert guard
    assert in_child(lambda: bool(guard)) is False
    assert guard
    guard.disarm()
    assert not guard


def test_guard_page_reads_zero_after_a_fork_in_c():
    """No hook runs there."""
    guard = ForkGuard()
    assert guard.page[0] == 1
    assert guard.alive
    seen = in_child(lambda: [guard.page[0], bool(guard.alive)], fork=c_fork)
    assert seen == [0, False]
    assert guard.page[0] == 1
    assert guard.alive


class Constant:
    """A number of a ctypes whose truth says nothing."""

    def __init__(self, *, truth):
        self.truth = truth

    def from_buffer(self, page):
        return self

    def __bool__(self):
        return self.truth


@pytest.mark.parametrize(
    "without",
    [
        None,
        types.SimpleNamespace(c_ubyte=Constant(truth=True)),
        types.SimpleNamespace(c_ubyte=Constant(truth=False)),
    ],
)
def test_guard_without_the_help_of_ctypes(monkeypatch, without):
    """Where it is missing, or is not what is expected of it."""
    monkeypatch.setitem(sys.modules, "ctypes", without)
    guard = ForkGuard()
    monkeypatch.undo()
    assert isinstance(guard.alive, fork._FirstByte)
    assert guard.alive
    assert in_child(lambda: bool(guard.alive), fork=c_fork) is False
    assert guard.alive
    guard.disarm()
    assert not guard.alive


def test_guard_has_the_help_of_ctypes():
    """Here it is there."""
    assert isinstance(ForkGuard().alive, ctypes.c_ubyte)


def test_page_without_help_of_the_kernel(monkeypatch):
    """Other systems, and Linux before 4.14."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert fork._wiped_on_fork() is None
    monkeypatch.undo()
    monkeypatch.setattr(fork, "_MADV_WIPEONFORK", 9999)
    assert fork._wiped_on_fork() is None


@both
def test_hooks_where_nothing_else_tells(monkeypatch, kind):
    """Neither a page of the kernel's nor the process id, which has come round."""
    monkeypatch.setattr(fork, "_wiped_on_fork", lambda: None)
    have_process_id(monkeypatch, 4711)
    generator = kind(LAYOUT, MemoryAssigner(LAYOUT))
    generator.uid()
    assert in_child(lambda: bool(generator._generation.guard)) is False
    assert generator._generation.guard
    generator.close()


@both
def test_hooks_alone_are_enough(monkeypatch, kind):
    """Where there is no such page."""
    monkeypatch.setattr(fork, "_wiped_on_fork", lambda: None)
    generator = kind(LAYOUT, ByProcess(LAYOUT))
    before = generator.uid()
    assert isinstance(generator._own_stock().generation.guard.page, bytearray)
    uids = in_child(lambda: [generator.uid() for _ in range(100)])
    after = [generator.uid() for _ in range(100)]
    assert len({before, *uids, *after}) == 201
    generator.close()


_shared: list[CachedUidGenerator] = []


def _mint_in_process(count):
    return [_shared[0].uid() for _ in range(count)]


@pytest.mark.parametrize("kind", [CachedUidGenerator])
def test_process_pool(generator):
    """Multiprocessing and concurrent.futures fork too."""
    _shared[:] = [generator]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        parts = list(pool.map(_mint_in_process, [500] * 6))
    uids = {uid for part in parts for uid in part}
    uids.update(_mint_in_process(500))
    assert len(uids) == 3500


def test_collected_generators_are_forgotten():
    """The hooks hold no generator that nobody uses."""
    gc.collect()
    before = len(fork.hooks.members())
    generator = DefaultUidGenerator(LAYOUT, ByProcess(LAYOUT))
    assert len(fork.hooks.members()) == before + 1
    del generator
    gc.collect()
    assert len(fork.hooks.members()) == before

"""A program that mints, forks in one of many ways, and mints again on both sides.

    python -m tests.programs.forker FOLDER WAY [unguarded]

Each process writes what it was handed to a file in FOLDER. With "unguarded" nothing
tells a child that it is one, to see that the tests would notice.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import django
from django.apps import apps

COUNT = 300


def begin():
    """Set Django up, also in a process that was started anew."""
    if not apps.ready:
        django.setup()


def mint(name="child"):
    """Mint in each way, and write the UIDs down."""
    from django_uidgen import uid, uids

    minted = [uid() for _ in range(COUNT)] + uids(COUNT) + [uid()]
    write(name, minted)
    return len(minted)


def write(name, minted):
    """Write UIDs to a file of this process and moment."""
    file = f"{name}-{os.getpid()}-{time.monotonic_ns()}"
    text = "".join(f"{number}\n" for number in minted)
    Path(os.environ["UIDGEN_TEST_FOLDER"], file).write_text(text)


def c_fork():
    """Fork as a server written in C does: no hook of Python's runs.

    A thread that waits for the GIL at that moment could hang the child: none may.
    """
    from django_uidgen.core import fork

    # Not by members(), which the unguarded do without.
    for reference in fork.hooks._references:
        stock = reference()
        if hasattr(stock, "executor"):
            stock.executor.stop(10)
    return ctypes.PyDLL(None).fork()


def fork(work, *, by=os.fork):
    """Do ``work`` in a child, and return its process id."""
    pid = by()
    if pid == 0:
        status = 1
        try:
            signal.alarm(60)
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def wait(*pids):
    """See that children ended well."""
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# The ways.


def os_fork(by=os.fork):
    """Children, and children of theirs that have minted, and the parent meanwhile."""

    def family():
        mint()
        grandchild = fork(mint, by=by)
        mint()
        wait(grandchild)

    pids = [fork(family, by=by) for _ in range(3)]
    mint("parent")
    wait(*pids)


def raw_c_fork():
    """The same, where no hook of Python's runs."""
    os_fork(by=c_fork)


def child_that_mints_nothing_before_it_forks():
    """Only the grandchild notices."""
    pid = fork(lambda: wait(fork(mint, by=c_fork)), by=c_fork)
    wait(pid)


def fork_in_a_thread():
    """While other threads mint."""
    stop = threading.Event()

    def flat_out():
        while not stop.is_set():
            mint("thread")

    def forking():
        for _ in range(3):
            wait(fork(mint))

    minting = [threading.Thread(target=flat_out) for _ in range(3)]
    forker = threading.Thread(target=forking)
    for thread in [*minting, forker]:
        thread.start()
    forker.join()
    stop.set()
    for thread in minting:
        thread.join()


def fork_in_atomic():
    """The child's claims are its own, and the parent's transaction goes on."""
    from django.db import transaction

    from tests.testapp.models import Order

    with transaction.atomic():
        write("parent", [Order.objects.create(name="before").pk])
        pid = fork(mint_if_possible)
        write("parent", [Order.objects.create(name="after").pk])
        mint("parent")
    wait(pid)
    assert Order.objects.count() == 2


def mint_if_possible():
    """Mint, or return the error: SQLite's locks do not survive a fork."""
    from django.db import connection

    from django_uidgen.core.exceptions import WorkerIdUnavailable

    try:
        mint()
    except WorkerIdUnavailable:
        assert connection.vendor == "sqlite"


def fork_during_a_claim():
    """A thread of the parent waits for the database, which answers after the fork."""
    from django_uidgen import generators, registry

    registry.generators.reset()
    assigner = generators["default"].assigner
    claiming, claim = threading.Event(), assigner._claim

    def noting(*args, **kwargs):
        claiming.set()
        return claim(*args, **kwargs)

    assigner._claim = noting
    thread = threading.Thread(target=mint, args=["thread"])
    say("ready")
    sys.stdin.readline()  # the table is locked
    thread.start()
    assert claiming.wait(30)
    pids = [fork(mint) for _ in range(2)]
    say("forked")
    thread.join()
    wait(*pids)


def say(line):
    """Tell the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def in_process(_):
    """Mint in a process of a pool or of multiprocessing."""
    signal.alarm(60)
    begin()
    return mint()


def processes(method):
    """Start processes by multiprocessing."""
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["tests.programs.preloaded"])
    children = [context.Process(target=in_process, args=(None,)) for _ in range(2)]
    for child in children:
        child.start()
    mint("parent")
    for child in children:
        child.join()
        assert child.exitcode == 0


def pool(method):
    """Have a pool of processes mint."""
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["tests.programs.preloaded"])
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        list(executor.map(in_process, range(6)))
        mint("parent")


WAYS = {
    "os.fork": os_fork,
    "raw C fork": raw_c_fork,
    "raw C fork, then another": child_that_mints_nothing_before_it_forks,
    "os.fork in a thread": fork_in_a_thread,
    "os.fork in atomic": fork_in_atomic,
    "os.fork during a claim": fork_during_a_claim,
    "Process, fork": lambda: processes("fork"),
    "Process, forkserver": lambda: processes("forkserver"),
    "Process, spawn": lambda: processes("spawn"),
    "ProcessPoolExecutor, fork": lambda: pool("fork"),
    "ProcessPoolExecutor, forkserver": lambda: pool("forkserver"),
    "ProcessPoolExecutor, spawn": lambda: pool("spawn"),
}


def take_the_guard_away():
    """Let children believe that they are their parents."""
    from django_uidgen.core import fork as module

    module._wiped_on_fork = lambda: None
    module.ForkGuard.__bool__ = lambda guard: guard.page[0] == 1
    module._ForkHooks.members = lambda hooks: []


def main(folder, way, *options):
    """Mint, fork, mint."""
    os.environ["UIDGEN_TEST_FOLDER"] = folder
    begin()
    if "unguarded" in options:
        take_the_guard_away()
    from django.db import connections

    mint("parent before")
    connections.close_all()
    WAYS[way]()
    mint("parent after")


if __name__ == "__main__":
    main(*sys.argv[1:])

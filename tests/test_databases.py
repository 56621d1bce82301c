"""The gate between connections and forks."""

from __future__ import annotations

import threading

from django_uidgen import databases


def in_thread(work):
    """Do ``work`` in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_two_threads_that_fork(monkeypatch):
    """One that did not get the gate in time leaves it to the one that has it."""
    monkeypatch.setattr(databases, "_GATE_TIMEOUT", 0.01)
    gate = databases._ForkGate()
    gate.before_fork()

    def fork_as_well():
        gate.before_fork()
        gate.after_fork_in_parent()

    def look():
        open_again.append(gate._lock.acquire(timeout=0) is not None)

    open_again = []
    in_thread(fork_as_well)
    in_thread(look)
    gate.after_fork_in_parent()
    in_thread(look)
    assert open_again == [False, True]

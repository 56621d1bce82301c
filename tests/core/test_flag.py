"""A flag that threads wait for."""

from __future__ import annotations

import threading

from django_uidgen.core.flag import Flag


def test_set_and_clear():
    """Setting it twice is setting it once."""
    flag = Flag()
    assert not flag.is_set
    assert not flag.wait(0.01)
    flag.set()
    flag.set()
    assert flag.is_set
    assert flag.wait(0)
    flag.clear()
    assert not flag.is_set
    assert not flag.wait(0.01)
    flag.set()
    assert flag.wait(0)


def test_wakes_all_who_wait():
    """Each thread that waits hands the news on."""
    flag = Flag()
    woken = threading.Semaphore(0)
    ready = threading.Barrier(5)

    def wait():
        ready.wait(30)
        if flag.wait(60):
            woken.release()

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    flag.set()
    for _ in threads:
        assert woken.acquire(timeout=30)


def test_set_by_two_threads_at_once(monkeypatch):
    """The second finds the gate open that it saw locked."""
    flag = Flag()

    class SeenLocked:
        def __init__(self, lock):
            self.locked = lambda: True
            self.release = lock.release
            self.acquire = lock.acquire

    monkeypatch.setattr(flag, "_gate", SeenLocked(flag._gate))
    flag.set()
    flag.set()
    assert flag.wait(0)

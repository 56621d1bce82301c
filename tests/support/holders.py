"""Threads that hold a lock."""

from __future__ import annotations

import threading
from contextlib import contextmanager

#: Seconds that a thread holds a lock at the most.
LIMIT = 60


@contextmanager
def held_by_a_thread(hold):
    """Enter what ``hold()`` returns in another thread, until the body ends."""
    entered, release = threading.Event(), threading.Event()

    def enter():
        with hold():
            entered.set()
            release.wait(LIMIT)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    try:
        assert entered.wait(LIMIT)
        yield
    finally:
        release.set()
        thread.join(LIMIT)

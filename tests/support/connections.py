"""Work beside the test, as another process of the project would do it."""

from __future__ import annotations

import threading

from django.db import connections


def in_another_connection(work):
    """Return what ``work`` returns in a thread with a connection of its own."""
    results = []

    def target():
        try:
            results.append(work())
        finally:
            connections.close_all()

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    return results[0]


def in_threads(work, count):
    """Do ``work`` in threads that start it at once; return results and errors."""
    results, errors, barrier = [], [], threading.Barrier(count)

    def target():
        barrier.wait()
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - compared with what is expected
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, errors

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

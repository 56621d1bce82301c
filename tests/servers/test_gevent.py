"""gunicorn with gevent, which makes a greenlet of every thread."""

from __future__ import annotations

from tests.servers.test_gunicorn import gunicorn, preload

__all__ = ["gunicorn"]


@preload
def test_gevent(gunicorn, preload):
    """Two patched workers, in each of which greenlets mint by turns."""
    server = gunicorn("--worker-class", "gevent", *preload)
    server.drive("mixed", "uid", "uids", pids=2)
    server.assert_nothing_repeats()
    server.stop()
    assert server.unreleased_leases() == set()

"""gunicorn, which forks its workers from a master by ``os.fork``."""

from __future__ import annotations

import signal
import sys

import pytest

ADDRESS = r"Listening at: (http://[\d.:]+)"
READY = r"Booting worker with pid: (\d+)"


@pytest.fixture
def gunicorn(start):
    """Return a function that starts gunicorn, whose master mints before each fork."""

    def start_(*options):
        server = start(
            [
                *(sys.executable, "-m", "gunicorn", "tests.servers.project.wsgi"),
                *("--config", "python:tests.servers.project.gunicorn_conf"),
                *("--bind", "127.0.0.1:0", "--workers", "2"),
                *("--no-control-socket", *options),
            ],
            UIDGEN_TEST_BEFORE_FORK="once",
        )
        [server.address] = server.wait_for(ADDRESS)
        return server

    return start_


preload = pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])


@preload
@pytest.mark.parametrize(
    "workers",
    [["--worker-class", "sync"], ["--worker-class", "gthread", "--threads", "4"]],
    ids=["sync", "gthread"],
)
def test_gunicorn(gunicorn, workers, preload):
    """Two workers of a master that has minted, and goes on minting at each fork."""
    server = gunicorn(*workers, *preload)
    server.drive("uid", "uids", "mixed", pids=2)
    server.assert_nothing_repeats()
    server.stop()
    assert server.unreleased_leases() == set()


@preload
def test_max_requests(gunicorn, preload):
    """Workers that end after ten requests, and others in their places."""
    server = gunicorn("--max-requests", "10", "--max-requests-jitter", "5", *preload)
    server.drive("uid", "uids", pids=6)
    server.assert_nothing_repeats()
    server.stop()
    assert server.unreleased_leases() == set()


@preload
def test_reload(gunicorn, preload):
    """HUP, in the midst of requests: new workers take over from the old ones."""
    server = gunicorn(*preload)
    server.drive("uid", "uids", pids=2)
    server.process.send_signal(signal.SIGHUP)
    server.drive("uid", "uids", pids=4)
    server.assert_nothing_repeats()
    server.stop()
    assert server.unreleased_leases() == set()

"""uWSGI, which forks in C: from a master that has loaded the project, by default."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.servers.server import free_address, program

#: Let requests end. What SIGTERM does with --die-on-term is to end workers in the midst
#: of them, past all hooks, so that their leases would have to lapse.
GRACEFUL = "unix_signal:15 gracefully_kill_them_all"


@pytest.fixture
def uwsgi(start):
    """Return a function that starts uWSGI with a project that mints as it is loaded."""

    def start_(*options, **environ):
        address = free_address()  # a port that is kept when uWSGI begins anew
        server = start(
            [
                *(program("uwsgi"), "--master", "--need-app"),
                *("--hook-master-start", GRACEFUL),
                *("--http-socket", address, "--processes", "2"),
                *("--virtualenv", sys.prefix, "--disable-logging"),
                *("--module", "tests.servers.project.wsgi", *options),
            ],
            **{"UIDGEN_TEST_BEFORE_FORK": "once"} | environ,
        )
        server.address = f"http://{address}"
        server.wait_for(rf"bound to TCP address {address}")
        return server

    return start_


threads = pytest.mark.parametrize(
    "threads",
    [[], ["--enable-threads"], ["--threads", "4"]],
    ids=["no threads", "enable-threads", "threads"],
)


@threads
@pytest.mark.parametrize(
    "load",
    [[], ["--lazy-apps", "--shared-import", "tests.servers.project.wsgi"]],
    ids=["", "lazy-apps"],
)
def test_uwsgi(uwsgi, threads, load):
    """Two workers of a master that has minted, and none of them hangs.

    No hook of Python's tells them that they were forked.
    """
    server = uwsgi(*threads, *load)
    server.drive("uid", "uids", "mixed", pids=2)
    server.assert_nothing_repeats()


@pytest.mark.parametrize("threads", [[], ["--threads", "4"]], ids=["", "threads"])
def test_lazy_apps(uwsgi, threads):
    """Two workers that load the project, and mint as they do."""
    server = uwsgi(*threads, "--lazy-apps")
    server.drive("uid", "uids", "mixed", pids=2)
    server.assert_nothing_repeats(parent_minted=False)
    assert server.minted().keys() == server.pids


def test_thread_in_the_master(uwsgi):
    """It mints on while the workers are forked.

    That uWSGI's option is needed for any thread of a master, or a worker may find
    Python's own lock held.
    """
    options = ["--enable-threads", "--py-call-uwsgi-fork-hooks"]
    server = uwsgi(*options, UIDGEN_TEST_BEFORE_FORK="thread")
    server.drive("uid", "uids", pids=2)
    server.assert_nothing_repeats()


def test_locks_held_in_the_master(uwsgi):
    """The workers wait for ever for no lock that a thread of the master held."""
    server = uwsgi("--enable-threads", UIDGEN_TEST_BEFORE_FORK="locks")
    server.drive("uid", "uids", pids=2)
    server.assert_nothing_repeats()


def test_no_thread_of_ours_in_the_master(uwsgi):
    """Even with a worker id wanted at once, the process that forks claims none."""
    server = uwsgi(UIDGEN_TEST_ASSIGN="ready", UIDGEN_TEST_BEFORE_FORK="")
    server.drive("uid", "uids", pids=2)
    server.assert_nothing_repeats(parent_minted=False)
    assert server.owners() == server.pids


def test_max_requests(uwsgi):
    """Workers that end after ten requests, and others in their places."""
    server = uwsgi("--max-requests", "10", "--min-worker-lifetime", "0")
    server.drive("uid", "uids", pids=5)
    server.assert_nothing_repeats()
    # Not asked to stop: when it is about to start a worker, it would not.
    ended = set(map(int, server.wait_for(r"killed successfully \(pid: (\d+)\)", 3)))
    assert not ended & server.unreleased_leases()


def test_reload(uwsgi):
    """HUP, in the midst of requests: all begins anew, but for the master's number."""
    server = uwsgi()
    server.drive("uid", "uids", pids=2)
    server.process.send_signal(signal.SIGHUP)
    server.drive("uid", "uids", pids=4)
    server.assert_nothing_repeats()
    server.stop()
    assert server.unreleased_leases() == {server.pid}

"""A PostgreSQL server of the test's own that is stopped and started again."""

from __future__ import annotations

import pytest

from tests.scenarios.outages.conftest import VENDOR, wait_until

pytestmark = pytest.mark.skipif(
    VENDOR != "postgresql", reason="it needs PostgreSQL's driver"
)

LEASE = 2


@pytest.mark.parametrize("crash", [False, True])
def test_service_goes_on(run, server, database, crash):
    """Down for longer than a lease, with a fast and an immediate shutdown.

    Two processes mint on, fail when their leases have ended, and go on by themselves.
    """
    programs = [run(database, LEASE=LEASE) for _ in range(2)]
    for program in programs:
        assert program.mint() is None
    server.stop(crash=crash)
    for program in programs:
        wait_until(program.mint, "an error when the lease has ended")
        assert "WorkerIdUnavailable" in program.mint()
    server.start()
    for program in programs:
        assert program.mint() is None
    one, other = programs
    assert set(one.uids).isdisjoint(other.uids)
    for program in programs:
        program.exit()


def test_short_restart_is_not_noticed(run, server, database):
    """Within the lease no mint fails, and the next renewal finds the server."""
    program = run(database, LEASE=60)
    assert program.mint() is None
    for _ in range(2):
        server.stop()
        assert program.mint() is None
        server.start()
        assert program.mint() is None
    program.exit()
    assert program.said == ""

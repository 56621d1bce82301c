"""A worker table that somebody else has locked."""

from __future__ import annotations

from django.db import connections

from tests.scenarios.outages.conftest import USES_DATABASE, VENDOR
from tests.support.locks import locked_worker_table

pytestmark = USES_DATABASE

TOO_LONG = {
    "postgresql": "canceling statement due to statement timeout",
    "mysql": "Lost connection to",
    "sqlite": "database is locked",
}[VENDOR]


def test_process_that_can_start_no_thread(run):
    """It is told although it waits by itself, and mints when the lock is gone."""
    database = connections["default"].settings_dict
    program = run(database, "threadless", MAX_WAIT=0.5)
    # In the end the lock is given up, and who waited for it mints.
    with locked_worker_table():
        error = program.mint()
    assert "WorkerIdUnavailable" in error
    assert TOO_LONG in error
    assert program.mint() is None
    program.exit()

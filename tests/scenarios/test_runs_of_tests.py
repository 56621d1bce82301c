"""Test runs of a project that use one database at the same time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.db import connection

from tests.programs.run_of_tests import RunOfTests

pytestmark = pytest.mark.django_db(transaction=True)

#: The worker id of a test run with a database of its own.
FIXED = 0


@pytest.fixture
def start(settings, tmp_path):
    """Start test runs on one database, which does not exist yet."""
    name = f"{connection.settings_dict['NAME']}_shared"
    if connection.vendor == "sqlite":
        name = str(tmp_path / "shared.sqlite3")
    with ExitStack() as stack:
        stack.callback(connection.creation._destroy_test_db, name, 0)

        def start(how):
            run = RunOfTests(settings.SETTINGS_MODULE, name, how)
            stack.callback(run.kill)
            return run

        yield start


@pytest.mark.parametrize("how", ["migrate", "sync"])
def test_runs_in_one_database(start, how):
    """The one that made it has the fixed worker id; each other leases one.

    Whether it finds the database by ``migrate``, with or without migrations, or just
    connects to it.
    """
    maker = start(how)
    assert maker.worker_id() == FIXED
    others = [start(how), start("connect"), start("connect")]
    worker_ids = [run.worker_id() for run in others]
    assert len({FIXED, *worker_ids}) == 4
    assert [run.worker_id() for run in others] == worker_ids
    assert maker.worker_id() == FIXED

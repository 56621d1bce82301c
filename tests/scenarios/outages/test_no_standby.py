"""A PostgreSQL whose synchronous standby is away: a commit may be lost with it."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from tests.scenarios.outages.conftest import VENDOR, wait_until

pytestmark = pytest.mark.skipif(
    VENDOR != "postgresql", reason="others do not wait for standbys"
)

NOT_CONFIRMED = "No synchronous standby of database 'default' confirmed the commit"


@pytest.fixture
def primary(server, database):
    """Return a connection to a server that waits for a standby."""
    import psycopg

    address = {"host": str(server.folder), "user": "postgres", "autocommit": True}
    with closing(psycopg.connect(**address)) as primary:
        set_standby(primary, "absent")
        yield primary
        set_standby(primary, "")
        primary.execute("TRUNCATE django_uidgen_workernode")


def set_standby(primary, name):
    """Name the standby that confirms each commit; none with an empty name."""
    primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    primary.execute("SELECT pg_reload_conf()")

    def is_known():
        setting = primary.execute("SHOW synchronous_standby_names").fetchone()
        return setting == (name,)

    wait_until(is_known, "the new configuration")


def rows(primary):
    """Return the worker ids that are leased, in the order of their claims."""
    query = "SELECT worker_id FROM django_uidgen_workernode ORDER BY id"
    return [worker_id for [worker_id] in primary.execute(query)]


def mints_with_another_lease(program, primary):
    """Tell whether a lease in doubt was left alone when the standby came back."""
    [in_doubt] = rows(primary)
    set_standby(primary, "")
    assert program.mint() is None
    _, used = rows(primary)
    worker_ids = {uid >> 12 & 1023 for uid in program.uids}
    return worker_ids == {used} != {in_doubt}


@pytest.mark.parametrize("messages", ["notice", "error"])
def test_wait_that_is_cancelled(run, database, primary, messages):
    """The claim is committed and may be lost, so nothing is minted with it.

    Also where the project asks the server for no warnings.
    """
    options = {"options": f"-c client_min_messages={messages}"}
    program = run(database | {"OPTIONS": options}, MAX_WAIT=60)
    errors = []
    mint = threading.Thread(target=lambda: errors.append(program.mint()))
    mint.start()
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = %s"

    def was_told():
        # The claim waits, and then the statement that confirms it.
        primary.execute(cancel, ["SyncRep"])
        return not mint.is_alive()

    wait_until(was_told, "the error")
    [error] = errors
    assert NOT_CONFIRMED in error
    assert mints_with_another_lease(program, primary)
    program.exit()

"""A worker table, or a row of it, that somebody else has locked."""

from __future__ import annotations

import pytest
from django.db import connections

from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import ON_SERVER, USES_DATABASE, VENDOR
from tests.support.hosts import Hosts, assert_distinct
from tests.support.locks import locked_worker_table

pytestmark = USES_DATABASE

TOO_LONG = {
    "postgresql": "canceling statement due to statement timeout",
    "mysql": "Lost connection to",
    "sqlite": "database is locked",
}[VENDOR]


def test_process_that_can_start_no_thread(run):
    """It is told although it waits by itself, and mints when the lock is gone."""
    settings = connections["default"].settings_dict
    # Django leaves a connection open whose init_command finds the database locked.
    options = {**settings["OPTIONS"]}
    options.pop("init_command", None)
    database = {**settings, "OPTIONS": options}
    program = run(database, "threadless", MAX_WAIT=0.5)
    # In the end the lock is given up, and who waited for it mints.
    with locked_worker_table():
        error = program.mint()
    assert "WorkerIdUnavailable" in error
    assert TOO_LONG in error
    assert program.mint() is None
    program.exit()


@ON_SERVER
@pytest.mark.parametrize(
    ("statement", "others"),
    [("UPDATE", 3), ("INSERT", 1)],
    ids=["a worker id that was released", "one that was never used"],
)
def test_process_that_is_stopped_in_the_midst_of_its_claim(
    settings, tmp_path, statement, others
):
    """The others take other worker ids, though each may draw that one."""
    # Worker ids that no other test uses: InnoDB locks the neighbours, too, of rows that
    # were deleted and are still to be purged.
    first = {"UPDATE": 4000, "INSERT": 4100}[statement]
    last = first + others

    def uidgen(*worker_ids):
        # The stopped process is told if it is waited for longer than its MAX_WAIT.
        values = {"LAYOUT": "baidu", "OPTIONS": {"MAX_WAIT": 60}}
        return {"default": {"WORKER_IDS": worker_ids, **values}}

    with Hosts(settings.SETTINGS_MODULE, tmp_path) as hosts:
        if statement == "UPDATE":
            past = hosts.start(uidgen(last, last))
            past.mint("default", batch=1, runs=1, singly=1)
            past.exit()
        stopped = hosts.start(uidgen(last if statement == "UPDATE" else first, last))
        stopped.send("mint_until_stopped_in_a_claim", "default", statement)
        stopped.await_stop()
        rest = [hosts.start(uidgen(first, last)) for _ in range(others)]
        for other in rest:
            other.send_mint("default", batch=1, runs=1, singly=1)
        batches = [other.receive_batch() for other in rest]
        pids = [other.pid for other in rest]
        taken = WorkerNode.objects.filter(process_id__in=pids)
        assert set(taken.values_list("worker_id", flat=True)) == {*range(first, last)}
        stopped.wake()
        batches.append(stopped.receive_batch())
    assert_distinct(batches)

"""Lease work goes to the generator's database, whatever the project's routers say."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import connections
from django.db.backends.signals import connection_created

from django_uidgen.core.exceptions import LeaseLost, WorkerIdsExhausted
from django_uidgen.models import WorkerNode
from tests.support.leases import add_lease

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

LEASE = 10_000  # ticks, of a millisecond each

#: A layout in which no generator of these tests mints.
ANOTHER_LAYOUT = "another layout"


class ReadsFromReplica:
    """Send all reads to the replica, as the example of Django's documentation does."""

    def db_for_read(self, model, **hints):
        """Name the replica."""
        return "other"

    def db_for_write(self, model, **hints):
        """Name the primary."""
        return "default"


class AllFromReplica(ReadsFromReplica):
    """Send the writes there, too: the router is wrong."""

    def db_for_write(self, model, **hints):
        """Name the replica."""
        return "other"


@pytest.fixture(params=[ReadsFromReplica, AllFromReplica])
def replica(request, settings):
    """A router to a copy that is of no use: each decision by it would be wrong.

    All worker ids seem to be leased for a long time, in another layout.
    """
    for worker_id in range(4):
        node = add_lease(worker_id, layout=ANOTHER_LAYOUT)
        WorkerNode.objects.using("other").bulk_create([node])
    WorkerNode.objects.using("default").all().delete()
    settings.DATABASE_ROUTERS = [f"{__name__}.{request.param.__name__}"]
    # What the project itself reads.
    assert WorkerNode.objects.filter(layout=ANOTHER_LAYOUT).count() == 4


@contextmanager
def statements():
    """Give a list of the databases to which statements were sent, one for each."""
    aliases = []
    wrapped = []

    def record(execute, sql, params, many, context):
        aliases.append(context["connection"].alias)
        return execute(sql, params, many, context)

    def watch(*, connection, **kwargs):
        connection.execute_wrappers.append(record)
        wrapped.append(connection)

    for alias in ("default", "other"):
        watch(connection=connections[alias])
    # The connections of lease work are opened for each step.
    connection_created.connect(watch, dispatch_uid=__name__)
    try:
        yield aliases
    finally:
        connection_created.disconnect(dispatch_uid=__name__)
        for connection in wrapped:
            if record in connection.execute_wrappers:
                connection.execute_wrappers.remove(record)


def claims(make):
    """Claim unused worker ids, a released one and a lapsed one, until none is left."""
    assigner = make()
    leases = [assigner.claim(1000) for _ in range(4)]
    assigner.release(leases[0], 1500)
    assert assigner.claim(2000).worker_id == leases[0].worker_id
    with pytest.raises(WorkerIdsExhausted, match="4 leases are live"):
        assigner.claim(2000)
    lapsed = [assigner.claim(1000 + 2 * LEASE).worker_id for _ in range(4)]
    assert sorted(lapsed) == [0, 1, 2, 3]


def claims_of_wide_range(make):
    """Claim by samples and by gaps."""
    assigner = make(worker_ids=(0, 8191), LAYOUT="baidu")
    assigner._free = lambda *args: []
    assert [assigner.claim(1000).worker_id for _ in range(3)] == [0, 1, 2]


def renewals(make):
    """Renew a lease, one that is longer already, and one that was taken."""
    assigner = make()
    lease = assigner.claim(1000)
    renewed = assigner.renew(lease, 1000 + LEASE // 2)
    assert renewed.reserved_until == 1000 + LEASE // 2 + LEASE
    # Its answer was lost, say.
    assert assigner.renew(lease, 1000 + LEASE // 2) == renewed
    WorkerNode.objects.using("default").update(sealed=True)
    with pytest.raises(LeaseLost, match="a successor took it"):
        assigner.renew(renewed, 1000 + LEASE)


def disposable(make):
    """Claim two worker ids for ever, and release one of them."""
    assigner = make("Disposable")
    lease = assigner.claim(1000)
    assert [lease.worker_id, assigner.claim(1000).worker_id] == [0, 1]
    assigner.release(lease, 1500)


def fixed(make):
    """Claim the worker id that the operator gave, again after its release."""
    assigner = make("Fixed", OPTIONS={"WORKER_ID": 2})
    lease = assigner.claim(1000)
    assigner.release(lease, 1500)
    assert [lease.worker_id, assigner.claim(2000).worker_id] == [2, 2]


def backdated(make):
    """Claim slots of the past."""
    assigner = make(BACKDATED_WORKER_IDS=(4, 5))
    first, second = assigner.claim_backdated(1), assigner.claim_backdated(1)
    assert (first.worker_id, first.slot) != (second.worker_id, second.slot)


@pytest.mark.parametrize(
    "work", [claims, claims_of_wide_range, renewals, disposable, fixed, backdated]
)
def test_no_statement_goes_to_a_replica(replica, make, work):
    """Neither to read nor to write, and each step has the right result."""
    with statements() as sent_to:
        work(make)
    assert set(sent_to) == {"default"}
    copy = WorkerNode.objects.using("other")
    assert set(copy.values_list("layout", "term")) == {(ANOTHER_LAYOUT, 1)}

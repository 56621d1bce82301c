"""The row of a lease that a process holds: renewed, released, lost."""

from __future__ import annotations

import pytest
from django.db import connections

from django_uidgen.assigners import table
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet
from tests.support.leases import rows

pytestmark = pytest.mark.django_db(transaction=True)


def test_renew_moves_the_end(make):
    """From now on by the length of a lease."""
    assigner = make()
    lease = assigner.claim(1000)
    longer = assigner.renew(lease, 7000)
    assert longer.reserved_until == 17_000
    assert longer.renew_from == 12_000
    assert (longer.worker_id, longer.key) == (lease.worker_id, lease.key)
    assert rows() == [(lease.worker_id, 1, lease.reserved_from, 17_000, False)]


def test_renew_a_lapsed_lease(make):
    """If nobody took the worker id."""
    assigner = make()
    lease = assigner.claim(1000)
    assert assigner.renew(lease, 99_000).reserved_until == 109_000


def test_renewal_never_shortens(make):
    """An older renewal that runs late on the server changes nothing."""
    assigner = make()
    lease = assigner.renew(assigner.claim(1000), 9000)
    assert not WorkerNode.objects.renew(lease.key, 15_000)
    assert rows()[0][3] == 19_000
    assert assigner.renew(lease, 5000) is lease


def test_renewal_whose_first_answer_was_lost(make):
    """The row reaches further than the process knows; it may use what it asked for."""
    assigner = make()
    lease = assigner.claim(1000)
    WorkerNode.objects.renew(lease.key, 20_000)
    assert assigner.renew(lease, 5000).reserved_until == 15_000


def test_sealed_lease_is_never_renewed(make):
    """A successor took the worker id."""
    assigner = make(worker_ids=(2, 2))
    lease = assigner.claim(1000)
    assigner.claim(50_000)
    with pytest.raises(LeaseLost, match=r"worker id 2 .* a successor took it"):
        assigner.renew(lease, 50_000)
    assert rows()[0][3] == lease.reserved_until


def test_lease_whose_row_is_gone(make):
    """A truncated table takes the ground away."""
    assigner = make()
    lease = assigner.claim(1000)
    WorkerNode.objects.all().delete()
    with pytest.raises(LeaseLost, match="its row is missing"):
        assigner.renew(lease, 9000)


class StaleReads(WorkerNodeQuerySet):
    """Rows that are written on "default", and read from a replica that lags behind."""

    def first(self):
        try:
            return WorkerNode.objects.using("other").get()
        finally:
            connections["other"].close()


@pytest.fixture
def replicate(transactional_db, monkeypatch):
    """Copy the table to a replica, from which all reads are answered afterwards."""

    def copy():
        WorkerNode.objects.using("other").bulk_create(WorkerNode.objects.all())
        stale = property(lambda self: StaleReads(WorkerNode, using="default"))
        monkeypatch.setattr(table.TableAssigner, "nodes", stale)

    return copy


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("longer", [False, True])
def test_stale_copy_of_a_sealed_row_renews_nothing(make, replicate, longer):
    """Neither one of before the takeover nor one that ends earlier than the lease."""
    assigner = make(worker_ids=(2, 2))
    lease = assigner.claim(1000)
    if longer:
        replicate()
        lease = assigner.renew(lease, 9000)
    else:
        replicate()
    make(worker_ids=(2, 2)).take_over(WorkerNode.objects.get(pk=lease.key), 50_000)
    before = rows()
    with pytest.raises(LeaseLost, match="Does a proxy send reads to a replica"):
        assigner.renew(lease, 50_000)
    assert rows() == before


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_stale_copy_that_proves_a_longer_lease(make, replicate):
    """The row was sealed since, but at that end or a later one."""
    assigner = make(worker_ids=(2, 2))
    lease = assigner.claim(1000)
    WorkerNode.objects.renew(lease.key, 20_000)
    replicate()
    seen = WorkerNode.objects.get(pk=lease.key)
    assert make(worker_ids=(2, 2)).take_over(seen, 20_000).reserved_from == 20_000
    assert assigner.renew(lease, 5000).reserved_until == 15_000


@pytest.mark.parametrize(
    ("next_tick", "until"), [(4000, 4000), (0, 1000), (99_000, None)]
)
def test_release_ends_the_lease_after_the_last_mint(make, next_tick, until):
    """But never before its start or after its end."""
    assigner = make()
    lease = assigner.claim(1000)
    assigner.release(lease, next_tick)
    [node] = WorkerNode.objects.all()
    assert node.reserved_until == (until or lease.reserved_until)
    assert node.released_at is not None


def test_sealed_lease_is_not_released(make):
    """Its end is the start of its successor."""
    assigner = make(worker_ids=(2, 2))
    lease = assigner.claim(1000)
    assigner.claim(50_000)
    assigner.release(lease, 2000)
    assert rows()[0][3] == lease.reserved_until

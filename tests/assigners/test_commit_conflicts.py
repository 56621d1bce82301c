"""Conflicts that the database reports at COMMIT, as Galera and SERIALIZABLE do."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.assigners.test_isolation_levels import RAISE_CONFLICT
from tests.support.leases import rows

pytestmark = [
    pytest.mark.skipif(
        connection.vendor not in RAISE_CONFLICT, reason="it has no such conflicts"
    ),
    pytest.mark.django_db(transaction=True),
]

LEASE = 10_000  # ticks, of a millisecond each


@pytest.fixture
def conflicts(monkeypatch):
    """Let the next commits fail, as many as this list has items."""
    left = []
    commit = BaseDatabaseWrapper._commit

    def fail_or_commit(self):
        if left:
            left.pop()
            with self.cursor() as cursor:
                cursor.execute(RAISE_CONFLICT[self.vendor])
        commit(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", fail_or_commit)
    return left


@pytest.mark.parametrize("seen", [None, "released", "lapsed"])
def test_claim_that_conflicts_at_commit(make, conflicts, seen):
    """It is tried again. Nothing of the first two tries remains."""
    assigner = make(worker_ids=(7, 7))
    now = 1000
    if seen is not None:
        lease = assigner.claim(now)
        now = 2000 if seen == "released" else now + 2 * LEASE
        if seen == "released":
            assigner.release(lease, 1500)
    conflicts += ["once", "twice"]
    lease = assigner.claim(now)
    assert conflicts == []
    assert (lease.worker_id, lease.reserved_from) == (7, now)
    *earlier, row = rows()
    assert row == (7, 1 if seen is None else 2, now, now + LEASE, False)
    assert len(earlier) == (0 if seen is None else 1)


def test_backdated_claim_that_conflicts_at_commit(make, conflicts):
    """The reserved worker id and the slot are leased once."""
    assigner = make(BACKDATED_WORKER_IDS=(4, 4))
    conflicts += ["once", "twice"]
    lease = assigner.claim_backdated(1)
    assert conflicts == []
    assert lease.worker_id == 4
    assert WorkerNode.objects.count() == 2


def test_other_failures_of_a_commit(make, monkeypatch):
    """They are not tried again: the commit may have been carried out."""
    tries = []

    def fail(self):
        tries.append(self)
        raise OperationalError("the server is gone")

    assigner = make()
    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", fail)
    with pytest.raises(WorkerIdUnavailable, match="the server is gone"):
        assigner.claim(1000)
    assert len(tries) == 1

"""Rows of the worker table that another process holds in a transaction of its own."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from django_uidgen import databases
from django_uidgen.assigners import retries
from django_uidgen.core.exceptions import LeaseLost, WorkerIdUnavailable
from django_uidgen.core.lease import BackdatedLease
from django_uidgen.models import WorkerNode

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="it locks no rows"),
]

#: The database's word for it.
LOCKED = {"postgresql": "lock timeout", "mysql": "Lock wait timeout"}.get(
    connection.vendor
)


#: Worker ids that no other test uses. InnoDB locks their neighbours, too, where a row
#: that another test has deleted is still to be purged.
FRESH = 3000


def lock_all_rows():
    """Lock each row, as a process does that was stopped in a transaction."""
    assert list(WorkerNode.objects.select_for_update())


def test_released_worker_id_that_is_locked(make):
    """Another one is taken."""
    assigner = make(worker_ids=(0, 1))
    released = assigner.claim(1000)
    assigner.release(released, 1001)
    with transaction.atomic():
        lock_all_rows()
        assert assigner.claim(2000).worker_id != released.worker_id
    assert assigner.claim(2000).worker_id == released.worker_id


def test_worker_id_that_is_being_inserted(make):
    """The other process has begun its first term; the first id of all comes last."""
    assigner = make(LAYOUT="baidu", worker_ids=(FRESH, FRESH + 1))
    values = {**assigner.lease_values(), "reserved_from": 0, "reserved_until": 1}
    with transaction.atomic():
        assert WorkerNode.objects.start_term(worker_id=FRESH + 1, **values)
        assert assigner.claim(1000).worker_id == FRESH


def test_lapsed_lease_that_is_locked(make):
    """It is lost: somebody is taking its worker id, and may have been stopped."""
    assigner = make()
    lease = assigner.claim(1000)
    with transaction.atomic():
        lock_all_rows()
        with pytest.raises(LeaseLost, match="another process has locked its row"):
            assigner.renew(lease, lease.reserved_until)
    assert assigner.renew(lease, lease.reserved_until) != lease


def test_live_lease_that_is_locked(make):
    """It is not lost, so the renewal fails, and another one is tried later."""
    assigner = make()
    lease = assigner.claim(1000)
    with transaction.atomic():
        lock_all_rows()
        with pytest.raises(WorkerIdUnavailable, match=LOCKED) as caught:
            assigner.renew(lease, lease.renew_from)
    assert not isinstance(caught.value, LeaseLost)
    assert assigner.renew(lease, lease.renew_from) != lease


def test_all_rows_are_locked(make, monkeypatch):
    """Other rows are tried as long as the caller waits, and no longer."""
    monkeypatch.setattr(databases, "threads_run", lambda: False)
    assigner = make(worker_ids=(2, 2), OPTIONS={"MAX_WAIT": 2.5})
    assigner.claim(1000)
    attempt, tries = assigner.attempt, []

    def counted(start):
        tries.append(start)
        return attempt(start)

    monkeypatch.setattr(assigner, "attempt", counted)
    with transaction.atomic():
        lock_all_rows()
        with pytest.raises(WorkerIdUnavailable, match=LOCKED):
            assigner.claim(50_000)
    # MySQL waits a second for each, PostgreSQL 0.625 s.
    assert len(tries) < retries.ROUNDS / 2
    assert assigner.claim(50_000).worker_id == 2


def test_reserved_worker_id_that_is_being_inserted(make, monkeypatch):
    """Backdated UIDs have slots of another one."""
    first, other = FRESH + 10, FRESH + 20
    assigner = make(LAYOUT="baidu", BACKDATED_WORKER_IDS=(first, other))
    wanted = iter([first, other])

    def choose(free):
        worker_id = next(wanted)
        return BackdatedLease(worker_id=worker_id, block=7, slot=free[0].slot)

    monkeypatch.setattr(retries.system_random, "choice", choose)
    with transaction.atomic():
        assert WorkerNode.objects.reserve(worker_id=first, **assigner.lease_values())
        assert assigner.claim_backdated(7).worker_id == other

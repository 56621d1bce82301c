"""A worker id that the project gives, without the worker table."""

from __future__ import annotations

import pytest

from django_uidgen.core.exceptions import WorkerIdUnavailable
from tests.support.leases import rows

pytestmark = pytest.mark.django_db(transaction=True)


def test_fixed_worker_id_without_a_table(make):
    """Nothing is written, and nothing is released."""
    options = {"WORKER_ID": 2, "WORKER_TABLE": False}
    assigner = make("Fixed", OPTIONS=options)
    lease = assigner.claim(1000)
    assert (lease.worker_id, lease.key) == (2, None)
    # Behind what a process before this one may have minted ahead of the clock.
    assert lease.reserved_from == 1000 + assigner.max_lead + 1
    assert not assigner.must_be_provisional()
    assert assigner.renew(lease, 10**9) is lease
    assigner.release(lease, 5000)
    assert make("Fixed", OPTIONS=options).claim(1500).reserved_from == 5000
    assert rows() == []


def test_fixed_worker_id_without_a_table_after_a_step_back(make):
    """There is no other to mint with, and its ticks were used."""
    options = {"WORKER_ID": 3, "WORKER_TABLE": False}
    assigner = make("Fixed", OPTIONS=options)
    assigner.claim(9000)
    with pytest.raises(WorkerIdUnavailable, match="The clock was stepped back"):
        assigner.claim(1000)


def test_fixed_worker_id_without_a_table_in_a_forked_child(make, monkeypatch):
    """It is the parent's."""
    options = {"WORKER_ID": 1, "WORKER_TABLE": False}
    assigner = make("Fixed", OPTIONS=options)
    assigner.claim(1000)
    monkeypatch.setattr("os.getpid", lambda: 4)
    with pytest.raises(WorkerIdUnavailable, match="which forked this one"):
        assigner.claim(1000)


def test_fixed_worker_id_without_a_table_is_looked_for_at_once(make, monkeypatch):
    """A missing number is reported before anything is minted."""
    monkeypatch.setattr("socket.gethostname", lambda: "web")
    with pytest.raises(WorkerIdUnavailable, match="host name 'web'"):
        make("Fixed", OPTIONS={"WORKER_TABLE": False})

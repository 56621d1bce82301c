"""The lease protocol on a real database, with the ticks given by the test."""

from __future__ import annotations

import pytest
from django.db import connection

from django_uidgen.assigners import retries
from django_uidgen.core.exceptions import LayoutChanged, WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.support.leases import rows

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = 10_000  # ticks, of a millisecond each


def test_first_claim_inserts_a_row_that_says_who(make):
    """The lease is the row's, and half of it is left when it is renewed."""
    lease = make().claim(1000)
    [node] = WorkerNode.objects.all()
    assert (node.worker_id, node.term, node.sealed) == (lease.worker_id, 1, False)
    assert (lease.reserved_from, lease.reserved_until) == (
        1000,
        1000 + LEASE,
    )
    assert (node.reserved_from, node.reserved_until) == (
        lease.reserved_from,
        lease.reserved_until,
    )
    assert lease.renew_from == lease.reserved_until - LEASE // 2
    assert lease.key == node.pk
    assert node.generator == "default"
    assert node.layout == "41/10/12 1ms 2026-01-01T00:00:00.000+00:00"
    assert node.host_name
    assert node.process_id > 0
    assert node.node_type in WorkerNode.NodeType
    assert node.released_at is None
    assert node.launched_at <= node.created


def test_generators_do_not_share_worker_ids(make):
    """Each alias has all of them."""
    one = make(alias="default", worker_ids=(0, 0)).claim(1000)
    other = make(alias="orders", worker_ids=(0, 0)).claim(1000)
    assert one.worker_id == other.worker_id == 0


def test_lease_ends_with_the_layout(make):
    """The last lease is shorter."""
    assigner = make()
    lease = assigner.claim(assigner.layout.max_tick - 100)
    assert lease.reserved_until == assigner.layout.max_tick + 1
    assert lease.renew_from == lease.reserved_until


def test_another_layout_under_the_same_alias_is_refused(make):
    """Its UIDs could repeat those of the first."""
    make().claim(1000)
    with pytest.raises(LayoutChanged, match="Use a new alias for the new layout"):
        make(LAYOUT="baidu").claim(1000)
    make("Disposable", alias="orders").release(
        make("Disposable", alias="orders").claim(1000), 2000
    )
    with pytest.raises(LayoutChanged):
        make(alias="orders", LAYOUT="baidu").claim(1000)


def test_claim_sends_no_signals(make):
    """A receiver that saves a row for each row would mint while claiming."""
    from django.db.models.signals import post_save, pre_save

    seen = []

    def receiver(sender, **kwargs):
        seen.append(sender)

    for signal in (pre_save, post_save):
        signal.connect(receiver)
    try:
        assigner = make(worker_ids=(0, 0))
        assigner.claim(1000)
        assigner.claim(50_000)
    finally:
        for signal in (pre_save, post_save):
            signal.disconnect(receiver)
    assert seen == []


def test_database_error_is_translated(make):
    """The message names generator and database, and the cause is kept."""
    from django.db import DatabaseError

    assigner = make()
    with connection.schema_editor() as editor:
        editor.delete_model(WorkerNode)
    try:
        with pytest.raises(
            WorkerIdUnavailable, match="'default' received no worker id"
        ) as caught:
            assigner.claim(1000)
        assert isinstance(caught.value.__cause__, DatabaseError)
        assert "migrate django_uidgen" in str(caught.value)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(WorkerNode)
    assert assigner.claim(1000)


def test_takeover_of_a_row_that_changed_meanwhile(make):
    """A renewal between the look and the seal makes the seal fail."""
    assigner = make()
    lease = assigner.claim(1000)
    seen = WorkerNode.objects.get(pk=lease.key)
    assert WorkerNode.objects.renew(lease.key, lease.reserved_until + 5)
    assert assigner.take_over(seen, 50_000) is None
    assert len(rows()) == 1
    assert not WorkerNode.objects.get(pk=lease.key).sealed


def test_takeover_of_a_sealed_row(make):
    """Only one successor."""
    assigner = make()
    seen = WorkerNode.objects.get(pk=assigner.claim(1000).key)
    assert assigner.take_over(seen, 50_000)
    assert assigner.take_over(seen, 50_000) is None


def test_start_of_a_term_that_exists(make):
    """The unique constraint decides."""
    assigner = make()
    assert assigner.start_term(2, 1000, 2000)
    assert assigner.start_term(2, 1000, 2000) is None


def test_claim_that_always_loses_gives_up(make, monkeypatch):
    """With a named error, not for ever."""
    assigner = make()
    monkeypatch.setattr(retries, "_LONGEST_PAUSE", 0)
    monkeypatch.setattr(assigner, "start_term", lambda *args: None)
    with pytest.raises(WorkerIdUnavailable, match="too many processes claim at once"):
        assigner.claim(1000)

"""Statements whose answer is lost, or which never arrive, or arrive late.

The row of a lease may reach further than its process knows, never less far.
"""

from __future__ import annotations

import pytest

from django_uidgen.core.exceptions import WorkerIdsExhausted, WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import (
    COMMIT,
    ON_SERVER,
    USES_DATABASE,
    disjoint,
    wait_until,
)
from tools.proxy import LateRequest, LostAnswer, LostRequest

pytestmark = [USES_DATABASE, ON_SERVER, pytest.mark.usefixtures("by_proxy")]

both = pytest.mark.parametrize("kind", ["Default", "Cached"])


@both
@pytest.mark.parametrize("fault", [LostAnswer, LostRequest])
def test_renewal(start, proxy, kind, fault):
    """The process goes on with what it knows, and learns more with the next one."""
    process = start(kind)
    process.mint()
    known = process.lease.reserved_until
    lost = proxy.inject(fault(COMMIT))
    process.move(31)
    process.mint()
    assert lost.happened.wait(60)
    wait_until(lambda: process.renewal_has_ended, "the end of the renewal")
    # On a slow machine it could be tried again before the next lines.
    process.retry_after(25)
    assert process.lease.reserved_until == known
    if fault is LostAnswer:
        assert process.row.reserved_until > known
    else:
        assert process.row.reserved_until == known
    process.move(25)
    process.mint()
    wait_until(lambda: process.lease.reserved_until > known, "the next renewal")
    assert process.row.reserved_until >= process.lease.reserved_until
    assert WorkerNode.objects.count() == 1


@both
def test_renewal_of_a_lease_that_has_ended(start, proxy, kind):
    """The mint that asked for it fails, and mints no tick of what was not confirmed.

    Another process finds the worker id taken until the end that was committed.
    """
    process = start(kind)
    process.mint()
    held = process.lease.worker_id
    known = process.lease.reserved_until
    process.move(65)
    lost = proxy.inject(LostAnswer(COMMIT))
    with pytest.raises(WorkerIdUnavailable, match="Is the database up"):
        process.mint()
    assert lost.happened.is_set()
    assert process.lease.reserved_until == known
    committed = WorkerNode.objects.get().reserved_until
    assert committed > known
    other = start(kind, database="default", worker_ids=(held, held))
    other.move(70)
    with pytest.raises(WorkerIdsExhausted):
        other.mint()
    other.move(60)
    other.mint()
    assert other.lease.reserved_from >= committed
    process.mint()
    assert process.lease.worker_id != held
    assert disjoint(process, other)


@both
def test_first_claim(start, proxy, kind):
    """It leaves a row that nobody mints with; the process claims another."""
    process = start(kind)
    lost = proxy.inject(LostAnswer(COMMIT))
    with pytest.raises(WorkerIdUnavailable, match="Is the database up"):
        process.mint()
    assert lost.happened.is_set()
    orphan = WorkerNode.objects.get()
    process.mint()
    others = [start(kind, database="default") for _ in range(2)]
    for other in others:
        other.mint()
    minted = {worker_id for one in [process, *others] for worker_id, _ in one.ticks}
    assert minted == {0, 1, 2, 3} - {orphan.worker_id}
    assert disjoint(process, *others)


@both
def test_first_claim_that_never_arrived(start, proxy, kind):
    """No row of it is left."""
    process = start(kind)
    lost = proxy.inject(LostRequest(COMMIT))
    with pytest.raises(WorkerIdUnavailable, match="Is the database up"):
        process.mint()
    assert lost.happened.is_set()
    process.mint()
    assert [node.pk for node in WorkerNode.objects.all()] == [process.lease.key]


@both
def test_takeover(start, proxy, kind):
    """What was sealed stays sealed; its successor is nobody's until it ends."""
    first = start(kind, database="default", worker_ids=(0, 0))
    first.mint()
    process = start(kind, worker_ids=(0, 0))
    process.move(65)
    lost = proxy.inject(LostAnswer(COMMIT))
    with pytest.raises(WorkerIdUnavailable, match="Is the database up"):
        process.mint()
    assert lost.happened.is_set()
    sealed, orphan = WorkerNode.objects.order_by("term")
    assert sealed.sealed
    assert orphan.reserved_from >= sealed.reserved_until
    with pytest.raises(WorkerIdsExhausted, match="1 leases are live"):
        process.mint()
    first.move(65)
    with pytest.raises(WorkerIdsExhausted, match="1 leases are live"):
        first.mint()
    process.move(65)
    process.mint()
    assert process.lease.reserved_from >= orphan.reserved_until
    assert disjoint(first, process)


@both
def test_release(start, proxy, kind, caplog):
    """The exit goes on; the worker id is free, as it was said."""
    process = start(kind)
    process.mint()
    lost = proxy.inject(LostAnswer(b"UPDATE"))
    process.generator.close()
    assert lost.happened.is_set()
    [node] = WorkerNode.objects.all()
    assert node.released_at is not None
    assert node.reserved_until > max(tick for _, tick in process.ticks)
    assert all(record.levelname in {"INFO", "DEBUG"} for record in caplog.records)


def test_renewal_that_is_carried_out_late(start, proxy):
    """It does not shorten what a later one has been given meanwhile."""
    process = start(MAX_WAIT=1)
    process.mint_soon()
    known = process.lease
    late = proxy.inject(LateRequest(b"UPDATE"))
    process.move(31)
    process.mint()
    assert late.happened.wait(60)
    wait_until(lambda: process.renewal_has_ended, "the renewal to be given up")
    # In place of a minute, after which the next one does not wait for it.
    process.assigner.steps.late_work._lost_after = 0.5
    process.move(25)
    process.mint_until_renewed(known)
    stuck = proxy.connections
    late.go_on.set()
    wait_until(lambda: not any(one.is_open for one in stuck), "the late answer")
    assert process.row.reserved_until >= process.lease.reserved_until

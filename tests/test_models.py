"""Leases as rows: their states, and what is shown of them."""

from __future__ import annotations

from itertools import product

import pytest

from django_uidgen import conf
from django_uidgen.models import LeaseState, WorkerNode
from tests.support.leases import NOW, add_lease

pytestmark = pytest.mark.django_db

ELSEWHERE = {"layout": "28/22/13 1000ms 2020-01-01T00:00:00.000+00:00"}
FORGOTTEN = {"generator": "forgotten"}


@pytest.fixture
def leases() -> list[WorkerNode]:
    """One lease of each kind that there can be, of two generators and an old one."""
    kinds = product(
        ({}, {"alias": "orders"}, ELSEWHERE, FORGOTTEN),
        ({"until": 600}, {"until": -30}, {"reserved_until": 2**62}),
        ({"sealed": False}, {"sealed": True}),
        ({"released_at": None}, {"released_at": NOW}),
    )
    return [
        add_lease(number, **whose, **end, **sealed, **released)
        for number, (whose, end, sealed, released) in enumerate(kinds)
    ]


def test_the_database_agrees_with_each_row(leases):
    """A lease is found in the state that it says of itself, and in no other."""
    found = {state: set(WorkerNode.objects.in_state(state)) for state in LeaseState}
    for state, nodes in found.items():
        assert nodes == {lease for lease in leases if lease.state == state}
        assert nodes
    assert sum(map(len, found.values())) == len(leases) == 48


def test_a_state_is_found_by_its_text():
    """As it comes from a query string; another text is an error."""
    lease = add_lease()
    assert WorkerNode.objects.in_state("live").get() == lease
    assert lease.state == "live"
    with pytest.raises(ValueError, match="lively"):
        WorkerNode.objects.in_state("lively")


def test_counts(leases, django_assert_num_queries):
    """All states are counted in one query."""
    with django_assert_num_queries(1):
        counts = WorkerNode.objects.count_states()
    assert sum(counts.values()) == len(leases)
    for state in LeaseState:
        assert counts[state] == sum(lease.state == state for lease in leases)


def test_counts_of_nothing():
    """An empty table has none of each."""
    counts = WorkerNode.objects.count_states()
    assert counts == {"live": 0, "free": 0, "sealed": 0}


def test_worker_ids_left(settings):
    """An id is left if it was never used or its last lease is over."""
    settings.UIDGEN = {"default": {"WORKER_IDS": (10, 19)}, "orders": {}}
    add_lease(10)
    add_lease(11, until=-30)
    add_lease(12, sealed=True)
    add_lease(12, until=-30, term=2)
    add_lease(9)
    add_lease(20, until=-30)
    add_lease(13, alias="orders")
    left = WorkerNode.objects.count_ids_left(conf.get_config("default"))
    assert left == (7, 2)


def test_a_wrong_setting_leaves_out_its_generator_alone(settings):
    """The others are still known."""
    settings.UIDGEN = {"default": {}, "broken": {"LAYOUT": "oval"}}
    assert [config.alias for config in conf.valid_configs()] == ["default"]


def test_no_setting_that_can_be_read(settings):
    """A lease whose end cannot be read counts as live until it is released."""
    lease = add_lease(until=-30)
    settings.UIDGEN = ["default"]
    assert conf.valid_configs() == []
    assert lease.state == "live"
    assert WorkerNode.objects.in_state("live").exists()


def test_tick_that_no_datetime_can_hold():
    """A row that was tampered with has no moment, and is shown all the same."""
    node = add_lease(1)
    node.reserved_from = 10**18
    assert node.reserved_from_at is None


def add_terms(worker_id, *kinds, unsealed=True, first=1):
    """Insert one sealed lease after the other; return their keys."""
    nodes = [
        add_lease(worker_id, term=first + number, kind=kind, sealed=True)
        for number, kind in enumerate(kinds)
    ]
    if unsealed:
        WorkerNode.objects.filter(pk=nodes[-1].pk).update(sealed=False)
    return [node.pk for node in nodes]


def test_what_may_be_deleted():
    """Leases of processes between the first and the last one of a worker id."""
    _, *between, _ = add_terms(1, "process", "process", "process", "process")
    add_terms(2, "process")
    # A disposable worker id, and one that is reserved.
    add_terms(3, "process", unsealed=False)
    add_terms(1008, "reserved", "backdated", "backdated", unsealed=False)
    # As a version without the column inserts them.
    add_terms(1009, "process", "process", "process", unsealed=False)
    found = WorkerNode.objects.may_be_deleted()
    assert set(found.values_list("pk", flat=True)) == set(between)
    assert found.delete()[0] == 2
    assert WorkerNode.objects.count() == 10


def test_other_generators_and_worker_ids_do_not_matter():
    """The later lease must be one of the same worker id and generator."""
    add_terms(1, "process", "process", unsealed=False)
    add_lease(2)
    add_lease(1, alias="orders")
    assert not WorkerNode.objects.may_be_deleted().exists()

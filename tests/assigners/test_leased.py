"""Which worker id a claim takes, and what it costs."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from django_uidgen.assigners import leased
from django_uidgen.core.exceptions import WorkerIdsExhausted, WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.support.leases import rows

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = 10_000  # ticks, of a millisecond each


def test_unused_worker_ids_come_before_lapsed_ones(make):
    """A process that only paused can renew its lease while others are free."""
    assigner = make()
    taken = {assigner.claim(1000 + n * 2 * LEASE).worker_id for n in range(4)}
    assert taken == {0, 1, 2, 3}
    assert WorkerNode.objects.filter(sealed=True).count() == 0


def test_first_worker_id_is_the_last_of_the_unused_ones(make):
    """A migration may hold it before the table exists."""
    for _ in range(5):
        WorkerNode.objects.all().delete()
        assert [make().claim(1000).worker_id for _ in range(4)][-1] == 0


def test_released_worker_ids_are_free_again(make):
    """At once after a clean exit, beside those that were never used."""
    assigner = make(worker_ids=(0, 1))
    lease = assigner.claim(1000)
    assigner.claim(1000)
    assigner.release(lease, 1500)
    again = assigner.claim(2000)
    assert again.worker_id == lease.worker_id
    assert again.reserved_from == 2000
    assert rows()[0] == (lease.worker_id, 1, lease.reserved_from, 1500, True)
    assert WorkerNode.objects.get(pk=again.key).term == 2


def test_released_worker_ids_come_before_lapsed_ones(make):
    """Whichever ended first."""
    assigner = make(worker_ids=(0, 1))
    assigner.claim(1000)
    lease = assigner.claim(20_000)
    assigner.release(lease, 25_000)
    assert assigner.claim(26_000).worker_id == lease.worker_id


def test_released_lease_may_end_a_little_ahead_of_the_clock(make):
    """The successor begins where it ended."""
    assigner = make(worker_ids=(2, 2))
    lease = assigner.claim(1000)
    assigner.release(lease, 1900)
    assert assigner.claim(1500).reserved_from == 1900


def test_released_lease_of_the_far_future_is_left_alone(make):
    """The clock of its process was ahead, and was put right."""
    assigner = make()
    lease = assigner.claim(5000)
    assigner.release(lease, 9000)
    assert assigner.claim(1000).worker_id != lease.worker_id


def test_lapsed_leases_are_taken_over_the_oldest_first(make):
    """When each worker id was used; the successor never begins before the end."""
    assigner = make()
    first = assigner.claim(1000)
    for n in range(1, 20):
        WorkerNode.objects.filter(pk=first.key).update(reserved_until=2000)
        assigner = make(worker_ids=(0, 16 + 3))
        assigner.claim(1000 + n)
    lapsed = WorkerNode.objects.order_by("reserved_until", "pk")
    oldest = set(lapsed.values_list("worker_id", flat=True)[:16])
    assert assigner.claim(30_000).worker_id in oldest


def insert(assigner, worker_ids, **values):
    """Insert a lease of each of ``worker_ids``, from tick 0 to tick 1."""
    values = {"reserved_until": 1, **assigner.lease_values(), **values}
    WorkerNode.objects.bulk_create(
        WorkerNode(worker_id=worker_id, term=1, reserved_from=0, **values)
        for worker_id in worker_ids
    )


RELEASED = {"released_at": "2026-01-01T00:00Z"}


def test_claims_on_copies_of_one_table_rarely_meet(make):
    """As after the promotion of a replica that lacks the last claims.

    Of 4 claims on each of two copies with 1,008 free worker ids, 0.016 meet on average.
    If both copies took the 16 that were released first, one would.
    """
    assigner = make(worker_ids=(0, 1007))
    insert(assigner, range(1008), **RELEASED)

    def claims_on_a_copy():
        with transaction.atomic():
            worker_ids = {assigner._claim(1000).worker_id for _ in range(4)}
            transaction.set_rollback(True)
        assert len(worker_ids) == 4
        return worker_ids

    met = sum(len(claims_on_a_copy() & claims_on_a_copy()) for _ in range(20))
    # More than 5 of 80 are an accident of one in a million.
    assert met <= 5


def test_unused_and_released_worker_ids_are_drawn_alike(make):
    """Each is as likely as any other. One kind alone is one case in a million."""
    assigner = make(worker_ids=(0, 1007))
    insert(assigner, range(504), **RELEASED)
    drawn = [assigner._claim(1000).worker_id >= 504 for _ in range(21)]
    assert set(drawn) == {True, False}


@pytest.mark.parametrize("values", [{}, RELEASED], ids=["unused", "released"])
def test_last_free_worker_ids_are_found(make, values):
    """By a list of all, where the sample misses them."""
    assigner = make(worker_ids=(0, 1007))
    free = {17, 900}
    insert(assigner, set(range(1008)) - free, reserved_until=9_999)
    if values:
        insert(assigner, free, **values)
    assert {assigner.claim(1000).worker_id, assigner.claim(1000).worker_id} == free
    with pytest.raises(WorkerIdsExhausted):
        assigner.claim(1000)


def test_worker_ids_that_were_disposable(make):
    """Those that a launch has used are never leased again: they are skipped."""
    disposable = make("Disposable")
    for _ in range(3):
        disposable.release(disposable.claim(1000), 1001)
    assigner = make()
    assert assigner.claim(2000).worker_id == 3
    with pytest.raises(WorkerIdsExhausted):
        assigner.claim(2000)


def test_live_leases_are_never_taken(make):
    """The error says how many are live, when the first ends, and what gives more."""
    assigner = make()
    ends = [assigner.claim(1000 + n).reserved_until for n in range(4)]
    with pytest.raises(WorkerIdsExhausted) as caught:
        assigner.claim(2000)
    message = str(caught.value)
    assert "'default' has 4 worker ids (0 to 3), and 4 leases are live." in message
    assert assigner.layout.moment(ends[0]).isoformat() in message
    assert "more worker_bits or wider WORKER_IDS" in message
    assert "shorter LEASE (now 10 s)" in message
    assert "reserved" not in message
    assert len(rows()) == 4
    assert assigner.claim(1000 + LEASE + 1).reserved_from >= ends[0]


def test_exhausted_without_an_end(make):
    """Disposable worker ids are never reused."""
    disposable = make("Disposable", worker_ids=(0, 1))
    disposable.claim(1000)
    disposable.claim(1000)
    with pytest.raises(WorkerIdsExhausted) as caught:
        make(worker_ids=(0, 1)).claim(2000)
    assert "ends at" not in str(caught.value)


def test_worker_ids_outside_the_range_are_not_touched(make):
    """Regions with databases of their own keep apart."""
    low = make(worker_ids=(0, 1)).claim(1000)
    high = make(worker_ids=(2, 3))
    assert {high.claim(1000).worker_id, high.claim(1000).worker_id} == {2, 3}
    with pytest.raises(WorkerIdsExhausted):
        high.claim(2000)
    assert low.worker_id in {0, 1}


@pytest.mark.parametrize("used", [0, 60, 5000])
def test_wide_fields_are_sampled(make, used):
    """Millions of worker ids are not listed to find a free one."""
    assigner = make(worker_ids=(0, 4_000_000), LAYOUT="baidu")
    insert(assigner, range(used))
    with CaptureQueriesContext(connection) as queries:
        assert assigner.claim(1000).worker_id >= 0
    # One of them asks a server for its time.
    assert len(queries) <= 7


def test_last_free_worker_id_of_a_wide_field_is_found(make):
    """Where a sample misses it: next to a used one, or the first of all."""
    size = leased._LISTED + 10
    assigner = make(worker_ids=(0, size - 1), LAYOUT="baidu")
    free = {0, 1234}
    insert(assigner, set(range(size)) - free, reserved_until=9_999)
    assert {assigner.claim(1000).worker_id, assigner.claim(1000).worker_id} == free
    with pytest.raises(WorkerIdsExhausted):
        assigner.claim(1000)


def reserve(assigner, *worker_ids):
    """Reserve worker ids for backdated UIDs, as an import would."""
    for worker_id in worker_ids:
        assert WorkerNode.objects.reserve(
            worker_id=worker_id, **assigner.lease_values()
        )


def test_worker_ids_that_an_import_has_reserved(make):
    """``WORKER_IDS`` was widened over them: they are skipped, and the error says so."""
    assigner = make()
    reserve(assigner, 1, 3)
    assert {assigner.claim(1000).worker_id, assigner.claim(1000).worker_id} == {0, 2}
    with pytest.raises(WorkerIdsExhausted) as caught:
        assigner.claim(1000)
    message = str(caught.value)
    assert "has 4 worker ids (0 to 3), and 2 leases are live." in message
    assert "No process can lease 2 of these worker ids" in message
    assert "reserved them for backdated UIDs" in message


def test_reserved_worker_ids_of_a_wide_field(make):
    """Not those next to used ones, and those behind them are found."""
    size = leased._LISTED + 10
    assigner = make(worker_ids=(0, size - 1), LAYOUT="baidu")
    reserved = set(range(1000, 1100))
    free = {0, 1100}
    insert(assigner, set(range(size)) - free - reserved, reserved_until=9_999)
    reserve(assigner, *reserved)
    assert {assigner.claim(1000).worker_id, assigner.claim(1000).worker_id} == free
    with pytest.raises(WorkerIdsExhausted, match="No process can lease 100 of these"):
        assigner.claim(1000)


def test_claims_at_once_get_different_worker_ids(make):
    """The unique constraint and the seal decide each race."""
    assigner = make(worker_ids=(0, 9))
    for lease in [assigner.claim(1000) for _ in range(5)]:
        assigner.release(lease, 1001)
    leases, errors = [], []
    ready = threading.Barrier(10)

    def claim():
        ready.wait()
        try:
            leases.append(assigner.claim(2000))
        except WorkerIdUnavailable as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(lease.worker_id for lease in leases) == list(range(10))


def test_statements_of_a_claim(make):
    """A handful, with one for a server's clock; one to confirm it, one to renew."""
    assigner = make(worker_ids=(0, 1023))
    # On this thread's connection, so that it can be listened to.
    with CaptureQueriesContext(connection) as queries:
        lease = assigner._claim(1000)
    # The statement of a union begins with a parenthesis on servers.
    statements = [query["sql"].lstrip("(").split()[0] for query in queries]
    assert [word for word in statements if word in {"SELECT", "INSERT", "UPDATE"}] == [
        *([] if connection.vendor == "sqlite" else ["SELECT"]),
        "SELECT",
        "SELECT",
        "INSERT",
    ]
    with CaptureQueriesContext(connection) as queries:
        assigner._confirm(lease)
    assert [query["sql"].split()[0] for query in queries] == ["UPDATE"]
    with CaptureQueriesContext(connection) as queries:
        assigner._renew(lease, 7000)
    assert [query["sql"].split()[0] for query in queries] == [
        "BEGIN",
        "UPDATE",
        "COMMIT",
    ]

"""The lease protocol on a real database, with the ticks given by the test."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from django_uidgen import conf
from django_uidgen.assigners import FixedWorkerIdAssigner, leased, retries, table
from django_uidgen.core.exceptions import (
    LayoutChanged,
    LeaseLost,
    WorkerIdsExhausted,
    WorkerIdUnavailable,
)
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = 10_000  # ticks, of a millisecond each


@pytest.fixture
def make(settings):
    """Make an assigner of the given class and settings."""

    def assigner(kind="Leased", alias="default", worker_ids=(0, 3), **values):
        # On a busy machine a claim may take longer than the default MAX_WAIT.
        options = {"LEASE": 10, "MAX_WAIT": 60, **values.pop("OPTIONS", {})}
        path = f"django_uidgen.assigners.{kind}WorkerIdAssigner"
        settings.UIDGEN = {
            alias: {
                "WORKER_ID_ASSIGNER": path,
                "WORKER_IDS": worker_ids,
                "OPTIONS": options,
                **values,
            }
        }
        config = conf.get_config(alias)
        return config.assigner.from_config(config)

    return assigner


def rows(**values):
    """Return the worker table as tuples, in the order of the claims."""
    columns = "worker_id", "term", "reserved_from", "reserved_until", "sealed"
    return list(WorkerNode.objects.order_by("pk").values_list(*columns))


# Claim.


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


def test_released_worker_ids_come_first(make):
    """Those that a clean exit released."""
    assigner = make()
    lease = assigner.claim(1000)
    assigner.claim(1000)
    assigner.release(lease, 1500)
    again = assigner.claim(2000)
    assert again.worker_id == lease.worker_id
    assert again.reserved_from == 2000
    assert rows()[0] == (lease.worker_id, 1, lease.reserved_from, 1500, True)
    assert WorkerNode.objects.get(pk=again.key).term == 2


def test_released_lease_may_end_a_little_ahead_of_the_clock(make):
    """The successor begins where it ended."""
    assigner = make()
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


def test_generators_do_not_share_worker_ids(make):
    """Each alias has all of them."""
    one = make(alias="default", worker_ids=(0, 0)).claim(1000)
    other = make(alias="orders", worker_ids=(0, 0)).claim(1000)
    assert one.worker_id == other.worker_id == 0


@pytest.mark.parametrize("used", [0, 60, 5000])
def test_wide_fields_are_sampled(make, used):
    """Millions of worker ids are not listed to find a free one."""
    assigner = make(worker_ids=(0, 4_000_000), LAYOUT="baidu")
    values = assigner.lease_values()
    WorkerNode.objects.bulk_create(
        WorkerNode(worker_id=n, term=1, reserved_from=0, reserved_until=1, **values)
        for n in range(used)
    )
    with CaptureQueriesContext(connection) as queries:
        assert assigner.claim(1000).worker_id >= 0
    # One of them asks a server for its time.
    assert len(queries) <= 7


def test_last_free_worker_id_of_a_wide_field_is_found(make):
    """Where a sample misses it: next to a used one, or the first of all."""
    size = leased._LISTED + 10
    assigner = make(worker_ids=(0, size - 1), LAYOUT="baidu")
    values = assigner.lease_values()
    free = {0, 1234}
    WorkerNode.objects.bulk_create(
        WorkerNode(worker_id=n, term=1, reserved_from=0, reserved_until=9_999, **values)
        for n in range(size)
        if n not in free
    )
    assert {assigner.claim(1000).worker_id, assigner.claim(1000).worker_id} == free
    with pytest.raises(WorkerIdsExhausted):
        assigner.claim(1000)


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


# Renew.


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


# Release.


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


# Disposable worker ids.


def test_disposable_worker_ids_are_never_used_again(make):
    """Each launch has a new one, without an end."""
    assigner = make("Disposable")
    first = assigner.claim(1000)
    assert first.worker_id == 0
    assert first.reserved_until == first.renew_from == assigner.layout.max_tick + 1
    assigner.release(first, 2000)
    assert rows() == [(0, 1, 1000, 2000, True)]
    assert [assigner.claim(3000).worker_id for _ in range(3)] == [1, 2, 3]
    with pytest.raises(WorkerIdsExhausted, match="0 to 3, once"):
        assigner.claim(4000)


def test_disposable_lease_needs_no_renewal(make):
    """It has no end to move."""
    assigner = make("Disposable")
    lease = assigner.claim(1000)
    assert assigner.renew(lease, 10**9) is lease


# Fixed worker ids.


def test_fixed_worker_id_of_the_settings(make):
    """Leased, so that a second process with the same number is refused."""
    assigner = make("Fixed", OPTIONS={"WORKER_ID": 2})
    lease = assigner.claim(1000)
    assert lease.worker_id == 2
    WorkerNode.objects.update(process_id=1)
    with pytest.raises(WorkerIdUnavailable, match=r"Worker id 2 .* leased to process"):
        assigner.claim(2000)
    later = assigner.claim(1000 + LEASE)
    assert later.reserved_from >= lease.reserved_until
    assigner.release(later, later.reserved_from + 10)
    assert assigner.claim(later.reserved_from + 10).worker_id == 2


def test_fixed_worker_id_of_the_environment(make, monkeypatch):
    """As Kubernetes can set it."""
    monkeypatch.setenv("POD_INDEX", "3")
    assert make("Fixed", OPTIONS={"WORKER_ID_ENV": "POD_INDEX"}).claim(1).worker_id == 3


@pytest.mark.parametrize("text", [None, "", "4", "-1", "1.0", "²", "9" * 5000, "one"])
def test_environment_without_a_worker_id(make, monkeypatch, text):
    """The message names the variable, the value and the range."""
    if text is not None:
        monkeypatch.setenv("POD_INDEX", text)
    assigner = make("Fixed", OPTIONS={"WORKER_ID_ENV": "POD_INDEX"})
    with pytest.raises(WorkerIdUnavailable, match=r"'POD_INDEX'.* from 0 to 3"):
        assigner.claim(1)


@pytest.mark.parametrize(("host", "worker_id"), [("web-2", 2), ("a-7-b-0", 0)])
def test_fixed_worker_id_of_a_stateful_set(make, monkeypatch, host, worker_id):
    """The ordinal at the end of the host name."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert make("Fixed").claim(1).worker_id == worker_id


@pytest.mark.parametrize("host", ["web", "web2", "web-", "web-4", "web-2x"])
def test_host_name_without_an_ordinal(make, monkeypatch, host):
    """The message names the host."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with pytest.raises(WorkerIdUnavailable, match=f"host name '{host}'"):
        make("Fixed").claim(1)


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


def test_fixed_worker_id_that_this_process_holds_itself(make):
    """Its clock was stepped back."""
    assigner = make("Fixed", OPTIONS={"WORKER_ID": 2})
    assigner.claim(9000)
    with pytest.raises(WorkerIdUnavailable, match="The clock was stepped back"):
        assigner.claim(1000)


def test_fixed_worker_id_before_the_table_exists(make):
    """A migrate uses no other."""
    assert make("Fixed", OPTIONS={"WORKER_ID": 2}).bootstrap_worker_id() == 2


def test_fixed_worker_id_without_a_table_is_looked_for_at_once(make, monkeypatch):
    """A missing number is reported before anything is minted."""
    monkeypatch.setattr("socket.gethostname", lambda: "web")
    with pytest.raises(WorkerIdUnavailable, match="host name 'web'"):
        make("Fixed", OPTIONS={"WORKER_TABLE": False})


class FixedByThePort(FixedWorkerIdAssigner):
    """One of a project, which knows another source of its worker id."""

    def worker_id(self):
        return 9


@pytest.mark.parametrize("table", [True, False])
def test_fixed_worker_id_from_another_source(settings, table):
    """With the table and without it."""
    settings.UIDGEN = {
        "default": {
            "WORKER_ID_ASSIGNER": "tests.assigners.test_assigners.FixedByThePort",
            "OPTIONS": {"WORKER_ID": 2, "WORKER_TABLE": table},
        }
    }
    config = conf.get_config("default")
    assert config.assigner.from_config(config).claim(1000).worker_id == 9


# What a claim costs, and what it must not do.


def test_statements_of_a_claim(make):
    """A handful, with one for a server's clock; one to confirm it, one to renew."""
    assigner = make(worker_ids=(0, 1023))
    # On this thread's connection, so that it can be listened to.
    with CaptureQueriesContext(connection) as queries:
        lease = assigner._claim(1000)
    statements = [query["sql"].split()[0] for query in queries]
    assert [word for word in statements if word in {"SELECT", "INSERT", "UPDATE"}] == [
        *([] if connection.vendor == "sqlite" else ["SELECT"]),
        "SELECT",
        "SELECT",
        "SELECT",
        "INSERT",
    ]
    with CaptureQueriesContext(connection) as queries:
        assigner._confirm(lease)
    assert [query["sql"].split()[0] for query in queries] == ["UPDATE"]
    with CaptureQueriesContext(connection) as queries:
        assigner._renew(lease, 7000)
    assert len(queries) == 1


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

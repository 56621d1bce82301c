"""``at()`` and ``uids_at()``: backdated leases in the worker table."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from django_uidgen import conf, generators, parse, registry, uid
from django_uidgen.core.exceptions import (
    LayoutChanged,
    MomentOutOfRange,
    WorkerIdsExhausted,
    WorkerIdUnavailable,
)
from django_uidgen.models import WorkerNode
from tests.support.connections import in_another_connection
from tests.support.leases import add_lease, uid_of
from tests.testapp.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
ON_SQLITE = connection.vendor == "sqlite"
ON_SERVER = pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer at a time")
SQLITE_ONLY = pytest.mark.skipif(not ON_SQLITE, reason="servers have many writers")

#: One worker id, with two slots of two UIDs each.
TINY = {"time_bits": 41, "worker_bits": 4, "sequence_bits": 1, "tick_ms": 1}


@pytest.fixture(autouse=True)
def _leased(settings):
    """Lease for real."""
    settings.UIDGEN = {"default": {"TEST": False}, "orders": {"TEST": False}}
    yield
    registry.generators.reset()


@pytest.fixture
def use(settings):
    """Return a function that changes the setting, as in another process."""

    def values(**values):
        registry.generators.reset()
        settings.UIDGEN = {"default": {"TEST": False, **values}}
        return generators["default"]

    return values


def slots():
    """Return the rows of slots: the worker id, and the day that is leased."""
    rows = WorkerNode.objects.filter(term__gt=1, worker_id__gte=1008)
    layout = conf.get_config("default").layout
    return [
        (row.worker_id, layout.moment(row.reserved_from), row.sealed)
        for row in rows.order_by("pk")
    ]


def test_rows():
    """One that reserves the worker id, and one for the slot of the day; both sealed."""
    value = generators["default"].at(NOON)
    parsed = parse(value)
    assert parsed.minted_at == NOON
    assert 1008 <= parsed.worker_id <= 1023
    reserved, slot = WorkerNode.objects.order_by("term")
    assert (reserved.term, reserved.reserved_from, reserved.reserved_until) == (1, 0, 0)
    assert reserved.worker_id == slot.worker_id == parsed.worker_id
    assert slot.reserved_from_at == NOON.replace(hour=0)
    assert slot.reserved_until_at == NOON.replace(hour=0) + DAY
    assert reserved.state == slot.state == "sealed"
    assert (reserved.kind, slot.kind) == ("reserved", "backdated")
    assert parsed.worker_node == slot


def test_the_lease_of_a_uid_is_that_of_its_slot(use):
    """Several processes have leased the same worker id for the same day."""
    values = []
    for _ in range(5):
        generator = use(BACKDATED_WORKER_IDS=(1023, 1023))
        values.append(generator.at(NOON))
    nodes = [parse(value).worker_node for value in values]
    assert len({node.pk for node in nodes}) == 5
    assert {node.worker_id for node in nodes} == {1023}
    assert nodes == list(WorkerNode.objects.filter(term__gt=1).order_by("pk"))


def test_lease_of_a_uid_whatever_the_settings_say_by_now(use):
    """Whether a worker id is reserved is in the table."""
    values = [use(BACKDATED_WORKER_IDS=(1023, 1023)).at(NOON) for _ in range(3)]
    use(WORKER_IDS=(0, 1000))
    assert len({parse(value).worker_node.pk for value in values}) == 3
    leased = add_lease(1010)
    use(BACKDATED_WORKER_IDS=(1000, 1023))
    assert parse(uid_of(leased, 4000)).worker_node == leased


def test_assigners_that_meet_a_reserved_worker_id(use):
    """They skip it, or the error says that it is reserved."""
    reserved = parse(
        use(BACKDATED_WORKER_IDS=(2, 2), WORKER_IDS=(0, 0)).at(NOON)
    ).worker_id
    disposable = "django_uidgen.assigners.DisposableWorkerIdAssigner"
    leased = []
    for _ in range(3):
        generator = use(WORKER_IDS=(0, 3), WORKER_ID_ASSIGNER=disposable)
        leased.append(parse(generator.uid()).worker_id)
    assert (leased, reserved) == ([0, 1, 3], 2)
    fixed = "django_uidgen.assigners.FixedWorkerIdAssigner"
    generator = use(
        WORKER_IDS=(0, 3), WORKER_ID_ASSIGNER=fixed, OPTIONS={"WORKER_ID": 2}
    )
    with pytest.raises(WorkerIdUnavailable, match="reserved for backdated UIDs"):
        generator.uid()


def test_processes_that_do_without_the_table(use):
    """Backdated UIDs do not: in a transaction, as every other."""
    fixed = "django_uidgen.assigners.FixedWorkerIdAssigner"
    options = {"WORKER_ID": 1, "WORKER_TABLE": False}
    generator = use(WORKER_ID_ASSIGNER=fixed, OPTIONS=options)
    with transaction.atomic():
        Event.objects.create(id=1, name="x")
        value = generator.at(NOON)
    assert parse(value).worker_node is not None


def test_moments_of_a_hundred_days():
    """A slot for each day, and each UID tells its moment."""
    moments = [NOON - 59 * DAY + step * DAY / 10 for step in range(1000)]
    values = generators["default"].uids_at(moments)
    assert [parse(value).minted_at for value in values] == moments
    assert len(slots()) == 101


def test_rows_of_models():
    """As keys, and beside those that are minted now."""
    value = generators["default"].at(NOON)
    Event.objects.create(id=value, name="then")
    Event.objects.create(name="now")
    assert [event.name for event in Event.objects.order_by("id")] == ["then", "now"]


def test_no_process_leases_a_reserved_worker_id(use):
    """Not even one with a setting in which it is not reserved."""
    reserved = parse(use(BACKDATED_WORKER_IDS=(1023, 1023)).at(NOON)).worker_id
    generator = use(WORKER_IDS=(1022, 1023))
    leased = parse(generator.uid()).worker_id
    assert (leased, reserved) == (1022, 1023)
    assert WorkerNode.objects.filter(worker_id=1023, sealed=False).count() == 0


def test_no_worker_id_is_reserved_that_a_process_has_leased(use):
    """It may have minted in those ticks, whatever its rows say by now."""
    generator = use(WORKER_IDS=(1, 1), BACKDATED_WORKER_IDS=(2, 2))
    generator.uid()
    with pytest.raises(WorkerIdsExhausted, match="that a process has minted with"):
        use(WORKER_IDS=(3, 3), BACKDATED_WORKER_IDS=(1, 1)).at(NOON)
    assert parse(use(WORKER_IDS=(3, 3), BACKDATED_WORKER_IDS=(1, 2)).at(NOON)).worker_id


def test_race_for_a_worker_id(use, monkeypatch):
    """A process leases it between the look and the insert: the constraint decides."""
    generator = use(WORKER_IDS=(1, 1), BACKDATED_WORKER_IDS=(2, 2))
    add_lease(2)
    from django_uidgen.assigners.backdated import BackdatedSlots

    free_of = BackdatedSlots._free_of

    def as_seen_before(self, worker_ids, block):
        rows = WorkerNode.objects.filter(worker_id=2)
        rows.update(worker_id=900)
        try:
            return free_of(self, worker_ids, block)
        finally:
            WorkerNode.objects.filter(worker_id=900).update(worker_id=2)
            monkeypatch.undo()

    monkeypatch.setattr(BackdatedSlots, "_free_of", as_seen_before)
    with pytest.raises(WorkerIdsExhausted):
        generator.at(NOON)
    assert WorkerNode.objects.count() == 1


def test_race_for_a_slot(use, monkeypatch):
    """Another process leases it first: the constraint decides, and another is taken."""
    from django_uidgen.assigners.backdated import BackdatedSlots

    generator = use(LAYOUT=TINY, BACKDATED_WORKER_IDS=(15, 15))
    insert, tried = BackdatedSlots._insert, []

    def too_late(self, lease):
        if not tried:
            assert insert(self, lease)
        tried.append(lease)
        return insert(self, lease)

    monkeypatch.setattr(BackdatedSlots, "_insert", too_late)
    generator.at(NOON)
    assert len(tried) == 2
    assert tried[0].slot != tried[1].slot


def test_too_many_at_once(use, monkeypatch):
    """In each round another process is faster: the error says so."""
    from django_uidgen.assigners.backdated import BackdatedSlots

    monkeypatch.setattr(BackdatedSlots, "_insert", lambda self, lease: False)
    with pytest.raises(WorkerIdUnavailable, match="too many processes claim at once"):
        use().at(NOON)


def test_all_slots_of_a_day_are_leased(use):
    """That day has no slot left, and others have."""
    for _ in range(2):
        use(LAYOUT=TINY, BACKDATED_WORKER_IDS=(15, 15)).at(NOON)
    generator = use(LAYOUT=TINY, BACKDATED_WORKER_IDS=(15, 15))
    with pytest.raises(
        WorkerIdsExhausted, match="2026-03-01: the reserved worker ids 15"
    ):
        generator.at(NOON)
    assert generator.at(NOON + DAY)


def test_many_worker_ids_are_looked_at_some_at_a_time(use):
    """Until one has a slot left."""
    layout = TINY | {"worker_bits": 6}
    for _ in range(80):
        use(LAYOUT=layout, BACKDATED_WORKER_IDS=(24, 63)).at(NOON)
    with pytest.raises(WorkerIdsExhausted):
        use(LAYOUT=layout, BACKDATED_WORKER_IDS=(24, 63)).at(NOON)


def test_no_worker_ids_are_reserved(use):
    """A layout with few worker ids reserves none by default."""
    with pytest.raises(WorkerIdsExhausted, match="BACKDATED_WORKER_IDS"):
        use(LAYOUT=TINY).at(NOON)


def test_another_layout(use):
    """As for every lease: it could repeat the UIDs of the first."""
    use().at(NOON)
    with pytest.raises(LayoutChanged):
        use(LAYOUT="javascript").at(NOON)


def test_moments(settings):
    """Before the epoch, after the clock, and naive ones as Django takes them."""
    generator = generators["default"]
    with pytest.raises(MomentOutOfRange):
        generator.at(datetime(2025, 12, 31, tzinfo=UTC))
    with pytest.raises(MomentOutOfRange):
        generator.at(datetime(2090, 1, 1, tzinfo=UTC))
    with pytest.raises(TypeError):
        generator.at("2026-03-01")
    settings.TIME_ZONE = "Asia/Tokyo"
    naive = NOON.replace(tzinfo=None, hour=21)
    with pytest.warns(RuntimeWarning, match="naive datetime"):
        assert parse(generator.at(naive)).minted_at == NOON
    settings.USE_TZ = False
    assert parse(generator.at(naive)).minted_at == NOON


# Rows that an operator deletes.


def processes_claim(use, launches, **values):
    """Let so many processes mint with one worker id, one after the other."""
    return [use(**values).uid() for _ in range(launches)]


@pytest.mark.parametrize("by_older_versions", [False, True])
def test_day_that_is_imported_again_after_rows_were_deleted(use, by_older_versions):
    """Three times, 60 UIDs each: what may be deleted is what nothing depends on.

    Older versions insert each row as one of a process.
    """
    values = {"WORKER_IDS": (5, 5), "BACKDATED_WORKER_IDS": (1023, 1023)}
    imported, minted = [], []
    for _ in range(3):
        imported += use(**values).uids_at([NOON] * 60)
        minted += processes_claim(use, 4, **values)
        if by_older_versions:
            WorkerNode.objects.update(kind="process")
        WorkerNode.objects.may_be_deleted().delete()
    assert len(set(imported)) == len(imported) == 180
    assert len(set(minted)) == len(minted) == 12
    assert {parse(uid).worker_id for uid in imported} == {1023}
    # The leases of the 12 launches, without those between the first and the last.
    assert WorkerNode.objects.filter(worker_id=5).count() == 2
    assert WorkerNode.objects.filter(worker_id=1023).count() == 4


def test_worker_id_of_processes_whose_rows_were_deleted(use):
    """It can still not be reserved."""
    processes_claim(use, 4, WORKER_IDS=(5, 5), BACKDATED_WORKER_IDS=(6, 6))
    assert WorkerNode.objects.may_be_deleted().delete()[0] == 2
    with pytest.raises(WorkerIdsExhausted, match="that a process has minted with"):
        use(WORKER_IDS=(6, 6), BACKDATED_WORKER_IDS=(5, 5)).at(NOON)


# Transactions.


class Boom(Exception):
    """Rolls a block back."""


@ON_SERVER
def test_rollback_does_not_release_the_slot():
    """UIDs handed out in the transaction can never be minted again."""
    with pytest.raises(Boom), transaction.atomic():
        generators["default"].at(NOON)
        raise Boom
    assert len(slots()) == 1


@SQLITE_ONLY
def test_slot_of_a_transaction(use):
    """On SQLite it joins the transaction: a rollback discards it."""
    generator = use()
    with transaction.atomic():
        first = generator.at(NOON)
        assert generator.at(NOON) == first + 1
        assert in_another_connection(WorkerNode.objects.count) == 0
    assert generator.at(NOON) == first + 2
    assert len(slots()) == 1
    with pytest.raises(Boom), transaction.atomic():
        generator.at(NOON + DAY)
        raise Boom
    assert len(slots()) == 1
    generator.at(NOON + DAY)
    assert len(slots()) == 2


@SQLITE_ONLY
def test_slot_of_a_savepoint(use):
    """Rolled back alone, in a transaction that goes on."""
    generator = use()
    with transaction.atomic():
        with pytest.raises(Boom), transaction.atomic():
            generator.at(NOON)
            raise Boom
        assert slots() == []
        value = generator.at(NOON)
    assert parse(value).worker_node is not None
    assert len(slots()) == 1


@SQLITE_ONLY
def test_write_lock_is_held_by_another(use):
    """The claim waits for it, before it has read anything."""
    generator = use()
    held, release = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Event.objects.create(id=1, name="x")
            held.set()
            release.wait()
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    timer = threading.Timer(0.2, release.set)
    timer.start()
    with transaction.atomic():
        value = generator.at(NOON)
    thread.join()
    timer.join()
    assert parse(value).worker_node is not None


def test_without_the_table(use):
    """The error says what to do."""
    generator = use()
    with connection.schema_editor() as editor:
        editor.alter_db_table(WorkerNode, WorkerNode._meta.db_table, "elsewhere")
    try:
        with pytest.raises(WorkerIdUnavailable, match="migrate django_uidgen"):
            generator.at(NOON)
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(WorkerNode, "elsewhere", WorkerNode._meta.db_table)


# Processes.

IMPORTER = """
import sys, django
django.setup()
from datetime import UTC, datetime, timedelta
from django_uidgen import generators
noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
moments = [noon + timedelta(milliseconds=n // 20) for n in range(20_000)]
print(*generators["default"].uids_at(moments))
"""


def test_processes_that_import_the_same_day():
    """At once, and no UID twice."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", IMPORTER],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    found = [program.communicate()[0].split() for program in programs]
    assert [program.returncode for program in programs] == [0] * 4
    assert [len(values) for values in found] == [20_000] * 4
    assert len(set().union(*found)) == 80_000
    assert len(slots()) >= 4


# Test runs.


@pytest.fixture
def in_tests(settings):
    """As tests of a project have it."""
    registry.generators.reset()
    settings.UIDGEN = {"default": {}}
    return generators["default"]


def test_in_a_test_run(in_tests, django_assert_num_queries):
    """Without the database, and no UID twice, whatever setting is replaced."""
    with django_assert_num_queries(0):
        values = in_tests.uids_at([NOON] * 3)
        registry.generators.reset()
        values += generators["default"].uids_at([NOON] * 3)
    values.append(uid())
    assert len(set(values)) == 7
    assert [parse(value).minted_at for value in values[:6]] == [NOON] * 6


def test_in_a_test_run_without_reserved_worker_ids(in_tests, settings):
    """As with the table."""
    settings.UIDGEN = {"default": {"LAYOUT": TINY}}
    with pytest.raises(WorkerIdsExhausted, match="BACKDATED_WORKER_IDS"):
        generators["default"].at(NOON)


def test_in_a_test_run_that_has_used_up_a_day(in_tests, settings):
    """An error, instead of repeated UIDs."""
    settings.UIDGEN = {"default": {"LAYOUT": TINY, "BACKDATED_WORKER_IDS": (15, 15)}}
    day = NOON + 7 * DAY
    with pytest.raises(WorkerIdsExhausted, match="slots"):
        for _ in range(3):
            generators["default"].at(day)
            registry.generators.reset()


def test_in_a_test_run_with_other_worker_ids(in_tests, settings):
    """Leased slots are remembered by worker id, whatever the range is now."""
    values = []
    for first in (1008, 1007, 1008):
        settings.UIDGEN = {"default": {"BACKDATED_WORKER_IDS": (first, 1023)}}
        for _ in range(70):
            registry.generators.reset()
            values.append(generators["default"].at(NOON + 9 * DAY))
    assert len(set(values)) == len(values)


def test_child_in_a_test_run(in_tests):
    """A fork takes a slot at random, as it takes a worker id."""
    parent = in_tests.at(NOON)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(generators["default"].at(NOON)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        child = int(answer.read())
    assert os.waitpid(pid, 0)[1] == 0
    assert parse(child).minted_at == NOON
    assert isinstance(parent, int)

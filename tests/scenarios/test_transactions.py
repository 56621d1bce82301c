"""Minting inside the caller's transactions, which must never undo a claim."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.utils import timezone

from django_uidgen import conf, databases, generators, registry, uid, uids
from django_uidgen.core.background_work import BackgroundWork
from django_uidgen.core.exceptions import (
    LeaseLost,
    WorkerIdsExhausted,
    WorkerIdUnavailable,
)
from django_uidgen.models import WorkerNode
from tests.support.connections import in_another_connection
from tests.support.locks import locked_worker_table
from tests.testapp.models import Event, Order

pytestmark = pytest.mark.django_db(transaction=True)

ON_SQLITE = connection.vendor == "sqlite"
ON_SERVER = pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer at a time")
SQLITE_ONLY = pytest.mark.skipif(not ON_SQLITE, reason="servers have many writers")


@pytest.fixture(autouse=True)
def _leased(settings):
    """Lease worker ids for real, a new one in each test."""
    settings.UIDGEN = {"default": {"TEST": False}, "orders": {"TEST": False}}
    yield
    registry.generators.reset()


def committed_leases():
    """Return how many leases the rest of the world sees."""
    return in_another_connection(WorkerNode.objects.count)


class Boom(Exception):
    """Rolls a block back."""


@SQLITE_ONLY
def test_claim_in_autocommit_uses_the_callers_connection():
    """No thread, no other connection: a database in memory is seen by no other."""
    connection.ensure_connection()
    before = threading.active_count()
    statements = []

    def watch(execute, sql, *args):
        statements.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(watch):
        generators["default"].assign()
    assert any("INSERT" in sql for sql in statements)
    assert threading.active_count() == before


def test_claim_without_an_open_connection_opens_none(monkeypatch):
    """One that was opened before a fork would be shared with the children."""
    connection.close()
    assert uid()
    assert connection.connection is None
    assert WorkerNode.objects.count() == 1


@ON_SERVER
@pytest.mark.parametrize("opened_by", ["this process", "its parent"])
def test_callers_connection_is_not_used(opened_by):
    """It may be broken, or wait for ever; two processes cannot talk over one wire."""
    connection.ensure_connection()
    if opened_by == "its parent":
        setattr(connection, databases._OPENED_BY, os.getpid() - 1)
    statements = []

    def watch(execute, sql, *args):
        statements.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(watch):
        assert uid()
    assert statements == []


@ON_SERVER
def test_broken_connection_is_not_the_end():
    """The database is well, only this connection is not."""
    connection.ensure_connection()
    kill = {
        "postgresql": "SELECT pg_terminate_backend({})",
        "mysql": "KILL {}",
    }[connection.vendor]
    number = {
        "postgresql": "SELECT pg_backend_pid()",
        "mysql": "SELECT CONNECTION_ID()",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(number)
        [backend] = cursor.fetchone()

    def end():
        with connection.cursor() as cursor:
            cursor.execute(kill.format(backend))

    in_another_connection(end)
    assert uid()
    connection.close()


@ON_SERVER
@pytest.mark.parametrize("depth", [1, 3])
def test_claim_in_atomic_survives_its_rollback(depth):
    """It was committed by a connection of its own."""
    minted = []

    def nested(level):
        with transaction.atomic():
            if level:
                nested(level - 1)
            else:
                minted.append(Order.objects.create(name="x").pk)
                raise Boom

    with pytest.raises(Boom):
        nested(depth)
    assert Order.objects.count() == 0
    assert committed_leases() == 1
    lease = generators["default"].lease
    assert WorkerNode.objects.for_uid(minted[0]).get().pk == lease.key
    assert uid() > minted[0]


@ON_SERVER
def test_renewal_in_atomic_survives_its_rollback():
    """It never joins the caller's transaction."""
    uid()
    lease = generators["default"].lease
    with pytest.raises(Boom), transaction.atomic():
        Order.objects.create(name="x")
        renewed = generators["default"].assigner.renew(lease, lease.reserved_until + 5)
        raise Boom
    node = WorkerNode.objects.get(pk=lease.key)
    assert node.reserved_until == renewed.reserved_until > lease.reserved_until


@ON_SERVER
def test_claim_with_autocommit_off_survives_a_rollback():
    """The caller commits by hand."""
    transaction.set_autocommit(False)
    try:
        Event.objects.create(name="x")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert Event.objects.count() == 0
    assert committed_leases() == 1


def test_callers_transaction_is_left_alone():
    """It is neither committed nor ended."""
    with transaction.atomic():
        Order.objects.create(name="x")
        assert connection.in_atomic_block
        transaction.set_rollback(True)
    assert Order.objects.count() == 0


# SQLite: the claim is provisional.


@SQLITE_ONLY
def test_claim_becomes_ordinary_with_the_commit():
    """The process keeps it."""
    with transaction.atomic():
        first = Order.objects.create(name="x").pk
        assert generators["default"].lease is None
        uids(1000)
    lease = generators["default"].lease
    assert lease.provisional is None
    assert uid() > first
    assert [node.pk for node in WorkerNode.objects.all()] == [lease.key]
    assert WorkerNode.objects.for_uid(first).get().pk == lease.key


@SQLITE_ONLY
def test_claim_is_dropped_with_the_rollback():
    """And what follows is larger all the same."""
    with pytest.raises(Boom), transaction.atomic():
        first = Order.objects.create(name="x").pk
        raise Boom
    assert WorkerNode.objects.count() == 0
    second = uid()
    assert second > first
    assert WorkerNode.objects.for_uid(second).exists()


@SQLITE_ONLY
def test_claim_is_dropped_with_the_rollback_of_its_savepoint():
    """The outer block goes on, and claims again."""
    with transaction.atomic():
        Event.objects.create(name="not minted", id=1)
        with pytest.raises(Boom), transaction.atomic():
            first = uid()
            raise Boom
        assert WorkerNode.objects.count() == 0
        second = uid()
        assert WorkerNode.objects.count() == 1
    assert second > first
    assert generators["default"].lease.key == WorkerNode.objects.get().pk


@SQLITE_ONLY
def test_claim_outlives_the_rollback_of_a_later_savepoint():
    """Only the one that made it matters."""
    with transaction.atomic():
        first = uid()
        with pytest.raises(Boom), transaction.atomic():
            second = uid()
            raise Boom
        third = uid()
    assert first < second < third
    assert WorkerNode.objects.count() == 1


@SQLITE_ONLY
def test_claim_made_in_an_inner_block_that_was_released():
    """It stands or falls with the outer one."""
    with pytest.raises(Boom), transaction.atomic():
        with transaction.atomic():
            uid()
        assert WorkerNode.objects.count() == 1
        raise Boom
    assert WorkerNode.objects.count() == 0
    assert generators["default"].lease is None
    uid()
    assert WorkerNode.objects.count() == 1


@SQLITE_ONLY
def test_rolled_back_ticks_cannot_be_claimed_again():
    """A process that claims after the rollback begins behind what was handed out."""
    config = {"TEST": False, "WORKER_IDS": (7, 7)}
    registry.generators.reset()
    from django.conf import settings

    settings.UIDGEN = {"default": config}
    handed_out = []
    for _ in range(20):
        with pytest.raises(Boom), transaction.atomic():
            handed_out += uids(5000)
            raise Boom
        # As another process on this machine would, without waiting.
        lease = (
            generators["default"]
            ._own_stock()
            .keeper._claim(generators["default"].clock.tick())
        )
        last = generators["default"].layout.decompose(handed_out[-1]).tick
        assert lease.reserved_from > last
        WorkerNode.objects.all().delete()
    assert len(set(handed_out)) == len(handed_out)


@SQLITE_ONLY
def test_claim_that_waited_for_a_rollback_begins_behind_it(settings):
    """Its clock was read again after the wait."""
    values = {"TEST": False, "WORKER_IDS": (7, 7), "LAYOUT": "javascript"}
    settings.UIDGEN = {"default": values, "orders": {"TEST": False}}
    generator = generators["default"]
    config = conf.get_config("default")
    # As a second process has it.
    other = config.generator(
        config.layout, config.assigner(config), options=config.generator_options
    )
    late = []
    claims = threading.Event()

    def claim():
        claims.set()
        try:
            late.extend(other.uids(3000))
        finally:
            connections.close_all()

    thread = threading.Thread(target=claim)
    with pytest.raises(Boom), transaction.atomic():
        Event.objects.bulk_create([Event(name="x", id=1)])
        minted = generator.uids(3000)
        first = config.layout.decompose(minted[0]).tick
        thread.start()
        claims.wait()
        while config.layout.decompose(minted[-1]).tick < first + 2:
            minted += generator.uids(1500)
        raise Boom
    thread.join()
    other.close()
    last, first = max(minted), min(late)
    assert config.layout.decompose(first).tick > config.layout.decompose(last).tick


@SQLITE_ONLY
def test_claim_with_autocommit_off_is_dropped_with_the_rollback():
    """Django's own queue of such callers tells."""
    transaction.set_autocommit(False)
    try:
        Event.objects.create(name="the first write begins the transaction", id=1)
        first = Event.objects.create(name="x").pk
        assert WorkerNode.objects.count() == 1
        transaction.rollback()
        assert WorkerNode.objects.count() == 0
        second = Event.objects.create(name="y").pk
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert first < second
    assert committed_leases() == 1
    assert uid() > second


@SQLITE_ONLY
def test_write_lock_of_the_caller_is_no_deadlock():
    """The claim joins the transaction that holds it."""
    with transaction.atomic():
        Event.objects.bulk_create([Event(name="x", id=1)])
        assert uid()
    assert Event.objects.count() == 1


@SQLITE_ONLY
def test_claim_while_another_thread_holds_the_write_lock(settings):
    """It waits for the lock as every writer does, and the holder can mint meanwhile."""
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"MAX_WAIT": 30}}}
    minted = []
    started = threading.Event()

    def other():
        started.set()
        try:
            minted.append(uid())
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        Event.objects.bulk_create([Event(name="x", id=1)])
        thread.start()
        started.wait()
        minted.extend(uid() for _ in range(3))
    thread.join()
    assert len(set(minted)) == 4


@SQLITE_ONLY
def test_claim_in_a_transaction_that_has_not_written_yet():
    """It waits for the write lock too, and is not refused at once."""
    writes, minted = threading.Event(), []

    def watch(execute, sql, *args):
        if sql.startswith(("INSERT", "UPDATE")):
            writes.set()
        return execute(sql, *args)

    def other():
        try:
            with connection.execute_wrapper(watch), transaction.atomic():
                minted.append(Order.objects.create(name="x").pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        Event.objects.bulk_create([Event(name="x", id=1)])
        thread.start()
        assert writes.wait(30)
    thread.join()
    assert [order.pk for order in Order.objects.all()] == minted
    assert WorkerNode.objects.for_uid(minted[0]).exists()


def busy_timeout():
    """Return how long this connection waits for locks, in milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        return cursor.fetchone()[0]


@SQLITE_ONLY
@pytest.mark.parametrize("block", [nullcontext, transaction.atomic])
@pytest.mark.parametrize(
    ("max_wait", "limit"), [(0.3, 300), (3600, 60_000)], ids=["shorter", "longer"]
)
def test_callers_timeout_is_longer_than_max_wait(settings, block, max_wait, limit):
    """The claim waits for no longer than MAX_WAIT, the caller's own statements do."""
    options = {"MAX_WAIT": max_wait}
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": options}}
    connection.ensure_connection()
    assert busy_timeout() == 60_000
    limits = []

    def watch(execute, sql, *args):
        if "workernode" in sql:
            [[milliseconds]] = connection.connection.execute("PRAGMA busy_timeout")
            limits.append(milliseconds)
        return execute(sql, *args)

    with connection.execute_wrapper(watch), block():
        uid()
        assert busy_timeout() == 60_000
    assert set(limits) == {limit}


@SQLITE_ONLY
@pytest.mark.parametrize("block", [nullcontext, transaction.atomic])
def test_callers_are_told_of_a_lock(settings, block):
    """After MAX_WAIT, while the lock is held on. The caller's timeout is restored."""
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"MAX_WAIT": 0.3}}}
    connection.ensure_connection()
    with locked_worker_table() as go_on:
        with (
            pytest.raises(WorkerIdUnavailable, match="database is locked"),
            block(),
        ):
            uid()
        assert not go_on.is_set()
        assert busy_timeout() == 60_000
    assert uid()


# Event loops.


def test_mint_on_an_event_loop():
    """Django refuses database work there, so a thread does it."""

    async def main():
        return [uid(), *uids(3), Order(name="x").pk]

    assert len(asyncio.run(main())) == 5
    assert WorkerNode.objects.count() == 1


def test_thousand_tasks():
    """One claim for all."""
    from django_uidgen import auid, auids

    async def main():
        return await asyncio.gather(*(auid() for _ in range(1000)), auids(5))

    *single, several = asyncio.run(main())
    assert len({*single, *several}) == 1005
    assert WorkerNode.objects.count() == 1


# When the database is unavailable.


def test_missing_table_and_its_return():
    """Minting fails with a named error, and works again without a restart."""
    with connection.schema_editor() as editor:
        editor.delete_model(WorkerNode)
    try:
        for _ in range(2):
            with pytest.raises(WorkerIdUnavailable, match="migrate django_uidgen"):
                uid()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(WorkerNode)
    assert uid()


@ON_SERVER
def test_database_that_is_down(settings, monkeypatch):
    """The error names the database's own; afterwards all is well."""
    connection.close()
    real = connections.settings["default"]["PORT"]
    monkeypatch.setitem(connections.settings["default"], "PORT", "1")
    with pytest.raises(WorkerIdUnavailable, match="database 'default'"):
        uid()
    monkeypatch.setitem(connections.settings["default"], "PORT", real)
    assert uid()


@SQLITE_ONLY
def test_read_only_connection():
    """Nothing is minted without a lease."""
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = on")
    try:
        with pytest.raises(WorkerIdUnavailable, match="readonly database"):
            uid()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = off")
    assert uid()


def test_own_connection_has_no_pool():
    """A pool would be shared with the children of a later fork."""
    names = []

    def work():
        names.append(connections["default"].settings_dict["OPTIONS"])
        return 1

    connections.settings["default"]["OPTIONS"]["pool"] = True
    try:
        databases._with_own_connection("default", work, timeout=30)
    finally:
        del connections.settings["default"]["OPTIONS"]["pool"]
    assert "pool" not in names[0]


@pytest.fixture
def autocommit_off():
    """Switch AUTOCOMMIT off in the project's settings."""
    values = connections.settings["default"]
    connection.close()
    values["AUTOCOMMIT"] = False
    yield
    connection.close()
    values["AUTOCOMMIT"] = True


@pytest.mark.usefixtures("autocommit_off")
def test_project_without_autocommit():
    """Claims, renewals and releases are committed all the same."""

    def row():
        with sees_all.cursor() as cursor:
            columns = "reserved_until, released_at"
            cursor.execute(f"SELECT {columns} FROM {WorkerNode._meta.db_table}")
            return list(cursor.fetchall())

    sees_all = connections.create_connection("default")
    sees_all.settings_dict = {**sees_all.settings_dict, "AUTOCOMMIT": True}
    try:
        uid()
        generator = generators["default"]
        lease = generator.lease
        assert row() == [(lease.reserved_until, None)]
        until = generator.assigner.renew(lease, lease.renew_from).reserved_until
        assert until > lease.reserved_until
        assert row() == [(until, None)]
        registry.generators.reset()
        assert row()[0][1] is not None
    finally:
        sees_all.close()


@pytest.mark.parametrize("backdated", [False, True])
def test_claim_that_does_not_last(backdated):
    """Nothing is minted with it: something rolls our connections back, say."""

    def begin_for_ever(*, connection, **kwargs):
        connection.set_autocommit(False)
        if ON_SQLITE:
            connection.cursor().execute("BEGIN")

    connection.close()
    connection_created.connect(begin_for_ever)
    try:
        with pytest.raises(WorkerIdUnavailable, match="does not find the claim"):
            generators["default"].at(timezone.now()) if backdated else uid()
    finally:
        connection_created.disconnect(begin_for_ever)
    assert committed_leases() == 0
    assert uid()


def test_error_in_a_thread_reaches_the_caller():
    """Whatever it is."""

    def work():
        raise Boom

    with pytest.raises(Boom):
        databases._run_apart("default", work, timeout=30)


def test_database_that_does_not_answer():
    """The caller receives an error; late work harms nothing."""
    go_on = threading.Event()
    ended = threading.Event()

    def work():
        go_on.wait(30)
        ended.set()

    with pytest.raises(TimeoutError, match=r"within MAX_WAIT = 0\.01 s"):
        databases._run_apart("default", work, timeout=0.01)
    go_on.set()
    assert ended.wait(30)


def test_claims_that_were_given_up_do_not_add_up(settings, monkeypatch):
    """A database that hangs gets one claim of a process; the next mint uses it."""
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"MAX_WAIT": 0.05}}}
    connection.close()
    generator = generators["default"]
    attempt = generator.assigner.attempt
    go_on, tries = threading.Event(), []

    def hanging(start):
        tries.append(start)
        go_on.wait(30)
        return attempt(start)

    monkeypatch.setattr(generator.assigner, "attempt", hanging)
    for _ in range(5):
        with pytest.raises(WorkerIdUnavailable, match="no answer within MAX_WAIT"):
            uid()
    late, _was_claim = generator.assigner.steps.late_work._noted
    go_on.set()
    late._thread.join()
    assert uid()
    assert len(tries) == 1
    assert [node.pk for node in WorkerNode.objects.all()] == [generator.lease.key]


def background(work):
    return BackgroundWork(work, name="late")


def test_late_work_that_was_no_claim(settings):
    """It is waited for, and its result is nobody's."""

    def fail():
        raise OperationalError

    generator = generators["default"]
    late = background(lambda: 1)
    late.start()
    generator.assigner.steps.late_work.note(late, is_claim=False)
    assert uid()
    failed = background(fail)
    failed.start()
    generator.assigner.steps.late_work.note(failed, is_claim=True)
    registry.generators.reset()
    assert uid()


@pytest.mark.parametrize("was_claim", [True, False])
@pytest.mark.parametrize("error", [LeaseLost, WorkerIdsExhausted])
def test_late_work_that_failed_is_forgotten(error, was_claim):
    """What became of it is of no matter to the next claim, nor to any after that."""

    def fails():
        raise error

    late = background(fails)
    late.start()
    generators["default"].assigner.steps.late_work.note(late, is_claim=was_claim)
    assert uid()


def test_late_claim_is_used_once(monkeypatch):
    """Two threads may wait for it, where a generator was closed meanwhile.

    The one that minted before releases its lease, as no mint wants it any more, and
    the other mints on. With the same lease that would end what is minted with.
    """
    assigner = generators["default"].assigner
    now = generators["default"].clock.tick()
    claim = partial(assigner._claim, now)
    late = background(
        partial(databases._with_own_connection, "default", claim, timeout=30)
    )
    late.start()
    both_wait = threading.Barrier(2)
    join = late._thread.join

    def join_together(timeout):
        both_wait.wait(30)
        join(timeout)

    monkeypatch.setattr(late._thread, "join", join_together)
    assigner.steps.late_work.note(late, is_claim=True)
    with ThreadPoolExecutor() as pool:
        leases = list(pool.map(assigner.claim, [now, now]))
    assert leases[0].key != leases[1].key
    assert WorkerNode.objects.count() == 2


def test_late_work_of_a_parent_is_not_waited_for(monkeypatch):
    """Its thread is not here."""
    late = background(lambda: 1)
    monkeypatch.setattr(late, "_process", 1)
    generators["default"].assigner.steps.late_work.note(late, is_claim=True)
    assert uid()


def test_connection_that_was_opened_before_our_app_was_ready():
    """Another app may have queried in its own ready()."""
    connection.ensure_connection()
    delattr(connection, databases._OPENED_BY)
    assert not databases._is_open(connection)
    databases.watch_connections()
    assert databases._is_open(connection)


@ON_SERVER
def test_caller_that_has_locked_the_worker_table(settings):
    """It waits for itself, but not for ever: for the row, or MAX_WAIT if shorter."""
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"MAX_WAIT": 0.5}}}
    reason = "no answer within MAX_WAIT|another process has locked its row"
    uid()
    generator = generators["default"]
    lease = generator.lease
    with transaction.atomic():
        WorkerNode.objects.select_for_update().get(pk=lease.key)
        with pytest.raises((LeaseLost, WorkerIdUnavailable), match=reason):
            generator.assigner.renew(lease, lease.reserved_until + 5)


def test_work_where_no_thread_can_be_started(monkeypatch):
    """At the interpreter's shutdown, and under uWSGI without threads."""
    before = connections["default"]

    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    count = WorkerNode.objects.count
    assert databases._run_apart("default", count, timeout=30) == 0
    monkeypatch.setattr(databases, "threads_run", lambda: False)
    assert databases._run_apart("default", count, timeout=30) == 0
    assert connections["default"] is before


# Forks, while a connection of ours is open in another thread.


def fork_meanwhile(work):
    """Fork while ``work`` runs in a thread; return what the child saw of the gate."""
    begun, go_on = threading.Event(), threading.Event()

    def hold():
        begun.set()
        go_on.wait(30)
        return work()

    thread = threading.Thread(
        target=databases._with_own_connection,
        args=("default", hold),
        kwargs={"timeout": 30},
    )
    thread.start()
    begun.wait()
    threading.Timer(0.2, go_on.set).start()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()
    if pid == 0:
        os._exit(3 if go_on.is_set() and not thread.is_alive() else 4)
    thread.join()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_fork_waits_for_our_connections():
    """The child of a fork in their midst would inherit what they had begun."""
    assert fork_meanwhile(lambda: None) == 3
    assert uid()


def test_fork_does_not_wait_for_ever(monkeypatch):
    """A database that hangs is no reason not to fork."""
    monkeypatch.setattr(databases, "_GATE_TIMEOUT", 0.01)
    with databases._gate.hold(1):
        with databases._gate.hold(1):
            pid = os.fork()
            if pid == 0:
                os._exit(5 if databases._gate._lock.acquire(timeout=0) else 6)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    lock = databases._gate._lock.acquire(timeout=0)
    assert lock is not None
    lock.release()

"""Claims by many at once, with each isolation level that a project may ask for."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import chain, pairwise

import pytest
from django.db import OperationalError, connection, connections, transaction

from django_uidgen import conf, databases, dialects, generators, registry
from django_uidgen.assigners import retries
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.dialects import dialect_of
from django_uidgen.models import WorkerNode
from tests.support.connections import in_another_connection, in_threads
from tests.support.leases import add_lease

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="it has one level"),
]

CLAIMANTS = 8
ROUNDS = 8
WORKER_IDS = 12


def levels():
    """Return the levels in the words of the database's driver."""
    if connection.vendor != "postgresql":
        return ["read committed", "repeatable read", "serializable"]
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    return [
        IsolationLevel.READ_COMMITTED,
        IsolationLevel.REPEATABLE_READ,
        IsolationLevel.SERIALIZABLE,
    ]


@pytest.fixture(params=levels(), ids=str)
def level(request, monkeypatch):
    """Have all connections of the project use an isolation level."""
    options = connections.settings["default"]["OPTIONS"]
    monkeypatch.setitem(options, "isolation_level", request.param)
    connection.close()
    yield request.param
    connection.close()


@pytest.fixture(autouse=True)
def _leased(settings):
    """Lease worker ids for real, a few of them."""
    values = {"TEST": False, "WORKER_IDS": (0, WORKER_IDS - 1)}
    settings.UIDGEN = {"default": values}
    yield
    registry.generators.reset()


def new_generator():
    """Return a generator as another process has it."""
    config = conf.get_config("default")
    return config.generator(
        config.layout, config.assigner(config), options=config.generator_options
    )


@pytest.mark.parametrize("where", ["own connection", "caller's connection"])
def test_claims_at_once(level, where):
    """Each gets a worker id, however often the database undoes a transaction."""
    for worker_id in range(0, WORKER_IDS, 2):
        add_lease(worker_id, until=-30 - worker_id)

    def work():
        if where == "caller's connection":
            connection.ensure_connection()
        minted = []
        for _ in range(ROUNDS):
            generator = new_generator()
            minted += generator.uids(1000)
            generator.close()
        return minted

    results, errors = in_threads(work, CLAIMANTS)
    assert errors == []
    assert len(set(chain.from_iterable(results))) == CLAIMANTS * ROUNDS * 1000
    for worker_id in range(WORKER_IDS):
        nodes = WorkerNode.objects.filter(worker_id=worker_id).order_by("term")
        for one, other in pairwise(nodes):
            assert one.sealed
            assert one.reserved_until <= other.reserved_from


def waits_for_a_lock():
    """Tell whether a transaction on this database waits for another."""
    statement = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx t "
        "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
        "WHERE p.db = database() AND t.trx_state = 'LOCK WAIT'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] > 0


@pytest.fixture
def locks_are_waited_for(monkeypatch):
    """Have no claim give a locked row up before the database finds the deadlock."""
    monkeypatch.setattr(databases, "_LOCK_WAIT", 60.0)
    patient = replace(dialect_of(connection), session_settings=None)
    monkeypatch.setitem(dialects._DIALECTS, connection.vendor, patient)


@pytest.mark.usefixtures("locks_are_waited_for")
def test_claim_that_loses_a_deadlock_is_tried_again(settings, monkeypatch):
    """The database chose it as the victim; the other was rolled back as well."""
    options = {"MAX_WAIT": 60}
    settings.UIDGEN = {
        "default": {"TEST": False, "WORKER_IDS": (7, 7), "OPTIONS": options}
    }
    seen = add_lease(7, until=-30)
    generator = generators["default"]
    attempt, outcomes = generator.assigner.attempt, []

    def watched(start):
        try:
            node = attempt(start)
        except OperationalError as error:
            outcomes.append(dialect_of(connection).is_conflict(error))
            raise
        outcomes.append(node is not None)
        return node

    monkeypatch.setattr(generator.assigner, "attempt", watched)
    claim = threading.Thread(target=generator.assign)
    with transaction.atomic():
        # The successor's row, and so many others that this one is not the victim.
        add_lease(7, term=2)
        for worker_id in range(100, 150):
            add_lease(worker_id)
        claim.start()
        deadline = time.monotonic() + 60
        while not in_another_connection(waits_for_a_lock):
            assert time.monotonic() < deadline
            # MariaDB looks anew only where nobody has asked for a tenth of a second.
            time.sleep(0.2)
        # The claim has this row, and waits for that of the successor.
        WorkerNode.objects.filter(pk=seen.pk).update(host_name="here")
        transaction.set_rollback(True)
    claim.join()
    assert outcomes[0] is True
    assert len(outcomes) >= 2
    assert generator.lease.worker_id == 7
    assert WorkerNode.objects.get(sealed=False).term == 2


def test_conflicts_without_end(monkeypatch):
    """The caller receives an error of this package."""
    monkeypatch.setattr(retries, "ROUNDS", 3)
    connection.close()
    generator, tries = generators["default"], []

    def conflicting(start):
        tries.append(start)
        with connection.cursor() as cursor:
            cursor.execute(RAISE_CONFLICT[connection.vendor])

    monkeypatch.setattr(generator.assigner, "attempt", conflicting)
    with pytest.raises(WorkerIdUnavailable, match="could not be serialized"):
        generator.uid()
    assert len(tries) == 4


#: Statements that fail as a conflict does.
RAISE_CONFLICT = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'could not be serialized' "
    "USING ERRCODE = '40001'; END $$",
    "mysql": "SIGNAL SQLSTATE '40001' "
    "SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'could not be serialized'",
}

"""A database server that is stopped, for shorter and for longer than a lease."""

from __future__ import annotations

import logging
import threading
from contextlib import nullcontext

import pytest
from django.db import DatabaseError, connections, transaction

from django_uidgen.core.exceptions import UidError, WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import (
    ALIAS,
    ON_SERVER,
    USES_DATABASE,
    disjoint,
    wait_until,
)

pytestmark = [USES_DATABASE, ON_SERVER, pytest.mark.usefixtures("by_proxy")]

both = pytest.mark.parametrize("kind", ["Default", "Cached"])


@both
def test_for_shorter_than_the_lease(start, proxy, kind, caplog):
    """Minting goes on, a warning is logged, and the next renewal succeeds."""
    process = start(kind)
    process.mint()
    known = process.lease.reserved_until
    proxy.stop()
    process.move(31)
    process.mint()
    wait_until(lambda: "Could not renew" in caplog.text, "the warning")
    process.move(25)
    process.mint()
    assert process.lease.reserved_until == known
    proxy.start()
    process.move(3)
    process.mint()
    wait_until(lambda: process.lease.reserved_until > known, "the renewal")
    process.move(50)
    process.mint()
    # The second may have been begun by the padding thread.
    wait_until(
        lambda: process.row.reserved_until == process.lease.reserved_until,
        "the lease to be as long as its row",
    )
    assert WorkerNode.objects.count() == 1
    assert {record.levelno for record in caplog.records} <= {
        logging.DEBUG,
        logging.WARNING,
    }


@both
def test_for_longer_than_the_lease(start, proxy, kind):
    """Minting goes on for the rest of the lease, fails, and recovers by itself.

    Nobody has taken the worker id, so its lease is renewed.
    """
    process = start(kind)
    process.mint()
    before = process.row
    proxy.stop()
    process.move(58)
    process.mint()
    assert process.lease.reserved_until == before.reserved_until
    process.move(10)
    for mint in [process.generator.uid, process.mint, process.generator.uid]:
        with pytest.raises(
            WorkerIdUnavailable,
            match=rf"(?s)no worker id from database '{ALIAS}'.* Is the database up",
        ) as caught:
            mint()
        assert isinstance(caught.value.__cause__, DatabaseError)
    ends = {tick for _, tick in process.ticks}
    assert max(ends) < before.reserved_until
    proxy.start()
    process.mint()
    after = WorkerNode.objects.get()
    assert (after.pk, after.reserved_from) == (before.pk, before.reserved_from)
    assert after.reserved_until == process.lease.reserved_until
    assert process.lease.reserved_until > before.reserved_until


@both
def test_worker_id_that_was_taken_meanwhile(start, proxy, kind):
    """The lost time is the other's; this process goes on with another worker id."""
    process = start(kind)
    process.mint()
    held = process.lease.worker_id
    proxy.stop()
    process.move(65)
    with pytest.raises(WorkerIdUnavailable):
        process.mint()
    other = start(kind, database="default", worker_ids=(held, held))
    other.move(65)
    other.mint()
    assert other.row.term == 2
    proxy.start()
    process.mint()
    other.mint()
    assert process.lease.worker_id != held
    assert disjoint(process, other)


@pytest.mark.parametrize("transaction_is_open", [False, True])
def test_stale_connection_of_the_caller(start, proxy, transaction_is_open):
    """It is the caller's own trouble: minting needs it not."""
    process = start()
    connections[ALIAS].ensure_connection()
    block = transaction.atomic(using=ALIAS) if transaction_is_open else nullcontext()
    try:
        with block:
            connections[ALIAS].cursor().execute("SELECT 1")
            process.mint()
            proxy.stop()
            proxy.start()
            process.move(65)
            process.mint()
    except DatabaseError:
        assert transaction_is_open
    else:
        assert not transaction_is_open
    process.move(65)
    process.mint()
    assert WorkerNode.objects.count() == 1


def test_threads_while_it_is_down(start, proxy):
    """Each raises, none hangs, and all continue afterwards."""
    process = start()
    process.mint()
    proxy.stop()
    process.move(65)
    results = []

    def mint():
        try:
            results.append(process.generator.uid())
        except UidError as error:
            results.append(error)

    def at_once():
        threads = [threading.Thread(target=mint) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    at_once()
    assert all(isinstance(result, WorkerIdUnavailable) for result in results), results
    proxy.start()
    results.clear()
    at_once()
    assert len(set(results)) == 16
    assert all(isinstance(result, int) for result in results), results
